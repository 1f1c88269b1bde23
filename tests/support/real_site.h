// What end-to-end tests with real programs share: app servers on Node, and commands whose output counts.
#pragma once

#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/certificates.h"
#include "support/process.h"
#include "support/remora.h"

namespace remora::test {

/// The output (stdout and stderr) of a command, which is ended after 30 seconds.
inline std::string output_of(const std::string& command) {
  std::string out;
  std::FILE* pipe = ::popen(("timeout 30 " + command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return out;
  std::array<char, 4096> block;
  for (std::size_t n = 0; (n = std::fread(block.data(), 1, block.size(), pipe)) > 0;)
    out.append(block.data(), n);
  ::pclose(pipe);
  return out;
}

/// How often `part` occurs in `text`.
inline int occurrences(const std::string& text, const std::string& part) {
  int n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++n;
  return n;
}

/// An app server: e2e/apps/http2_site.js, which says what it serves. `mode`: http1 or h2c.
class NodeSite {
 public:
  NodeSite(std::string name, const std::string& mode, int requests_per_connection = 0)
      : name_(std::move(name)), port_(free_port()), folder_(make_folder()) {
    const std::vector<std::string> words{"node",
                                         REMORA_SOURCE_DIR "/tests/e2e/apps/http2_site.js",
                                         std::to_string(port_),
                                         name_,
                                         mode,
                                         std::to_string(requests_per_connection)};
    process_ = std::make_unique<Process>(words, folder_ + "/out");
    EXPECT_TRUE(process_->wait_for_port(port_));
  }
  ~NodeSite() {
    process_.reset();
    std::filesystem::remove_all(folder_);
  }
  NodeSite(const NodeSite&) = delete;
  NodeSite& operator=(const NodeSite&) = delete;
  std::string entry() const {
    return "{id: " + name_ + ", address: \"127.0.0.1:" + std::to_string(port_) + "\"}";
  }

 private:
  const std::string name_;
  const int port_;
  const std::string folder_;
  std::unique_ptr<Process> process_;
};

/// A configuration with a listener `plain` (prior knowledge) and a listener `tls`, whose certificate is
/// written to `folder`. `pool` adds entries to the flow map of the one pool.
inline std::string two_listeners(const std::string& folder, const std::string& backends,
                                 const std::string& pool = "", const std::string& top = "") {
  return "state_dir: none\nkeys: [{env: REMORA_TEST_KEY}]\nadmin: off\nworkers: 2\nlog: {access: off}\n" +
         top +
         "listeners:\n  - {name: plain, bind: \"127.0.0.1:0\", h2c: on}\n"
         "  - {name: tls, bind: \"127.0.0.1:0\", tls: {certificates: [" +
         make_certificate(folder, "one.test") + "]}}\npools:\n  app: {backends: [" + backends + "]" +
         (pool.empty() ? "" : ", " + pool) + "}\n";
}

}  // namespace remora::test

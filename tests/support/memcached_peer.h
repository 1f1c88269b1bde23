// A fake Memcached server (support/store_peer.h).
#pragma once

#include <sstream>

#include "support/store_peer.h"

namespace remora::test {

class MemcachedPeer final : public StorePeer {
 public:
  explicit MemcachedPeer(const Clock& clock, Over over = Over::unix_socket) : StorePeer(clock, over) {}

  std::size_t max_value = 1U << 20;  // `-I`
  bool old = false;                  // before 1.6: no meta commands

 protected:
  /// The words of the line, followed by the value for `ms`.
  Words parse(std::string& in) override {
    const std::size_t end = in.find("\r\n");
    if (end == std::string::npos) return {};
    std::istringstream line(in.substr(0, end));
    Words words;
    for (std::string word; line >> word;) words.push_back(word);
    if (words.empty()) throw std::runtime_error("an empty line");
    std::size_t used = end + 2;
    if (words.front() == "ms") {
      const std::size_t size = std::stoul(words.at(2));
      if (in.size() < used + size + 2) return {};
      words.push_back(in.substr(used, size));
      used += size + 2;
    }
    in.erase(0, used);
    return words;
  }

  std::string reply(Link&, const Words& words) override {
    const std::string& name = words.front();
    if (old) return "ERROR\r\n";
    if (name == "mn") return "MN\r\n";
    if (name == "mg") {
      const PeerValue* const kept = find(words.at(1));
      if (kept == nullptr) return "EN\r\n";
      return "VA " + std::to_string(kept->value.size()) + " c" + std::to_string(kept->token) + "\r\n" +
             kept->value + "\r\n";
    }
    return name == "ms" ? set(words) : "ERROR\r\n";
  }
  std::string error_reply() const override { return "SERVER_ERROR this is a test\r\n"; }

 private:
  std::string set(const Words& words) {
    const std::string& key = words.at(1);
    const PeerValue* const kept = find(key);
    long long seconds = 0;
    bool add = false;
    std::optional<std::uint64_t> compare;
    for (std::size_t i = 3; i + 1 < words.size(); ++i) {
      if (words[i].front() == 'T') seconds = std::stoll(words[i].substr(1));
      if (words[i] == "ME") add = true;
      if (words[i].front() == 'C') compare = std::stoull(words[i].substr(1));
    }
    if (words.back().size() > max_value) return "SERVER_ERROR object too large for cache\r\n";
    if (add && kept != nullptr) return "NS\r\n";
    if (compare && kept == nullptr) return "NF\r\n";
    if (compare && kept->token != *compare) return "EX\r\n";
    put(key, words.back(), std::chrono::seconds(seconds));
    return "HD\r\n";
  }
};

}  // namespace remora::test

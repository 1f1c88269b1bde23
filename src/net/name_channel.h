// c-ares, set up as the system's files said at one moment; and which addresses this machine has a way to.
#pragma once

#include <ares.h>

#include <string>
#include <vector>

#include "net/hosts_file.h"

namespace remora {

/// Threading: one thread. Lifetime: destroying it ends what is open, by its callbacks (ARES_EDESTRUCTION).
class NameChannel {
 public:
  /// `servers`: ip:port; empty: those of the system. Throws std::runtime_error.
  NameChannel(const std::vector<std::string>& servers, const NameFiles& files);
  ~NameChannel();
  NameChannel(const NameChannel&) = delete;
  NameChannel& operator=(const NameChannel&) = delete;
  ares_channel get() const noexcept { return channel_; }

  int ndots = 1;
  std::vector<std::string> domains;  // the search list
  std::string lookups = "fb";        // f: the hosts file, b: name servers; in this order
  std::size_t open = 0;              // questions on their way

 private:
  void read_settings();
  ares_channel channel_ = nullptr;
};

/// The kernel has a route and an address for it. Sends nothing.
bool has_way_to(const std::string& ip);

}  // namespace remora

// A c-ares channel, configured from the system's files as of its construction; and a check whether this
// machine has a route to an address.
#pragma once

#include <ares.h>

#include <string>
#include <vector>

#include "net/hosts_file.h"

namespace remora {

/// Threading: one thread. Lifetime: destruction ends open queries through their callbacks
/// (ARES_EDESTRUCTION).
class NameChannel {
 public:
  /// `servers`: ip:port; empty: the system's. Throws std::runtime_error.
  NameChannel(const std::vector<std::string>& servers, const NameFiles& files);
  ~NameChannel();
  NameChannel(const NameChannel&) = delete;
  NameChannel& operator=(const NameChannel&) = delete;
  ares_channel get() const noexcept { return channel_; }

  int ndots = 1;
  std::vector<std::string> domains;  // the search list
  std::string lookups = "fb";        // lookup order: f = hosts file, b = name servers
  std::size_t open = 0;              // queries in flight

 private:
  void read_settings();
  ares_channel channel_ = nullptr;
};

/// Whether the kernel has a route and a source address for `ip`. Sends nothing.
bool has_way_to(const std::string& ip);

}  // namespace remora

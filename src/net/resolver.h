// Asynchronous DNS resolver: c-ares on its own thread.
//
// Resolves as the system's resolver would: the hosts file, then A and AAAA records through the search list;
// or SRV records and the addresses of their targets. Re-reads the system's files when they change. Queries
// time out, answers are bounded, and TTLs are passed on.
// Threading: call `ask` on the thread that runs `home`; answers are delivered there. Lifetime: no answer is
// delivered after destruction.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/dns_answer.h"
#include "net/hosts_file.h"

namespace remora {

class Resolver {
 public:
  static constexpr std::size_t max_records = 512, max_targets = 64;
  using Heard = std::function<void(const DnsAnswer&)>;

  /// `servers`: ip:port; empty: the system's. Throws std::runtime_error when c-ares cannot be initialized.
  Resolver(boost::asio::io_context& home, const std::vector<std::string>& servers, NameFiles files = {});
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;
  /// Resolves `name` (its SRV records if `srv`) and calls `heard` once, on the thread of `home`.
  void ask(const std::string& name, bool srv, Heard heard);

 private:
  class Engine;
  std::shared_ptr<Engine> engine_;
};

}  // namespace remora

// Names into addresses, off every other thread: c-ares on a thread of its own.
//
// What the system's resolver would say: the hosts file, then A and AAAA records by the search list; or SRV
// records and the addresses of their targets. The system's files are read again when they change. Questions
// time out; answers are bounded; time to live is passed on.
// Threading: `ask` from the thread that runs `home`; answers come there. Lifetime: no answer comes after
// destruction.
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
  static constexpr std::size_t most_records = 512, most_targets = 64;
  using Heard = std::function<void(const DnsAnswer&)>;

  /// `servers`: ip:port; empty: those of the system. Throws std::runtime_error when c-ares cannot be set up.
  Resolver(boost::asio::io_context& home, const std::vector<std::string>& servers, NameFiles files = {});
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;
  void ask(const std::string& name, bool srv, Heard heard);

 private:
  class Engine;
  std::shared_ptr<Engine> engine_;
};

}  // namespace remora

// Names into addresses, off every other thread: c-ares on a thread of its own.
//
// A and AAAA records (and the hosts file and search domains, as the system's resolver would), or SRV records
// and the addresses of their targets. Questions time out; answers are bounded; time to live is passed on.
// Threading: `ask` from the thread that runs `home`; answers come there. Lifetime: no answer comes after
// destruction.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace remora {

struct DnsRecord {
  std::string ip;              // as text, without brackets
  std::string target;          // of an SRV record; else the name that was asked for
  std::uint16_t port = 0;      // SRV
  std::uint16_t priority = 0;  // SRV: the lowest first
  std::uint32_t weight = 1;    // SRV; 0 there counts as 1
  bool operator==(const DnsRecord&) const = default;
};

struct DnsAnswer {
  std::string error;  // nobody answered, or with a failure: nothing is known. Empty: `records` is the truth
  std::vector<DnsRecord> records;
  std::chrono::seconds ttl{0};  // the least of all records
  bool cut = false;             // there were more than `most_records`
};

/// The least time to live of an answer's records (RFC 1035 4.1.3); nothing when it cannot be read. Pure.
std::optional<std::chrono::seconds> least_ttl(const unsigned char* data, int size);

class Resolver {
 public:
  static constexpr std::size_t most_records = 512, most_targets = 64;
  using Heard = std::function<void(const DnsAnswer&)>;

  /// `servers`: ip:port; empty: those of the system. Throws std::runtime_error when c-ares cannot be set up.
  Resolver(boost::asio::io_context& home, const std::vector<std::string>& servers);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;
  void ask(const std::string& name, bool srv, Heard heard);

 private:
  class Engine;
  std::shared_ptr<Engine> engine_;
};

}  // namespace remora

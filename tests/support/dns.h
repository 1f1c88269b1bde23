// A DNS server under the test's control: UDP and TCP on one loopback port.
//
// Threading: serves on a thread of its own; the functions may be called at any time.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace remora::test {

struct DnsEntry {
  enum class Type : std::uint16_t { a = 1, aaaa = 28, srv = 33 } type = Type::a;
  std::string value;  // an address, or the target of an SRV record
  std::uint16_t port = 0, priority = 0, weight = 0;
};

class NameServer {
 public:
  enum class Mood : std::uint8_t {
    answers,
    silent,
    refuses,          // REFUSED
    fails,            // SERVFAIL
    garbage,          // bytes that are not a DNS message
    forges,           // first sends responses with a wrong id and a wrong question
    truncates,        // sets TC over UDP, so that the client asks again over TCP
    no_name,          // NXDOMAIN
    malformed,        // FORMERR
    not_implemented,  // NOTIMP
    circles,          // a CNAME that points to itself
    refers            // refers to other name servers
  };

  NameServer();
  ~NameServer();
  NameServer(const NameServer&) = delete;
  NameServer& operator=(const NameServer&) = delete;
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  /// Sets the records of a name from now on. Empty: the name exists, but without records; a name never set
  /// gets NXDOMAIN. `ttl` in seconds.
  void set(const std::string& name, std::vector<DnsEntry> entries, std::uint32_t ttl = 0);
  void set_mood(Mood mood) { mood_ = mood; }
  /// Sets the mood for questions of one type only; used while the general mood is `answers`.
  void set_mood(DnsEntry::Type type, Mood mood) {
    const std::lock_guard lock(mutex_);
    moods_[type] = mood;
  }
  int questions() const { return questions_; }
  int over_tcp() const { return over_tcp_; }

 private:
  void run();
  std::string answer(const std::string& question, bool tcp);
  int udp_ = -1, tcp_ = -1, port_ = 0;
  std::atomic<Mood> mood_{Mood::answers};
  std::atomic<int> questions_{0}, over_tcp_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  struct Zone {
    std::string name;
    std::vector<DnsEntry> entries;
    std::uint32_t ttl;
  };
  std::vector<Zone> zones_;               // guarded by mutex_
  std::map<DnsEntry::Type, Mood> moods_;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace remora::test

// A name server under the test's control: UDP and TCP on one port of the loopback interface.
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
    garbage,          // bytes that are no message
    forges,           // answers with another id and another question first
    truncates,        // over UDP: "ask again by TCP"
    no_name,          // NXDOMAIN
    malformed,        // FORMERR
    not_implemented,  // NOTIMP
    circles,          // an alias that leads to itself
    refers            // to other name servers
  };

  NameServer();
  ~NameServer();
  NameServer(const NameServer&) = delete;
  NameServer& operator=(const NameServer&) = delete;
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  /// What a name is from now on; nothing: it does not exist.
  void set(const std::string& name, std::vector<DnsEntry> entries, std::uint32_t ttl = 0);
  void set_mood(Mood mood) { mood_ = mood; }
  /// Of questions for one type alone, unless the mood is a bad one anyway.
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

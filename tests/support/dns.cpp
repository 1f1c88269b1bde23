#include "support/dns.h"

#include <arpa/inet.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

namespace remora::test {

namespace {

void put16(std::string& out, unsigned n) {
  out += static_cast<char>(n >> 8);
  out += static_cast<char>(n & 255);
}
void put32(std::string& out, std::uint32_t n) {
  put16(out, n >> 16);
  put16(out, n & 0xffff);
}
void put_name(std::string& out, const std::string& name) {
  for (std::size_t at = 0; at < name.size();) {
    const std::size_t dot = std::min(name.find('.', at), name.size());
    out += static_cast<char>(dot - at);
    out.append(name, at, dot - at);
    at = dot + 1;
  }
  out += '\0';
}

/// Reads the name at `at`, and moves `at` behind it.
std::string read_name(const std::string& message, std::size_t& at) {
  std::string out;
  while (at < message.size() && message[at] != 0) {
    const auto n = static_cast<std::size_t>(static_cast<unsigned char>(message[at]));
    if (!out.empty()) out += '.';
    out.append(message, at + 1, n);
    at += n + 1;
  }
  ++at;
  return out;
}

constexpr std::size_t max_udp = 512;

}  // namespace

NameServer::NameServer() {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (int i = 0; i < 100; ++i) {  // find one port that is free for both
    udp_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    tcp_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    a.sin_port = 0;
    socklen_t size = sizeof a;
    const int on = 1;
    ::setsockopt(tcp_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(udp_, reinterpret_cast<sockaddr*>(&a), sizeof a) == 0 &&
        ::getsockname(udp_, reinterpret_cast<sockaddr*>(&a), &size) == 0 &&
        ::bind(tcp_, reinterpret_cast<sockaddr*>(&a), sizeof a) == 0 && ::listen(tcp_, 16) == 0)
      break;
    ::close(udp_);
    ::close(tcp_);
  }
  port_ = ntohs(a.sin_port);
  thread_ = std::thread([this] { run(); });
}

NameServer::~NameServer() {
  stop_ = true;
  thread_.join();
  ::close(udp_);
  ::close(tcp_);
}

void NameServer::set(const std::string& name, std::vector<DnsEntry> entries, std::uint32_t ttl) {
  const std::lock_guard lock(mutex_);
  std::erase_if(zones_, [&](const Zone& z) { return z.name == name; });
  zones_.push_back({name, std::move(entries), ttl});
}

std::string NameServer::answer(const std::string& question, bool tcp) {
  if (question.size() < 17) return "";
  ++questions_;
  if (tcp) ++over_tcp_;
  std::size_t end = 12;
  const std::string name = read_name(question, end);
  const auto type = static_cast<unsigned>(static_cast<unsigned char>(question[end + 1]));
  end += 4;
  Mood mood = mood_;
  if (mood == Mood::answers) {
    const std::lock_guard lock(mutex_);
    if (const auto its = moods_.find(static_cast<DnsEntry::Type>(type)); its != moods_.end())
      mood = its->second;
  }
  if (mood == Mood::silent) return "";
  if (mood == Mood::garbage) return question.substr(0, 2) + std::string(200, '\xff');
  std::string records;
  unsigned count = 0, code = 3;  // NXDOMAIN
  {
    const std::lock_guard lock(mutex_);
    for (const Zone& zone : zones_) {
      if (::strcasecmp(zone.name.c_str(), name.c_str()) != 0) continue;
      code = 0;
      for (const DnsEntry& e : zone.entries) {
        if (static_cast<unsigned>(e.type) != type) continue;
        ++count;
        put16(records, 0xc00c);
        put16(records, type);
        put16(records, 1);
        put32(records, zone.ttl);
        std::string data;
        if (e.type == DnsEntry::Type::srv) {
          put16(data, e.priority);
          put16(data, e.weight);
          put16(data, e.port);
          put_name(data, e.value);
        } else {
          data.resize(e.type == DnsEntry::Type::a ? 4 : 16);
          ::inet_pton(e.type == DnsEntry::Type::a ? AF_INET : AF_INET6, e.value.c_str(), data.data());
        }
        put16(records, static_cast<unsigned>(data.size()));
        records += data;
      }
    }
  }
  if (mood == Mood::refuses) code = 5;
  if (mood == Mood::fails) code = 2;
  if (mood == Mood::no_name) code = 3;
  if (mood == Mood::malformed) code = 1;
  if (mood == Mood::not_implemented) code = 4;
  unsigned authorities = 0;
  if (mood == Mood::circles || mood == Mood::refers) {
    code = 0;
    count = mood == Mood::circles ? 1 : 0;
    authorities = 1 - count;
    records.clear();
    put16(records, 0xc00c);
    put16(records, mood == Mood::circles ? 5 : 2);
    put16(records, 1);
    put32(records, 60);
    std::string data;
    put_name(data, mood == Mood::circles ? name : "ns.test");
    put16(records, static_cast<unsigned>(data.size()));
    records += data;
  }
  const bool cut = !tcp && (mood == Mood::truncates || end + records.size() > max_udp);
  std::string out = question.substr(0, 2);
  put16(out, 0x8180 | (cut ? 0x200 : 0) | code);
  put16(out, 1);
  put16(out, cut || code != 0 ? 0 : count);
  put16(out, cut || code != 0 ? 0 : authorities);
  put16(out, 0);
  out += question.substr(12, end - 12);
  if (!cut && code == 0) out += records;
  return out;
}

void NameServer::run() {
  while (!stop_) {
    pollfd fds[] = {{udp_, POLLIN, 0}, {tcp_, POLLIN, 0}};
    if (::poll(fds, 2, 50) <= 0) continue;
    char room[4096];
    if (fds[0].revents != 0) {
      sockaddr_storage peer{};
      socklen_t size = sizeof peer;
      const ssize_t n = ::recvfrom(udp_, room, sizeof room, 0, reinterpret_cast<sockaddr*>(&peer), &size);
      if (n > 0) {
        const std::string question(room, static_cast<std::size_t>(n));
        const std::string reply = answer(question, false);
        const auto send = [&](const std::string& bytes) {
          ::sendto(udp_, bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&peer), size);
        };
        if (mood_ == Mood::forges && !reply.empty()) {
          std::string forged = reply;  // a forger that does not know the id, with its own address
          forged[0] = static_cast<char>(forged[0] ^ 0x5a);
          for (int i = 0; i < 4 && forged.size() > 30; ++i)
            forged[forged.size() - 1 - static_cast<std::size_t>(i)] = 9;
          send(forged);
        }
        if (!reply.empty()) send(reply);
      }
    }
    if (fds[1].revents != 0) {
      const int fd = ::accept4(tcp_, nullptr, nullptr, SOCK_CLOEXEC);
      const timeval limit{1, 0};
      ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
      for (;;) {  // c-ares keeps the connection open for further questions
        unsigned char head[2];
        if (::recv(fd, head, 2, MSG_WAITALL) != 2) break;
        const std::size_t size = head[0] * 256U + head[1];
        std::string question(size, '\0');
        if (::recv(fd, question.data(), size, MSG_WAITALL) != static_cast<ssize_t>(size)) break;
        std::string reply, body = answer(question, true);
        put16(reply, static_cast<unsigned>(body.size()));
        reply += body;
        ::send(fd, reply.data(), reply.size(), MSG_NOSIGNAL);
        pollfd more{fd, POLLIN, 0};
        if (::poll(&more, 1, 50) <= 0) break;
      }
      ::close(fd);
    }
  }
}

}  // namespace remora::test

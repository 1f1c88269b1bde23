#include "net/resolver.h"

#include <ares.h>
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/post.hpp>
#include <cstring>
#include <deque>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>

namespace remora {

namespace {

constexpr int timeout_ms = 1000, tries = 2;
constexpr std::chrono::seconds longest_ttl{3600};

void set_up_library() {
  static const int rc = ::ares_library_init(ARES_LIB_INIT_ALL);
  if (rc != ARES_SUCCESS) throw std::runtime_error(std::string("c-ares: ") + ::ares_strerror(rc));
}

/// The name is known not to exist, or to have no such record: an answer, and not a failure to get one.
bool says_nothing_there(int status) {
  return status == ARES_ENOTFOUND || status == ARES_ENODATA;
}

}  // namespace

std::optional<std::chrono::seconds> least_ttl(const unsigned char* data, int size) {
  if (size < 12) return std::nullopt;
  const auto u16 = [&](const unsigned char* p) { return p[0] << 8 | p[1]; };
  const unsigned char* const end = data + size;
  const unsigned char* at = data + 12;
  const auto skip_name = [&] {
    char* name = nullptr;
    long used = 0;
    if (::ares_expand_name(at, data, size, &name, &used) != ARES_SUCCESS) return false;
    ::ares_free_string(name);
    at += used;
    return at <= end;
  };
  for (int i = u16(data + 4); i > 0; --i) {
    if (!skip_name() || end - at < 4) return std::nullopt;
    at += 4;
  }
  std::optional<std::chrono::seconds> least;
  for (int i = u16(data + 6); i > 0; --i) {
    if (!skip_name() || end - at < 10) return least;
    const std::uint32_t ttl =
        static_cast<std::uint32_t>(u16(at + 4)) << 16 | static_cast<std::uint32_t>(u16(at + 6));
    const std::chrono::seconds seconds(ttl > 0x7fffffff ? 0 : ttl);  // RFC 2181 8
    if (!least || seconds < *least) least = seconds;
    const int length = u16(at + 8);
    if (end - at < 10 + length) return least;
    at += 10 + length;
  }
  return least;
}

class Resolver::Engine : public std::enable_shared_from_this<Engine> {
 public:
  Engine(boost::asio::io_context& home, const std::vector<std::string>& servers) : home_(home) {
    set_up_library();
    ares_options options{};
    options.timeout = timeout_ms;
    options.tries = tries;
    const int rc = ::ares_init_options(&channel_, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES);
    if (rc != ARES_SUCCESS) throw std::runtime_error(std::string("c-ares: ") + ::ares_strerror(rc));
    std::string list;
    for (const std::string& s : servers) list += (list.empty() ? "" : ",") + s;
    if (!list.empty() && ::ares_set_servers_ports_csv(channel_, list.c_str()) != ARES_SUCCESS) {
      ::ares_destroy(channel_);
      throw std::runtime_error("dns.servers: cannot be used: " + list);
    }
    wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    thread_ = std::thread([this] { run(); });
  }
  ~Engine() { ::close(wake_); }

  void ask(std::string name, bool srv, Heard heard) {
    {
      const std::lock_guard lock(mutex_);
      queue_.push_back({std::move(name), srv, std::move(heard)});
    }
    wake();
  }
  void stop() {
    stop_ = true;
    wake();
    thread_.join();
    stopped_at_home_ = true;
  }

 private:
  struct Wanted {
    std::string name;
    bool srv;
    Heard heard;
  };
  /// One question on its way, with the further questions that an SRV answer brings.
  struct Question {
    std::shared_ptr<Engine> engine;
    std::string name;
    Heard heard;
    DnsAnswer answer;
    std::optional<std::chrono::seconds> ttl;
    std::size_t open = 0;
    std::string failure;  // of a target
    void note_ttl(std::chrono::seconds t) { ttl = ttl ? std::min(*ttl, t) : t; }
  };
  struct Part {
    std::shared_ptr<Question> question;
    DnsRecord of;  // the SRV record whose target is asked for
  };

  void wake() {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(wake_, &one, sizeof one));
  }

  void run() {
    ::pthread_setname_np(::pthread_self(), "resolver");
    while (!stop_) {
      begin_queued();
      wait();
    }
    ::ares_destroy(channel_);  // ends what is open, by its callbacks
  }

  void begin_queued() {
    std::deque<Wanted> fresh;
    {
      const std::lock_guard lock(mutex_);
      fresh.swap(queue_);
    }
    for (Wanted& w : fresh) {
      auto q = std::make_shared<Question>();
      q->engine = shared_from_this();
      q->name = w.name;
      q->heard = std::move(w.heard);
      if (w.srv) {
        q->open = 1;
        ::ares_search(channel_, w.name.c_str(), ns_c_in, ns_t_srv, on_srv, new Part{q, {}});
      } else {
        DnsRecord self;
        self.target = w.name;
        ask_addresses(q, self);
      }
    }
  }

  void ask_addresses(const std::shared_ptr<Question>& q, const DnsRecord& of) {
    ++q->open;
    ares_addrinfo_hints hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = ARES_AI_NOSORT;
    ::ares_getaddrinfo(channel_, of.target.c_str(), nullptr, &hints, on_addresses, new Part{q, of});
  }

  static void on_addresses(void* arg, int status, int, ares_addrinfo* result) {
    const std::unique_ptr<Part> part(static_cast<Part*>(arg));
    Question& q = *part->question;
    if (status == ARES_SUCCESS && result != nullptr) {
      for (const ares_addrinfo_node* n = result->nodes; n != nullptr; n = n->ai_next) {
        char text[INET6_ADDRSTRLEN] = {};
        const void* address =
            n->ai_family == AF_INET
                ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in*>(n->ai_addr)->sin_addr)
                : static_cast<const void*>(&reinterpret_cast<const sockaddr_in6*>(n->ai_addr)->sin6_addr);
        if (::inet_ntop(n->ai_family, address, text, sizeof text) == nullptr) continue;
        DnsRecord record = part->of;
        record.ip = text;
        if (q.answer.records.size() < most_records)
          q.answer.records.push_back(std::move(record));
        else
          q.answer.cut = true;
        q.note_ttl(std::chrono::seconds(std::max(0, n->ai_ttl)));
      }
    } else if (!says_nothing_there(status)) {
      q.failure = ::ares_strerror(status);
    }
    if (result != nullptr) ::ares_freeaddrinfo(result);
    if (status != ARES_EDESTRUCTION) finish_part(part->question);
  }

  static void on_srv(void* arg, int status, int, unsigned char* data, int size) {
    const std::unique_ptr<Part> part(static_cast<Part*>(arg));
    const auto& q = part->question;
    if (status == ARES_EDESTRUCTION) return;
    ares_srv_reply* list = nullptr;
    if (status == ARES_SUCCESS) status = ::ares_parse_srv_reply(data, size, &list);
    if (status == ARES_SUCCESS) {
      if (const auto ttl = least_ttl(data, size)) q->note_ttl(*ttl);
      std::size_t targets = 0;
      for (const ares_srv_reply* r = list; r != nullptr; r = r->next) {
        const std::string target = r->host;
        if (target.empty() || target == ".") continue;  // RFC 2782: the service is decidedly not here
        if (++targets > most_targets) {
          q->answer.cut = true;
          break;
        }
        DnsRecord of;
        of.target = target;
        of.port = r->port;
        of.priority = r->priority;
        of.weight = std::max<std::uint32_t>(1, r->weight);
        q->engine->ask_addresses(q, of);
      }
    } else if (!says_nothing_there(status)) {
      q->failure = ::ares_strerror(status);
    }
    if (list != nullptr) ::ares_free_data(list);
    finish_part(q);
  }

  static void finish_part(const std::shared_ptr<Question>& q) {
    if (--q->open > 0) return;
    DnsAnswer& a = q->answer;
    // Half an answer would take the other half out of service.
    if (!q->failure.empty()) a.error = q->name + ": " + q->failure;
    a.ttl = std::min(q->ttl.value_or(std::chrono::seconds(0)), longest_ttl);
    Engine& engine = *q->engine;
    boost::asio::post(engine.home_, [q] {
      if (!q->engine->stopped_at_home_) q->heard(q->answer);
      q->heard = nullptr;
    });
  }

  void wait() {
    ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
    const int mask = ::ares_getsock(channel_, sockets, ARES_GETSOCK_MAXNUM);
    std::vector<pollfd> fds{{wake_, POLLIN, 0}};
    for (int i = 0; i < ARES_GETSOCK_MAXNUM; ++i) {
      short events = 0;
      if (ARES_GETSOCK_READABLE(mask, i)) events |= POLLIN;
      if (ARES_GETSOCK_WRITABLE(mask, i)) events |= POLLOUT;
      if (events != 0) fds.push_back({sockets[i], events, 0});
    }
    timeval room{};
    timeval longest{60, 0};
    const timeval* const limit = ::ares_timeout(channel_, &longest, &room);
    const int ms = static_cast<int>(limit->tv_sec * 1000 + limit->tv_usec / 1000 + 1);
    ::poll(fds.data(), fds.size(), fds.size() > 1 ? ms : -1);
    if (fds.front().revents != 0) {
      std::uint64_t count = 0;
      static_cast<void>(!::read(wake_, &count, sizeof count));
    }
    bool any = false;
    for (std::size_t i = 1; i < fds.size(); ++i) {
      if (fds[i].revents == 0) continue;
      any = true;
      const bool readable = (fds[i].revents & (POLLIN | POLLERR | POLLHUP)) != 0;
      const bool writable = (fds[i].revents & POLLOUT) != 0;
      ::ares_process_fd(channel_, readable ? fds[i].fd : ARES_SOCKET_BAD,
                        writable ? fds[i].fd : ARES_SOCKET_BAD);
    }
    if (!any) ::ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);  // time-outs
  }

  boost::asio::io_context& home_;
  ares_channel channel_ = nullptr;  // the thread's own, after construction
  int wake_ = -1;
  std::atomic<bool> stop_{false};
  bool stopped_at_home_ = false;  // home's thread only
  std::mutex mutex_;
  std::deque<Wanted> queue_;  // guarded by mutex_
  std::thread thread_;
};

Resolver::Resolver(boost::asio::io_context& home, const std::vector<std::string>& servers)
    : engine_(std::make_shared<Engine>(home, servers)) {}

Resolver::~Resolver() {
  engine_->stop();
}

void Resolver::ask(const std::string& name, bool srv, Heard heard) {
  engine_->ask(name, srv, std::move(heard));
}

}  // namespace remora

#include "net/resolver.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/post.hpp>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

#include "net/name_channel.h"
#include "util/unique_fd.h"

namespace remora {

namespace {
constexpr std::chrono::seconds longest_ttl{3600};
constexpr const char* switch_file = "/etc/nsswitch.conf";
}  // namespace

class Resolver::Engine : public std::enable_shared_from_this<Engine> {
 public:
  Engine(boost::asio::io_context& home, const std::vector<std::string>& servers, NameFiles files)
      : home_(home), servers_(servers), files_(std::move(files)), hosts_(files_.hosts) {
    stamps_ = stamps();
    channels_.push_back(std::make_unique<NameChannel>(servers_, files_));
    thread_ = std::thread([this] { run(); });
  }
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
  /// One request in flight, including the follow-up queries for SRV targets.
  struct Question {
    std::shared_ptr<Engine> engine;
    NameChannel* channel = nullptr;  // kept alive while it has open queries
    std::string name;
    Heard heard;
    DnsAnswer answer;
    std::optional<std::chrono::seconds> ttl;
    std::size_t open = 0;
    void note_ttl(std::chrono::seconds t) { ttl = ttl ? std::min(*ttl, t) : t; }
    void add(DnsRecord record, const std::string& ip) {
      record.ip = ip;
      if (answer.records.size() < max_records)
        answer.records.push_back(std::move(record));
      else
        answer.cut = true;
    }
  };
  using QuestionRef = std::shared_ptr<Question>;
  /// Tries the search list's candidates for one name until one exists; for addresses, queries both families.
  struct Search {
    QuestionRef question;
    DnsRecord of;
    std::vector<std::string> names;
    std::size_t at = 0;
    std::array<FamilyAnswer, 2> families;  // IPv4, IPv6
    int pending = 0;
  };
  using SearchRef = std::shared_ptr<Search>;
  struct Part {
    SearchRef search;
    bool v6;
  };

  void wake() {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(wake_.get(), &one, sizeof one));
  }

  void run() {
    ::pthread_setname_np(::pthread_self(), "resolver");
    while (!stop_) {
      begin_queued();
      // Drop old channels whose queries have all been answered.
      const NameChannel* const newest = channels_.back().get();
      std::erase_if(channels_, [&](const auto& c) { return c->open == 0 && c.get() != newest; });
      wait();
    }
    channels_.clear();  // ends open queries through their callbacks
  }

  std::array<FileStamp, 2> stamps() const { return {stamp_of(files_.resolv_conf), stamp_of(switch_file)}; }

  /// If the system's files changed, opens a new channel for the queries from now on.
  void set_up_anew() {
    const auto now = stamps();
    if (now == stamps_) return;
    try {
      channels_.push_back(std::make_unique<NameChannel>(servers_, files_));
      stamps_ = now;
    } catch (const std::exception& e) {
      spdlog::warn("reading {} failed: {}; keeping the current name servers", files_.resolv_conf, e.what());
    }
  }

  void begin_queued() {
    std::deque<Wanted> fresh;
    {
      const std::lock_guard lock(mutex_);
      fresh.swap(queue_);
    }
    if (!fresh.empty()) set_up_anew();
    for (Wanted& w : fresh) {
      auto q = std::make_shared<Question>();
      q->engine = shared_from_this();
      q->channel = channels_.back().get();
      q->name = w.name;
      q->heard = std::move(w.heard);
      if (w.srv) {
        ++q->open;
        auto s = std::make_shared<Search>();
        s->question = q;
        s->names = search_names(w.name, q->channel->ndots, q->channel->domains);
        ask_next_service(s);
      } else {
        DnsRecord self;
        self.target = w.name;
        ask_addresses(q, self);
      }
    }
  }

  // Addresses -----------------------------------------------------------------------------------------

  void ask_addresses(const QuestionRef& q, const DnsRecord& of) {
    ++q->open;
    const std::string& lookups = q->channel->lookups;
    const auto hosts = lookups.find('f'), servers = lookups.find('b');
    const bool local = is_localhost(of.target);
    if ((local || hosts < servers) && find_locally(q, of, local)) return finish_part(q);
    if (local || servers == std::string::npos) return finish_part(q);
    auto s = std::make_shared<Search>();
    s->question = q;
    s->of = of;
    s->names = search_names(of.target, q->channel->ndots, q->channel->domains);
    ask_next_name(s);
  }

  bool find_locally(const QuestionRef& q, const DnsRecord& of, bool local) {
    std::vector<std::string> ips = hosts_.find(of.target);
    if (ips.empty() && local) ips = {"127.0.0.1", "::1"};
    for (const std::string& ip : ips) q->add(of, ip);
    if (!ips.empty()) q->note_ttl(std::chrono::seconds(0));
    return !ips.empty();
  }

  void ask_next_name(const SearchRef& s) {
    const QuestionRef q = s->question;
    if (s->at == s->names.size()) {  // every candidate is known not to exist
      if (q->channel->lookups.find('f') != std::string::npos) find_locally(q, s->of, false);
      return finish_part(q);
    }
    s->families = {};
    s->pending = 2;
    const std::string name = s->names[s->at];
    for (const bool v6 : {false, true}) {
      ++q->channel->open;
      ::ares_query(q->channel->get(), name.c_str(), ns_c_in, v6 ? ns_t_aaaa : ns_t_a, on_family,
                   new Part{s, v6});
    }
  }

  static void on_family(void* arg, int status, int, unsigned char* data, int size) {
    const std::unique_ptr<Part> part(static_cast<Part*>(arg));
    if (status == ARES_EDESTRUCTION) return;
    const SearchRef& s = part->search;
    const QuestionRef q = s->question;
    --q->channel->open;
    FamilyAnswer& family = s->families[part->v6 ? 1 : 0];
    if (data != nullptr && size > 0)
      family = read_family({data, static_cast<std::size_t>(size)}, part->v6);
    else
      family.why = ::ares_strerror(status);
    if (--s->pending > 0) return;
    const auto says_nothing_there = [](const FamilyAnswer& f) {
      return f.says == Says::none || f.says == Says::no_such_name;
    };
    const auto& [v4, v6] = s->families;
    const bool settled = is_settled(v4.says, v6.says) && is_settled(v6.says, v4.says);
    if (settled && says_nothing_there(v4) && says_nothing_there(v6)) {
      ++s->at;
      return q->engine->ask_next_name(s);
    }
    q->engine->conclude(*s);
    q->engine->finish_part(q);
  }

  void conclude(const Search& s) {
    Question& q = *s.question;
    for (const std::size_t i : {0U, 1U}) {
      const FamilyAnswer &family = s.families[i], &other = s.families[1 - i];
      for (const std::string& ip : family.ips) q.add(s.of, ip);
      if (family.says == Says::addresses) q.note_ttl(family.ttl);
      if (!is_settled(family.says, other.says)) q.answer.gaps.push_back({s.of.target, i == 1});
      if (family.says == Says::nothing) q.answer.gap_reason = s.of.target + ": " + family.why;
    }
  }

  // Services ------------------------------------------------------------------------------------------

  void ask_next_service(const SearchRef& s) {
    const QuestionRef q = s->question;
    if (s->at == s->names.size()) return finish_part(q);  // no candidate exists
    const std::string name = s->names[s->at];
    ++q->channel->open;
    ::ares_query(q->channel->get(), name.c_str(), ns_c_in, ns_t_srv, on_srv, new SearchRef(s));
  }

  static void on_srv(void* arg, int status, int, unsigned char* data, int size) {
    const std::unique_ptr<SearchRef> owned(static_cast<SearchRef*>(arg));
    if (status == ARES_EDESTRUCTION) return;
    const SearchRef& s = *owned;
    const QuestionRef q = s->question;
    --q->channel->open;
    ares_srv_reply* list = nullptr;
    if (status == ARES_SUCCESS) status = ::ares_parse_srv_reply(data, size, &list);
    if (list != nullptr) {
      if (const auto ttl = least_ttl(data, size)) q->note_ttl(*ttl);
      q->engine->ask_targets(q, list);
      ::ares_free_data(list);
      return q->engine->finish_part(q);
    }
    std::string why = ::ares_strerror(status);
    const bool silent = data != nullptr && size > 0 &&
                        (status == ARES_SUCCESS || status == ARES_ENODATA || status == ARES_ENOTFOUND);
    if (silent && read_silence({data, static_cast<std::size_t>(size)}, why) != Says::nothing) {
      ++s->at;
      return q->engine->ask_next_service(s);
    }
    q->answer.error = q->name + ": " + why;
    q->engine->finish_part(q);
  }

  void ask_targets(const QuestionRef& q, const ares_srv_reply* list) {
    std::size_t targets = 0;
    for (const ares_srv_reply* r = list; r != nullptr; r = r->next) {
      const std::string target = r->host;
      if (target.empty() || target == ".") continue;  // RFC 2782: the service is explicitly unavailable here
      if (++targets > max_targets) {
        q->answer.cut = true;
        break;
      }
      DnsRecord of;
      of.target = target;
      of.port = r->port;
      of.priority = r->priority;
      of.weight = std::max<std::uint32_t>(1, r->weight);
      ask_addresses(q, of);
    }
  }

  void finish_part(const QuestionRef& q) {
    if (--q->open > 0) return;
    DnsAnswer& a = q->answer;
    drop_unreachable(a.records, has_way_to);
    if (a.error.empty() && a.records.empty() && !a.gaps.empty())
      a.error = a.gap_reason.empty() ? q->name + ": the answers for IPv4 and IPv6 contradict each other"
                                     : a.gap_reason;
    a.ttl = std::min(q->ttl.value_or(std::chrono::seconds(0)), longest_ttl);
    boost::asio::post(home_, [q] {
      if (!q->engine->stopped_at_home_) q->heard(q->answer);
      q->heard = nullptr;
    });
  }

  // Waiting -------------------------------------------------------------------------------------------

  void wait() {
    std::vector<pollfd> fds{{wake_.get(), POLLIN, 0}};
    std::vector<ares_channel> of{nullptr};
    int ms = -1;
    for (const auto& channel : channels_) {
      ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
      const int mask = ::ares_getsock(channel->get(), sockets, ARES_GETSOCK_MAXNUM);
      for (int i = 0; i < ARES_GETSOCK_MAXNUM; ++i) {
        short events = 0;
        if (ARES_GETSOCK_READABLE(mask, i)) events |= POLLIN;
        if (ARES_GETSOCK_WRITABLE(mask, i)) events |= POLLOUT;
        if (events == 0) continue;
        fds.push_back({sockets[i], events, 0});
        of.push_back(channel->get());
      }
      if (channel->open == 0) continue;
      timeval room{};
      timeval longest{60, 0};
      const timeval* const limit = ::ares_timeout(channel->get(), &longest, &room);
      const int patience = static_cast<int>(limit->tv_sec * 1000 + limit->tv_usec / 1000 + 1);
      ms = ms < 0 ? patience : std::min(ms, patience);
    }
    ::poll(fds.data(), fds.size(), ms);
    if (fds.front().revents != 0) {
      std::uint64_t count = 0;
      static_cast<void>(!::read(wake_.get(), &count, sizeof count));
    }
    for (std::size_t i = 1; i < fds.size(); ++i) {
      if (fds[i].revents == 0) continue;
      const bool readable = (fds[i].revents & (POLLIN | POLLERR | POLLHUP)) != 0;
      const bool writable = (fds[i].revents & POLLOUT) != 0;
      ::ares_process_fd(of[i], readable ? fds[i].fd : ARES_SOCKET_BAD,
                        writable ? fds[i].fd : ARES_SOCKET_BAD);
    }
    for (const auto& channel : channels_)  // handle timeouts
      ::ares_process_fd(channel->get(), ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  }

  boost::asio::io_context& home_;
  const std::vector<std::string> servers_;
  const NameFiles files_;
  // Used by the resolver thread only, after construction:
  HostsFile hosts_;
  std::array<FileStamp, 2> stamps_;
  std::vector<std::unique_ptr<NameChannel>> channels_;  // new queries use the last one
  const UniqueFd wake_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::atomic<bool> stop_{false};
  bool stopped_at_home_ = false;  // home's thread only
  std::mutex mutex_;
  std::deque<Wanted> queue_;  // guarded by mutex_
  std::thread thread_;
};

Resolver::Resolver(boost::asio::io_context& home, const std::vector<std::string>& servers, NameFiles files)
    : engine_(std::make_shared<Engine>(home, servers, std::move(files))) {}

Resolver::~Resolver() {
  engine_->stop();
}

void Resolver::ask(const std::string& name, bool srv, Heard heard) {
  engine_->ask(name, srv, std::move(heard));
}

}  // namespace remora

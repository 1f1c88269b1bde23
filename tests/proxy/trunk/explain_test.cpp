// explain() says what the request path does: generated requests are explained, then served on the same
// snapshot and tables.

#include "proxy/explain.h"

#include <gtest/gtest.h>
#include <openssl/hmac.h>
#include <sys/mman.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <fstream>

#include "balance/policy.h"
#include "support/trunk.h"
#include "util/text.h"

namespace remora::test {
namespace {

namespace json = boost::json;

const std::string secret(32, 's');

constexpr const char* site = R"(
listeners: [{bind: "127.0.0.1:0", trusted_proxies: [10.0.0.0/8], strip_client_headers: [X-Tenant]}]
jwt: {main: {algorithms: [HS256], keys: {secret: {env: EXPLAIN_TEST_SECRET}}}}
routes:
  - {path: /c, pool: c}
  - {path: /c/off, pool: c, affinity: off}
  - {path: /l, pool: l}
  - {path: /r, pool: r}
  - {path: /u, pool: u}
  - {path: /i, pool: i}
  - {path: /t, pool: t}
  - {path: /j, pool: j}
  - {path: /n, pool: n}
  - {path: /a, pool: c, auth: {verifier: main, required: true, preflight: pass}}
  - {path: /v, pool: l, auth: {verifier: main, required: true, preflight: verify}}
  - {path: /old, redirect: {to: "https://{host}{uri}", status: 301}}
  - {path: /s, split: {c: 3, l: 1, u: 2}}
  - {path: /p, split: {l: 2, r: 1}}
  - {path: /q, split: {c: 1, n: 1, i: 1}}
pools:
  c: {affinity: {kind: cookie, name: c}, session: {state: on}, fallback: n, backends: &four [{id: a, address: 127.0.0.1:1},
      {id: b, address: 127.0.0.1:2}, {id: d, address: 127.0.0.1:3}, {id: e, address: 127.0.0.1:4}]}
  l: {affinity: [{kind: app_cookie, name: SID, query_parameter: sid}, {kind: cookie, name: l}],
      backends: [{id: e, address: 127.0.0.1:4}, {id: f, address: 127.0.0.1:5}, {id: g, address: 127.0.0.1:6}]}
  r: {affinity: {kind: app_cookie, name: SID, route_separator: ".", on_unknown: reject}, fallback: {status: 502},
      session: {reject: {status: 404}}, backends: [{id: f, address: 127.0.0.1:5}, {id: h, address: 127.0.0.1:7}]}
  u: {fallback: l, affinity: [{kind: cookie, name: u}, {kind: url_rewrite, name: rsid, style: query}],
      backends: [{id: k, address: 127.0.0.1:8}, {id: m, address: 127.0.0.1:9}]}
  i: {affinity: {kind: ip_hash, bounded_load: 1.25}, backends: *four}
  t: {fallback: c, affinity: {kind: header, name: X-Tenant, carry: store}, backends: *four}
  j: {affinity: {kind: jwt_claim, verifier: main, claim: sub, carry: store}, backends: *four}
  n: {backends: *four}
)";

/// A request as it was logged.
struct Logged {
  std::string pool, backend, reason, cause;
  std::int64_t status = 0, epoch = 0, attempts = 0;
};

/// The access log of a Trunk, in memory.
class LogInMemory {
 public:
  LogInMemory() : fd_(::memfd_create("log", 0)), writer_("/proc/self/fd/" + std::to_string(fd_)) {}
  ~LogInMemory() { ::close(fd_); }
  LogWriter* writer() { return &writer_; }
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  const int fd_;
  LogWriter writer_;
};

/// What was explained, kept until the log is read.
struct Case {
  std::string request;
  std::vector<Explanation> explained;  // one for each pool that a split may draw
};

/// A Trunk with everything that decisions depend on at random.
class World {
 public:
  World(std::uint64_t seed, LogInMemory& log) : random_(seed), trunk_(site) {
    trunk_.worker.access_log = AccessLog(config::AccessFormat::json, log.writer());
    for (const auto& pool : trunk_.snapshot().pools) unsettle(*pool);
    auto& balancers = trunk_.worker.snapshot->balancers;
    for (std::size_t i = 0; i < balancers.size(); ++i) {
      const PoolView& pool = *trunk_.snapshot().pools[i];
      balancers[i] = make_balancer(pool.config.balance, pool.snapshot, random_.next(), trunk_.clock);
    }
  }
  ~World() { trunk_.worker.access_log.flush(); }

  /// Explains a request and serves it.
  Case next() {
    trunk_.clock.advance(std::chrono::milliseconds(pick({0, 0, 0, 0, 5, 700, 61'000, 700'000})));
    remember();
    Case out;
    const bool again = chance(25);  // another of a client's first requests
    const ExplainRequest in = again ? last_ : last_ = request();
    std::erase_if(last_.fields, [](const auto& f) { return f.first == "Cookie"; });
    const std::string before = sizes();
    constexpr std::uint64_t draws = 6;  // covers the weights of each split
    for (std::uint64_t draw = 0; draw < draws; ++draw) out.explained.push_back(ask(in, draw));
    EXPECT_EQ(ask(in, 0).steps, out.explained.front().steps);
    EXPECT_EQ(sizes(), before);
    out.request = in.method + " " + in.target;
    for (const auto& [name, value] : in.fields) out.request.append("\n  ").append(name + ": " + value);
    trunk_.new_connection();
    trunk_.connection.begin(trunk_.connection.listener, in.client);
    trunk_.request(in.method, in.target, in.fields);
    return out;
  }

 private:
  bool chance(unsigned percent) { return random_.below(100) < percent; }
  template <class T>
  T pick(std::initializer_list<T> values) {
    return values.begin()[random_.below(values.size())];
  }
  ClockReading now() const { return {trunk_.clock.steady_now(), trunk_.clock.wall_now()}; }
  Explanation ask(ExplainRequest in, std::uint64_t draw) {
    in.draw = draw;
    return explain(trunk_.snapshot(), in, *trunk_.memory, scratch_, now());
  }

  void unsettle(const PoolView& pool) {
    config::Pool& rules = trunk_.pool_config(pool.config.name);
    rules.balance = pick({config::Balance::round_robin, config::Balance::least_requests,
                          config::Balance::random_two, config::Balance::peak_ewma, config::Balance::first});
    if (chance(20)) rules.session.on_lost = config::OnLost::reject;
    if (chance(60)) rules.fallback.reset();
    const bool has_rooms = chance(30);
    if (chance(60)) rules.session.rebalance = config::Rebalance{std::chrono::seconds(60), 10, 1.25, true};
    const bool dark = chance(20), calm = chance(30);
    for (Member& m : std::const_pointer_cast<PoolSnapshot>(pool.snapshot)->members) {
      m.backend->served = pick({0U, 3U, 50U, 400U});
      if (chance(30)) m.backend->in_flight = static_cast<std::uint32_t>(random_.below(4));
      if (has_rooms) {
        m.max_sessions = pick({1U, 1U, 2U, 5U});
        m.sessions = trunk_.memory->tally.gauge(pool.number, m.backend->hash);
        for (std::uint64_t n = random_.below(3); n > 0; --n) m.sessions->add();
      }
      if (calm) continue;
      m.health = dark || chance(25) ? Health::down : pick({Health::up, Health::up, Health::unknown});
      m.admin = pick({Admin::ready, Admin::ready, Admin::ready, Admin::ready, Admin::drain, Admin::maint});
      if (chance(15)) m.ejected = pick({Ejected::new_sessions, Ejected::all});
      m.weight = pick({1U, 1U, 1U, 2U, 5U, 0U});
      m.backup = chance(15);
      m.leaving = chance(40);
      m.panic = chance(5);
      m.untested = chance(5);
      m.joined = chance(20);
      if (chance(50)) m.backend->note_generation(7);
      if (chance(5)) m.backend->failures.failed_to_connect(1);
    }
  }

  std::uint64_t any_backend() {
    return backend_hash(pick({"a", "b", "d", "e", "f", "g", "h", "k", "m", "gone"}));
  }
  /// A session, most often of a backend of `pool`.
  Binding binding(const std::string& pool = "c") {
    if (!bindings_.empty() && chance(30)) return bindings_[random_.below(bindings_.size())];
    Binding b;
    for (std::uint8_t& byte : b.id.bytes) byte = static_cast<std::uint8_t>(random_.next());
    b.backend = any_backend();
    for (const auto& view : trunk_.snapshot().pools)
      if (view->config.name == pool && chance(75))
        b.backend = view->snapshot->members[random_.below(view->snapshot->members.size())].backend->hash;
    b.epoch = pick({1U, 1U, 2U, 3U});
    b.generation = pick({0U, 0U, 3U, 3U, 9U});
    b.leave = chance(10);
    b.created = now().wall - std::chrono::minutes(pick({1, 5, 30, 60, 800}));
    b.last_seen = std::max(b.created, now().wall - std::chrono::minutes(pick({0, 1, 2, 10, 29, 40})));
    bindings_.push_back(b);
    return b;
  }
  std::string app_id() {
    return "id" + std::to_string(random_.below(6)) + (chance(30) ? pick({".f", ".h", ".x"}) : "");
  }

  /// The tables learn of something that happened before.
  void remember() {
    SessionMemory& memory = *trunk_.memory;
    const config::Session& rules = trunk_.pool_config("c").session;
    const Binding b = binding();
    const std::uint64_t elsewhere = any_backend();
    switch (random_.below(10)) {
      case 0:
      case 1:
        memory.moves.moved(b.id, b.epoch + pick({0U, 1U, 2U}), elsewhere,
                           pick({Reason::failover, Reason::drain}), rules, now());
        break;
      case 2:
        memory.moves.ended(b.id, b.epoch, pick({Reason::none, Reason::failover}), rules, now());
        break;
      case 3:
        memory.moves.renewed(b.id, b.epoch, elsewhere, rules, now());
        break;
      case 4: {
        Binding leaves = b;
        leaves.leave = chance(50);
        memory.moves.active(leaves, rules, now());
        break;
      }
      case 5:
      case 6:
        learn(b);
        break;
      case 7:  // the session that follows an expired one has moved
        memory.moves.moved(successor(b.id, now().wall), 2, elsewhere, Reason::failover, rules, now());
        break;
      case 8:
      case 9:  // sessions were in use
        for (const Binding& used : bindings_) memory.active.seen(used, 0, rules, now());
        break;
      default:
        break;
    }
  }

  /// The app's id names this session in a pool, or its end.
  void learn(const Binding& b) {
    const std::string pool_name = pick({"l", "r"});
    const std::string cookie = "SID=" + app_id();
    for (const auto& pool : trunk_.snapshot().pools) {
      if (pool->config.name != pool_name) continue;
      Field field{"Cookie", cookie, Known::cookie};
      RequestView view;
      view.fields = {&field, 1};
      const Hint hint = pool->affinity.front()->identify(view, scratch_, now().wall);
      const auto* lookup = std::get_if<Lookup>(&hint);
      ASSERT_NE(lookup, nullptr);
      trunk_.memory->learned.bind(lookup->key, b, pool->number, pool->config.session, now());
      if (chance(20)) trunk_.memory->learned.end(lookup->key, b.id);
    }
  }

  std::string sealed(const char* pool, const char* kind, const char* name) {
    const Binding b = binding(pool);
    std::string out;
    TokenSealer(keys_, pool, kind, name).seal(b, scratch_, out);
    if (chance(4)) out[10] = out[10] == 'A' ? 'B' : 'A';
    return out;
  }
  std::string bearer() {
    const long lives_for = pick({600L, 600L, -600L});
    const long ends = std::chrono::duration_cast<std::chrono::seconds>(now().wall.time_since_epoch()).count();
    const std::string claims =
        "{\"exp\":" + std::to_string(ends + lives_for) + ",\"sub\":\"" + pick({"ann", "bob", "eve"}) + "\"}";
    const auto b64 = [](std::string_view s) {
      std::string out;
      base64url_append(out, reinterpret_cast<const std::uint8_t*>(s.data()), s.size());
      return out;
    };
    const std::string text = b64(R"({"alg":"HS256"})") + "." + b64(claims);
    const std::string key = chance(85) ? secret : std::string(32, 'x');
    unsigned char mac[32];
    unsigned int n = 0;
    ::HMAC(::EVP_sha256(), key.data(), static_cast<int>(key.size()),
           reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac, &n);
    return "Bearer " + text + "." + b64({reinterpret_cast<char*>(mac), n});
  }

  std::string cookies() {
    std::string out;
    const auto add = [&](const std::string& one) { out.append(out.empty() ? "" : "; ").append(one); };
    if (chance(70)) add("c=" + sealed("c", "cookie", "c"));
    if (chance(30)) add("l=" + sealed("l", "cookie", "l"));
    if (chance(30)) add("u=" + sealed("u", "cookie", "u"));
    if (chance(50)) add("SID=" + app_id());
    if (chance(10)) add("theme=dark");
    return out;
  }

  ExplainRequest request() {
    ExplainRequest r;
    r.method = pick({"GET", "GET", "GET", "POST", "HEAD", "OPTIONS"});
    r.target = pick({"/c",     "/c",     "/s",    "/s",          "/s",    "/p",       "/p",      "/q", "/l",
                     "/l",     "/r",     "/u",    "/i",          "/t",    "/j",       "/n",      "/a", "/v",
                     "/c/off", "/old/x", "/none", "/c/%2e%2e/l", "/c//x", "/c/..;/a", "/c;x=1/y"});
    if (chance(10)) r.target += "?sid=" + app_id();
    if (chance(10))
      r.target += (r.target.find('?') == std::string::npos ? "?rsid=" : "&rsid=") +
                  sealed("u", "url_rewrite", "rsid");
    r.fields.emplace_back("Host", pick({"app.test", "app.test:8080", ""}));
    r.client.bytes[10] = r.client.bytes[11] = 0xff;
    r.client.bytes[12] = chance(30) ? 10 : 192;
    r.client.bytes[15] = static_cast<std::uint8_t>(1 + random_.below(2));
    if (const std::string all = cookies(); !all.empty() && chance(90)) r.fields.emplace_back("Cookie", all);
    if (chance(40)) r.fields.emplace_back("X-Tenant", pick({"red", "blue"}));
    if (chance(40)) r.fields.emplace_back("Authorization", bearer());
    if (chance(70)) r.fields.emplace_back("User-Agent", pick({"one", "two"}));
    if (chance(20))
      r.fields.emplace_back("X-Forwarded-For", pick({"198.51.100.7", "198.51.100.8, 10.0.0.9"}));
    if (chance(10)) r.fields.emplace_back("X-Forwarded-Proto", "https");
    if (chance(8)) r.fields.emplace_back("Via", "1.1 proxy");
    if (chance(r.method == "OPTIONS" ? 70 : 5)) r.fields.emplace_back("Origin", "https://spa.test");
    if (chance(r.method == "OPTIONS" ? 70 : 5)) r.fields.emplace_back("Access-Control-Request-Method", "PUT");
    return r;
  }

  /// What an explanation must leave alone.
  std::string sizes() const {
    const SessionMemory& m = *trunk_.memory;
    std::uint64_t counts = 0;
    for (const auto& pool : trunk_.snapshot().pools)
      for (const Member& member : pool->snapshot->members)
        counts += member.backend->in_flight + member.backend->served;
    std::string out;
    for (const std::uint64_t n : {std::uint64_t{m.learned.size()}, std::uint64_t{m.moves.size()},
                                  std::uint64_t{m.active.size()}, m.evicted(), counts})
      out.append(std::to_string(n)).append(" ");
    return out;
  }

  FastRandom random_;
  Trunk trunk_;
  CryptoScratch scratch_;
  const std::shared_ptr<const KeyRing> keys_ =
      std::make_shared<KeyRing>(std::vector<std::string>{std::string(32, 'k')});
  std::vector<Binding> bindings_;
  ExplainRequest last_{.method = "GET", .target = "/n", .fields = {{"Host", "app.test"}}, .client = {}};
};

std::vector<Logged> read_log(const std::string& path) {
  std::vector<Logged> out;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    const json::object o = json::parse(line).as_object();
    const auto text = [&](const char* key) { return std::string(o.at(key).as_string()); };
    out.push_back({text("pool"), text("backend"), text("reason"), text("cause"), o.at("status").as_int64(),
                   o.at("epoch").as_int64(), o.at("attempts").as_int64()});
  }
  return out;
}

/// Empty: the explanation says what happened.
std::string difference(const Explanation& e, const Logged& l) {
  if (e.status != (l.attempts > 0 ? 0 : l.status)) return "status";
  if (e.pool != l.pool) return "pool";
  const auto& some = e.candidates;
  const bool among = std::find(some.begin(), some.end(), l.backend) != some.end();
  if (some.empty() ? e.backend != l.backend : !among) return "backend";
  if (to_string(e.reason) != l.reason) return "reason";
  if (e.epoch != l.epoch) return "epoch";
  if (to_string(e.cause) != l.cause) return "cause";
  return "";
}

std::string described(const Case& c, const Logged& l) {
  std::string out = c.request + "\nlogged: pool " + l.pool + ", backend " + l.backend + ", reason " +
                    l.reason + ", cause " + l.cause + ", status " + std::to_string(l.status) + ", epoch " +
                    std::to_string(l.epoch) + "\nexplained:";
  const Explanation* shown = &c.explained.front();
  for (const Explanation& e : c.explained)
    if (e.pool == l.pool) shown = &e;
  for (const std::string& step : shown->steps) out.append("\n  ").append(step);
  return out + "\n  reason " + std::string(to_string(shown->reason)) + ", cause " +
         std::string(to_string(shown->cause)) + ", epoch " + std::to_string(shown->epoch);
}

TEST(ExplainAndServe, AgreeAboutGeneratedRequests) {
  ::setenv("EXPLAIN_TEST_SECRET", secret.c_str(), 1);
  constexpr int worlds = 500, requests = 12;
  std::map<std::string, int> outcomes;
  int failures = 0;
  for (std::uint64_t seed = 1; seed <= worlds; ++seed) {
    auto log = std::make_optional<LogInMemory>();
    std::vector<Case> cases;
    {
      World world(seed, *log);
      for (int i = 0; i < requests; ++i) cases.push_back(world.next());
    }
    const int copy = ::open(log->path().c_str(), O_RDONLY);
    log.reset();  // writes all that is queued
    const std::vector<Logged> logged = read_log("/proc/self/fd/" + std::to_string(copy));
    ::close(copy);
    ASSERT_EQ(logged.size(), cases.size());
    for (std::size_t i = 0; i < cases.size(); ++i) {
      std::string wrong;
      for (const Explanation& e : cases[i].explained) {
        wrong = difference(e, logged[i]);
        if (wrong.empty()) break;
      }
      ++outcomes[logged[i].attempts > 0 ? logged[i].reason : std::to_string(logged[i].status)];
      if (wrong.empty()) continue;
      ++failures;
      ADD_FAILURE() << wrong << " of request " << i << " with seed " << seed << ": "
                    << described(cases[i], logged[i]);
      if (failures >= 10) return;
    }
  }
  // The generator reaches what it is for.
  for (const char* outcome : {"new", "sticky", "failover", "drain", "maint", "expired", "restart",
                              "rebalance", "removed", "none", "301", "400", "401", "404", "502", "503"})
    EXPECT_GT(outcomes[outcome], 0) << outcome;
}

}  // namespace
}  // namespace remora::test

// What sessions cost, piece by piece: tokens, recognition by each kind, tables. `./dev bench micro` runs it.

#include <benchmark/benchmark.h>
#include <malloc.h>

#include <map>
#include <thread>

#include "affinity/html_rewriter.h"
#include "affinity/seal.h"
#include "session/handover.h"
#include "session/log_changes.h"
#include "session/log_recovery.h"
#include "session/recognize.h"
#include "support/affinity.h"
#include "util/random.h"

namespace remora {
namespace {

const ClockReading now{Clock::Steady(std::chrono::hours(1000)), Clock::Wall(std::chrono::hours(500000))};

std::shared_ptr<const KeyRing> keys() {
  static const auto ring = std::make_shared<KeyRing>(std::vector<std::string>{std::string(32, 'k')});
  return ring;
}

Binding binding() {
  Binding b;
  b.id = new_session_id();
  b.backend = 42;
  b.created = b.last_seen = now.wall;
  return b;
}

std::string token(const char* kind, const char* name, CryptoScratch& scratch,
                  std::string_view bound_to = {}) {
  std::string out;
  TokenSealer(keys(), "app", kind, name).seal(binding(), scratch, out, bound_to);
  return out;
}

// Tokens --------------------------------------------------------------------------------------------

void seal(benchmark::State& state) {
  CryptoScratch scratch;
  const TokenSealer sealer(keys(), "app", "cookie", "c");
  const Binding b = binding();
  std::string out;
  for (auto _ : state) {
    out.clear();
    sealer.seal(b, scratch, out);
    benchmark::DoNotOptimize(out.data());
  }
}
BENCHMARK(seal);

/// range(0) tokens in turn: one is found in the worker's cache, many are opened each time.
void open(benchmark::State& state) {
  CryptoScratch scratch;
  const TokenSealer sealer(keys(), "app", "cookie", "c");
  std::vector<std::string> tokens;
  for (int i = 0; i < state.range(0); ++i) tokens.push_back(token("cookie", "c", scratch));
  std::size_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(sealer.open(tokens[++i % tokens.size()], scratch).cause);
}
BENCHMARK(open)->Name("open/cached")->Arg(1);
BENCHMARK(open)->Name("open/uncached")->Arg(20000);

// Recognition, tables included ----------------------------------------------------------------------

struct Scene {
  explicit Scene(const std::string& affinity) {
    pool = test::pool_with(affinity);
    namer = std::make_shared<SessionNamer>(std::string(32, 'i'), "app");
    kinds = make_affinity(pool, keys(), namer);
    request.host = "shop.example";
    request.target = target;
    request.client.bytes[15] = 1;
  }
  void field(std::string name, std::string value, Known known) {
    texts.push_back(std::make_unique<std::pair<std::string, std::string>>(std::move(name), std::move(value)));
    fields.push_back({texts.back()->first, texts.back()->second, known});
    request.fields = fields;
  }
  config::Pool pool;
  std::shared_ptr<const SessionNamer> namer;
  std::vector<std::shared_ptr<const Affinity>> kinds;
  SessionMemory memory{1000};
  CryptoScratch scratch;
  std::string target = "/shop/item?id=42";
  std::vector<std::unique_ptr<std::pair<std::string, std::string>>> texts;
  std::vector<Field> fields;
  RequestView request;
};

void identify(benchmark::State& state, Scene& scene, Recognized::What wanted) {
  for (auto _ : state) {
    const Recognized r =
        recognize(scene.kinds, scene.request, scene.memory, scene.pool.session, scene.scratch, now);
    if (r.what != wanted) state.SkipWithError("not recognized");
    benchmark::DoNotOptimize(r.what);
  }
}

void identify_cookie(benchmark::State& state) {
  Scene s("{kind: cookie, name: c}");
  s.field("Cookie", "theme=dark; c=" + token("cookie", "c", s.scratch) + "; lang=en", Known::cookie);
  identify(state, s, Recognized::What::session);
}
BENCHMARK(identify_cookie)->Name("identify/cookie");

void identify_url_rewrite(benchmark::State& state) {
  Scene s("url_rewrite");
  s.target = "/shop/item;rsid=" + token("url_rewrite", "rsid", s.scratch) + "?id=42";
  s.request.target = s.target;
  identify(state, s, Recognized::What::session);
}
BENCHMARK(identify_url_rewrite)->Name("identify/url_rewrite");

void identify_app_cookie(benchmark::State& state) {
  Scene s("app_cookie");
  s.field("Cookie", "theme=dark; JSESSIONID=AA8E43AA1E5DED921A62A1AE20F24805; lang=en", Known::cookie);
  s.memory.learned.bind(s.namer->name("AA8E43AA1E5DED921A62A1AE20F24805", s.scratch), binding(), 0,
                        s.pool.session, now);
  identify(state, s, Recognized::What::session);
}
BENCHMARK(identify_app_cookie)->Name("identify/app_cookie");

void identify_companion(benchmark::State& state) {
  Scene s("{kind: app_cookie, carry: token}");
  const std::string id = "AA8E43AA1E5DED921A62A1AE20F24805";
  s.field("Cookie",
          "JSESSIONID=" + id + "; JSESSIONID-r=" + token("app_cookie", "JSESSIONID-r", s.scratch, id),
          Known::cookie);
  identify(state, s, Recognized::What::session);
}
BENCHMARK(identify_companion)->Name("identify/app_cookie_carry_token");

void identify_header_learned(benchmark::State& state) {
  Scene s("{kind: header, name: Mcp-Session-Id, learn: true}");
  s.field("Mcp-Session-Id", "1868a90c-9a5b-4c3f-9a1e-0f1e2d3c4b5a", Known::other);
  s.memory.learned.bind(s.namer->name("1868a90c-9a5b-4c3f-9a1e-0f1e2d3c4b5a", s.scratch), binding(), 0,
                        s.pool.session, now);
  identify(state, s, Recognized::What::session);
}
BENCHMARK(identify_header_learned)->Name("identify/header_learned");

void identify_header_hashed(benchmark::State& state) {
  Scene s("{kind: header, name: X-Tenant}");
  s.field("X-Tenant", "alice", Known::other);
  identify(state, s, Recognized::What::derived);
}
BENCHMARK(identify_header_hashed)->Name("identify/header_hashed");

void identify_ip_hash(benchmark::State& state) {
  Scene s("ip_hash");
  identify(state, s, Recognized::What::derived);
}
BENCHMARK(identify_ip_hash)->Name("identify/ip_hash");

class OneClaim final : public VerifiedClaims {
 public:
  std::optional<std::string_view> find(std::string_view, std::string_view) const noexcept override {
    return "alice";
  }
};

void identify_jwt_claim(benchmark::State& state) {
  Scene s("ip_hash");
  s.pool.affinity = {test::kind_with("jwt_claim", {{"verifier", "main"}})};
  s.kinds = make_affinity(s.pool, keys(), s.namer);
  const OneClaim claims;
  s.request.claims = &claims;
  identify(state, s, Recognized::What::derived);
}
BENCHMARK(identify_jwt_claim)->Name("identify/jwt_claim");

// Tables --------------------------------------------------------------------------------------------

SessionKey key(std::uint64_t n) {
  FastRandom random(n);
  SessionKey k;
  for (std::size_t i = 0; i < k.mac.size(); i += 8) {
    const std::uint64_t word = random.next();
    for (std::size_t b = 0; b < 8; ++b) k.mac[i + b] = static_cast<std::uint8_t>(word >> (8 * b));
  }
  return k;
}

struct Filled {
  LocalTable table;
  double bytes = 0;
};

/// A table with n sessions, made once.
Filled& filled(std::size_t n) {
  static std::map<std::size_t, std::unique_ptr<Filled>> tables;
  auto& f = tables[n];
  if (!f) {
    const auto before = ::mallinfo2();
    f = std::unique_ptr<Filled>(new Filled{LocalTable(n + n / 8 + 2000)});  // shards fill unevenly
    const Binding b = binding();
    const config::Session session;
    for (std::size_t i = 0; i < n; ++i) f->table.bind(key(i), b, 0, session, now);
    const auto after = ::mallinfo2();
    f->bytes = static_cast<double>(after.uordblks + after.hblkhd - before.uordblks - before.hblkhd);
  }
  return *f;
}

void lookup(benchmark::State& state) {
  const auto n = static_cast<std::uint64_t>(state.range(0));
  Filled& f = filled(n);
  std::vector<SessionKey> keys_to_ask;
  FastRandom random(1);
  for (int i = 0; i < 100000; ++i) keys_to_ask.push_back(key(random.below(n)));
  std::size_t i = 0, found = 0;
  for (auto _ : state) found += f.table.find_now(keys_to_ask[++i % keys_to_ask.size()], now) ? 1 : 0;
  if (found != static_cast<std::size_t>(state.iterations())) state.SkipWithError("a session is missing");
  state.counters["MiB"] = f.bytes / 1048576;
  state.counters["bytes_per_session"] = f.bytes / static_cast<double>(n);
}
BENCHMARK(lookup)->Name("table/lookup")->Arg(1000)->Arg(100000)->Arg(1000000);

void insert(benchmark::State& state) {
  const auto n = static_cast<std::size_t>(state.range(0));
  LocalTable table(n);  // when it is full each insert evicts
  const Binding b = binding();
  const config::Session session;
  std::uint64_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(table.bind(key(++i), b, 0, session, now).ended);
  state.counters["evicted"] = static_cast<double>(table.evicted());
}
BENCHMARK(insert)->Name("table/insert")->Arg(1000000)->Iterations(900000);
BENCHMARK(insert)->Name("table/insert_when_full")->Arg(10000);

void moves_when_empty(benchmark::State& state) {
  MoveMemory moves(1000000);
  const SessionId id = new_session_id();
  for (auto _ : state) benchmark::DoNotOptimize(moves.find(id, now).has_value());
}
BENCHMARK(moves_when_empty)->Name("moves/ask_when_empty");

/// What an upgrade does with a million learned sessions: written by the old process, read by the new one.
void hand_over(benchmark::State& state) {
  const auto n = static_cast<std::size_t>(state.range(0));
  SessionMemory old(n);
  const Binding b = binding();
  const config::Session session;
  for (std::uint64_t i = 0; i < n; ++i) old.learned.bind(key(i), b, 0, session, now);
  SessionFeed feed(old);
  for (auto _ : state) {
    const std::string all = feed.everything();
    SessionMemory fresh(n);
    if (!take_over_sessions(all, fresh, now.steady)) return state.SkipWithError("refused");
    state.counters["MiB"] = static_cast<double>(all.size()) / 1048576;
  }
}
BENCHMARK(hand_over)->Name("handover/sessions")->Arg(1000000)->Unit(benchmark::kMillisecond)->Iterations(3);

/// What the log of sessions adds to a change of a session, in bursts of a thousand: its thread takes them
/// from the queue and makes records, but writes to no disk. 0: no log.
void logged_change(benchmark::State& state) {
  SessionMemory memory(100000);
  LogChanges changes(memory);
  if (state.range(0) != 0) changes.attach();
  std::atomic<bool> stop{false};
  std::thread log([&] {
    std::string out;
    const LogTimes times(now);
    while (!stop.load()) {
      out.clear();
      changes.drain([&](const LogRecord& r) { append_log_record(out, r, times); });
      changes.wait_for(std::chrono::milliseconds(5));
    }
  });
  Binding b = binding();
  const config::Session session;
  for (std::uint64_t i = 0; i < 1000; ++i) memory.learned.bind(key(i), b, 0, session, now);
  std::uint64_t i = 0;
  for (auto _ : state) {
    b.epoch = static_cast<std::uint32_t>(i / 1000) + 2;
    benchmark::DoNotOptimize(
        memory.learned.move(key(i % 1000), b.epoch - 1, b, Reason::drain, 0, session, now).ended);
    ++i;
  }
  stop.store(true);
  log.join();
  state.counters["dropped"] = static_cast<double>(changes.take_dropped());
}
BENCHMARK(logged_change)->Name("log/change")->Arg(0)->Arg(1);

/// A use that is not worth a record (most are not), and the lookup of a sticky request, which writes nothing.
void logged_use(benchmark::State& state) {
  SessionMemory memory(100000);
  LogChanges changes(memory);
  if (state.range(0) != 0) changes.attach();
  const Binding b = binding();
  const config::Session session;
  memory.learned.bind(key(1), b, 0, session, now);
  for (auto _ : state) memory.learned.refresh(key(1), b, session, now);
}
BENCHMARK(logged_use)->Name("log/use")->Arg(0)->Arg(1);

/// A process that starts with 100,000 learned sessions in its log.
void restore_log(benchmark::State& state) {
  const auto n = static_cast<std::size_t>(state.range(0));
  SessionMemory old(n);
  const Binding b = binding();
  const config::Session session;
  for (std::uint64_t i = 0; i < n; ++i) old.learned.bind(key(i), b, 0, session, now);
  std::string log(log_header());
  write_everything(old, now, [&](std::string_view bytes) {
    log += bytes;
    return true;
  });
  for (auto _ : state) {
    SessionMemory fresh(n);
    LogRecovery recovery(fresh, now);
    std::string_view rest = log;
    if (!recovery.read(rest)) return state.SkipWithError("no log");
    state.counters["MiB"] = static_cast<double>(log.size()) / 1048576;
  }
}
BENCHMARK(restore_log)->Name("log/restore")->Arg(100000)->Unit(benchmark::kMillisecond)->Iterations(5);

// HTML ----------------------------------------------------------------------------------------------

void rewrite_html(benchmark::State& state) {
  std::string page = "<!doctype html><title>t</title>";
  while (page.size() < 64 * 1024)
    page +=
        "<p class=\"text\">some words of a page</p><a class=\"link\" "
        "href=\"/item/42?x=1&amp;y=2\">item</a>\n";
  RequestView request;
  request.host = "h";
  std::string out;
  for (auto _ : state) {
    HtmlRewriter rewriter(UrlMarker(request, "/d/p", config::UrlStyle::path, "rsid", std::string(128, 'T')));
    out.clear();
    rewriter.feed(page, true, out);
    benchmark::DoNotOptimize(out.data());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) *
                          static_cast<std::int64_t>(page.size()));
}
BENCHMARK(rewrite_html)->Name("html/64KiB_with_500_links");

}  // namespace
}  // namespace remora

BENCHMARK_MAIN();

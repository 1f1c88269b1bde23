// What each stage of a request's road costs: finding and parsing heads, routing, editing, choosing, writing,
// logging.

#include <benchmark/benchmark.h>

#include "balance/policy.h"
#include "balance/rendezvous.h"
#include "http/h1/chunked.h"
#include "http/h1/head.h"
#include "http/h1/write.h"
#include "net/loop.h"
#include "observe/access_log.h"
#include "proxy/edits.h"
#include "proxy/limits.h"

namespace remora {
namespace {

const std::string small_request = "GET /128 HTTP/1.1\r\nHost: shop.example\r\n\r\n";
const std::string browser_request =
    "GET /category/shoes?page=3&sort=price HTTP/1.1\r\nHost: shop.example\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 "
    "Safari/537.36\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: "
    "en-GB,en-US;q=0.9,en;q=0.8\r\nCache-Control: no-cache\r\n"
    "Sec-Ch-Ua: \"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\nSec-Ch-Ua-Mobile: "
    "?0\r\nSec-Ch-Ua-Platform: \"Linux\"\r\n"
    "Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: "
    "same-origin\r\nUpgrade-Insecure-Requests: 1\r\n"
    "Referer: https://shop.example/category/shoes?page=2\r\nCookie: _ga=GA1.2.1234567890.1700000000; "
    "theme=dark\r\n\r\n";
const std::string response =
    "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: "
    "128\r\n\r\n";
const config::ListenerLimits limits;

const std::string& request_text(std::int64_t which) {
  return which == 0 ? small_request : browser_request;
}

/// range(0): 0 a small head, 1 a browser's.
void scan(benchmark::State& state) {
  const std::string& text = request_text(state.range(0));
  HeadScanner scanner;
  for (auto _ : state) {
    scanner.reset();
    benchmark::DoNotOptimize(scanner.scan(text, limits, true).status);
  }
}
BENCHMARK(scan)->Name("head/scan")->Arg(0)->Arg(1);

void parse_request(benchmark::State& state) {
  const std::string& text = request_text(state.range(0));
  HeadScanner scanner;
  RequestHead head;
  Http1Message message;
  for (auto _ : state) {
    scanner.reset();
    benchmark::DoNotOptimize(read_request_head(scanner, text, limits, head, message).status);
  }
}
BENCHMARK(parse_request)->Name("head/parse_request")->Arg(0)->Arg(1);

void parse_response(benchmark::State& state) {
  HeadScanner scanner;
  ResponseHead head;
  Http1Message message;
  for (auto _ : state) {
    scanner.reset();
    benchmark::DoNotOptimize(read_response_head(scanner, response, Method::get, head, message).status);
  }
}
BENCHMARK(parse_response)->Name("head/parse_response");

void decode_chunks(benchmark::State& state) {
  std::string body;
  for (int i = 0; i < 4; ++i) body += "1000\r\n" + std::string(4096, 'x') + "\r\n";
  body += "0\r\n\r\n";
  ChunkDecoder decoder;
  for (auto _ : state) {
    decoder.reset();
    std::string_view rest = body;
    for (auto step = decoder.step(rest); step.got == ChunkDecoder::Got::data; step = decoder.step(rest))
      rest.remove_prefix(step.skip + step.size);
  }
}
BENCHMARK(decode_chunks)->Name("body/16KiB_in_4_chunks");

/// range(0) routes, of which the last one matches.
void route(benchmark::State& state) {
  std::vector<config::Route> routes;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    config::Route r;
    r.path = i == 0 ? "/" : "/area" + std::to_string(i) + "/";
    r.pool = "app";
    routes.push_back(r);
  }
  const Router router(routes, {"app"});
  const std::vector<Field> fields;
  for (auto _ : state) benchmark::DoNotOptimize(router.match("shop.example", "/128", "GET", fields));
}
BENCHMARK(route)->Name("route/match")->Arg(1)->Arg(20);

std::shared_ptr<PoolSnapshot> pool_of(std::int64_t backends) {
  auto pool = std::make_shared<PoolSnapshot>();
  for (std::int64_t i = 0; i < backends; ++i) {
    Member m;
    m.backend = std::make_shared<Backend>("app", "b" + std::to_string(i));
    m.weight = 1;
    pool->members.push_back(std::move(m));
  }
  pool->index();
  return pool;
}

/// Reads a head, edits it, writes it: all that happens to a request's bytes.
void edit_and_write(benchmark::State& state) {
  const std::string& text = request_text(state.range(0));
  RequestHead head;
  parse_request_head(text, limits, head);
  Arrival arrival;
  arrival.peer_text_size =
      static_cast<std::size_t>(std::snprintf(arrival.peer_text, sizeof arrival.peer_text, "127.0.0.1"));
  PoolView pool;
  const RouteView route;
  const auto members = pool_of(1);
  TextArena arena;
  const RequestEdits edits(arena);
  const PassedVerifiers passed;
  OutHead out;
  OutText bytes;
  const RequestContext context{head,  arrival, pool,  route,          members->members.front(),
                               edits, {},      {},    "X-Request-Id", "0123456789abcdef0123456789abcdef",
                               false, {},      passed};
  for (auto _ : state) {
    arena.clear();
    bytes.clear();
    edit_request(context, arena, out);
    write_request_line(out, bytes);
    write_fields(out, bytes);
    benchmark::DoNotOptimize(bytes.data());
  }
}
BENCHMARK(edit_and_write)->Name("edits/request")->Arg(0)->Arg(1);

void edit_and_write_response(benchmark::State& state) {
  ResponseHead head;
  parse_response_head(response, Method::get, head);
  const RouteView route;
  TextArena arena;
  const ResponseEdits edits(arena);
  OutHead out;
  OutText bytes;
  const ResponseContext context{head, route, edits, {}, false};
  for (auto _ : state) {
    bytes.clear();
    edit_response(context, out);
    write_status_line(out, bytes);
    write_fields(out, bytes);
    benchmark::DoNotOptimize(bytes.data());
  }
}
BENCHMARK(edit_and_write_response)->Name("edits/response");

/// range(0) backends, each with some requests in flight.
template <config::Balance policy>
void choose(benchmark::State& state) {
  const auto pool = pool_of(state.range(0));
  for (std::size_t i = 0; i < pool->members.size(); ++i) pool->members[i].backend->in_flight = 1 + i % 7;
  const auto balancer = make_balancer(policy, pool, 7);
  const Tried tried;
  for (auto _ : state) benchmark::DoNotOptimize(balancer->pick(tried, Purpose::request));
}
BENCHMARK(choose<config::Balance::least_requests>)
    ->Name("choose/least_requests")
    ->Arg(3)
    ->Arg(50)
    ->Arg(500)
    ->Arg(5000);
BENCHMARK(choose<config::Balance::round_robin>)
    ->Name("choose/round_robin")
    ->Arg(3)
    ->Arg(50)
    ->Arg(500)
    ->Arg(5000);
BENCHMARK(choose<config::Balance::random_two>)->Name("choose/random_two")->Arg(3)->Arg(5000);
BENCHMARK(choose<config::Balance::peak_ewma>)->Name("choose/peak_ewma")->Arg(3)->Arg(5000);

/// What a move, and a derived key, ask: every backend's score.
void choose_by_rendezvous(benchmark::State& state) {
  const auto pool = pool_of(state.range(0));
  const Tried tried;
  std::uint64_t key = 1;
  for (auto _ : state) benchmark::DoNotOptimize(rendezvous(key += 0x9e3779b97f4a7c15, *pool, tried));
}
BENCHMARK(choose_by_rendezvous)->Name("choose/rendezvous")->Arg(3)->Arg(50)->Arg(500)->Arg(5000);

/// A bound session's backend, by its hash.
void find_bound(benchmark::State& state) {
  const auto pool = pool_of(state.range(0));
  const std::uint64_t wanted = pool->members.back().backend->hash;
  for (auto _ : state) benchmark::DoNotOptimize(pool->find(wanted));
}
BENCHMARK(find_bound)->Name("choose/bound")->Arg(3)->Arg(500)->Arg(5000);

void put_off_a_deadline(benchmark::State& state) {
  struct Entry final : DeadlineEntry {
    void expired() override {}
  } entry;
  Loop loop;
  auto at = std::chrono::steady_clock::now() + std::chrono::hours(1);
  for (auto _ : state) entry.arm(loop.wheel, at += std::chrono::microseconds(1));
  loop.wheel.stop();
}
BENCHMARK(put_off_a_deadline)->Name("deadline/put_off");

void log_line(benchmark::State& state) {
  AccessEntry e;
  e.when = std::chrono::system_clock::now();
  e.method = "GET";
  e.target = "/category/shoes?page=3&sort=price";
  e.host = "shop.example";
  e.referer = "https://shop.example/category/shoes?page=2";
  e.user_agent =
      "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36";
  e.request_id = "0123456789abcdef0123456789abcdef";
  e.status = 200;
  e.bytes = 128;
  e.listener = "web";
  e.pool = "app";
  e.backend = "app1";
  e.affinity = "cookie";
  std::string out;
  for (auto _ : state) {
    out.clear();
    if (state.range(0) == 0)
      format_combined(e, "01/Jan/2026:00:00:00 +0000", out);
    else
      format_json(e, out);
    benchmark::DoNotOptimize(out.data());
  }
}
BENCHMARK(log_line)->Name("log/combined")->Arg(0);
BENCHMARK(log_line)->Name("log/json")->Arg(1);

}  // namespace
}  // namespace remora

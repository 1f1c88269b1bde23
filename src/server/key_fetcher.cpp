#include "server/key_fetcher.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>

#include "util/secrets.h"

namespace remora {

namespace {
constexpr std::chrono::seconds time_limit{5}, retry_after{5}, early_interval{30};
constexpr std::size_t max_bytes = 1024 * 1024;
}  // namespace

StartFetch fetch_over(Loop& loop) {
  return [&loop](FetchUrl from, std::vector<Endpoint> endpoints, std::shared_ptr<const ClientTls> tls,
                 std::function<void(const Fetched&)> done) {
    auto wake = std::make_shared<EventFlags>(loop.wheel);
    asio::co_spawn(
        loop.ctx.get_executor(),
        fetch(loop, wake, std::move(from), std::move(endpoints), std::move(tls), time_limit, max_bytes),
        [done = std::move(done)](const std::exception_ptr&, const Fetched& result) { done(result); });
    return [wake] { wake->set(EventFlags::stop); };
  };
}

KeyFetcher::KeyFetcher(const Clock& clock, NameLookup& names, StartFetch start, std::unique_ptr<Alarm> alarm,
                       Found found)
    : clock_(clock),
      names_(names),
      start_(std::move(start)),
      alarm_(std::move(alarm)),
      found_(std::move(found)) {}

void KeyFetcher::watch(const std::vector<config::Jwt>& verifiers) {
  std::map<std::string, Source> old;
  old.swap(sources_);
  for (const config::Jwt& rules : verifiers) {
    if (rules.jwks_url.empty()) continue;
    const auto before = old.find(rules.jwks_url);
    const auto [it, fresh] = sources_.try_emplace(rules.jwks_url);
    if (fresh && before != old.end()) it->second = before->second;
    Source& source = it->second;
    source.tls = rules.tls;
    source.refresh = fresh ? rules.refresh : std::min(source.refresh, rules.refresh);
  }
  fetch_due();
}

void KeyFetcher::fetch_due() {
  if (stopped_) return;
  std::optional<Clock::Steady> next;
  for (auto& [url, source] : sources_) {
    if (!source.asking && clock_.steady_now() >= source.next) start(url, source);
    if (!source.asking) next = next ? std::min(*next, source.next) : source.next;
  }
  if (next) alarm_->set(*next, [this] { fetch_due(); });
}

void KeyFetcher::start(const std::string& url, Source& source) {
  source.asking = true;
  source.asked = clock_.steady_now();
  const auto parsed = parse_fetch_url(url);
  if (!parsed) return fetched(url, {"this is no URL of http or https", ""});
  if (parse_ip(parsed->host)) return fetch_from(url, {parsed->host});
  names_.ask(parsed->host, false, [this, url](const DnsAnswer& answer) {
    if (!answer.error.empty() || answer.records.empty())
      fetched(url, {answer.error.empty() ? "the name has no address" : answer.error, ""});
    else
      fetch_from(url, order_of_trial(answer.records));
  });
}

void KeyFetcher::fetch_from(const std::string& url, const std::vector<std::string>& ips) {
  if (!sources_.contains(url)) return;  // removed by a reload meanwhile
  const auto parsed = parse_fetch_url(url);
  std::vector<Endpoint> endpoints;
  for (const std::string& ip : ips)
    if (const auto endpoint = resolve({config::Address::Kind::tcp, ip, parsed->port}))
      endpoints.push_back(*endpoint);
  const config::BackendTls rules = sources_.at(url).tls.value_or(config::BackendTls());
  std::string why;
  std::shared_ptr<const ClientTls> tls;
  if (parsed->secure) tls = ClientTls::load(rules, why);
  if (parsed->secure && !tls) return fetched(url, {why, ""});
  FetchUrl from = *parsed;
  from.server_name = rules.server_name.empty() ? from.host : rules.server_name;
  auto abort = start_(from, endpoints, tls, [this, url](const Fetched& result) { fetched(url, result); });
  if (const auto it = sources_.find(url); it != sources_.end()) it->second.abort = std::move(abort);
}

void KeyFetcher::fetched(const std::string& url, const Fetched& result) {
  const auto it = sources_.find(url);
  if (it == sources_.end() || stopped_) return;
  it->second.asking = false;
  std::string why = result.error;
  std::optional<JwtKeySet> keys;
  if (why.empty()) keys = parse_jwks(result.body, why);
  if (keys)
    succeeded(url, it->second, result.body, std::move(*keys));
  else
    failed(url, it->second, why);
  fetch_due();
}

void KeyFetcher::failed(const std::string& url, Source& source, const std::string& why) {
  source.next = clock_.steady_now() + std::min<std::chrono::milliseconds>(retry_after, source.refresh);
  if (source.error != why)
    spdlog::warn(
        "jwks_url {}: {}; {}", without_query(url), why,
        source.text.empty() ? "no token can be verified until it succeeds" : "keeping the last keys");
  source.error = why;
}

void KeyFetcher::succeeded(const std::string& url, Source& source, const std::string& text, JwtKeySet keys) {
  if (!source.error.empty()) spdlog::info("jwks_url {}: fetch succeeded again", without_query(url));
  source.error.clear();
  source.next = clock_.steady_now() + source.refresh;
  if (text == source.text) return;
  spdlog::info("jwks_url {}: {} key(s)", without_query(url), keys.size());
  source.text = text;
  found_(url, std::make_shared<const JwtKeySet>(std::move(keys)));
}

void KeyFetcher::unknown_key(const std::string& url) {
  const auto it = sources_.find(url);
  if (it == sources_.end() || it->second.asking) return;
  const auto pause = std::min<std::chrono::milliseconds>(early_interval, it->second.refresh);
  if (clock_.steady_now() - it->second.asked < pause) return;
  it->second.next = clock_.steady_now();
  fetch_due();
}

bool KeyFetcher::busy() const {
  return std::any_of(sources_.begin(), sources_.end(), [](const auto& e) { return e.second.asking; });
}

void KeyFetcher::stop() {
  stopped_ = true;
  alarm_->cancel();
  for (auto& [url, source] : sources_)
    if (source.abort) source.abort();
}

}  // namespace remora

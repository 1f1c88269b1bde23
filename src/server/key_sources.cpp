// Key sets behind URLs: fetched in the background, kept when they cannot be, asked for early when a token
// names a key that nobody knows, but not more often than once in a while.

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "net/fetch.h"
#include "server/server.h"
#include "util/secrets.h"

namespace remora {

namespace {
constexpr std::chrono::seconds time_limit{5}, retry_after{5}, early_interval{30};
constexpr std::size_t most_bytes = 1024 * 1024;
}  // namespace

/// Begins with the URLs of the configuration, forgets what it no longer names.
void Server::watch_keys() {
  std::map<std::string, KeySource> old;
  old.swap(key_sources_);
  for (const config::Jwt& rules : config_.jwt) {
    if (rules.jwks_url.empty()) continue;
    const auto before = old.find(rules.jwks_url);
    const auto [it, fresh] = key_sources_.try_emplace(rules.jwks_url);
    if (fresh && before != old.end()) it->second = before->second;
    KeySource& source = it->second;
    source.tls = rules.tls;
    source.refresh = fresh ? rules.refresh : std::min(source.refresh, rules.refresh);
  }
  if (!key_sources_.empty() && !resolver_)
    resolver_ = std::make_unique<Resolver>(loop_.ctx, config_.dns_servers);
  fetch_due_keys();
}

void Server::fetch_due_keys() {
  std::optional<Clock::Steady> next;
  for (auto& [url, source] : key_sources_) {
    if (!source.asking && clock_.steady_now() >= source.next) ask_for_keys(url);
    if (!source.asking) next = next ? std::min(*next, source.next) : source.next;
  }
  if (!next) return;
  keys_timer_.expires_at(*next);
  keys_timer_.async_wait([this](const error_code& ec) {
    if (!ec) fetch_due_keys();
  });
}

void Server::ask_for_keys(const std::string& url) {
  KeySource& source = key_sources_.at(url);
  source.asking = true;
  source.asked = clock_.steady_now();
  const auto parsed = parse_fetch_url(url);
  if (!parsed) return heard_keys(url, {"this is no URL of http or https", ""});
  if (parse_ip(parsed->host)) return fetch_keys(url, {parsed->host});
  resolver_->ask(parsed->host, false, [this, url](const DnsAnswer& answer) {
    if (!answer.error.empty() || answer.records.empty())
      heard_keys(url, {answer.error.empty() ? "its name has no address" : answer.error, ""});
    else
      fetch_keys(url, order_of_trial(answer.records));
  });
}

void Server::fetch_keys(const std::string& url, const std::vector<std::string>& ips) {
  if (!key_sources_.contains(url)) return;  // a reload was faster
  const auto parsed = parse_fetch_url(url);
  std::vector<Endpoint> endpoints;
  for (const std::string& ip : ips)
    if (const auto endpoint = resolve({config::Address::Kind::tcp, ip, parsed->port}))
      endpoints.push_back(*endpoint);
  const config::BackendTls rules = key_sources_.at(url).tls.value_or(config::BackendTls());
  std::string why;
  std::shared_ptr<const ClientTls> tls;
  if (parsed->secure) tls = ClientTls::load(rules, why);
  if (parsed->secure && !tls) return heard_keys(url, {why, ""});
  FetchUrl from = *parsed;
  from.server_name = rules.server_name.empty() ? from.host : rules.server_name;
  const auto wake = key_sources_.at(url).wake = std::make_shared<Wake>(loop_.wheel);
  asio::co_spawn(
      loop_.ctx.get_executor(), fetch(loop_, wake, from, endpoints, tls, time_limit, most_bytes),
      [this, url](const std::exception_ptr&, const Fetched& fetched) { heard_keys(url, fetched); });
}

void Server::heard_keys(const std::string& url, const Fetched& fetched) {
  const auto it = key_sources_.find(url);
  if (it == key_sources_.end() || closing_) return;
  KeySource& source = it->second;
  const Clock::Steady at = clock_.steady_now();
  source.asking = false;
  std::string why = fetched.error;
  std::optional<JwtKeySet> keys;
  if (why.empty()) keys = parse_jwks(fetched.body, why);
  if (!keys) {
    source.next = at + std::min<std::chrono::milliseconds>(retry_after, source.refresh);
    if (source.trouble != why)
      spdlog::warn(
          "jwks_url {}: {}; {}", without_query(url), why,
          source.text.empty() ? "no token can be verified until it answers" : "the keys that are known stay");
    source.trouble = why;
    return fetch_due_keys();
  }
  if (!source.trouble.empty()) spdlog::info("jwks_url {}: fetch succeeded again", without_query(url));
  source.trouble.clear();
  source.next = at + source.refresh;
  if (fetched.body != source.text) {
    spdlog::info("jwks_url {}: {} key(s)", without_query(url), keys->size());
    source.text = fetched.body;
    builder_.set_fetched_keys(url, std::make_shared<const JwtKeySet>(std::move(*keys)));
    rebuild();
  }
  fetch_due_keys();
}

/// A token names a key that its verifier lacks: keys may have been rotated.
void Server::unknown_key(const std::string& url) {
  const auto it = key_sources_.find(url);
  if (it == key_sources_.end() || it->second.asking) return;
  const auto pause = std::min<std::chrono::milliseconds>(early_interval, it->second.refresh);
  if (clock_.steady_now() - it->second.asked < pause) return;
  it->second.next = clock_.steady_now();
  fetch_due_keys();
}

void Server::stop_fetching() {
  keys_timer_.cancel();
  for (auto& [url, source] : key_sources_)
    if (source.wake) source.wake->set(Wake::stop);
}

bool Server::awaits_keys() const {
  return std::any_of(key_sources_.begin(), key_sources_.end(), [](const auto& e) { return e.second.asking; });
}

}  // namespace remora

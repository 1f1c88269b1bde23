// Any request to the admin API gets an answer that is JSON, and changes nothing that it was not asked to.

#include <boost/json/parse.hpp>
#include <cstdlib>

#include "admin/api.h"
#include "affinity/registry.h"
#include "affinity/seal.h"
#include "support/affinity.h"

namespace {

using namespace remora;

class Quiet final : public AdminActions {
 public:
  Quiet() {
    auto pool = std::make_shared<PoolView>();
    pool->config.name = "app";
    pool->config.backends.resize(1);
    pool->config.backends[0].id = "a";
    auto members = std::make_shared<PoolSnapshot>();
    members->members.resize(1);
    members->members[0].backend = std::make_shared<Backend>("app", "a");
    pool->snapshot = members;
    pool->routes.resize(1);
    pool->counters = std::make_shared<PoolCounters>(1);
    pool->affinity = make_affinity(
        test::pool_with(
            "[{kind: cookie, name: c}, {kind: url_rewrite, name: rsid}, {kind: app_cookie, name: S}]"),
        std::make_shared<KeyRing>(std::vector<std::string>{std::string(32, 'k')}),
        std::make_shared<SessionNamer>("i", "app"));
    snapshot_.pools.push_back(pool);
    snapshot_.pool_stores.push_back(nullptr);
    snapshot_.url_secrets = {{config::UrlStyle::path, "rsid"}};
    add_verifier();
    config::Route open, guarded;
    open.pool = guarded.pool = "app";
    guarded.path = "/admin";
    guarded.verifier = "main";
    auto router = std::make_shared<Router>(std::vector{open, guarded}, std::vector<std::string>{"app"});
    config::Jwt named;
    named.name = "main";
    router->set_verifiers({named}, {{}});
    snapshot_.router = router;
  }
  const Snapshot& snapshot() const override { return snapshot_; }
  const config::Config& config() const override { return config_; }
  SessionMemory& memory() override { return memory_; }
  void write_to_store(const StoreJob&) override {}
  SessionCounter& session_counter() override { return session_counter_; }
  EventHub& events() override { return events_; }
  ClockReading now() const override { return {}; }
  Clock::Steady started() const override { return {}; }
  CryptoScratch& scratch() override { return scratch_; }
  bool ready() const override { return true; }
  std::optional<Clock::Wall> deadline(const std::string&, const std::string&) const override {
    return std::nullopt;
  }
  std::string health_note(const Backend&) const override { return "\xff"; }
  std::string set_admin(const std::string& pool, const std::string& backend, config::AdminState,
                        std::optional<std::chrono::milliseconds>) override {
    if (pool != "app" || backend != "a") std::abort();
    return "";
  }
  std::vector<std::string> reload() override { return {"line \xff"}; }

 private:
  void add_verifier() {
    auto verifier = std::make_shared<JwtVerifier>();
    verifier->rules.name = "main";
    verifier->rules.algorithms = {JwtAlgorithm::hs256};
    verifier->rules.from = {{config::Jwt::Carrier::bearer, ""}, {config::Jwt::Carrier::query, "t"}};
    std::string why;
    JwtKeySet keys;
    keys.push_back(std::move(*JwtKey::from_secret(std::string(32, 'k'), why)));
    verifier->keys = std::make_shared<const JwtKeySet>(std::move(keys));
    verifier->keys_id = 1;
    verifier->counts = std::make_shared<std::vector<JwtCounts>>(2);
    snapshot_.verifiers.push_back(verifier);
  }

  Snapshot snapshot_;
  config::Config config_;
  SessionMemory memory_{1000};
  SessionCounter session_counter_{memory_, real_clock()};
  asio::io_context ctx_;
  EventHub events_{ctx_.get_executor()};
  CryptoScratch scratch_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Quiet quiet;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  const auto take = [&] {
    const auto line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    return std::string(line);
  };
  ApiRequest request;
  request.method = take();
  request.target = take();
  request.content_type = "application/json";
  request.body = rest;
  const ApiAnswer answer = answer_api(request, quiet);
  boost::system::error_code ec;
  boost::json::parse(answer.body, ec);
  if (!answer.events && ec) std::abort();
  // Nobody can make a token without the key: no explanation says that one was opened, or lets one pass.
  if (request.target == "/api/v1/explain" && answer.body.find("\"reason\":\"sticky\"") != std::string::npos)
    std::abort();
  return 0;
}

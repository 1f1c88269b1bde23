// Any request to the admin API gets an answer that is JSON, and changes nothing that it was not asked to.

#include <boost/json/parse.hpp>
#include <cstdlib>

#include "admin/api.h"
#include "affinity/registry.h"
#include "affinity/seal.h"

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
    pool->endpoints.resize(1);
    pool->connection_keys.resize(1);
    pool->counters = std::make_shared<PoolCounters>(1);
    snapshot_.pools.push_back(pool);
    config::Route route;
    route.pool = "app";
    snapshot_.router = std::make_shared<Router>(std::vector{route}, std::vector<std::string>{"app"});
  }
  const Snapshot& snapshot() const override { return snapshot_; }
  const config::Config& config() const override { return config_; }
  SessionMemory& memory() override { return memory_; }
  SessionCensus& census() override { return census_; }
  EventHub& events() override { return events_; }
  Moment now() const override { return {}; }
  Clock::Steady started() const override { return {}; }
  CryptoScratch& scratch() override { return scratch_; }
  bool ready() const override { return true; }
  std::optional<Clock::Wall> deadline(const std::string&, const std::string&) const override {
    return std::nullopt;
  }
  std::string health_note(const Backend&) const override { return "\xff"; }
  std::string set_admin(const std::string& pool, const std::string& backend, config::AdminWish,
                        std::optional<std::chrono::milliseconds>) override {
    if (pool != "app" || backend != "a") std::abort();
    return "";
  }
  std::vector<std::string> reload() override { return {"line \xff"}; }

 private:
  Snapshot snapshot_;
  config::Config config_;
  SessionMemory memory_{1000};
  SessionCensus census_{memory_};
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
  return 0;
}

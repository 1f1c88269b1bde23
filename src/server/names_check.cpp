#include "server/names_check.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>

#include "net/resolver.h"
#include "remora/clock.h"

namespace remora {

std::vector<std::string> unresolved_names(const config::Config& config) {
  constexpr std::chrono::seconds patience{4};
  struct Asked {
    std::string who;
    DnsAnswer answer;
    bool heard = false;
  };
  std::vector<Asked> asked;
  for (const config::Pool& pool : config.pools)
    for (const config::Backend& b : pool.backends)
      if (b.follow) asked.push_back({"pool " + pool.name + ": " + b.address.text(), {}, false});
  std::vector<std::string> out;
  if (asked.empty()) return out;
  boost::asio::io_context ctx;
  std::size_t open = asked.size();
  {
    Resolver resolver(ctx, config.dns_servers);
    std::size_t i = 0;
    for (const config::Pool& pool : config.pools)
      for (const config::Backend& b : pool.backends)
        if (b.follow)
          resolver.ask(b.address.host, false, [&open, &a = asked[i++]](const DnsAnswer& answer) {
            a.answer = answer;
            a.heard = true;
            --open;
          });
    const auto guard = boost::asio::make_work_guard(ctx);
    const Clock& clock = real_clock();
    const Clock::Steady limit = clock.steady_now() + patience;
    while (open > 0 && clock.steady_now() < limit) ctx.run_one_until(limit);
  }
  for (const Asked& a : asked) {
    if (!a.answer.records.empty()) continue;
    const std::string why = !a.heard                 ? "no answer in time"
                            : a.answer.error.empty() ? "it has no address"
                                                     : a.answer.error;
    out.push_back(a.who + ": DNS lookup failed (" + why + "); the backend is down until a lookup succeeds");
  }
  return out;
}

}  // namespace remora

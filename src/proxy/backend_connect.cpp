#include "proxy/backend_connect.h"

namespace remora {

BackendAddress::BackendAddress(const PoolView& pool, const Member& member)
    : endpoint(pool.endpoint(member)), trial(pool.trial(member)), tls(pool.tls) {
  const auto& rules = pool.config.tls;
  if (rules) server_name = rules->server_name.empty() ? member.address.host : rules->server_name;
}

BackendConnect::BackendConnect(Loop& loop, BackendAddress to, Clock::Steady began, Clock::Steady end,
                               EventFlags& wake, bool http1_only)
    : loop_(loop),
      to_(std::move(to)),
      count_(to_.trial ? to_.trial->all.size() : 1),
      first_(to_.trial ? to_.trial->first() : 0),
      end_(end),
      wake_(wake),
      http1_only_(http1_only) {
  begin(began);
}

void BackendConnect::begin(Clock::Steady now) {
  deadline_ = now + (end_ - now) / static_cast<int>(count_ - tried_);
  const Endpoint& endpoint = to_.trial ? to_.trial->all[place()] : to_.endpoint;
  connecting_.emplace(loop_, endpoint, to_.tls.get(), to_.server_name, wake_, EventFlags::backend,
                      http1_only_);
}

Io BackendConnect::step(Clock::Steady now) {
  for (;;) {
    const Io io = connecting_->step();
    if (io == Io::ready) {
      if (tried_ > 0) to_.trial->answered(place());
      return Io::ready;
    }
    if (io == Io::blocked && now < deadline_) return Io::blocked;
    timed_out_ = io == Io::blocked || connecting_->unreachable();
    if (++tried_ == count_) return Io::failed;
    begin(now);
  }
}

}  // namespace remora

#include "balance/policy.h"

namespace remora {

TieredBalancer::TieredBalancer(std::shared_ptr<const PoolSnapshot> pool) : pool_(std::move(pool)) {
  for (const Member& m : pool_->members)
    if (m.accepts_new()) (m.backup ? backups_ : ordinary_).push_back(&m);
}

/// Not tried yet, and with room for what is placed.
bool TieredBalancer::fits(const Member& m, const Pick& pick) noexcept {
  return !pick.tried.contains(m.backend.get()) && (pick.purpose == Purpose::request || m.has_room());
}

bool TieredBalancer::usable(const Member& m, const Pick& pick) noexcept {
  return (m.max_in_flight == 0 || load(m) < m.max_in_flight) && !m.backend->failures.reported() &&
         fits(m, pick);
}

const Member* TieredBalancer::pick(const Tried& tried, Purpose purpose) {
  const Pick what{tried, purpose};
  for (const Tier* tier : {&ordinary_, &backups_}) {
    if (tier->empty()) continue;
    const Member* const m =
        purpose == Purpose::session ? choose_for_session(*tier, what) : choose(*tier, what);
    if (m != nullptr) return m;
  }
  return least_loaded(what);
}

/// For when all are full, or reported for ejection: better than none.
const Member* TieredBalancer::least_loaded(const Pick& pick) const noexcept {
  for (const Tier* tier : {&ordinary_, &backups_}) {
    const Member* least = nullptr;
    for (const Member* m : *tier)
      if (fits(*m, pick) && (least == nullptr || load(*m) < load(*least))) least = m;
    if (least != nullptr) return least;
  }
  return nullptr;
}

std::vector<const Member*> TieredBalancer::candidates(const Tried& tried, Purpose purpose) const {
  const Pick what{tried, purpose};
  for (const Tier* tier : {&ordinary_, &backups_})
    if (Tier all = may_choose(*tier, what); !all.empty()) return all;
  const Member* const least = least_loaded(what);
  return least != nullptr ? Tier{least} : Tier{};
}

TieredBalancer::Tier TieredBalancer::may_choose(const Tier& tier, const Pick& pick) const {
  Tier all;
  for (const Member* m : tier)
    if (usable(*m, pick)) all.push_back(m);
  return all;
}

namespace {
using config::Balance;
struct Entry {
  Balance policy;
  std::unique_ptr<LoadBalancer> (*make)(BalancerInput, std::uint64_t, const Clock&);
};
constexpr Entry table[] = {
    {Balance::round_robin, make_round_robin},
    {Balance::least_requests, make_least_requests},
    {Balance::random_two, make_random_two},
    {Balance::peak_ewma, make_peak_ewma},
    {Balance::first, make_first},
};
}  // namespace

std::unique_ptr<LoadBalancer> make_balancer(Balance policy, BalancerInput pool, std::uint64_t seed,
                                            const Clock& clock) {
  for (const Entry& entry : table)
    if (entry.policy == policy) return entry.make(std::move(pool), seed, clock);
  return nullptr;
}

}  // namespace remora

// SuspectWaiters: a worker's exchanges that wait for the result of probing their backend.
//
// Threading: its worker's thread. Lifetime: a SuspectWaiter belongs to one exchange, and its destructor
// leaves the list.
#pragma once

#include <boost/intrusive/list.hpp>

#include "net/event_flags.h"
#include "remora/pool_snapshot.h"

namespace remora {

class SuspectWaiter
    : public boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
 public:
  /// `wake`: gets the bit `verdict` when the probe's result is known. Must outlive this object.
  explicit SuspectWaiter(EventFlags& wake) noexcept : wake_(wake) {}
  /// Waiting for a result.
  bool waits() const noexcept { return is_linked(); }
  /// Stops waiting, if it waits.
  void leave() noexcept {
    if (is_linked()) unlink();
  }

 private:
  friend class SuspectWaiters;
  EventFlags& wake_;
  const Backend* of_ = nullptr;
};

class SuspectWaiters {
 public:
  /// Makes `suspect_waiter` wait for a result on `of`, and only on that. Allocates nothing.
  void add(SuspectWaiter& suspect_waiter, const Backend& of) noexcept {
    suspect_waiter.leave();
    suspect_waiter.of_ = &of;
    all_.push_back(suspect_waiter);
  }
  /// Wakes all exchanges that suspect this backend. They run inside this call, and may wait again or be
  /// destroyed before it returns.
  void settled(const Backend& of) {
    List heard;
    for (auto it = all_.begin(); it != all_.end();) {
      SuspectWaiter& suspect_waiter = *it++;
      if (suspect_waiter.of_ != &of) continue;
      suspect_waiter.unlink();
      heard.push_back(suspect_waiter);
    }
    while (!heard.empty()) {
      SuspectWaiter& first = heard.front();
      first.unlink();
      first.wake_.set(EventFlags::verdict);
    }
  }

 private:
  using List = boost::intrusive::list<SuspectWaiter, boost::intrusive::constant_time_size<false>>;
  List all_;
};

}  // namespace remora

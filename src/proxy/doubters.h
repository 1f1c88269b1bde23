// Doubters: a worker's exchanges that wait for the result of probing their backend.
//
// Threading: its worker's thread. Lifetime: a Doubter belongs to one exchange, and its destructor leaves the
// list.
#pragma once

#include <boost/intrusive/list.hpp>

#include "net/wake.h"
#include "remora/pool_snapshot.h"

namespace remora {

class Doubter
    : public boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
 public:
  /// `wake`: gets the bit `verdict` when the probe's result is known. Must outlive this object.
  explicit Doubter(Wake& wake) noexcept : wake_(wake) {}
  /// Waiting for a result.
  bool waits() const noexcept { return is_linked(); }
  /// Stops waiting, if it waits.
  void leave() noexcept {
    if (is_linked()) unlink();
  }

 private:
  friend class Doubters;
  Wake& wake_;
  const Backend* of_ = nullptr;
};

class Doubters {
 public:
  /// Makes `doubter` wait for a result on `of`, and only on that. Allocates nothing.
  void add(Doubter& doubter, const Backend& of) noexcept {
    doubter.leave();
    doubter.of_ = &of;
    all_.push_back(doubter);
  }
  /// Wakes all exchanges that doubt this backend. They run inside this call, and may doubt again or be
  /// destroyed before it returns.
  void settled(const Backend& of) {
    List heard;
    for (auto it = all_.begin(); it != all_.end();) {
      Doubter& doubter = *it++;
      if (doubter.of_ != &of) continue;
      doubter.unlink();
      heard.push_back(doubter);
    }
    while (!heard.empty()) {
      Doubter& first = heard.front();
      first.unlink();
      first.wake_.set(Wake::verdict);
    }
  }

 private:
  using List = boost::intrusive::list<Doubter, boost::intrusive::constant_time_size<false>>;
  List all_;
};

}  // namespace remora

// QueuedRequests: a worker's exchanges that wait for a permit. Each looks at a new snapshot at once: its
// backend may have gone out of service, and then no permit may ever become free.
//
// Threading: its worker's thread. Lifetime: a QueuedRequest belongs to one exchange, and its destructor
// leaves the list.
#pragma once

#include <boost/intrusive/list.hpp>

#include "net/event_flags.h"

namespace remora {

class QueuedRequests;

class QueuedRequest
    : public boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
 public:
  /// `wake`: gets the bit `snapshot`. Must outlive this object.
  QueuedRequest(QueuedRequests& all, EventFlags& wake) noexcept;
  QueuedRequest(const QueuedRequest&) = delete;
  QueuedRequest& operator=(const QueuedRequest&) = delete;

 private:
  friend class QueuedRequests;
  EventFlags& wake_;
};

class QueuedRequests {
 public:
  /// There is a new snapshot: wakes all. They run inside this call, and may be destroyed before it returns.
  void look_again() {
    List waking;
    waking.swap(all_);
    while (!waking.empty()) {
      QueuedRequest& first = waking.front();
      waking.pop_front();
      all_.push_back(first);
      first.wake_.set(EventFlags::snapshot);
    }
  }

 private:
  friend class QueuedRequest;
  using List = boost::intrusive::list<QueuedRequest, boost::intrusive::constant_time_size<false>>;
  List all_;
};

inline QueuedRequest::QueuedRequest(QueuedRequests& all, EventFlags& wake) noexcept : wake_(wake) {
  all.all_.push_back(*this);
}

}  // namespace remora

#include "net/deadlines.h"

#include <algorithm>
#include <cstddef>
#include <exception>
#include <new>
#include <utility>

namespace remora {

using std::chrono::milliseconds;

void DeadlineEntry::arm(DeadlineWheel& wheel, Clock::Steady at) noexcept {
  at_ = at;
  if (link_ == nullptr || at <= slot_after_) {
    unlink();
    wheel.link(*this, wheel.tick_of(at));
  }
}

void DeadlineEntry::unlink() noexcept {
  if (link_ == nullptr) return;
  *link_ = next_;
  if (next_ != nullptr) next_->link_ = link_;
  next_ = nullptr;
  link_ = nullptr;
  --wheel_->linked_;
}

// The timer's memory ----------------------------------------------------------------------------------

/// Room for the timer's operations: the one that waits, and one that it replaced. Lives as long as they do.
class DeadlineWheel::TimerRoom : public RefCounted<TimerRoom> {
 public:
  void* take(std::size_t bytes) {
    for (Place& place : places_) {
      if (place.used || bytes > sizeof place.room) continue;
      place.used = true;
      return place.room;
    }
    return ::operator new(bytes);
  }
  void give_back(void* memory) noexcept {
    for (Place& place : places_) {
      if (memory != place.room) continue;
      place.used = false;
      return;
    }
    ::operator delete(memory);
  }

 private:
  struct Place {
    alignas(std::max_align_t) std::byte room[128];
    bool used = false;
  };
  std::array<Place, 2> places_;
};

template <class T>
struct DeadlineWheel::TimerAllocator {
  using value_type = T;
  explicit TimerAllocator(Ref<TimerRoom> r) noexcept : room(std::move(r)) {}
  template <class U>
  TimerAllocator(const TimerAllocator<U>& o) noexcept : room(o.room) {}
  T* allocate(std::size_t n) { return static_cast<T*>(room->take(n * sizeof(T))); }
  void deallocate(T* p, std::size_t) noexcept { room->give_back(p); }
  template <class U>
  bool operator==(const TimerAllocator<U>& o) const noexcept {
    return room == o.room;
  }
  Ref<TimerRoom> room;
};

struct DeadlineWheel::OnTick {
  using allocator_type = TimerAllocator<void>;
  allocator_type get_allocator() const noexcept { return allocator_type(room); }
  void operator()(const boost::system::error_code& ec) const {
    if (ec || wheel->stopped_) return;
    wheel->next_run_ = never;
    wheel->run(wheel->now());
  }
  DeadlineWheel* wheel;
  Ref<TimerRoom> room;
};

// The wheel -------------------------------------------------------------------------------------------

DeadlineWheel::DeadlineWheel(asio::io_context& ctx, const Clock& clock, Driver driver)
    : clock_(clock), driver_(driver), room_(new TimerRoom), timer_(ctx), start_(clock.steady_now()) {}

DeadlineWheel::~DeadlineWheel() {
  for (DeadlineEntry*& head : slots_)
    while (head != nullptr) head->unlink();
}

void DeadlineWheel::stop() {
  stopped_ = true;
  timer_.cancel();
}

std::int64_t DeadlineWheel::tick_of(Clock::Steady at) const noexcept {
  // Rounded up: a deadline never fires early.
  return (at - start_ + tick - Clock::Steady::duration(1)) / tick;
}

void DeadlineWheel::link(DeadlineEntry& entry, std::int64_t wanted) noexcept {
  const Clock::Steady now = this->now();
  if (linked_ == 0 && next_run_ == never)
    // The wheel was idle: skip the empty slots.
    done_ = std::max(done_, static_cast<std::int64_t>((now - start_) / tick));
  const std::int64_t at = std::clamp(wanted, done_ + 1, done_ + static_cast<std::int64_t>(slot_count) - 1);
  push(slots_[static_cast<std::size_t>(at) % slot_count], entry);
  entry.slot_after_ = start_ + tick * (at - 1);
  // The deadline was rounded up to a tick: keep 10 ms ticks until that one.
  if (entry.at_ - now < milliseconds(900))
    near_until_ = std::max(near_until_, std::max(entry.at_, now) + tick);
  schedule(now);
}

void DeadlineWheel::push(DeadlineEntry*& head, DeadlineEntry& entry) noexcept {
  entry.wheel_ = this;
  entry.next_ = head;
  entry.link_ = &head;
  if (head != nullptr) head->link_ = &entry.next_;
  head = &entry;
  ++linked_;
}

void DeadlineWheel::schedule(Clock::Steady now) noexcept {
  if (stopped_) return;
  const auto wanted = now + (now <= near_until_ ? tick : milliseconds(100));
  if (next_run_ <= wanted) return;
  next_run_ = never;
  if (driver_ == Driver::timer) {
    try {
      timer_.expires_at(wanted);
      timer_.async_wait(OnTick{this, room_});
    } catch (const std::bad_alloc&) {
      return;  // both places are taken: the next deadline schedules it
    }
  }
  next_run_ = wanted;
}

void DeadlineWheel::run(Clock::Steady now) {
  if (next_run_ <= now) next_run_ = never;
  const std::int64_t until = (now - start_) / tick;
  done_ = std::max(done_, until - static_cast<std::int64_t>(slot_count));
  std::exception_ptr failure;
  while (done_ < until) {  // arming the only entry inside the loop may advance done_ past empty slots
    ++done_;
    DeadlineEntry*& head = slots_[static_cast<std::size_t>(done_) % slot_count];
    // Pop entries one at a time: `expired` may unlink or destroy any other entry.
    DeadlineEntry* later = nullptr;
    while (head != nullptr) {
      DeadlineEntry& entry = *head;
      entry.unlink();
      if (entry.at_ == DeadlineEntry::never) continue;
      if (entry.at_ > now) {
        push(later, entry);  // postponed since it was linked: relink it
        continue;
      }
      entry.at_ = DeadlineEntry::never;
      try {
        entry.expired();
      } catch (...) {  // for example bad_alloc: the other deadlines must still fire
        failure = std::current_exception();
      }
    }
    while (later != nullptr) {
      DeadlineEntry& entry = *later;
      entry.unlink();
      link(entry, tick_of(entry.at_));
    }
  }
  if (linked_ > 0) schedule(now);
  if (failure) std::rethrow_exception(failure);
}

}  // namespace remora

#include "admin/events.h"

#include <algorithm>
#include <boost/json/serialize.hpp>

#include "admin/api.h"

namespace remora {

namespace {
constexpr std::size_t max_pending = 1024;
}

void EventHub::emit(std::string_view type, boost::json::object data, Clock::Wall now) {
  data["at"] = time_text(now);
  Kept event{++last_id_, ""};
  event.wire.append("id: ")
      .append(std::to_string(event.id))
      .append("\nevent: ")
      .append(type)
      .append("\ndata: ");
  event.wire.append(boost::json::serialize(data)).append("\n\n");
  std::erase_if(listeners_, [](const auto& weak) { return weak.expired(); });
  for (const auto& weak : listeners_) {
    const auto listener = weak.lock();
    if (!listener) continue;
    if (listener->pending.size() < max_pending)
      listener->pending.push_back(event.wire);
    else
      listener->overrun = true;
    listener->filled.cancel();
  }
  kept_.push_back(std::move(event));
  if (kept_.size() > max_kept) kept_.pop_front();
}

std::shared_ptr<EventHub::Listener> EventHub::listen(std::uint64_t after) {
  auto listener = std::make_shared<Listener>(executor_);
  if (after > 0)
    for (const Kept& event : kept_)
      if (event.id > after) listener->pending.push_back(event.wire);
  listeners_.push_back(listener);
  return listener;
}

void EventHub::close() {
  for (const auto& weak : listeners_)
    if (const auto listener = weak.lock()) {
      listener->closed = true;
      listener->filled.cancel();
    }
}

}  // namespace remora

#include "proxy/stream_task.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

namespace remora {

StreamTask& StreamTask::take(WorkerContext& worker, StreamOwner& owner, ServerStream& stream) {
  std::unique_ptr<StreamTask> task;
  if (worker.spare_tasks.empty()) {
    task = std::make_unique<StreamTask>(worker);
  } else {
    task = std::move(worker.spare_tasks.back());
    worker.spare_tasks.pop_back();
  }
  task->work_.begin(task->own_);
  task->owner_ = &owner;
  task->stream_ = &stream;
  stream.attach(task->work_.turn.wake(), EventFlags::client);
  return *task.release();
}

void StreamTask::start() {
  started_ = true;
  if (runs_) return work_.turn.wake().set(EventFlags::granted);
  try {
    asio::co_spawn(worker_.loop.ctx.get_executor(), serve(), asio::detached);
  } catch (const std::exception& error) {
    worker_.logged_errors.add(error.what());
    if (!runs_) finish(true);
  }
}

/// The exchanges of the task, one after the other.
Task<void> StreamTask::serve() {
  runs_ = true;
  for (;;) {
    EventFlags& wake = work_.turn.wake();
    while (!started_)  // an event of its stream, or of the former one
      if (wake.take() == 0) co_await wake.any();
    bool failed = false;
    try {
      co_await run();
    } catch (const std::exception& error) {
      worker_.logged_errors.add(error.what());
      failed = true;  // most likely out of memory: the state of the task is unknown
    }
    if (!finish(failed)) co_return;
  }
}

Task<void> StreamTask::run() {
  if (stream_->gone()) co_return;  // reset before it could begin
  RequestHead& head = work_.memory.request;
  head.version = Version::http2;  // also of a head that cannot be read
  const Io io = stream_->read_head(head);
  Exchange& exchange = work_.make_exchange(owner_->connection_state(), *stream_);
  if (io == Io::ready)
    co_await exchange.run();
  else if (stream_->failure().code != 0)
    co_await exchange.refuse_head(false);
}

/// Gives the stream back. False: the task is gone.
bool StreamTask::finish(bool failed) noexcept {
  const Clock::Steady now = work_.turn.now();
  const bool expensive = work_.turn.was_expensive();
  if (failed) stream_->abort();
  work_.end();
  own_.reset();
  StreamOwner& owner = *std::exchange(owner_, nullptr);
  ServerStream& stream = *std::exchange(stream_, nullptr);
  started_ = false;
  const bool stays = !failed && worker_.spare_tasks.size() < WorkerContext::max_spare_tasks;
  if (stays)
    worker_.spare_tasks.emplace_back(this);  // room was reserved
  else
    worker_.memory_trim.arm(worker_.loop.wheel, now + std::chrono::seconds(1));
  owner.stream_finished(stream, now, expensive);
  if (!stays) delete this;
  return stays;
}

}  // namespace remora

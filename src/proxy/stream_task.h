// StreamTask: runs the exchange of one HTTP/2 stream.
//
// Its coroutine outlives the stream and waits for the next one, so that a request allocates nothing in the
// steady state: a coroutine for each stream would need frames for each.
//
// Threading: its worker's thread. Lifetime: owned by nobody while it has a stream, and then by the worker as
// a spare one; if there are enough of these it deletes itself.
#pragma once

#include <boost/intrusive/list.hpp>

#include "proxy/workspace.h"

namespace remora {

/// The connection of a stream.
class StreamOwner {
 public:
  virtual ConnectionState& connection_state() noexcept = 0;
  /// The exchange is over, and its task no longer uses the stream. `expensive`: other connections should run
  /// before the next one begins. May destroy the owner.
  virtual void stream_finished(ServerStream& stream, Clock::Steady now, bool expensive) noexcept = 0;

 protected:
  ~StreamOwner() = default;
};

class StreamTask final
    : public boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
 public:
  explicit StreamTask(WorkerContext& worker) : worker_(worker), work_(worker) {}
  StreamTask(const StreamTask&) = delete;
  StreamTask& operator=(const StreamTask&) = delete;
  ~StreamTask() = default;

  /// Gives a stream to a spare task or a new one. start() must follow; until then the task can be in a list.
  /// Throws std::bad_alloc.
  static StreamTask& take(WorkerContext& worker, StreamOwner& owner, ServerStream& stream);
  /// Runs the exchange until it first waits, or to its end: the task may be gone then.
  void start();

 private:
  Task<void> serve();
  Task<void> run();
  bool finish(bool failed) noexcept;

  WorkerContext& worker_;
  Workspace work_;
  std::unique_ptr<BoundConnections> own_;  // see ConnectionSource::begin(); dropped after each stream
  StreamOwner* owner_ = nullptr;
  ServerStream* stream_ = nullptr;
  bool started_ = false;  // has a stream, and start() was called
  bool runs_ = false;     // the coroutine was started
};

}  // namespace remora

#include "http/h2/graceful_shutdown.h"

#include <nghttp2/nghttp2.h>

#include <utility>

namespace remora {

bool GracefulShutdown::begin(nghttp2_session* session) noexcept {
  step_ = Step::first;
  ping_due_ = true;
  return nghttp2_submit_shutdown_notice(session) == 0;
}

bool GracefulShutdown::proceed() noexcept {
  if (step_ != Step::first) return false;
  step_ = Step::second;
  goaway_due_ = true;
  return true;
}

GracefulShutdown::Submitted GracefulShutdown::submit_due(nghttp2_session* session) noexcept {
  // Without memory for the PING the time decides.
  if (std::exchange(ping_due_, false) && nghttp2_submit_ping(session, NGHTTP2_FLAG_NONE, nullptr) == 0)
    return Submitted::frame;
  if (!std::exchange(goaway_due_, false)) return Submitted::nothing;
  const int rc =
      nghttp2_submit_goaway(session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session),
                            NGHTTP2_NO_ERROR, nullptr, 0);
  return rc == 0 ? Submitted::frame : Submitted::failed;
}

}  // namespace remora

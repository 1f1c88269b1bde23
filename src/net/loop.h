// What one thread's I/O needs: the event loop, its wheel, its buffers. A worker owns one, so does
// the control thread. Everything made from a Loop is touched by that thread only.
#pragma once

#include <boost/asio/io_context.hpp>

#include "net/buffers.h"
#include "net/deadlines.h"

namespace remora {

struct Loop {
  asio::io_context ctx{1};
  DeadlineWheel wheel{ctx};
  BufferPool buffers;
};

}  // namespace remora

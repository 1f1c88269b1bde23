// What one thread's I/O needs: the event loop, its wheel, its buffers and pipes. A worker owns one, so does
// the control thread. Everything made from a Loop is touched by that thread only.
#pragma once

#include <boost/asio/io_context.hpp>

#include "net/buffers.h"
#include "net/deadlines.h"
#include "net/pipes.h"

namespace remora {

struct Loop {
  // One thread runs it; others only post. So its descriptors need no locks.
  asio::io_context ctx{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO};
  DeadlineWheel wheel{ctx};
  BufferPool buffers{wheel};
  PipePool pipes;
};

}  // namespace remora

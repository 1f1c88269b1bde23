// Streams over socket pairs: what their owner and a pending receive do to each other.

#include "net/transport.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/manual_loop.h"

namespace remora {
namespace {

// Found by a TLS upload whose bytes came while the backend connection was opening: the owner's own receive
// had filled the buffer when the event of the pending one came, and a receive of no bytes looked like the
// end.
TEST(Transport, AFullBufferIsNotTheEndOfWhatThePeerSends) {
  test::ManualLoop loop;
  int fds[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
  const TransportRef stream(new Transport(loop, fds[0]));
  EventFlags wake(loop.wheel);
  stream->attach(wake, EventFlags::client);
  ASSERT_EQ(::send(fds[1], "head", 4, 0), 4);
  ASSERT_EQ(stream->fill(), Io::ready);
  stream->consume(4);
  stream->arm();  // after a short receive: the kernel is not asked again

  const std::string sent(BufferPool::small + 5000, 'x');
  ASSERT_EQ(::send(fds[1], sent.data(), sent.size(), 0), static_cast<ssize_t>(sent.size()));
  stream->distrust();
  ASSERT_EQ(stream->fill(), Io::ready);
  ASSERT_EQ(stream->unread().size(), BufferPool::small);
  loop.settle();  // the event that the pending receive waited for
  EXPECT_FALSE(stream->peer_closed());
  EXPECT_TRUE(wake.any_pending());

  stream->consume(stream->unread().size());
  ASSERT_EQ(stream->fill(), Io::ready);
  EXPECT_EQ(stream->unread().size(), 5000U);
  EXPECT_FALSE(stream->peer_closed());
  ::close(fds[1]);
  stream->close();
}

}  // namespace
}  // namespace remora

// A client's own backend connections, over socket pairs: whom they serve, and what becomes of a handshake.

#include "pool/bound_connections.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "support/manual_loop.h"

namespace remora {
namespace {

using namespace std::chrono_literals;

struct Pair {
  explicit Pair(Loop& loop) {
    int fds[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0) std::abort();
    stream = TransportRef(new Transport(loop, fds[0]));
    other = fds[1];
  }
  ~Pair() { hang_up(); }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
  void hang_up() {
    if (other >= 0) ::close(std::exchange(other, -1));
  }
  bool is_closed() const {
    char c = 0;
    return ::recv(other, &c, 1, MSG_DONTWAIT) == 0;
  }
  TransportRef stream;
  int other = -1;
};

class Bound : public testing::Test {
 public:
  static constexpr std::uint64_t key = 1;
  static constexpr Clock::Steady for_ever = Clock::Steady::max();
  std::shared_ptr<Backend> backend(const char* id, const char* pool = "p") {
    return std::make_shared<Backend>(pool, id);
  }
  void put(const std::shared_ptr<Backend>& b, Pair& pair, bool leg_due = false) {
    bound.put(b, key, pair.stream, leg_due, now += 1ms, for_ever);
  }
  BoundConnections::Lease take(const std::shared_ptr<Backend>& b) { return bound.take(*b, key, now); }

  ClientAddress client;
  test::ManualLoop loop;
  Clock::Steady now = loop.now();
  BoundConnections bound{loop, client};
};

TEST_F(Bound, EachBackendHasItsOwnAndGivesItOnce) {
  const auto a = backend("a"), b = backend("b"), c = backend("c");
  Pair one(loop), two(loop);
  put(a, one);
  put(b, two);
  EXPECT_EQ(take(b).stream.get(), two.stream.get());
  EXPECT_EQ(take(a).stream.get(), one.stream.get());
  EXPECT_FALSE(take(a).stream);
  EXPECT_FALSE(take(c).stream);
}

TEST_F(Bound, ThePlaceOfAPoolIsWhereItWasUsedLast) {
  const auto a = backend("a"), b = backend("b"), other = backend("a", "q");
  Pair one(loop), two(loop), three(loop);
  EXPECT_EQ(bound.place_in("p").backend, nullptr);
  put(a, one);
  put(b, two, true);
  put(other, three);
  EXPECT_EQ(bound.place_in("p").backend, b.get());
  EXPECT_TRUE(bound.place_in("p").leg_due);
  EXPECT_EQ(bound.place_in("q").backend, other.get());
  EXPECT_FALSE(bound.place_in("q").leg_due);
  EXPECT_EQ(bound.place_in("r").backend, nullptr);
}

TEST_F(Bound, OneThatEndedIsForgottenButTheLegThatWasDueIsNot) {
  const auto a = backend("a");
  Pair done(loop), shaking(loop);
  put(a, done);
  done.hang_up();
  loop.settle();
  EXPECT_EQ(bound.place_in("p").backend, nullptr);
  EXPECT_FALSE(take(a).leg_due);
  put(a, shaking, true);
  shaking.hang_up();
  loop.settle();
  const auto lost = take(a);
  EXPECT_TRUE(lost.leg_due);
  EXPECT_FALSE(lost.stream);
  EXPECT_FALSE(take(a).leg_due);  // told once
}

TEST_F(Bound, AnEndThatRaisedNoEventIsSeenWhenItIsTaken) {
  const auto a = backend("a");
  Pair one(loop);
  put(a, one, true);
  one.hang_up();
  const auto lost = take(a);
  EXPECT_TRUE(lost.leg_due);
  EXPECT_FALSE(lost.stream);
}

/// A session that moves in mid-handshake: no other backend knows of it.
TEST_F(Bound, ALegIsDueInItsPoolWhicheverBackendIsAskedNext) {
  const auto a = backend("a"), b = backend("b"), other = backend("a", "q");
  Pair one(loop);
  put(a, one, true);
  EXPECT_FALSE(take(other).leg_due);
  const auto moved = take(b);
  EXPECT_TRUE(moved.leg_due);
  EXPECT_FALSE(moved.stream);
}

TEST_F(Bound, OneThatLeadsElsewhereOrIsPastItsServersPromiseIsClosed) {
  const auto a = backend("a");
  Pair one(loop), two(loop);
  put(a, one);
  EXPECT_FALSE(bound.take(*a, key + 1, now).stream);
  EXPECT_TRUE(one.is_closed());
  bound.put(a, key, two.stream, false, now, now + 4s);
  EXPECT_FALSE(bound.take(*a, key, now + 4s).stream);
  EXPECT_TRUE(two.is_closed());
}

TEST_F(Bound, TheLeastRecentlyUsedMakesRoom) {
  std::vector<std::unique_ptr<Pair>> pairs;
  std::vector<std::shared_ptr<Backend>> backends;
  for (std::size_t i = 0; i <= BoundConnections::most; ++i) {
    pairs.push_back(std::make_unique<Pair>(loop));
    backends.push_back(backend(std::to_string(i).c_str()));
    put(backends.back(), *pairs.back());
  }
  EXPECT_TRUE(pairs.front()->is_closed());
  for (std::size_t i = 1; i < pairs.size(); ++i)
    EXPECT_EQ(take(backends[i]).stream.get(), pairs[i]->stream.get()) << i;
}

TEST_F(Bound, TheyEndWithTheirClient) {
  const auto a = backend("a");
  Pair one(loop);
  {
    BoundConnections own(loop, client);
    own.put(a, key, one.stream, true, now, for_ever);
    loop.advance(1500ms);  // parked
    EXPECT_FALSE(one.is_closed());
  }
  EXPECT_TRUE(one.is_closed());
}

TEST_F(Bound, TheyAreForOneClient) {
  ClientAddress other;
  other.bytes[15] = 1;
  EXPECT_TRUE(bound.are_for(client));
  EXPECT_FALSE(bound.are_for(other));
}

}  // namespace
}  // namespace remora

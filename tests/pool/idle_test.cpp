// Idle connections over socket pairs: whose they are, which one is used again, and when one is closed.

#include "pool/idle.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pool/pool_view.h"
#include "support/manual_loop.h"

namespace remora {
namespace {

using namespace std::chrono_literals;

/// A connection, and its other end.
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
  /// The peer sees the end.
  bool is_closed() const {
    char c = 0;
    return ::recv(other, &c, 1, MSG_DONTWAIT) == 0;
  }
  TransportRef stream;
  int other = -1;
};

class Idle : public testing::Test {
 public:
  static constexpr std::uint64_t key = 1, other_key = 2;
  void put(const Backend& backend, Pair& pair, std::uint64_t with = key, std::uint32_t most = 8) {
    idle.put(backend, with, pair.stream, most, loop.now());
  }
  Transport* take(const Backend& backend, std::uint64_t with = key) {
    taken = idle.take(backend, with, false);
    return taken.get();
  }
  /// Time goes on at once, and no event is handled meanwhile.
  void expire(std::chrono::seconds by) {
    loop.manual_clock.advance(by);
    loop.wheel.run(loop.now());
  }
  test::ManualLoop loop;
  IdleConnections idle{loop};
  TransportRef taken;
};

TEST_F(Idle, TheNewestIsUsedAgainFirst) {
  const Backend a("p", "a"), b("p", "b");
  Pair one(loop), two(loop), three(loop);
  put(a, one);
  put(a, two);
  put(b, three);
  idle.expect(a);
  EXPECT_EQ(take(a), two.stream.get());
  idle.expect(a);
  EXPECT_EQ(take(a), one.stream.get());
  idle.expect(a);
  EXPECT_EQ(take(a), nullptr);
  EXPECT_EQ(take(b), three.stream.get());
}

TEST_F(Idle, OneThatLeadsElsewhereIsClosedAndNotUsed) {
  const Backend a("p", "a");
  Pair moved(loop);
  put(a, moved, key);
  EXPECT_EQ(take(a, other_key), nullptr);
  EXPECT_TRUE(moved.is_closed());
}

TEST_F(Idle, OneThatThePeerClosedIsForgotten) {
  const Backend a("p", "a");
  Pair one(loop);
  put(a, one);
  one.hang_up();
  loop.settle();
  EXPECT_EQ(idle.count(a), 0U);
  EXPECT_EQ(take(a), nullptr);
}

TEST_F(Idle, TheOldestGoesWhenThereAreTooMany) {
  const Backend a("p", "a");
  Pair one(loop), two(loop), three(loop);
  for (Pair* p : {&one, &two, &three}) put(a, *p, key, 2);
  EXPECT_EQ(idle.count(a), 2U);
  EXPECT_TRUE(one.is_closed());
  EXPECT_EQ(take(a), three.stream.get());
  EXPECT_EQ(take(a), two.stream.get());
}

TEST_F(Idle, WhatIsNotKeptIsClosed) {
  const Backend a("p", "a"), b("p", "b");
  Pair one(loop), two(loop);
  put(a, one);
  put(b, two);
  const Backend* const living[] = {&b};
  idle.retain(living);
  EXPECT_TRUE(one.is_closed());
  EXPECT_EQ(take(b), two.stream.get());
}

/// RFC 9112 9.3.1: a request that cannot be repeated is lost when it crosses the close of an idle connection,
/// and no answer of the kernel's rules that out (nodejs/node #20256).
TEST_F(Idle, WhatCannotBeRepeatedGoesOverNoneThatIdledForASecond) {
  const Backend a("p", "a");
  const auto now = loop.now();
  Pair one(loop), two(loop);
  idle.put(a, key, one.stream, 8, now);
  idle.put(a, key, two.stream, 8, now);
  EXPECT_EQ(idle.take(a, key, true, now + IdleConnections::fresh).get(), two.stream.get());
  EXPECT_FALSE(idle.take(a, key, true, now + IdleConnections::fresh + std::chrono::milliseconds(1)));
  EXPECT_TRUE(one.is_closed());  // what takes its place is opened now
  EXPECT_EQ(idle.count(a), 0U);
}

TEST_F(Idle, TheOldestGivesItsPlaceToTheOneThatIsOpenedInstead) {
  const Backend a("p", "a");
  const auto now = loop.now();
  Pair one(loop), two(loop);
  idle.put(a, key, one.stream, 8, now);
  idle.put(a, key, two.stream, 8, now + std::chrono::seconds(1));
  EXPECT_FALSE(idle.take(a, key, true, now + std::chrono::seconds(9)));
  EXPECT_TRUE(one.is_closed());
  // One that can be repeated is sent over whatever is there.
  EXPECT_EQ(idle.take(a, key, false, now + std::chrono::seconds(60)).get(), two.stream.get());
}

/// Keep-Alive: timeout=N.
TEST_F(Idle, WithinItsServersPromiseAConnectionServesEveryRequestAndAfterwardsNone) {
  const Backend a("p", "a");
  const auto now = loop.now();
  const auto promised = now + std::chrono::seconds(4);
  Pair one(loop), two(loop);
  idle.put(a, key, one.stream, 8, now, promised);
  EXPECT_EQ(idle.take(a, key, true, promised - std::chrono::milliseconds(1)).get(), one.stream.get());
  idle.put(a, key, two.stream, 8, now, promised);
  EXPECT_FALSE(idle.take(a, key, false, promised));
  EXPECT_TRUE(two.is_closed());
}

TEST_F(Idle, APromiseThatIsOverClosesTheConnection) {
  const Backend a("p", "a");
  for (const auto promise : {500ms, 1000ms, 4000ms}) {
    Pair one(loop);
    idle.put(a, key, one.stream, 8, loop.now(), loop.now() + promise);
    loop.advance(promise - 100ms);
    EXPECT_EQ(idle.count(a), 1U) << promise.count();
    loop.advance(200ms);
    EXPECT_EQ(idle.count(a), 0U) << promise.count();
    EXPECT_TRUE(one.is_closed()) << promise.count();
  }
}

/// Takes a connection when its own deadline comes, as a retry does.
class TakesAtADeadline final : public DeadlineEntry {
 public:
  TakesAtADeadline(Idle& test, const Backend& backend, EventFlags& wake, Clock::Steady at);
  void expired() override;

 private:
  Idle& test_;
  const Backend& backend_;
  EventFlags& wake_;
};

/// One run of the wheel expires all that is due: a retry's deadline may come right after the one that parks
/// the connection which the retry then takes. Its pending receive is canceled by then, and nobody heard of
/// what came.
TEST_F(Idle, OneThatIsTakenWhileItIsBeingParkedStillHearsOfWhatComes) {
  const Backend a("p", "a");
  for (const bool park_first : {true, false}) {
    Pair one(loop);
    EventFlags wake(loop.wheel);
    const auto due = loop.now() + std::chrono::seconds(1);
    std::unique_ptr<TakesAtADeadline> retry;
    if (!park_first) retry = std::make_unique<TakesAtADeadline>(*this, a, wake, due);
    put(a, one);
    if (park_first) retry = std::make_unique<TakesAtADeadline>(*this, a, wake, due);
    expire(2s);
    ASSERT_EQ(taken.get(), one.stream.get());
    EXPECT_EQ(taken->fill(), Io::blocked);
    ASSERT_EQ(::write(one.other, "hello", 5), 5);
    loop.settle();
    EXPECT_NE(wake.take() & EventFlags::backend, 0U);
    EXPECT_EQ(taken->unread(), "hello");
    taken.reset();
    one.stream->close();
    one.stream.reset();
  }
}

/// It may even lie among the idle ones again before the canceled receive is through.
TEST_F(Idle, OneThatIsPutBackWhileItIsBeingParkedStays) {
  const Backend a("p", "a");
  Pair one(loop);
  put(a, one);
  expire(2s);
  ASSERT_EQ(take(a), one.stream.get());
  taken.reset();
  put(a, one);
  loop.settle();
  EXPECT_EQ(idle.count(a), 1U);
  one.hang_up();
  loop.settle();
  EXPECT_EQ(idle.count(a), 0U);
}

/// The table has a place for each living backend; a worker may not have heard yet that the last owner is
/// gone.
TEST_F(Idle, WhoTakesOverAPlaceInTheTableGetsNoneOfItsConnections) {
  auto gone = std::make_unique<Backend>("p", "gone");
  const std::uint32_t number = gone->number;
  Pair old(loop), fresh(loop);
  put(*gone, old);
  gone.reset();
  const Backend heir("p", "heir");
  ASSERT_EQ(heir.number, number);
  EXPECT_EQ(idle.count(heir), 0U);
  EXPECT_EQ(take(heir), nullptr);
  put(heir, fresh);
  EXPECT_TRUE(old.is_closed());
  EXPECT_EQ(take(heir), fresh.stream.get());
}

TakesAtADeadline::TakesAtADeadline(Idle& test, const Backend& backend, EventFlags& wake, Clock::Steady at)
    : test_(test), backend_(backend), wake_(wake) {
  arm(test.loop.wheel, at);
}

void TakesAtADeadline::expired() {
  test_.take(backend_);
  if (test_.taken) test_.taken->attach(wake_, EventFlags::backend);
}

TEST(BackendNumber, IsNoOtherLivingOnes) {
  const Backend a("p", "a");
  auto b = std::make_unique<Backend>("p", "b");
  const Backend c("p", "c");
  EXPECT_NE(a.number, b->number);
  EXPECT_NE(a.number, c.number);
  EXPECT_NE(b->number, c.number);
  const std::uint32_t free = b->number;
  b.reset();
  EXPECT_EQ(Backend("q", "d").number, free);
}

TEST(ConnectionKey, IsTheAddressAndTheTlsSettings) {
  const auto key = [](const char* ip, std::uint16_t port) {
    return connection_key(*resolve({config::Address::Kind::tcp, ip, port}), nullptr,
                          config::BackendProtocol::http1);
  };
  EXPECT_EQ(key("127.0.0.1", 80), key("127.0.0.1", 80));
  EXPECT_NE(key("127.0.0.1", 80), key("127.0.0.1", 81));
  EXPECT_NE(key("127.0.0.1", 80), key("127.0.0.2", 80));
  std::string why;
  const auto one = ClientTls::load({}, why), two = ClientTls::load({}, why);
  const auto endpoint = *resolve({config::Address::Kind::tcp, "127.0.0.1", 80});
  EXPECT_EQ(connection_key(endpoint, one.get(), config::BackendProtocol::http1),
            connection_key(endpoint, one.get(), config::BackendProtocol::http1));
  EXPECT_NE(connection_key(endpoint, one.get(), config::BackendProtocol::http1),
            connection_key(endpoint, two.get(), config::BackendProtocol::http1));
  EXPECT_NE(connection_key(endpoint, one.get(), config::BackendProtocol::http1),
            connection_key(endpoint, nullptr, config::BackendProtocol::http1));
}

}  // namespace
}  // namespace remora

// The parts of the codec that need no connection: priorities, header blocks, received bodies, the flood
// guard.

#include <gtest/gtest.h>

#include "http/h2/body_queue.h"
#include "http/h2/fields.h"
#include "http/h2/flood.h"
#include "http/h2/streams.h"
#include "support/manual_loop.h"

namespace remora::test {
namespace {

TEST(Http2Priority, IsReadFromAStructuredField) {
  using P = StreamPriority;
  const std::vector<std::pair<const char*, P>> cases{
      {"", {}},
      {"u=0", {0, false}},
      {"u=7, i", {7, true}},
      {"i", {3, true}},
      {"i=?0", {}},
      {"i=?1", {3, true}},
      {"u=8", {}},
      {"u=-1", {}},
      {"u=1;x=2", {1, false}},
      {"u=1, u=2", {2, false}},
      {"x, u=5 , i ;y", {5, true}},
      {"u", {}},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(read_priority(text), expected) << text;
}

/// RFC 9218 10.
TEST(Http2Priority, DecidesWhichStreamSendsFirst) {
  const SendingPlace urgent{{0, true}, 9}, early{{3, false}, 1}, late{{3, false}, 7}, in_turn{{3, true}, 3};
  const std::vector<SendingPlace> order{urgent, early, late, in_turn, {{7, false}, 5}};
  for (std::size_t i = 0; i < order.size(); ++i) {
    for (std::size_t k = 0; k < order.size(); ++k)
      EXPECT_EQ(goes_before(order[i], order[k]), i < k) << i << " before " << k;
  }
}

TEST(Http2Priority, LetsIncrementalStreamsOfOneUrgencyTakeTurns) {
  const SendingPlace first{{3, true}, 1}, second{{3, true}, 3};
  EXPECT_FALSE(goes_before(first, second));
  EXPECT_FALSE(goes_before(second, first));
}

TEST(Http2Fields, ABlockOutlivesTheNextOne) {
  ManualLoop loop;
  HeadCollector collector;
  collector.begin(100'000, 100);
  EXPECT_TRUE(collector.add(":path", "/first"));
  EXPECT_TRUE(collector.add("x", std::string(10'000, 'v')));
  EXPECT_TRUE(collector.add("priority", "u=1"));
  const HeadBlock first = collector.finish(loop.buffers);
  collector.begin(1000, 100);
  EXPECT_TRUE(collector.add(":path", "/second"));
  const HeadBlock second = collector.finish(loop.buffers);
  std::vector<Field> fields;
  first.read(fields);
  ASSERT_EQ(fields.size(), 2U);
  EXPECT_EQ(fields[0].value, std::string(10'000, 'v'));
  EXPECT_EQ(first.pseudo(Pseudo::path), "/first");
  EXPECT_EQ(first.pseudo(Pseudo::method), "");
  EXPECT_EQ(first.priority().urgency, 1);
  second.read(fields);
  EXPECT_TRUE(fields.empty());
  EXPECT_EQ(second.pseudo(Pseudo::path), "/second");
  EXPECT_EQ(HeadBlock().pseudo(Pseudo::path), "");
}

TEST(Http2Fields, AListIsMeasuredAsItsPeerDoes) {
  HeadCollector collector;
  collector.begin(100, 10);
  EXPECT_TRUE(collector.add("a", std::string(67, 'v')));
  EXPECT_FALSE(collector.oversized()) << "1 + 67 + 32";
  EXPECT_TRUE(collector.add("b", ""));
  EXPECT_TRUE(collector.oversized());
  for (int i = 0; i < 7; ++i) EXPECT_TRUE(collector.add("b", ""));
  EXPECT_TRUE(collector.add("b", std::string(3, 'v')));
  EXPECT_FALSE(collector.add("b", "")) << "more than four times the limit";
}

TEST(Http2BodyQueue, GivesOutWhatWasPushed) {
  ManualLoop loop;
  BodyQueue queue;
  std::string pushed, popped;
  for (std::size_t i = 1; i < 200; ++i) {
    const std::string piece(i * 37 % 5000, static_cast<char>('a' + i % 26));
    queue.push(loop.buffers, piece);
    pushed += piece;
    if (i % 3 != 0) continue;
    std::size_t n = 0;
    for (const auto& run : queue.runs()) {
      popped.append(static_cast<const char*>(run.data()), run.size());
      n += run.size();
      if (i % 2 == 0) break;
    }
    queue.pop(n);
  }
  while (!queue.empty()) {
    const auto run = queue.runs().front();
    popped.append(static_cast<const char*>(run.data()), run.size());
    queue.pop(run.size());
  }
  EXPECT_TRUE(popped == pushed);
  EXPECT_TRUE(queue.runs().empty());
}

TEST(Http2FloodGuard, ReadsFramesHoweverTheyAreCut) {
  ManualLoop loop;
  const std::string ping(
      "\0\0\x08\x06\0\0\0\0\0"
      "12345678",
      17);
  for (std::size_t cut = 1; cut < 40; ++cut) {
    FloodGuard guard(loop.manual_clock, 24);
    EXPECT_TRUE(guard.mid_head());
    std::string bytes(24, 'P');
    for (int i = 0; i < FloodGuard::allowance; ++i) bytes += ping;
    for (std::size_t at = 0; at < bytes.size(); at += cut)
      ASSERT_TRUE(guard.feed(std::string_view(bytes).substr(at, cut)));
    EXPECT_FALSE(guard.mid_head());
    EXPECT_FALSE(guard.feed(ping));
    EXPECT_TRUE(guard.floods());
  }
}

TEST(Http2FloodGuard, TimeAndUsefulWorkRefillTheAllowance) {
  ManualLoop loop;
  FloodGuard guard(loop.manual_clock, 0);
  const std::string ping("\0\0\0\x06\0\0\0\0\0", 9);
  for (int i = 0; i < FloodGuard::allowance; ++i) ASSERT_TRUE(guard.feed(ping));
  loop.manual_clock.advance(std::chrono::seconds(1));
  for (int i = 0; i < FloodGuard::per_second; ++i) ASSERT_TRUE(guard.feed(ping));
  guard.data_received(512 * 10);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(guard.feed(ping));
  guard.response_sent();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(guard.feed(ping));
  EXPECT_FALSE(guard.feed(ping));
}

}  // namespace
}  // namespace remora::test

// RFC 9113 8.1: what clients receive.

#include "support/h2_site.h"

namespace remora::test::h2 {
namespace {

using Answers = Http2;

TEST_F(Answers, OneHasItsStatusItsFieldsAndItsBody) {
  const std::uint32_t id = client.get("/bytes/5");
  EXPECT_TRUE(client.responds(id));
  EXPECT_EQ(client.stream(id).field("content-length"), "5");
  EXPECT_EQ(client.stream(id).body, "xxxxx");
  EXPECT_EQ(client.stream(id).heads.at(0).at(0).first, ":status");
}

// 8.2.1, 8.2.2
TEST_F(Answers, ConnectionFieldsAreLeftOutAndNamesAreInLowerCase) {
  const std::uint32_t id = client.get("/fields");
  EXPECT_TRUE(client.responds(id));
  EXPECT_EQ(client.violation(), "");
  EXPECT_EQ(client.stream(id).field("x-mixed-case"), "Kept");
  EXPECT_EQ(client.stream(id).field("x-hop"), "");
}

TEST_F(Answers, AChunkedOneHasNoTransferEncoding) {
  const std::uint32_t id = client.get("/stream/5");
  EXPECT_TRUE(client.responds(id));
  EXPECT_EQ(client.stream(id).body, "xxxxx");
  EXPECT_EQ(client.violation(), "");
}

TEST_F(Answers, OneToHeadHasNoBody) {
  const std::uint32_t id = client.ask(request_of("HEAD", "/"));
  EXPECT_TRUE(client.responds(id));
  EXPECT_EQ(client.stream(id).body, "");
  EXPECT_EQ(client.stream(id).field("content-length"), "2");
}

TEST_F(Answers, A204EndsWithItsHead) {
  const std::uint32_t id = client.get("/status/204");
  EXPECT_TRUE(client.responds(id, 204));
  EXPECT_EQ(client.stream(id).body, "");
}

TEST_F(Answers, A304EndsWithItsHead) {
  EXPECT_TRUE(client.responds(client.get("/status/304"), 304));
}

TEST_F(Answers, TrailersFollowTheBody) {
  const std::uint32_t id = client.get("/trailers", {{"te", "trailers"}});
  EXPECT_TRUE(client.responds(id));
  EXPECT_EQ(client.stream(id).body, "ok");
  EXPECT_EQ(client.stream(id).trailer("x-sum"), "1");
}

TEST_F(Answers, AnInformationalHeadComesFirst) {
  const std::uint32_t id = client.get("/hints");
  EXPECT_TRUE(client.responds(id));
  ASSERT_EQ(client.stream(id).heads.size(), 2u);
  EXPECT_EQ(value_of(client.stream(id).heads[0], ":status"), "103");
  EXPECT_EQ(value_of(client.stream(id).heads[0], "link"), "</a>");
}

TEST_F(Answers, AnExpectationIsMet) {
  const std::uint32_t id = client.next_stream();
  client.send(
      headers(id, post_block("/p", {{"expect", "100-continue"}, {"content-length", "2"}}), end_headers));
  client.send(data(id, "ab", end_stream));
  EXPECT_TRUE(client.responds(id));
  EXPECT_EQ(backend().requests().at(0).body, "ab");
}

/// 8.1: a response may be whole before the request is; RST_STREAM(NO_ERROR) then asks for no more of it.
TEST_F(Answers, AnEarlyOneArrivesWholeAndStopsTheUpload) {
  const std::uint32_t id = client.next_stream();
  client.send(headers(id, post_block("/early"), end_headers));
  client.send(data(id, "part"));
  EXPECT_TRUE(client.responds(id));
  EXPECT_EQ(client.stream(id).body, "early");
  EXPECT_TRUE(client.resets(id, Error::no_error));
  EXPECT_TRUE(client.alive());
}

TEST_F(Answers, ManyStreamsGetEachItsOwn) {
  std::vector<std::uint32_t> ids;
  for (int i = 0; i < 100; ++i) ids.push_back(client.get("/bytes/" + std::to_string(i)));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    EXPECT_TRUE(client.responds(ids[i]));
    EXPECT_EQ(client.stream(ids[i]).body.size(), i);
  }
}

/// A backend that breaks off in mid body must not look like one that finished.
TEST(BrokenAnswers, ABodyCutShortIsAReset) {
  Origin origin([](Socket& s) {
    if (s.receive_head().find("/cut") == std::string::npos) {
      s.send(ok());
      return;
    }
    s.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this");
  });
  Remora remora(simple_config({origin.address()}, "", "h2c: on\n"));
  Client client(remora.port());
  ASSERT_TRUE(client.start());
  const std::uint32_t id = client.get("/cut");
  EXPECT_TRUE(client.wait([&] { return client.stream(id).over(); }));
  EXPECT_TRUE(client.stream(id).reset.has_value());
  EXPECT_FALSE(client.stream(id).ended);
  EXPECT_TRUE(client.alive());
}

TEST(BrokenAnswers, ABackendThatIsDownIsABadGateway) {
  std::string nowhere;
  {
    const Origin origin(says_name("gone"));
    nowhere = origin.address();
  }
  Remora remora(simple_config({nowhere}, "", "h2c: on\n"));
  Client client(remora.port());
  ASSERT_TRUE(client.start());
  const std::uint32_t id = client.get("/");
  EXPECT_TRUE(client.wait([&] { return client.stream(id).over(); }));
  EXPECT_TRUE(client.stream(id).status() == 502 || client.stream(id).status() == 503)
      << client.stream(id).status();
  EXPECT_TRUE(client.sync());
}

// RFC 9218: PRIORITY_UPDATE and the priority field ----------------------------------------------------------

using ExtensiblePriorities = Http2;

TEST_F(ExtensiblePriorities, APriorityFieldIsTaken) {
  EXPECT_TRUE(client.responds(client.get("/", {{"priority", "u=0, i"}})));
}

// 4: values that cannot be parsed are ignored.
TEST_F(ExtensiblePriorities, AMalformedPriorityFieldIsIgnored) {
  EXPECT_TRUE(client.responds(client.get("/", {{"priority", "u=99, ;;;"}})));
}

TEST_F(ExtensiblePriorities, AnUpdateOfARunningStreamIsTaken) {
  const std::uint32_t id = client.get("/hold");
  client.send(priority_update(id, "u=7"));
  ASSERT_TRUE(client.sync());
  backend().release();
  EXPECT_TRUE(client.responds(id));
}

TEST_F(ExtensiblePriorities, AnUpdateOfAnIdleStreamIsTaken) {
  client.send(priority_update(7, "u=1, i"));
  EXPECT_TRUE(client.alive());
}

TEST_F(ExtensiblePriorities, AnUpdateOfAClosedStreamIsTaken) {
  const std::uint32_t id = client.get("/");
  EXPECT_TRUE(client.responds(id));
  client.send(priority_update(id, "u=1"));
  EXPECT_TRUE(client.alive());
}

TEST_F(ExtensiblePriorities, AMalformedUpdateIsIgnored) {
  client.send(headers(1, get_block("/hold")) + priority_update(1, "u=9999, \"") + priority_update(1, ""));
  EXPECT_TRUE(client.alive());
}

// 7.1
TEST_F(ExtensiblePriorities, AnUpdateOnAStreamIsAProtocolError) {
  client.send(headers(1, get_block("/hold")) + priority_update(1, "u=1", 1));
  EXPECT_TRUE(client.ends_with(Error::protocol_error));
}

TEST_F(ExtensiblePriorities, AnUpdateOfStream0IsAProtocolError) {
  client.send(priority_update(0, "u=1"));
  EXPECT_TRUE(client.ends_with(Error::protocol_error));
}

TEST_F(ExtensiblePriorities, AnUpdateOfThreeBytesIsAFrameSizeError) {
  client.send(frame(Type::priority_update, 0, 0, "abc"));
  EXPECT_TRUE(client.ends_with(Error::frame_size_error));
}

/// 10: of two responses that wait for the connection's window, the urgent one goes first.
TEST_F(ExtensiblePriorities, UrgencyOrdersTheSending) {
  client.updates_windows = false;
  ASSERT_TRUE(client.change({{Setting::initial_window_size, 1000000}}));
  const std::uint32_t filler = client.get("/bytes/65535");
  ASSERT_TRUE(client.responds(filler));  // now the connection's window is closed
  const std::uint32_t later = client.get("/bytes/50000", {{"priority", "u=7"}});
  ASSERT_TRUE(client.wait([&] { return client.stream(later).status() == 200; }));
  const std::uint32_t urgent = client.get("/bytes/50000", {{"priority", "u=0"}});
  ASSERT_TRUE(client.wait([&] { return client.stream(urgent).status() == 200; }));
  const std::size_t before = client.data_order().size();
  client.give_window(0, 200000);
  EXPECT_TRUE(client.responds(urgent));
  EXPECT_TRUE(client.responds(later));
  const auto& order = client.data_order();
  ASSERT_GT(order.size(), before);
  EXPECT_EQ(order[before], urgent);
  const auto last_urgent = std::find(order.rbegin(), order.rend(), urgent);
  const auto first_later = std::find(order.begin(), order.end(), later);
  EXPECT_LT(last_urgent.base() - order.begin() - 1, first_later - order.begin());
}

}  // namespace
}  // namespace remora::test::h2

// Requests through the HTTP/2 client codec, and the responses to them.
#include "http/h2/client_end.h"

namespace remora::test {
namespace {

using Kind = StreamFailure::Kind;

TEST(Http2Client, WaitsForTheServersSettings) {
  ClientEnd c;
  c.run();
  EXPECT_FALSE(c.session->is_ready());
  EXPECT_FALSE(c.session->has_room());
  EXPECT_EQ(c.greet(), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  EXPECT_TRUE(c.session->is_ready());
  EXPECT_TRUE(c.session->has_room());
}

TEST(Http2Client, IsOverWhenTheServerSpeaksHttp1) {
  ClientEnd c;
  c.server.raw("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
  c.run();
  EXPECT_FALSE(c.session->is_ready());
  EXPECT_TRUE(c.session->is_over());
}

TEST(Http2Client, AnnouncesThatItTakesNoPushes) {
  ClientEnd c;
  c.greet();
  bool says = false;
  for (const H2Frame& f : c.frames(settings_frame))
    for (std::size_t i = 0; i + 6 <= f.payload.size(); i += 6)
      says = says || (f.payload.substr(i, 2) == std::string("\0\2", 2) &&
                      number(std::string_view(f.payload).substr(i + 2)) == 0);
  EXPECT_TRUE(says);
}

TEST(Http2Client, SendsAGetInOneFrame) {
  ClientEnd c;
  c.greet();
  Http2ClientStream& s = c.stream();
  s.put_head(ClientEnd::head("GET", "/a?b",
                             {{"Accept", "*/*", Known::accept},
                              {"Connection", "close", Known::connection},
                              {"Keep-Alive", "timeout=5", Known::keep_alive}}));
  const auto sent = c.frames(headers_frame);
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_TRUE(sent[0].ends());
  EXPECT_EQ(sent[0].fields, (Pairs{{":method", "GET"},
                                   {":scheme", "http"},
                                   {":authority", "a.test"},
                                   {":path", "/a?b"},
                                   {"accept", "*/*"}}));
  EXPECT_TRUE(s.request_sent());
  EXPECT_TRUE(s.began());
}

/// Bytes of a head that was sent before, with this field, on the same connection.
std::size_t size_of_second_head(const Field& field) {
  ClientEnd c;
  c.greet();
  std::size_t size = 0;
  for (int i = 0; i < 2; ++i) {
    c.stream().put_head(ClientEnd::head("GET", "/", {field}));
    size = c.frames(headers_frame).back().payload.size();
  }
  return size;
}

// RFC 7541 7.1: many clients share the table.
TEST(Http2Client, KeepsSecretsAndIdsOutOfTheTableOfHpack) {
  const std::string value(100, 'x');
  EXPECT_LT(size_of_second_head({"user-agent", value}), 40U);
  EXPECT_GT(size_of_second_head({"cookie", value, Known::cookie}), 80U);
  EXPECT_GT(size_of_second_head({"authorization", value}), 80U) << "nghttp2's own rule";
  EXPECT_GT(size_of_second_head({"proxy-authorization", value, Known::proxy_authorization}), 80U);
  EXPECT_GT(size_of_second_head({"remora-session", value, Known::remora}), 80U);
  EXPECT_GT(size_of_second_head({"x-correlation-id", value, Known::x_request_id}), 80U);
}

TEST(Http2Client, SendsBodyAndTrailers) {
  ClientEnd c;
  c.greet();
  Http2ClientStream& s = c.stream();
  OutHead head = ClientEnd::head("POST", "/", {}, {BodyLength::Kind::unknown, 0});
  head.trailers = "x-sum";
  s.put_head(head);
  EXPECT_FALSE(s.request_sent());
  const std::vector<Field> trailers{{"x-sum", "7"}, {"x-secret", "8"}};
  EXPECT_EQ(ClientEnd::send(s, "abc", false).bytes, 3U);
  EXPECT_TRUE(ClientEnd::send(s, "def", true, &trailers).finished);
  EXPECT_TRUE(s.request_sent());
  c.run();
  const auto sent = c.server.frames();
  std::string body;
  Pairs last;
  for (const H2Frame& f : sent) {
    if (f.type == data_frame) body += f.payload;
    if (f.type == headers_frame) last = f.fields;
  }
  EXPECT_EQ(body, "abcdef");
  EXPECT_EQ(last, (Pairs{{"x-sum", "7"}}));
  EXPECT_TRUE(sent.back().ends());
}

TEST(Http2Client, WaitsForTheWindowOfALargeBody) {
  ClientEnd c;
  c.greet({{4, 20000}});
  Http2ClientStream& s = c.stream();
  s.put_head(ClientEnd::head("PUT", "/", {}, {BodyLength::Kind::known, 50000}));
  const std::string body(50000, 'x');
  WriteResult r = ClientEnd::send(s, body, true);
  EXPECT_EQ(r.bytes, 20000U);
  EXPECT_EQ(r.io, Io::blocked);
  EXPECT_TRUE(s.send_blocked());
  c.run();
  static_cast<void>(c.wake_streams.take());
  c.server.open_window(1, 40000);
  c.run();
  EXPECT_TRUE(c.wake_streams.any_pending());
  r = ClientEnd::send(s, std::string_view(body).substr(20000), true);
  EXPECT_TRUE(r.finished);
  c.run();
  c.frames(data_frame);
  EXPECT_EQ(c.server.received_data, 50000U);
}

TEST(Http2Client, ReadsAResponseWithBody) {
  ClientEnd c;
  c.greet();
  Http2ClientStream& s = c.get();
  EXPECT_EQ(c.read_head(s), Io::blocked);
  c.server.ask(1, {{":status", "200"}, {"server", "x"}, {"content-length", "5"}}, false);
  ASSERT_EQ(c.read_head(s), Io::ready);
  EXPECT_EQ(c.response.status, 200);
  EXPECT_EQ(c.response.reason, "OK");
  EXPECT_EQ(c.response.version, Version::http2);
  EXPECT_EQ(c.field("server"), "x");
  EXPECT_EQ(c.response.body.kind, BodyLength::Kind::known);
  EXPECT_EQ(c.response.body.bytes, 5U);
  EXPECT_EQ(s.fill(), Io::blocked);
  c.server.data(1, "hello", true);
  EXPECT_EQ(c.read(s), "hello");
  EXPECT_TRUE(c.whole);
  EXPECT_TRUE(s.reusable());
  EXPECT_EQ(c.session->running(), 1U);
  c.release(s);
  EXPECT_EQ(c.session->running(), 0U);
  EXPECT_EQ(c.ended, 1);
  EXPECT_TRUE(c.frames(rst_stream_frame).empty());
}

TEST(Http2Client, ReadsTrailersEvenWithoutABody) {
  ClientEnd c;
  c.greet();
  Http2ClientStream& s = c.get();
  c.server.ask(1, {{":status", "200"}, {"content-type", "application/grpc"}}, false);
  c.server.ask(1, {{"grpc-status", "0"}}, true);
  ASSERT_EQ(c.read_head(s), Io::ready);
  EXPECT_EQ(c.response.body.kind, BodyLength::Kind::unknown);
  EXPECT_EQ(c.read(s), "");
  EXPECT_TRUE(c.whole);
  ASSERT_NE(s.trailers(), nullptr);
  EXPECT_EQ(s.trailers()->at(0).name, "grpc-status");
}

TEST(Http2Client, AnEmptyResponseIsItsHeadAlone) {
  ClientEnd c;
  c.greet();
  Http2ClientStream& s = c.get();
  c.server.ask(1, {{":status", "404"}}, true);
  ASSERT_EQ(c.read_head(s), Io::ready);
  EXPECT_TRUE(c.response.body.is_empty());
  EXPECT_EQ(c.read(s), "");
  EXPECT_TRUE(c.whole);
}

TEST(Http2Client, HeadHasALengthAndNoBody) {
  ClientEnd c;
  c.greet();
  Http2ClientStream& s = c.stream();
  s.put_head(ClientEnd::head("HEAD", "/"));
  c.run();
  c.server.ask(1, {{":status", "200"}, {"content-length", "100"}}, true);
  ASSERT_EQ(c.read_head(s, Method::head), Io::ready);
  EXPECT_EQ(c.field("content-length"), "100");
  EXPECT_EQ(c.read(s), "");
  EXPECT_TRUE(c.whole);
}

TEST(Http2Client, GivesOutInterimResponsesInOrder) {
  ClientEnd c;
  c.greet();
  Http2ClientStream& s = c.get();
  c.server.ask(1, {{":status", "103"}, {"link", "</a>"}}, false);
  c.server.ask(1, {{":status", "100"}}, false);
  c.server.ask(1, {{":status", "200"}}, true);
  for (const int status : {103, 100, 200}) {
    ASSERT_EQ(c.read_head(s), Io::ready);
    EXPECT_EQ(c.response.status, status);
  }
}

TEST(Http2Client, InterimResponsesWithoutEndAreMalformed) {
  ClientEnd c;
  c.greet();
  Http2ClientStream& s = c.get();
  for (int i = 0; i < 101; ++i) c.server.ask(1, {{":status", "103"}}, false);
  EXPECT_EQ(c.read_head(s), Io::failed);
  EXPECT_EQ(s.failure().kind, Kind::malformed);
}

TEST(Http2Client, RefusesWhatIsNoResponse) {
  const std::vector<Pairs> heads{{{":status", "200"}, {"connection", "close"}},
                                 {{":status", "200"}, {"transfer-encoding", "chunked"}},
                                 {{":status", "101"}},
                                 {{":status", "99"}},
                                 {{":status", "200"}, {"upgrade", "x"}},
                                 {{"server", "x"}},
                                 {{":status", "200"}, {":path", "/"}},
                                 {{":status", "200"}, {"content-length", "5"}}};
  for (const Pairs& head : heads) {
    ClientEnd c;
    c.greet();
    Http2ClientStream& s = c.get();
    c.server.ask(1, head, true);
    EXPECT_EQ(c.read_head(s), Io::failed) << head.back().first;
    EXPECT_EQ(s.failure().kind, Kind::malformed) << head.back().first;
  }
}

TEST(Http2Client, DataBeyondContentLengthBreaksTheResponse) {
  ClientEnd c;
  c.greet();
  Http2ClientStream& s = c.get();
  c.server.ask(1, {{":status", "200"}, {"content-length", "2"}}, false);
  ASSERT_EQ(c.read_head(s), Io::ready);
  c.server.data(1, "abc", true);
  c.run();
  EXPECT_EQ(s.fill(), Io::failed);
  EXPECT_TRUE(s.is_broken());
}

TEST(Http2Client, AHeadOverTheLimitsIsMalformed) {
  ClientEnd c;
  c.greet();
  Http2ClientStream& s = c.get();
  Pairs head{{":status", "200"}};
  for (int i = 0; i < 201; ++i) head.emplace_back("a" + std::to_string(i), "b");
  c.server.ask(1, head, true);
  EXPECT_EQ(c.read_head(s), Io::failed);
  EXPECT_EQ(s.failure().kind, Kind::malformed);
}

TEST(Http2Client, StreamsRunAtTheSameTime) {
  ClientEnd c;
  c.greet();
  Http2ClientStream& one = c.get("/1");
  Http2ClientStream& two = c.get("/2");
  EXPECT_FALSE(one.is_reused());
  EXPECT_TRUE(two.is_reused());
  c.server.ask(3, {{":status", "202"}}, true);
  ASSERT_EQ(c.read_head(two), Io::ready);
  EXPECT_EQ(c.response.status, 202);
  EXPECT_EQ(c.read_head(one), Io::blocked);
}

TEST(Http2Client, ObeysTheServersLimitOfStreams) {
  ClientEnd c;
  c.greet({{3, 2}});
  Http2ClientStream& one = c.get();
  c.get();
  EXPECT_FALSE(c.session->has_room());
  c.server.ask(1, {{":status", "200"}}, true);
  ASSERT_EQ(c.read_head(one), Io::ready);
  c.release(one);
  EXPECT_TRUE(c.session->has_room());
}

}  // namespace
}  // namespace remora::test

// How a response reaches its client: framing, trailers, rewritten bodies, and what becomes of both
// connections.

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/post.hpp>

#include "support/trunk.h"

namespace remora::test {
namespace {

using namespace std::chrono_literals;
using When = BackendScript::When;
using End = Exchange::End;

constexpr const char* one = R"(
pools:
  app: {timeouts: {read: 5s}, backends: [{id: a, address: 127.0.0.1:1}]}
)";

constexpr const char* in_urls = R"(
pools:
  app:
    affinity: {kind: url_rewrite, style: path, name: rsid, rewrite: [location, html]}
    backends: [{id: a, address: 127.0.0.1:1}]
)";

TEST(Delivery, TrailersPassBothWays) {
  Trunk trunk(one);
  trunk.connector.script("a", {.body = "0123456789", .stalls_after = 4, .trailers = {{"Grpc-Status", "0"}}});
  trunk.start("POST", "/", {{"Transfer-Encoding", "chunked"}, {"TE", "trailers"}}, "he", false);
  trunk.client.add_trailer("X-Checksum", "7");
  trunk.client.arrive("llo", true);
  trunk.settle();
  trunk.backend.go();
  trunk.settle();
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(trunk.delivered().body, "0123456789");
  EXPECT_EQ(trunk.delivered().trailers, (Fields{{"Grpc-Status", "0"}}));
  EXPECT_EQ(trunk.connector.requests.back().body, "hello");
  EXPECT_EQ(field(trunk.connector.requests.back().head.fields, "trailer X-Checksum"), "7");
  EXPECT_EQ(trunk.end(), End::keep);
}

TEST(Delivery, AResponseToHeadAndA304HaveNoBody) {
  Trunk trunk(one);
  trunk.connector.script("a", {.head = "200 OK\r\nContent-Length: 10\r\n", .body = "0123456789"});
  EXPECT_EQ(trunk.request("HEAD", "/").head.status, 200);
  EXPECT_TRUE(trunk.delivered().complete);
  EXPECT_TRUE(trunk.delivered().body.empty());
  EXPECT_EQ(trunk.end(), End::keep);
  trunk.connector.script("a", {.head = "304 Not Modified\r\nETag: \"x\"\r\n"});
  EXPECT_EQ(trunk.get("/").head.status, 304);
  EXPECT_TRUE(trunk.delivered().complete);
  EXPECT_EQ(trunk.end(), End::keep);
  EXPECT_EQ(trunk.connector.kept.size(), 2U);
}

TEST(Delivery, ABodyWithoutALengthClosesAnHttp10Connection) {
  for (const char* framing : {"Transfer-Encoding: chunked\r\n", ""})
    for (const char* version : {"HTTP/1.0", "HTTP/1.1"}) {
      Trunk trunk(one);
      trunk.version = version;
      trunk.connector.script("a", {.head = std::string("200 OK\r\n") + framing, .body = "some"});
      const Delivered& got = trunk.get("/", {{"Connection", "keep-alive"}});
      EXPECT_EQ(got.body, "some");
      EXPECT_TRUE(got.complete);
      const bool old = version == std::string("HTTP/1.0");
      EXPECT_EQ(trunk.end(), old ? End::close : End::keep) << framing;
    }
}

TEST(Delivery, WithALengthAnHttp10ConnectionIsKeptIfTheClientAsks) {
  Trunk trunk(one);
  trunk.version = "HTTP/1.0";
  trunk.get("/");
  EXPECT_EQ(trunk.end(), End::close);
  trunk.new_connection();
  trunk.get("/", {{"Connection", "keep-alive"}});
  EXPECT_EQ(trunk.end(), End::keep);
}

TEST(Delivery, TheConnectionIsClosedWhenItMustBe) {
  struct Way {
    const char* name;
    std::function<void(Trunk&)> prepare;
    Fields fields;
    End end;
  };
  const Way ways[] = {
      {"as usual", [](Trunk&) {}, {}, End::keep},
      {"the client says so", [](Trunk&) {}, {{"Connection", "close"}}, End::close},
      {"and still sends", [](Trunk& t) { t.client.set_more(true); }, {{"Connection", "close"}}, End::linger},
      {"a pipelined request follows", [](Trunk& t) { t.client.set_more(true); }, {}, End::keep},
      {"the worker stops", [](Trunk& t) { t.worker.stopping = true; }, {}, End::close},
      {"clients should leave", [](Trunk& t) { t.worker.leaving = true; }, {}, End::close},
      {"the listener was removed",
       [](Trunk& t) { t.connection.listener->shared->retired = true; },
       {},
       End::close},
  };
  for (const Way& way : ways) {
    SCOPED_TRACE(way.name);
    Trunk trunk(one);
    way.prepare(trunk);
    const Delivered& got = trunk.get("/", way.fields);
    EXPECT_EQ(got.head.status, 200);
    EXPECT_EQ(trunk.end(), way.end);
    EXPECT_EQ(got.head.close, way.end != End::keep);
    EXPECT_EQ(trunk.connector.kept.empty(), trunk.worker.stopping);
  }
}

TEST(Delivery, ABackendConnectionIsKeptOnlyIfItCanServeAgain) {
  struct Way {
    const char* name;
    BackendScript script;
    bool kept;
  };
  const Way ways[] = {
      {"as usual", {}, true},
      {"it closes", {.keep_alive = false}, false},
      {"it will close at once", {.idle_promise = 0s}, false},
      {"it promises five seconds", {.idle_promise = 5s}, true},
      {"a response came before the request", {.when = When::at_once, .resets_after = 2}, false},
  };
  for (const Way& way : ways) {
    SCOPED_TRACE(way.name);
    Trunk trunk(one);
    trunk.connector.script("a", way.script);
    trunk.request("PUT", "/", {{"Content-Length", "5"}}, "hello");
    EXPECT_EQ(trunk.delivered().head.status, 200);
    EXPECT_EQ(!trunk.connector.kept.empty(), way.kept);
  }
}

TEST(Delivery, ATruncatedBodyIsAborted) {
  for (const bool later : {false, true}) {
    Trunk trunk(one);
    trunk.connector.script(
        "a", {.body = "0123456789", .breaks_after = 6, .stalls_after = later ? 3 : ~std::size_t{0}});
    trunk.start("GET", "/");
    EXPECT_EQ(trunk.done(), !later);
    trunk.backend.go();
    trunk.settle();
    ASSERT_TRUE(trunk.done());
    EXPECT_EQ(trunk.delivered().body, "012345");
    EXPECT_FALSE(trunk.delivered().complete);
    EXPECT_TRUE(trunk.delivered().aborted);
    EXPECT_EQ(trunk.end(), End::close);
    EXPECT_TRUE(trunk.connector.kept.empty());
  }
}

/// Another connection's work, again and again: notes how far the request has come each time.
void note_progress(Trunk& trunk, std::vector<std::size_t>& seen, int times) {
  const std::size_t sent = trunk.connector.requests.empty() ? 0 : trunk.connector.requests.back().body.size();
  seen.push_back(sent + trunk.delivered().body.size());
  if (times > 0)
    asio::post(trunk.worker.loop.ctx, [&trunk, &seen, times] { note_progress(trunk, seen, times - 1); });
}

TEST(Delivery, ALongBodyLetsOthersRun) {
  for (const char* yaml : {one, in_urls})
    for (const bool upload : {true, false}) {
      Trunk trunk(yaml);
      const std::string body(100, 'x');
      trunk.connector.script("a", {.head = "200 OK\r\nContent-Type: text/html\r\nContent-Length: 100\r\n",
                                   .body = body,
                                   .piece = upload ? 100U : 2U});
      trunk.client.set_piece(upload ? 2 : 100);
      std::vector<std::size_t> seen;
      note_progress(trunk, seen, 20);
      trunk.start("PUT", "/", {{"Content-Length", "100"}}, body);
      ASSERT_TRUE(trunk.done());
      EXPECT_EQ(trunk.delivered().body.size(), 100U);
      EXPECT_EQ(trunk.connector.requests.back().body.size(), 100U);
      const std::size_t from = upload ? 0 : 100;
      const auto between = [&](std::size_t n) { return n > from && n < from + 100; };
      EXPECT_GT(std::count_if(seen.begin(), seen.end(), between), 1);
    }
}

TEST(Delivery, AClientThatStopsReadingBoundsWhatIsTakenFromTheBackend) {
  Trunk trunk(one);
  trunk.connector.script("a", {.body = "0123456789"});
  trunk.client.shut_window(4);
  trunk.start("GET", "/");
  EXPECT_EQ(trunk.delivered().body, "0123");
  trunk.advance(20s);
  EXPECT_FALSE(trunk.done()) << "the backend's read timeout does not run while the client does not read";
  trunk.client.open_window();
  trunk.settle();
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(trunk.delivered().body, "0123456789");
}

// Rewritten bodies ----------------------------------------------------------------------------------

const std::string page =
    "<html><body><a href=\"/next\">next</a> and <a href=\"/last\">last</a></body></html>";

BackendScript html(std::size_t stalls_after = ~std::size_t{0}, std::size_t breaks_after = ~std::size_t{0}) {
  return {
      .head = "200 OK\r\nContent-Type: text/html\r\nContent-Length: " + std::to_string(page.size()) + "\r\n",
      .body = page,
      .breaks_after = breaks_after,
      .stalls_after = stalls_after};
}

TEST(Rewriting, PutsTheTokenIntoLinksHoweverThePageComes) {
  std::string whole;
  for (const std::size_t stall : {~std::size_t{0}, std::size_t{20}, std::size_t{0}}) {
    Trunk trunk(in_urls);
    trunk.connector.script("a", html(stall));
    trunk.client.shut_window(stall == 20 ? 7 : 1'000'000);
    trunk.start("GET", "/");
    for (int i = 0; i < 100 && !trunk.done(); ++i) {
      trunk.backend.go();
      trunk.client.open_window(13);
      trunk.settle();
    }
    ASSERT_TRUE(trunk.done());
    const Delivered& got = trunk.delivered();
    EXPECT_TRUE(got.complete);
    EXPECT_NE(got.body.find("/next;rsid="), std::string::npos);
    EXPECT_NE(got.body.find("/last;rsid="), std::string::npos);
    EXPECT_TRUE(got.body.ends_with("</html>"));
    if (whole.empty()) whole = got.body;
    EXPECT_EQ(got.body.size(), whole.size());
    EXPECT_EQ(trunk.end(), End::keep);
  }
}

TEST(Rewriting, APageThatBreaksIsAborted) {
  Trunk trunk(in_urls);
  trunk.connector.script("a", html(~std::size_t{0}, 30));
  const Delivered& got = trunk.get("/");
  EXPECT_TRUE(got.aborted);
  EXPECT_FALSE(got.complete);
}

TEST(Rewriting, AClientThatLeavesEndsIt) {
  Trunk trunk(in_urls);
  trunk.connector.script("a", html(20));
  trunk.start("GET", "/");
  EXPECT_FALSE(trunk.done());
  trunk.client.reset();
  trunk.settle();
  ASSERT_TRUE(trunk.done());
  EXPECT_TRUE(trunk.delivered().aborted);
  EXPECT_TRUE(trunk.holds_nothing());
}

}  // namespace
}  // namespace remora::test

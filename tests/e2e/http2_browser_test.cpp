// HTTP/2 with a real browser: sessions of a page with many resources, and WebSockets (RFC 8441).

#include <gtest/gtest.h>

#include "support/browser_window.h"
#include "support/real_site.h"

namespace remora::test {
namespace {

class Http2Browser : public testing::Test {
 protected:
  ~Http2Browser() override { std::filesystem::remove_all(folder_); }
  std::string url(const std::string& path) const {
    return "https://localhost:" + std::to_string(remora_.port()) + path;
  }
  /// The route /first leads to a pool without sessions.
  std::string config() const {
    const std::string app = a_.entry() + ", " + b_.entry() + ", " + c_.entry();
    return "state_dir: none\nkeys: [{env: REMORA_TEST_KEY}]\nadmin: off\nworkers: 2\nlog: {access: off}\n"
           "listeners:\n  - {name: web, bind: \"127.0.0.1:0\", tls: {certificates: [" +
           make_certificate(folder_, "localhost") +
           "]}}\n"
           "routes: [{path: /first, pool: first, strip_prefix: /first}, {path: /h2, pool: h2}, {path: /, "
           "pool: app}]\n"
           "pools:\n  app: {affinity: cookie, backends: [" +
           app + "]}\n  first: {backends: [" + a_.entry() + "]}\n  h2: {protocol: h2, backends: [" +
           d_.entry() + "]}\n";
  }
  /// Opens a page and waits for its scripts. Returns the names of those who served them, each once.
  std::string open(const std::string& path) {
    window_.open(url(path));
    EXPECT_TRUE(eventually([&] { return window_.text("served.length") == "100"; }))
        << window_.text("served.length") << window_.text("document.documentElement.outerHTML").substr(0, 300);
    return window_.text("[...new Set(served)].join()");
  }
  /// How many of the page's resources came by another protocol.
  std::string by_others() {
    return window_.text(
        "performance.getEntries().filter(e => e.nextHopProtocol !== undefined && e.nextHopProtocol !== 'h2')"
        ".length");
  }
  /// How many resources did not use the connection of their page. (A browser may open more beforehand.)
  std::string connected_anew() {
    return window_.text(
        "performance.getEntriesByType('resource').filter(e => e.connectEnd > e.connectStart).length");
  }
  /// What a WebSocket to this path hears in response to "who" and "hello".
  std::string talk(const std::string& path) {
    window_.run("window.heard = []; const s = new WebSocket('" + url(path).replace(0, 5, "wss") +
                "'); s.onopen = () => { s.send('who'); s.send('hello'); };"
                "s.onmessage = (m) => { heard.push(m.data); if (m.data === 'hello') s.close(1000); };"
                "s.onerror = () => heard.push('error'); s.onclose = (e) => heard.push(e.code);");
    EXPECT_TRUE(eventually(
        [&] { return window_.text("heard.length > 0 && Number.isInteger(heard.at(-1))") == "true"; }));
    return window_.text("heard.join()");
  }
  double connections() const { return remora_.metric("remora_http2_connections_total{listener=\"web\"}"); }

  const std::string folder_ = make_folder();
  NodeSite a_{"a", "http1"}, b_{"b", "http1"}, c_{"c", "http1"}, d_{"d", "h2c"};
  Remora remora_{config()};
  Window window_;
};

TEST_F(Http2Browser, APageAndItsResourcesAreOneSessionOnOneConnection) {
  const std::string served = open("/page");
  EXPECT_EQ(served.size(), 1U) << served;
  EXPECT_EQ(window_.text("document.title"), served);
  EXPECT_EQ(by_others(), "0");
  EXPECT_EQ(connected_anew(), "0");
  EXPECT_EQ(remora_.metric("remora_session_requests_total{pool=\"app\",reason=\"new\"}"), 1);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(open("/page"), served) << "a later visit";
}

// The page itself begins no session, so its resources are the first requests, and come at the same time.
TEST_F(Http2Browser, ParallelFirstRequestsShareABackend) {
  const std::string served = open("/first/page");
  EXPECT_EQ(served.size(), 1U) << served;
  EXPECT_EQ(by_others(), "0");
  EXPECT_EQ(connected_anew(), "0");
  EXPECT_EQ(open("/first/page"), served) << "a later visit";
}

TEST_F(Http2Browser, WebSocketsPassOverTheSameConnection) {
  const std::string served = open("/page");
  const double before = connections();
  EXPECT_EQ(talk("/chat"), served + " 1.1 2.0 remora,hello,1000");
  EXPECT_EQ(talk("/h2/chat"), "d 2.0 2.0 remora,hello,1000");
  EXPECT_EQ(connections(), before);
}

}  // namespace
}  // namespace remora::test

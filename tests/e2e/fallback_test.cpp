// The fallback of a pool, with real processes and both protocols.

#include <gtest/gtest.h>

#include <fstream>
#include <memory>

#include "support/http2_peer.h"
#include "support/process.h"
#include "support/site.h"

namespace remora::test {
namespace {

Origin::Script named(const std::string& name) {
  return answering([name](const std::string& head, const std::string&) {
    return ok(name, "X-Backend: " + name + "\r\nX-Session: " + field_of(head, "Remora-Session") +
                        "\r\nX-Cookie: " + field_of(head, "Cookie") + "\r\n");
  });
}

/// Pools app and spare. `app`, `spare`: their settings.
std::string config(const std::string& app, const std::string& spare, const std::string& routes = "") {
  return with_admin(
      "state_dir: none\nkeys: [{env: REMORA_TEST_KEY}]\nadmin: off\nworkers: 2\nlisteners: "
      "[{bind: 127.0.0.1:0, h2c: on}]\npools:\n  app: {affinity: cookie, " +
      app + "}\n  spare: {affinity: cookie, " + spare + "}\nroutes: [" +
      (routes.empty() ? "{path: /, pool: app}" : routes) + "]\n");
}
std::string backend(const std::string& id, const Origin& origin) {
  return "backends: [{id: " + id + ", address: " + origin.address() + "}]";
}

TEST(Fallback, AnotherPoolServesWhileNobodyIsInService) {
  Origin a(named("a")), b(named("b"));
  Remora remora(config("fallback: spare, " + backend("a", a), backend("b", b)));
  Browser jar = begin_at(remora.port(), "a");
  const std::string id = announced(jar.ask(remora)).id;
  remora.wish("a", "maint");
  for (int i = 0; i < 5; ++i) {
    const Reply r = jar.ask(remora);
    EXPECT_EQ(r.field("X-Backend"), "b");
    EXPECT_EQ(r.field("X-Cookie"), "");
  }
  EXPECT_TRUE(jar.cookies.contains("remora-app") && jar.cookies.contains("remora-spare"));
  EXPECT_EQ(remora.metric("remora_fallback_total{pool=\"app\"}"), 5);
  EXPECT_NE(remora.command({"status"}).output.find("pool app: nobody is in service; its fallback serves"),
            std::string::npos);
  const Ran said = remora.command({"explain", "http://x/"});
  EXPECT_NE(said.output.find("fallback: nobody of app is in service"), std::string::npos) << said.output;
  EXPECT_NE(said.output.find("backend: b"), std::string::npos) << said.output;
  Http2Client client(remora.port());
  EXPECT_EQ(client.get("/").field("x-backend"), "b");
  remora.wish("a", "ready");
  const Reply back = jar.ask(remora);
  EXPECT_EQ(back.field("X-Backend"), "a");
  EXPECT_EQ(announced(back).id, id);
  EXPECT_EQ(announced(back).epoch, 1);
  EXPECT_EQ(announced(back).reason, "sticky");
}

TEST(Fallback, ServesTheFirstRequestAfterADeathToo) {
  auto a = std::make_unique<Origin>(named("a"));
  Origin b(named("b"));
  Remora remora(config("fallback: spare, " + backend("a", *a), backend("b", b)));
  Browser jar = begin_at(remora.port(), "a");
  a.reset();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(jar.ask(remora).field("X-Backend"), "b");
}

TEST(Fallback, APageComesFromAFileByEitherProtocol) {
  Origin b(named("b"));
  const std::string folder = make_folder(), path = folder + "/sorry.html";
  const std::string page = "<h1>back soon</h1>" + std::string(100'000, ' ') + "\n";
  std::ofstream(path) << page;
  const std::string dead = "backends: [127.0.0.1:" + std::to_string(free_port()) + "]";
  const auto yaml = [&](const std::string& more) {
    return config("fallback: {body: {file: " + path + "}, content_type: text/html" + more + "}, " + dead,
                  backend("b", b), "{path: /, pool: app}, {path: /spare, pool: spare}");
  };
  Remora remora(yaml(""));
  const Reply r = remora.ask(get("/"));
  EXPECT_EQ(r.status, 503);
  EXPECT_EQ(r.body, page);
  EXPECT_EQ(r.field("Content-Type"), "text/html");
  EXPECT_EQ(r.field("Retry-After"), "1");
  Http2Client client(remora.port());
  const Http2Peer::Response by_http2 = client.get("/");
  EXPECT_EQ(by_http2.status, 503);
  EXPECT_EQ(by_http2.body, page);
  EXPECT_EQ(remora.ask(get("/spare")).field("X-Backend"), "b");
  std::ofstream(path) << "another";
  ASSERT_TRUE(remora.reload(yaml(", status: 500, retry_after: 2m")));
  const Reply other = remora.ask(get("/"));
  EXPECT_EQ(other.status, 500);
  EXPECT_EQ(other.body, "another");
  EXPECT_EQ(other.field("Retry-After"), "120");
}

TEST(Fallback, ComesAfterTheOtherPoolsOfASplit) {
  Origin a(named("a")), b(named("b"));
  Remora remora(config("fallback: {status: 502, body: nobody}, " + backend("a", a), backend("b", b),
                       "{path: /, split: {app: 1, spare: 1}}"));
  Browser jar = begin_at(remora.port(), "a");
  remora.wish("a", "maint");
  EXPECT_EQ(jar.ask(remora).field("X-Backend"), "b");
  EXPECT_EQ(remora.ask(get("/")).field("X-Backend"), "b");
}

TEST(Fallback, ACircleIsRefusedWithItsPlace) {
  const std::string path = make_folder() + "/remora.yaml";
  std::ofstream(path) << "listeners: [127.0.0.1:0]\nroutes: [{path: /, pool: a}]\npools:\n"
                         "  a: {backends: [127.0.0.1:1], fallback: b}\n"
                         "  b: {backends: [127.0.0.1:2], fallback: a}\n";
  const Ran ran = run_binary({"check", "-c", path});
  EXPECT_NE(ran.code, 0);
  EXPECT_NE(ran.output.find(":4:42: pools.a.fallback: leads back to itself: a -> b -> a"), std::string::npos)
      << ran.output;
}

}  // namespace
}  // namespace remora::test

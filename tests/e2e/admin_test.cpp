// The admin API, the commands over it, draining, and what two operators or a stranger can do to them.

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <future>

#include "support/site.h"

namespace remora::test {
namespace {

namespace json = boost::json;

json::value parsed(const Reply& reply) {
  boost::system::error_code ec;
  json::value v = json::parse(reply.body, ec);
  EXPECT_FALSE(ec) << reply.head << reply.body;
  return v;
}

std::string backend_path(const std::string& id) {
  return "/api/v1/pools/app/backends/" + id;
}

json::object backend(const Remora& remora, const std::string& id) {
  return parsed(remora.api("GET", backend_path(id))).as_object();
}

/// A session on this backend.
Browser on(int port, const std::string& name, const std::string& target = "/") {
  for (int i = 0; i < 200; ++i) {
    auto [browser, home] = begin(port, target);
    if (home == name) return browser;
  }
  ADD_FAILURE() << "no session begins on " << name;
  return {};
}

TEST(Api, ShowsPoolsBackendsAndTheirThreeFacts) {
  Site site(2);
  Remora remora(with_admin(site.config("affinity: cookie\n")));
  for (int i = 0; i < 10; ++i) begin(remora.port());
  ASSERT_TRUE(eventually([&] {
    return backend(remora, "a").at("attempts").as_int64() + backend(remora, "b").at("attempts").as_int64() ==
           10;
  }));
  const auto all = parsed(remora.api("GET", "/api/v1/pools")).as_object();
  EXPECT_TRUE(all.at("ready").as_bool());
  const auto& pool = all.at("pools").as_array().at(0).as_object();
  EXPECT_EQ(pool.at("name").as_string(), "app");
  EXPECT_EQ(pool.at("sessions").as_int64(), 10);
  const json::object a = backend(remora, "a");
  EXPECT_EQ(a.at("admin").as_string(), "ready");
  EXPECT_EQ(a.at("health").as_string(), "unknown");
  EXPECT_EQ(a.at("ejected").as_string(), "no");
  EXPECT_FALSE(a.at("complete").as_bool());  // it has not run for an idle timeout
  EXPECT_EQ(parsed(remora.api("GET", "/api/v1/pools/app")).as_object().at("backends").as_array().size(), 2U);
}

TEST(Api, RefusesWithOneSentenceThatSaysWhatToDo) {
  Site site(1);
  Remora remora(with_admin(site.config("affinity: cookie\n")));
  struct Row {
    std::string method, target, body, fields;
    int status;
    const char* wanted;
  };
  const std::string a = backend_path("a");
  for (const Row& row : std::vector<Row>{
           {"GET", "/api/v1/pools/none", "", "", 404, "there is no pool 'none'; pools: app"},
           {"GET", "/api/v1/pools/%ff%00", "", "", 404, "there is no pool '?"},
           {"GET", backend_path("z"), "", "", 404, "has no backend 'z'; it has: a"},
           {"GET", "/api/v1/nothing", "", "", 404, "there are pools, sessions"},
           {"GET", "/nothing", "", "", 404, "the API is under /api/v1/"},
           {"DELETE", a, "", "", 405, "only GET, PATCH here"},
           {"GET", "/api/v1/reload", "", "", 405, "only POST here"},
           {"PATCH", a, "{\"admin\":\"drain\"}", "Content-Type: text/plain\r\n", 415, "application/json"},
           {"PATCH", a, "", "", 400, "needs \\\"admin\\\""},
           {"PATCH", a, "nonsense", "", 400, "the body is no JSON"},
           {"PATCH", a, "[]", "", 400, "must be a JSON object"},
           {"PATCH", a, "{\"admin\":\"away\"}", "", 400, "needs \\\"admin\\\""},
           {"PATCH", a, "{\"admin\":\"drain\",\"x\":1}", "", 400, "unknown key 'x'"},
           {"PATCH", a, "{\"admin\":\"drain\",\"deadline\":5}", "", 400, "must be a duration"},
           {"PATCH", a, "{\"admin\":\"ready\",\"deadline\":\"5s\"}", "", 400, "only a drain has a deadline"},
           {"PATCH", a, std::string(20, '[') + std::string(20, ']'), "", 400, "the body is no JSON"},
           {"POST", "/api/v1/explain", "{\"client\":\"nobody\"}", "", 400, "must be an IP address"},
           {"POST", "/api/v1/explain", "{\"headers\":{\"a\":1}}", "", 400, "must be text"},
           {"PATCH", a, std::string(70000, ' '), "", 413, "this is no HTTP request"},
       }) {
    const Reply r = remora.api(row.method, row.target, row.body, row.fields);
    EXPECT_EQ(r.status, row.status) << row.method << " " << row.target << " " << r.body;
    EXPECT_NE(r.body.find(row.wanted), std::string::npos) << r.body;
    parsed(r);
  }
  EXPECT_EQ(backend(remora, "a").at("admin").as_string(), "ready");
}

TEST(Api, ForeignNamesAndFormsOfWebPagesCannotReachIt) {
  Site site(1);
  Remora remora(with_admin(site.config("affinity: cookie\n")));
  const auto as = [&](const std::string& host) {
    return ask(remora.admin_port(),
               "GET /api/v1/pools HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n")
        .status;
  };
  EXPECT_EQ(as("localhost"), 200);
  EXPECT_EQ(as("127.0.0.1:9900"), 200);
  EXPECT_EQ(as("[::1]:9900"), 200);
  EXPECT_EQ(as("evil.example"), 403);  // DNS rebinding
  EXPECT_EQ(as("localhost.evil.example"), 403);
  // A form of another site can be posted across origins, but only with these types.
  for (const char* type : {"application/x-www-form-urlencoded", "text/plain", "multipart/form-data"})
    EXPECT_EQ(remora
                  .api("PATCH", backend_path("a"), "{\"admin\":\"maint\"}",
                       "Content-Type: " + std::string(type) + "\r\n")
                  .status,
              415);
  EXPECT_EQ(backend(remora, "a").at("admin").as_string(), "ready");
}

TEST(Api, ReadOnlyRefusesEveryChange) {
  Site site(1);
  std::string config = site.config("affinity: cookie\n");
  config.replace(config.find("admin: off"), 10, "admin: {bind: \"127.0.0.1:0\", read_only: on}");
  Remora remora(config);
  EXPECT_EQ(remora.api("PATCH", backend_path("a"), "{\"admin\":\"drain\"}").status, 403);
  EXPECT_EQ(remora.api("POST", "/api/v1/reload", "{}").status, 403);
  EXPECT_EQ(remora.api("GET", "/api/v1/pools").status, 200);
}

TEST(Api, NonsenseAndHeldConnectionsLeaveItAnswering) {
  Site site(1);
  Remora remora(with_admin(site.config("affinity: cookie\n")));
  std::vector<Socket> held;
  for (int i = 0; i < 40; ++i) {
    held.push_back(Socket::connect(remora.admin_port()));
    held.back().send(i % 2 == 0 ? "GET /api/v1/pools HTTP/1.1\r\nHost: loc" : "");
  }
  for (const std::string& nonsense :
       {bytes("\0\0\0\0\r\n\r\n"), std::string("GET\r\n\r\n"), std::string(20000, 'A') + "\r\n\r\n"}) {
    Socket s = Socket::connect(remora.admin_port());
    s.send(nonsense);
    EXPECT_EQ(s.receive_reply().status, 400);
  }
  EXPECT_EQ(remora.api("GET", "/healthz").status, 200);
  EXPECT_EQ(remora.ask(get("/")).status, 200);
}

TEST(Api, ShowsTheConfigurationWithSecretsMasked) {
  Site site(1);
  // The second password held what ended the search for it in the text.
  Remora remora(with_admin(site.config(
      "affinity: cookie\nhealth: {probe: {path: \"/up?token=hunter2\", interval: 1h}}\n"
      "headers: {set: {Authorization: Basic hunter2, X-Shown: here, X-Variable: \"${PATH}\"}}\n",
      "# see redis://joe:hunter2@db/0\n"
      "store: {kind: redis, timeout: 10ms, index_key: {env: REMORA_TEST_KEY}, redis: {mode: cluster, nodes: "
      "[\"redis://joe:hunter2@127.0.0.1:1\", \"redis://:se/, ']}hunter2@2@127.0.0.1:1\"]}}\n")));
  const auto config = parsed(remora.api("GET", "/api/v1/config")).as_object();
  const std::string text(config.at("text").as_string());
  EXPECT_NE(text.find("redis://***@127.0.0.1:1"), std::string::npos) << text;
  EXPECT_NE(text.find("X-Shown: here"), std::string::npos) << text;
  EXPECT_NE(text.find("${PATH}"), std::string::npos) << text;
  EXPECT_EQ(text.find("hunter2"), std::string::npos);
  EXPECT_NE(remora.api("GET", "/metrics")
                .body.find("remora_config_info{hash=\"" + std::string(config.at("hash").as_string())),
            std::string::npos);
}

TEST(Api, ExplainsWhereARequestWouldGo) {
  Site site(2);
  Remora remora(with_admin(site.config("affinity: cookie\n")));
  const Browser browser = on(remora.port(), "b");
  const std::string cookie = "remora-app=" + browser.cookies.at("remora-app");
  const Ran ran =
      remora.command({"explain", "curl", "-s", "-H", "Cookie: " + cookie, "http://shop.test/cart"});
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_NE(ran.output.find("=> app/b"), std::string::npos) << ran.output;
  EXPECT_NE(ran.output.find("it stays"), std::string::npos) << ran.output;
  const Ran log =
      remora.command({"explain", "--log", "127.0.0.1 - - [x] \"GET /cart HTTP/1.1\" 200 5 \"-\" \"-\""});
  EXPECT_EQ(log.code, 0) << log.output;
  EXPECT_NE(log.output.find("no session: absent"), std::string::npos) << log.output;
  EXPECT_EQ(remora.command({"explain", "--nonsense", "/"}).code, 2);
}

TEST(Api, TellsOfChangesAsTheyHappen) {
  Site site(2);
  Remora remora(with_admin(site.config("affinity: cookie\n")));
  Socket events = Socket::connect(remora.admin_port());
  events.send("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_NE(events.receive_head().find("text/event-stream"), std::string::npos);
  events.receive_until(": remora\n\n");
  remora.api("PATCH", backend_path("a"), "{\"admin\":\"drain\"}");
  const std::string event = events.receive_until("\n\n");
  EXPECT_NE(event.find("event: backend\n"), std::string::npos) << event;
  EXPECT_NE(event.find("\"admin\":\"drain\""), std::string::npos) << event;
  // Who was away hears what was missed.
  Socket again = Socket::connect(remora.admin_port());
  remora.api("PATCH", backend_path("a"), "{\"admin\":\"ready\"}");
  again.send("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 1\r\n\r\n");
  again.receive_head();
  again.receive_until(": remora\n\n");
  EXPECT_NE(again.receive_until("\n\n").find("\"admin\":\"ready\""), std::string::npos);
}

TEST(Commands, StatusSessionsAndMetricsAgree) {
  Site site(2);
  Remora remora(with_admin(site.config("affinity: {kind: app_cookie, name: SID}\n")));
  for (int i = 0; i < 6; ++i) on(remora.port(), i % 2 == 0 ? "a" : "b", "/login");
  const Ran status = remora.command({"status"});
  EXPECT_EQ(status.code, 0);
  EXPECT_NE(status.output.find("POOL"), std::string::npos);
  EXPECT_NE(status.output.find("app   a"), std::string::npos) << status.output;
  const auto answer = parsed(remora.api("GET", "/api/v1/sessions")).as_object();
  std::int64_t learned = 0;
  for (const auto& b : answer.at("pools").as_array().at(0).as_object().at("backends").as_array())
    learned += b.as_object().at("learned").as_int64();
  EXPECT_GE(learned, 6);
  EXPECT_NE(remora.api("GET", "/metrics")
                .body.find("remora_backend_answers_total{pool=\"app\",backend=\"a\",code=\"2xx\"}"),
            std::string::npos);
  EXPECT_EQ(remora.command({"sessions"}).code, 0);
  EXPECT_EQ(json::parse(remora.command({"status", "--json"}).output).as_object().at("ready").as_bool(), true);
}

class OneSession : public ::testing::TestWithParam<const char*> {};

TEST_P(OneSession, IsSeenMovedAndEndedByItsId) {
  Site site(3);
  Remora remora(with_admin(site.config("affinity: " + std::string(GetParam()) + "\n")));
  Browser browser = on(remora.port(), "a", "/login");
  const Announced session = announced(browser.get(remora.port()));
  const Ran shown = remora.command({"session", session.id});
  EXPECT_EQ(shown.code, 0) << shown.output;
  EXPECT_NE(shown.output.find("active"), std::string::npos) << shown.output;
  EXPECT_NE(shown.output.find("app/a"), std::string::npos) << shown.output;
  EXPECT_NE(remora.command({"sessions", "--backend", "app/a"}).output.find(session.id), std::string::npos);

  EXPECT_EQ(remora.command({"session", session.id, "move", "--to", "c"}).code, 0);
  Reply reply = browser.get(remora.port());
  EXPECT_EQ(reply.field("X-Backend"), "c");
  EXPECT_EQ(announced(reply).id, session.id);
  EXPECT_EQ(announced(reply).epoch, 2U);
  EXPECT_EQ(remora.command({"session", session.id, "move"}).code, 0);
  EXPECT_NE(browser.get(remora.port()).field("X-Backend"), "c");

  EXPECT_EQ(remora.command({"session", session.id, "end"}).code, 0);
  reply = browser.get(remora.port());
  EXPECT_NE(announced(reply).id, session.id);
  EXPECT_NE(remora.command({"session", session.id}).output.find("ended"), std::string::npos);
  EXPECT_EQ(remora.command({"session", session.id, "move"}).code, 1) << "it is over";
}

INSTANTIATE_TEST_SUITE_P(Kinds, OneSession,
                         ::testing::Values("cookie", "{kind: app_cookie, name: SID}",
                                           "{kind: app_cookie, name: SID, carry: token}"));

TEST(Commands, AboutASessionSayWhatIsWrong) {
  Site site(2);
  Remora remora(with_admin(site.config("affinity: cookie\n")));
  const std::string nobody(32, '0');
  EXPECT_NE(remora.command({"session", nobody}).output.find("has not seen"), std::string::npos);
  EXPECT_EQ(remora.command({"session", nobody}).code, 1);
  EXPECT_EQ(remora.command({"session", "nonsense"}).code, 1);
  EXPECT_EQ(remora.command({"session", nobody, "move", "--to", "z"}).code, 1);
  EXPECT_EQ(remora.command({"session", nobody, "stop"}).code, 2);
  EXPECT_EQ(remora.command({"session"}).code, 2);
  EXPECT_EQ(remora.command({"sessions", "--backend", "app/z"}).code, 1);
  EXPECT_EQ(remora.api("PATCH", "/api/v1/sessions/" + nobody, "{}").status, 400);
  EXPECT_EQ(remora.api("POST", "/api/v1/sessions/" + nobody, "{}").status, 405);
}

TEST(Commands, SayWhatIsWrongInOneLine) {
  const std::string nobody = "127.0.0.1:" + std::to_string(1);
  const Ran ran = run_binary({"status", "--admin", nobody});
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.output.find("no answer from " + nobody), std::string::npos) << ran.output;
  EXPECT_EQ(run_binary({"status", "--admin", "nonsense"}).code, 2);
  EXPECT_EQ(run_binary({"drain", "nonsense"}).code, 2);
  Site site(1);
  Remora remora(with_admin(site.config("affinity: cookie\n")));
  EXPECT_EQ(remora.command({"drain", "app/z"}).code, 1);
  EXPECT_EQ(remora.command({"drain", "app/a", "--deadline", "soon"}).code, 2);
}

TEST(Commands, GiveTheTokenOfAFileOrOfTheEnvironment) {
  Origin a(answering([](const std::string&, const std::string&) { return ok("a"); }));
  Remora remora(
      "state_dir: none\nadmin: {bind: 127.0.0.1:0, token: {env: REMORA_TEST_KEY}}\nlisteners: "
      "[127.0.0.1:0]\npools: {app: {backends: [" +
      a.address() + "]}}\n");
  const Ran without = remora.command({"status"});
  EXPECT_EQ(without.code, 1);
  EXPECT_NE(without.output.find("wants a token"), std::string::npos) << without.output;
  const std::string file = remora.folder() + "/token";
  std::ofstream(file) << std::getenv("REMORA_TEST_KEY") << "\n";
  EXPECT_EQ(remora.command({"status", "--token-file", file}).code, 0);
  EXPECT_EQ(remora.command({"healthcheck"}).code, 0);
}

TEST(Metrics, EachStandsInTheManual) {
  Site site(1);
  Remora remora(with_admin(site.config("affinity: cookie\n")));
  std::ifstream in(std::string(REMORA_SOURCE_DIR) + "/docs/operating.md");
  const std::string manual(std::istreambuf_iterator<char>(in), {});
  std::istringstream lines(remora.api("GET", "/metrics").body);
  int families = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("# HELP ", 0) != 0) continue;
    const std::string name = line.substr(7, line.find(' ', 7) - 7);
    ++families;
    EXPECT_NE(manual.find("`" + name + "`"), std::string::npos) << name;
  }
  EXPECT_GT(families, 15);
}

// Draining ------------------------------------------------------------------------------------------

TEST(Drain, KeepsSessionsBeginsNoneAndReturnsWithTheLastLogout) {
  Site site(2);
  Remora remora(
      with_admin(site.config("affinity: {kind: app_cookie, name: SID}\nsession: {idle_timeout: 2s}\n")));
  std::this_thread::sleep_for(2300ms);  // from now on the counts are complete
  Browser bound = on(remora.port(), "a", "/login");
  auto waiting = std::async(std::launch::async, [&] { return remora.command({"drain", "app/a", "--wait"}); });
  ASSERT_TRUE(eventually([&] { return backend(remora, "a").at("admin").as_string() == "drain"; }));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(begin(remora.port(), "/login").second, "b");
  for (int i = 0; i < 10; ++i) {  // longer than the idle timeout: it stays because it is used
    EXPECT_EQ(bound.get(remora.port()).field("X-Backend"), "a");
    std::this_thread::sleep_for(250ms);
  }
  EXPECT_EQ(waiting.wait_for(0ms), std::future_status::timeout);
  bound.get(remora.port(), "/logout");
  const auto begun = std::chrono::steady_clock::now();
  const Ran ran = waiting.get();
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_NE(ran.output.find("app/a is empty"), std::string::npos) << ran.output;
  const auto took = std::chrono::steady_clock::now() - begun;
  std::printf("drain --wait returned %lld ms after the last logout\n",
              static_cast<long long>(std::chrono::duration_cast<std::chrono::milliseconds>(took).count()));
}

TEST(Drain, AProgramThatWaitsGetsOneJsonObjectAndNothingElse) {
  Site site(2);
  const Remora remora(with_admin(site.config("")));
  const Ran ran = remora.command({"drain", "app/a", "--wait", "--json"});
  EXPECT_EQ(ran.code, 0) << ran.output;
  boost::system::error_code ec;
  const json::value end = json::parse(ran.output, ec);
  ASSERT_FALSE(ec) << ran.output;
  EXPECT_EQ(end.as_object().at("result").as_string(), "empty");
  EXPECT_EQ(end.as_object().at("admin").as_string(), "drain");
  EXPECT_EQ(end.as_object().at("sessions_left").as_int64(), 0);
}

TEST(Drain, AProgramHearsOfTheDeadlineInJson) {
  Site site(2);
  const Remora remora(with_admin(site.config("affinity: {kind: app_cookie, name: SID}\n")));
  on(remora.port(), "a", "/login");
  const Ran ran = remora.command({"drain", "app/a", "--wait", "--json", "--deadline", "200ms"});
  EXPECT_EQ(ran.code, 3) << ran.output;
  boost::system::error_code ec;
  const json::value end = json::parse(ran.output, ec);
  ASSERT_FALSE(ec) << ran.output;
  EXPECT_EQ(end.as_object().at("result").as_string(), "deadline_passed");
  EXPECT_EQ(end.as_object().at("sessions_left").as_int64(), 1);
}

// A drain went to another instance than the one that was named: the environment beat the flag.
TEST(Commands, TheFlagBeatsTheEnvironmentWhichBeatsTheFile) {
  Site site(1);
  const Remora named(with_admin(site.config(""))), other(with_admin(site.config("")));
  const auto address = [](const Remora& r) { return "127.0.0.1:" + std::to_string(r.admin_port()); };
  const std::string file = named.folder() + "/found.yaml";
  const auto drained = [](const Remora& r) { return backend(r, "a").at("admin").as_string() == "drain"; };
  ::setenv("REMORA_ADMIN", address(other).c_str(), 1);
  EXPECT_EQ(run_binary({"drain", "app/a", "--admin", address(named)}).code, 0);
  EXPECT_TRUE(drained(named));
  EXPECT_FALSE(drained(other));
  named.wish("a", "ready");
  std::ofstream(file) << "admin: " << address(named) << "\n";
  EXPECT_EQ(run_binary({"drain", "app/a", "--config", file}).code, 0) << "a flag too";
  EXPECT_TRUE(drained(named));
  named.wish("a", "ready");
  EXPECT_EQ(run_binary({"drain", "app/a"}).code, 0);
  EXPECT_FALSE(drained(named));
  EXPECT_TRUE(drained(other));
  ::setenv("REMORA_ADMIN", (address(named) + ", " + address(other)).c_str(), 1);  // several
  EXPECT_EQ(run_binary({"ready", "app/a"}).code, 0);
  EXPECT_FALSE(drained(other));
  ::unsetenv("REMORA_ADMIN");
}

TEST(Drain, PastItsDeadlineSessionsMoveWithTheirReason) {
  Site site(2);
  Remora remora(with_admin(site.config("affinity: cookie\n")));
  Browser bound = on(remora.port(), "a");
  const Ran ran = remora.command({"drain", "app/a", "--deadline", "300ms", "--wait"});
  EXPECT_EQ(ran.code, 3) << ran.output;
  EXPECT_NE(ran.output.find("the deadline has passed"), std::string::npos) << ran.output;
  ASSERT_TRUE(remora.backend_is("a", "deadline_passed", "true"));
  ASSERT_TRUE(eventually([&] { return bound.get(remora.port()).field("X-Backend") == "b"; }));
  EXPECT_EQ(announced(bound.get(remora.port())).epoch, 2);
  const auto moves = parsed(remora.api("GET", "/api/v1/sessions")).as_object().at("moves").as_array();
  ASSERT_EQ(moves.size(), 1U);
  EXPECT_EQ(moves[0].as_object().at("reason").as_string(), "drain");
  EXPECT_EQ(moves[0].as_object().at("from").as_string(), "a");
  EXPECT_EQ(moves[0].as_object().at("to").as_string(), "b");
}

TEST(Drain, PastItsDeadlineWithNobodyElseSessionsStay) {
  Site site(1);
  Remora remora(with_admin(site.config("affinity: cookie\n")));
  Browser bound = on(remora.port(), "a");
  EXPECT_EQ(remora.api("PATCH", backend_path("a"), "{\"admin\":\"drain\",\"deadline\":\"1ms\"}").status, 200);
  ASSERT_TRUE(remora.backend_is("a", "deadline_passed", "true"));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(announced(bound.get(remora.port())).epoch, 1);
}

TEST(Drain, AnotherOperatorsChangeIsSaid) {
  Site site(2);
  Remora remora(with_admin(site.config("affinity: cookie\n")));
  on(remora.port(), "a");
  auto waiting = std::async(std::launch::async, [&] { return remora.command({"drain", "app/a", "--wait"}); });
  ASSERT_TRUE(eventually([&] { return backend(remora, "a").at("admin").as_string() == "drain"; }));
  EXPECT_EQ(remora.command({"ready", "app/a"}).code, 0);
  const Ran ran = waiting.get();
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.output.find("another operator wants ready now"), std::string::npos) << ran.output;
}

TEST(Drain, ATunnelCountsUntilItEnds) {
  Origin echo([](Socket& s) {
    const std::string head = s.receive_head();
    if (head.find("Upgrade") == std::string::npos) return;
    s.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    s.receive_all();
  });
  Remora remora(with_admin(simple_config({"{id: a, address: " + echo.address() + "}"})));
  Socket tunnel = remora.connect();
  tunnel.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  EXPECT_NE(tunnel.receive_head().find(" 101 "), std::string::npos);
  auto waiting = std::async(std::launch::async, [&] { return remora.command({"drain", "app/a", "--wait"}); });
  EXPECT_EQ(waiting.wait_for(700ms), std::future_status::timeout);
  tunnel.close();
  EXPECT_EQ(waiting.get().code, 0);
}

TEST(Wishes, OutliveReloadAndRestartUntilTheFileSaysSomethingNew) {
  Site site(2);
  const std::string state = make_folder();
  std::string config = with_admin(site.config("affinity: cookie\n"));
  config.replace(config.find("state_dir: none"), 15, "state_dir: " + state);
  {
    Remora remora(config);
    EXPECT_EQ(remora.command({"maint", "app/a"}).code, 0);
    EXPECT_TRUE(remora.reload(config + "# a comment\n"));
    EXPECT_EQ(backend(remora, "a").at("admin").as_string(), "maint");
    remora.stop();
  }
  Remora remora(config);
  EXPECT_EQ(backend(remora, "a").at("admin").as_string(), "maint");
  for (int i = 0; i < 10; ++i) EXPECT_EQ(begin(remora.port()).second, "b");
  std::string other = config;
  other.replace(other.find("{id: a, "), 8, "{id: a, admin: drain, ");
  EXPECT_TRUE(remora.reload(other));
  EXPECT_EQ(backend(remora, "a").at("admin").as_string(), "drain");
  EXPECT_EQ(remora.command({"ready", "app/a"}).code, 0);
  EXPECT_EQ(backend(remora, "a").at("admin").as_string(), "ready");  // over the file's drain
  std::filesystem::remove_all(state);
}

TEST(Wishes, AFileThatCannotBeUnderstoodIsIgnored) {
  Site site(1);
  const std::string state = make_folder();
  std::string config = with_admin(site.config("affinity: cookie\n"));
  config.replace(config.find("state_dir: none"), 15, "state_dir: " + state);
  std::ofstream(state + "/wishes.json") << "[{\"pool\":\"app\",\"backend\":\"a\",\"admin\":\"mai";
  Remora remora(config);
  EXPECT_EQ(backend(remora, "a").at("admin").as_string(), "ready");
  std::filesystem::remove_all(state);
}

TEST(Wishes, SeveralInstancesAreSteeredAtOnceAndAddedUp) {
  Site site(2);
  const std::string config = with_admin(site.config("affinity: cookie\n"));
  Remora one(config), two(config);
  on(one.port(), "a");
  on(two.port(), "a");
  const std::vector<std::string> both{"--admin", "127.0.0.1:" + std::to_string(one.admin_port()), "--admin",
                                      "127.0.0.1:" + std::to_string(two.admin_port())};
  std::vector<std::string> drain{"drain", "app/a"}, sessions{"sessions"};
  drain.insert(drain.end(), both.begin(), both.end());
  sessions.insert(sessions.end(), both.begin(), both.end());
  EXPECT_EQ(run_binary(drain).code, 0);
  for (const Remora* r : {&one, &two}) EXPECT_EQ(backend(*r, "a").at("admin").as_string(), "drain");
  const std::string table = run_binary(sessions).output;
  std::istringstream lines(table);
  int on_a = 0;
  for (std::string line; std::getline(lines, line);)
    if (line.rfind("app   a", 0) == 0) on_a = std::atoi(line.substr(15).c_str());
  EXPECT_GE(on_a, 2) << table;
}

TEST(Weight, ZeroKeepsBoundSessionsOnly) {
  Site site(2);
  const std::string config = with_admin(site.config("affinity: cookie\n"));
  Remora remora(config);
  Browser bound = on(remora.port(), "a");
  std::string zero = config;
  zero.replace(zero.find("{id: a, "), 8, "{id: a, weight: 0, ");
  ASSERT_TRUE(remora.reload(zero));
  ASSERT_TRUE(eventually([&] { return begin(remora.port()).second == "b"; }));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(begin(remora.port()).second, "b");
  EXPECT_EQ(bound.get(remora.port()).field("X-Backend"), "a");
}

}  // namespace
}  // namespace remora::test

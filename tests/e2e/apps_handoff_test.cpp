// A real Flask and a real Express app, two instances each, sessions in their memory: one is killed between
// two requests of a hundred users, and nobody is logged out.

#include <gtest/gtest.h>

#include <signal.h>
#include <stdlib.h>
#include <cstdlib>

#include <filesystem>

#include "support/site.h"
#include "support/stores.h"

namespace remora::test {
namespace {

/// Express is Debian's; what Debian has not is beside the apps (`./dev test` installs it).
void find_node_modules() {
  ::setenv("NODE_PATH", REMORA_SOURCE_DIR "/tests/e2e/apps/node_modules:/usr/share/nodejs", 1);
}

/// `./dev test` says so when no registry gave it express-session; everything else runs, and it tells at the
/// end.
bool lacks_express_session() {
  return std::getenv("REMORA_LACKS_NODE_MODULES") != nullptr;
}

struct Framework {
  std::string name;
  std::vector<std::string> command;  // then: name, port, examples
  bool by_call = false;              // then: the session API's socket
};

struct Case {
  Framework framework;
  bool redis;
};

class AppsHandOff : public testing::TestWithParam<Case> {};

TEST_P(AppsHandOff, AHundredUsersOutliveAServer) {
  if (GetParam().framework.name == "ExpressSession" && lacks_express_session())
    GTEST_SKIP() << "no express-session";
  find_node_modules();
  const std::string folder = make_folder();
  struct Instance {
    std::string name;
    int port = free_port();
    std::unique_ptr<Process> process;
  } instances[2];
  std::vector<std::string> backends;
  for (int i = 0; i < 2; ++i) {
    Instance& at = instances[i];
    at.name = "app" + std::to_string(i + 1);
    std::vector<std::string> command = GetParam().framework.command;
    command.insert(command.end(), {at.name, std::to_string(at.port), REMORA_SOURCE_DIR "/config/examples"});
    if (GetParam().framework.by_call) command.push_back(folder + "/api");
    at.process = std::make_unique<Process>(command, folder + "/" + at.name);
    ASSERT_TRUE(at.process->wait_for_port(at.port));
    backends.push_back("{id: " + at.name + ", address: 127.0.0.1:" + std::to_string(at.port) + "}");
  }
  std::unique_ptr<RedisServer> redis;
  std::string store;
  if (GetParam().redis) {
    redis = std::make_unique<RedisServer>();
    store = "store: {kind: redis, index_key: {env: REMORA_TEST_KEY}, redis: {nodes: [\"redis://127.0.0.1:" +
            std::to_string(redis->port()) + "\"]}}\n";
  }
  if (GetParam().framework.by_call) store += "session_api: unix:" + folder + "/api\n";
  const Remora remora(simple_config(backends, "affinity: cookie\nsession: {state: {save: sync}}\n", "",
                                    store + "log: {access: off}\n"));
  struct User {
    Browser browser;
    std::string said, home;
  };
  std::vector<User> users(100);
  for (std::size_t i = 0; i < users.size(); ++i) {
    users[i].said = "user-" + std::to_string(i) + "-" + std::string(i * 7, 'x') + "-%C3%A4%F0%9F%9A%80";
    const Reply r = users[i].browser.get(remora.port(), "/set?said=" + users[i].said);
    ASSERT_EQ(r.status, 200) << r.head << r.body;
    users[i].home = r.field("X-Backend");
    EXPECT_EQ(r.field("Remora-State"), "");
    users[i].said = r.body;
  }
  instances[0].process->kill();  // SIGKILL
  int moved = 0;
  for (User& user : users) {
    for (int n = 0; n < 2; ++n) {
      const Reply r = user.browser.get(remora.port(), "/");
      EXPECT_EQ(r.status, 200);
      EXPECT_EQ(r.field("X-Backend"), "app2");
      EXPECT_EQ(r.body, user.said);
    }
    moved += user.home == "app1" ? 1 : 0;
  }
  EXPECT_GT(moved, 20);
  std::filesystem::remove_all(folder);
}

// Session fixation: an id that somebody knew before a login must not be the one that is logged in.
TEST_P(AppsHandOff, ALoginLeavesTheFormerIdBehind) {
  if (GetParam().framework.name == "ExpressSession" && lacks_express_session())
    GTEST_SKIP() << "no express-session";
  find_node_modules();
  const std::string folder = make_folder();
  const int port = free_port();
  std::vector<std::string> command = GetParam().framework.command;
  command.insert(command.end(), {"app", std::to_string(port), REMORA_SOURCE_DIR "/config/examples"});
  std::string store;
  if (GetParam().framework.by_call) {
    command.push_back(folder + "/api");
    store = "session_api: unix:" + folder + "/api\n";
  }
  std::unique_ptr<RedisServer> redis;
  if (GetParam().redis) {
    redis = std::make_unique<RedisServer>();
    store += "store: {kind: redis, index_key: {env: REMORA_TEST_KEY}, redis: {nodes: [\"redis://127.0.0.1:" +
             std::to_string(redis->port()) + "\"]}}\n";
  }
  Process app(command, folder + "/app");
  ASSERT_TRUE(app.wait_for_port(port));
  const Remora remora(simple_config({"127.0.0.1:" + std::to_string(port)},
                                    "affinity: cookie\nsession: {state: {save: sync}}\n", "",
                                    store + "log: {access: off}\n"));
  Browser victim;
  ASSERT_EQ(victim.get(remora.port(), "/").body, "logged out");
  Browser attacker = victim;  // knows the cookie, because it planted it
  EXPECT_EQ(victim.get(remora.port(), "/login?said=victim").body, "victim");
  EXPECT_EQ(attacker.get(remora.port(), "/").body, "logged out");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(victim.get(remora.port(), "/").body, "victim");
  std::filesystem::remove_all(folder);
}

// expressjs/session #632, tj/connect-redis #328, django PR #5950: what a slow request writes at its end must
// not bring back the session that ended beside it, nor undo a login.
TEST_P(AppsHandOff, ASlowRequestUndoesNothingThatHappenedBesideIt) {
  find_node_modules();
  const std::string folder = make_folder();
  const int port = free_port();
  std::vector<std::string> command = GetParam().framework.command;
  command.insert(command.end(), {"app", std::to_string(port), REMORA_SOURCE_DIR "/config/examples"});
  std::string store;
  if (GetParam().framework.by_call) {
    command.push_back(folder + "/api");
    store = "session_api: unix:" + folder + "/api\n";
  }
  std::unique_ptr<RedisServer> redis;
  if (GetParam().redis) {
    redis = std::make_unique<RedisServer>();
    store += "store: {kind: redis, index_key: {env: REMORA_TEST_KEY}, redis: {nodes: [\"redis://127.0.0.1:" +
             std::to_string(redis->port()) + "\"]}}\n";
  }
  Process app(command, folder + "/app");
  ASSERT_TRUE(app.wait_for_port(port));
  const Remora remora(simple_config({"127.0.0.1:" + std::to_string(port)},
                                    "affinity: cookie\nsession: {state: {save: sync}}\n", "",
                                    store + "log: {access: off}\n"));
  struct Beside {
    const char *before, *beside, *after;
  };
  for (const Beside& b :
       {Beside{"/set?said=anna", "/logout", "logged out"}, Beside{"/set?said=anna", "/set?said=bert", "bert"},
        Beside{"/set?said=anna", "/login?said=bert", "bert"}, Beside{"/", "/set?said=bert", "bert"},
        Beside{"/", "/login?said=bert", "bert"}}) {
    Browser user;
    ASSERT_EQ(user.get(remora.port(), b.before).status, 200);
    Browser tab = user;  // its own cookies: the late answer's do not reach the user
    std::thread slow([&] { EXPECT_EQ(tab.get(remora.port(), "/slow").status, 200); });
    EXPECT_TRUE(eventually([&] { return test::ask(port, get("/waiting")).body == "1"; }));
    EXPECT_EQ(user.get(remora.port(), b.beside).status, 200);
    slow.join();
    for (int i = 0; i < 2; ++i)
      EXPECT_EQ(user.get(remora.port(), "/").body, b.after) << b.before << " " << b.beside;
  }
  std::filesystem::remove_all(folder);
}

TEST(ExpressSession, IsRegeneratedDestroyedAndNeverAnotherUsers) {
  if (lacks_express_session()) GTEST_SKIP() << "no express-session";
  find_node_modules();
  const std::string folder = make_folder();
  const int port = free_port();
  Process app({"node", REMORA_SOURCE_DIR "/tests/e2e/apps/express_app.js", "app", std::to_string(port),
               REMORA_SOURCE_DIR "/config/examples", folder + "/api"},
              folder + "/app");
  ASSERT_TRUE(app.wait_for_port(port));
  const Remora remora(simple_config({"127.0.0.1:" + std::to_string(port)},
                                    "affinity: cookie\nsession: {state: on}\n", "",
                                    "session_api: unix:" + folder + "/api\nlog: {access: off}\n"));
  Browser anna, ben;
  EXPECT_EQ(anna.get(remora.port(), "/set?said=anna").body, "anna");
  const std::string first = anna.cookies["connect.sid"];
  EXPECT_EQ(anna.get(remora.port(), "/login").body, "anna");
  EXPECT_NE(anna.cookies["connect.sid"], first) << "a login gives a new id";
  EXPECT_EQ(anna.get(remora.port(), "/").body, "anna");
  EXPECT_EQ(ben.get(remora.port(), "/set?said=ben").body, "ben");
  ben.cookies["connect.sid"] = anna.cookies["connect.sid"];  // with a session of remora's of his own
  EXPECT_EQ(ben.get(remora.port(), "/").body, "logged out");
  EXPECT_EQ(anna.get(remora.port(), "/logout").body, "bye");
  EXPECT_EQ(anna.get(remora.port(), "/").body, "logged out");
  // Two logins at once, as of a form that was sent twice: whichever cookie stays, it is logged in.
  Browser carl;
  carl.get(remora.port(), "/set?said=nobody");
  Browser twice = carl;
  std::thread other([&] { EXPECT_EQ(twice.get(remora.port(), "/regenerate?said=second").body, "second"); });
  EXPECT_EQ(carl.get(remora.port(), "/regenerate?said=first").body, "first");
  other.join();
  EXPECT_EQ(carl.get(remora.port(), "/").body, "first");
  EXPECT_EQ(twice.get(remora.port(), "/").body, "second");
  std::filesystem::remove_all(folder);
}

const Framework flask{"Flask", {"python3", REMORA_SOURCE_DIR "/tests/e2e/apps/flask_handoff_app.py"}};
const Framework flask_by_call{
    "FlaskByCall", {"python3", REMORA_SOURCE_DIR "/tests/e2e/apps/flask_handoff_app.py"}, true};
const Framework express{"Express", {"node", REMORA_SOURCE_DIR "/tests/e2e/apps/express_app.js"}};

const Framework express_session{
    "ExpressSession", {"node", REMORA_SOURCE_DIR "/tests/e2e/apps/express_app.js"}, true};

INSTANTIATE_TEST_SUITE_P(Real, AppsHandOff,
                         testing::Values(Case{flask, false}, Case{flask, true}, Case{flask_by_call, false},
                                         Case{flask_by_call, true}, Case{express, false}, Case{express, true},
                                         Case{express_session, false}, Case{express_session, true}),
                         [](const auto& info) {
                           return info.param.framework.name + (info.param.redis ? "WithRedis" : "InMemory");
                         });

}  // namespace
}  // namespace remora::test

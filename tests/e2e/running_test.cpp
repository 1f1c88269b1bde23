// Starting, refusing to start, reloading, stopping, running out of descriptors: the daemon as an operator
// meets it.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <atomic>
#include <thread>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "support/remora.h"

namespace remora::test {
namespace {

std::string write(const std::string& folder, const std::string& text) {
  std::ofstream(folder + "/f.yaml") << text;
  return folder + "/f.yaml";
}

TEST(Starting, APortInUseIsOneClearLine) {
  Origin taken([](Socket&) {});
  const std::string folder = make_folder();
  const Ran ran = run_binary({"run", "-c",
                              write(folder, "state_dir: none\nadmin: off\nlisteners: [" + taken.address() +
                                                "]\npools: {a: {backends: [127.0.0.1:1]}}\n")});
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(ran.output, "remora: listener " + taken.address() +
                            ": the address is in use; stop the other process or choose another port\n");
  std::filesystem::remove_all(folder);
}

TEST(Starting, ASecondInstanceOnTheSamePortIsRefused) {
  Origin a(says_name("a"));
  Remora first(simple_config({a.address()}));
  const std::string folder = make_folder();
  const Ran ran = run_binary(
      {"run", "-c",
       write(folder, "state_dir: none\nadmin: off\nlisteners: [\"127.0.0.1:" + std::to_string(first.port()) +
                         "\"]\npools: {a: {backends: [127.0.0.1:1]}}\n")});
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.output.find("the address is in use"), std::string::npos) << ran.output;
  std::filesystem::remove_all(folder);
}

TEST(Starting, SeveralThatStartAtOnceMakeOneKey) {
  const std::string state = make_folder() + "/state";
  const std::string config =
      "state_dir: " + state +
      "\nadmin: off\nlisteners: [127.0.0.1:0]\npools: {app: {affinity: cookie, backends: "
      "[127.0.0.1:1]}}\n";
  std::vector<std::thread> threads;
  std::atomic<int> started{0};
  for (int i = 0; i < 6; ++i)
    threads.emplace_back([&] {
      const Remora remora(config);
      if (remora.connect().fd() >= 0) ++started;
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(started, 6);
  std::set<std::string> files;  // no drafts
  for (const auto& entry : std::filesystem::directory_iterator(state)) files.insert(entry.path().filename());
  EXPECT_EQ(files, (std::set<std::string>{"sessions.lock", "sessions.log", "token.key"}));
}

TEST(Starting, MissingFilesAndKeysAreSaid) {
  EXPECT_EQ(run_binary({"run", "-c", "/nonexistent.yaml"}).output,
            "/nonexistent.yaml: cannot be read: No such file or directory\n");
  const std::string folder = make_folder();
  const Ran keyless = run_binary({"run", "-c",
                                  write(folder,
                                        "state_dir: none\nadmin: off\nlisteners: [127.0.0.1:0]\npools: {a: "
                                        "{affinity: cookie, backends: [127.0.0.1:1]}}\n")});
  EXPECT_EQ(keyless.code, 1);
  EXPECT_NE(keyless.output.find("/f.yaml:1:12: state_dir: none, and no `keys`: pool 'a' seals tokens"),
            std::string::npos)
      << keyless.output;
  std::filesystem::remove_all(folder);
}

TEST(Commands, VersionKeygenCheckAndUsage) {
  EXPECT_EQ(run_binary({"version"}).output.substr(0, 7), "remora ");
  EXPECT_EQ(run_binary({"--version"}).output, run_binary({"version"}).output);
  EXPECT_EQ(run_binary({"--version"}).code, 0);
  const std::string one = run_binary({"keygen"}).output, two = run_binary({"keygen"}).output;
  EXPECT_EQ(one.size(), 45U);
  EXPECT_NE(one, two);
  const std::string folder = make_folder();
  const Ran good = run_binary(
      {"check", "-c", write(folder, "listeners: [127.0.0.1:0]\npools: {a: {backends: [127.0.0.1:1]}}\n")});
  EXPECT_EQ(good.code, 0) << good.output;
  const Ran bad =
      run_binary({"check", "-c", write(folder, "listners: [127.0.0.1:0]\npools: {a: {backend: [x]}}\n")});
  EXPECT_EQ(bad.code, 1);
  EXPECT_NE(bad.output.find("/f.yaml:1:1: listners: unknown key (did you mean 'listeners'?)"),
            std::string::npos)
      << bad.output;
  EXPECT_EQ(run_binary({"frobnicate"}).code, 2);
  std::filesystem::remove_all(folder);
}

TEST(Commands, CheckWarnsOfWhatIsFineAndYetHardlyMeant) {
  const std::string folder = make_folder();
  std::ofstream(folder + "/f.yaml")
      << "state_dir: none\nlisteners: [127.0.0.1:0]\npools: {app: {backends: [127.0.0.1:1], "
         "timeouts: {queue: 1s}}}\n";
  const Ran warned = run_binary({"check", "-c", folder + "/f.yaml"});
  EXPECT_EQ(warned.code, 0);
  EXPECT_NE(warned.output.find("/f.yaml: warning: pools.app.timeouts.queue"), std::string::npos)
      << warned.output;
  std::filesystem::remove_all(folder);
}

// One reading for both: what cannot start is not "fine".
TEST(Commands, CheckAndRunRefuseTheSameFiles) {
  const std::string folder = make_folder();
  const std::string listener = "listeners: [127.0.0.1:0]\n";
  for (const std::string& text : {
           "state_dir: none\n" + listener + "pools: {a: {affinity: cookie, backends: [127.0.0.1:1]}}\n",
           "state_dir: none\n" + listener +
               "pools: {a: {affinity: cookie, backends: [127.0.0.1:1], session: {state: on}}}\n",
           listener + "pools: {}\n",
           listener + "pools:\n",
           listener + "pools: {a: {backends: []}}\n",
           listener + "pools: {a: {backends: [127.0.0.1:0]}}\n",
           std::string("listeners: []\npools: {a: {backends: [127.0.0.1:1]}}\n"),
           std::string("listeners:\npools: {a: {backends: [127.0.0.1:1]}}\n"),
           listener + "pools: {a: {backends: [127.0.0.1:1], tls: {ca: /nonexistent}}}\n",
           listener + "jwt: {m: {algorithms: [HS256], keys: {secret: {file: /dev/null}}}}\npools: {a: "
                      "{backends: [127.0.0.1:1]}}\n",
           std::string("just text\n"),
           std::string(),
       }) {
    const std::string file = write(folder, "admin: off\n" + text);
    if (text.empty() || text == "just text\n") std::ofstream(file) << text;
    const Ran check = run_binary({"check", "-c", file}), run = run_binary({"run", "-c", file});
    EXPECT_EQ(check.code, 1) << text << check.output;
    EXPECT_EQ(run.code, 1) << text << run.output;
    EXPECT_EQ(check.output.substr(0, folder.size()), folder) << "with its place: " << check.output;
  }
  std::filesystem::remove_all(folder);
}

// searxng/searxng #4906, PowerDNS-Admin #867, tchiotludo/akhq #1288: containers that served were restarted
// because their health check asked another address than the daemon's.
TEST(Healthcheck, AsksWhereTheFileSays) {
  Origin a(says_name("a"));
  const std::string folder = make_folder();
  const auto start = [&](const std::string& admin) {
    std::string config = simple_config({a.address()});
    config.replace(config.find("admin: off"), 10, "admin: " + admin);
    return config;
  };
  const auto healthy = [&](const std::string& text) {
    return run_binary({"healthcheck", "-c", write(folder, text)}).code;
  };
  const std::string socket = "unix:" + folder + "/a.sock";
  {
    const Remora remora(start(socket));
    EXPECT_EQ(healthy("admin: " + socket + "\n"), 0);
    EXPECT_EQ(healthy("admin: {bind: '${REMORA_NO_SUCH:-" + socket + "}', token: {file: /nonexistent}}\n"),
              0);
    EXPECT_EQ(healthy("admin: unix:" + folder + "/b.sock\n"), 1);
  }
  EXPECT_EQ(healthy("admin: " + socket + "\n"), 1) << "nobody lives";
  std::string listener;
  {
    const Remora remora(start("off"));
    listener = "admin: off\nlisteners: [0.0.0.0:" + std::to_string(remora.port()) + "]\n";
    EXPECT_EQ(healthy(listener), 0) << "it serves";
    EXPECT_EQ(run_binary({"status", "-c", folder + "/f.yaml"}).code, 1) << "there is nobody to ask";
  }
  EXPECT_EQ(healthy(listener), 1);
  EXPECT_EQ(run_binary({"healthcheck", "-c", "/nonexistent.yaml"}).code, 1);
  std::filesystem::remove_all(folder);
}

TEST(Starting, TheLogBeginsWithTheVersionAndTheFile) {
  Origin a(says_name("a"));
  const Remora remora(simple_config({a.address()}));
  std::string version = run_binary({"--version"}).output;
  version.pop_back();
  const std::string log = remora.log();
  const auto first = log.substr(0, log.find('\n'));
  EXPECT_NE(first.find(version), std::string::npos) << first;
  EXPECT_NE(first.find(remora.folder()), std::string::npos) << first;
}

TEST(Keys, AreMadeOnceInTheStateFolder) {
  Origin a(says_name("a"));
  const std::string folder = make_folder();
  const std::string config =
      "state_dir: " + folder +
      "/state\nadmin: off\nlisteners: [127.0.0.1:0]\npools: {app: {affinity: cookie, backends: [" +
      a.address() + "]}}\n";
  std::string cookie;
  {
    Remora first(config);
    const std::string set = first.ask(get("/")).field("Set-Cookie");
    cookie = set.substr(0, set.find(';'));
  }
  using std::filesystem::perms;
  EXPECT_EQ(std::filesystem::status(folder + "/state").permissions(), perms::owner_all);
  EXPECT_EQ(std::filesystem::status(folder + "/state/token.key").permissions(),
            perms::owner_read | perms::owner_write);
  Remora second(config);
  EXPECT_EQ(second.ask(get("/", "Cookie: " + cookie + "\r\n")).field("Set-Cookie"), "");
  std::filesystem::remove_all(folder);
}

TEST(Stopping, SigtermFinishesWhatRuns) {
  std::atomic<int> asked{0};
  Origin a(answering([&](const std::string& head, const std::string&) {
    ++asked;
    if (head.find("/slow") != std::string::npos) std::this_thread::sleep_for(700ms);
    return ok("a");
  }));
  Remora remora(simple_config({a.address()}));
  Socket idle = remora.connect();
  idle.send(get("/"));
  EXPECT_EQ(idle.receive_reply().status, 200);
  std::vector<Socket> slow;
  for (int i = 0; i < 20; ++i) {
    slow.push_back(remora.connect());
    slow.back().send(get("/slow"));
  }
  ASSERT_TRUE(eventually([&] { return asked == 21; }));
  remora.signal(SIGTERM);
  EXPECT_TRUE(idle.closed_by_peer());
  for (auto& s : slow) {
    const Reply r = s.receive_reply();
    EXPECT_EQ(r.status, 200);
    EXPECT_EQ(r.field("Connection"), "close");
  }
  EXPECT_EQ(remora.stop(), 0);
}

TEST(Stopping, TheGraceEndsAndASecondSignalIsAtOnce) {
  std::atomic<int> asked{0};
  Origin hung([&](Socket& s) {
    if (!s.receive_head().empty()) ++asked;
    s.receive_until("never");
  });
  Remora grace(simple_config({hung.address()}, "", "", "shutdown_grace: 300ms\n"));
  Socket a = grace.connect();
  a.send(get("/"));
  ASSERT_TRUE(eventually([&] { return asked == 1; }));
  EXPECT_EQ(grace.stop(), 0);
  Remora twice(simple_config({hung.address()}));
  Socket b = twice.connect();
  b.send(get("/"));
  ASSERT_TRUE(eventually([&] { return asked == 2; }));
  twice.signal(SIGTERM);
  ASSERT_TRUE(eventually([&] { return twice.listening_ports().empty(); }));  // the first has been dealt with
  EXPECT_EQ(twice.stop(), 0);
}

TEST(Stopping, TheDelayKeepsAcceptingButIsNotReady) {
  Origin a(says_name("a"));
  Remora remora(
      "state_dir: none\nadmin: 127.0.0.1:0\nshutdown_delay: 30s\nlisteners: [127.0.0.1:0]\npools: {app: "
      "{backends: [" +
      a.address() + "]}}\n");
  EXPECT_EQ(ask(remora.admin_port(), get("/readyz")).status, 200);
  EXPECT_EQ(run_binary({"healthcheck", "--admin", "127.0.0.1:" + std::to_string(remora.admin_port())}).code,
            0);
  remora.signal(SIGTERM);
  ASSERT_TRUE(eventually([&] { return ask(remora.admin_port(), get("/readyz")).status == 503; }));
  EXPECT_EQ(ask(remora.admin_port(), get("/healthz")).status, 200);
  EXPECT_EQ(remora.ask(get("/")).status, 200);
}

TEST(Reloading, GoodFilesApplyBadOnesChangeNothing) {
  Origin a(says_name("a")), b(says_name("b"));
  Remora remora(simple_config({a.address()}));
  Socket kept = remora.connect();
  kept.send(get("/"));
  EXPECT_EQ(kept.receive_reply().body, "a");
  EXPECT_FALSE(remora.reload("listeners: ["));
  EXPECT_EQ(remora.ask(get("/")).body, "a");
  ASSERT_TRUE(remora.reload(simple_config({b.address()})));
  EXPECT_EQ(remora.ask(get("/")).body, "b");
  kept.send(get("/"));  // the connection outlives the reload
  EXPECT_EQ(kept.receive_reply().body, "b");
}

TEST(Descriptors, WhenTheyRunOutAcceptPausesAndRecovers) {
  Origin a(says_name("a"));
  Remora remora(simple_config({a.address()}, "", "limits: {connections: 100000}\n"));
  const rlimit child{64, 64};
  ASSERT_EQ(::prlimit(remora.pid(), RLIMIT_NOFILE, &child, nullptr), 0);
  std::vector<Socket> many;
  for (int i = 0; i < 100; ++i) many.push_back(remora.connect());
  const std::string open = "/proc/" + std::to_string(remora.pid()) + "/fd";
  long descriptors = 0;
  EXPECT_TRUE(eventually([&] {
    descriptors = std::distance(std::filesystem::directory_iterator(open), {});
    return descriptors >= 60;  // a few stay free for what is opened and closed again
  })) << descriptors;
  many.clear();
  EXPECT_TRUE(eventually([&] { return remora.ask(get("/")).status == 200; }));
}

TEST(Logs, TheAccessLineTellsTheVerdictAndCannotBeForged) {
  Origin a(says_name("a"));
  Remora remora(
      simple_config({a.address()}, "affinity: cookie\n", "", "log: {access: {format: combined}}\n"));
  remora.ask(get("/x", "User-Agent: a\" b\\\r\nCookie: remora-app=secretsecret\r\n"));
  ASSERT_TRUE(remora.wait_for_log("GET /x HTTP/1.1"));
  const std::string log = remora.log();
  EXPECT_NE(log.find("\"a\\\" b\\\\\""), std::string::npos) << log;
  EXPECT_NE(log.find("affinity=cookie reason=new epoch=1 attempts=1 cause=malformed"), std::string::npos)
      << log;
  EXPECT_EQ(log.find("secretsecret"), std::string::npos);
}

TEST(Admin, AnythingElseNeedsTheToken) {
  Origin a(says_name("a"));
  Remora remora(
      "state_dir: none\nadmin: {bind: 127.0.0.1:0, token: {env: REMORA_TEST_KEY}}\nlisteners: "
      "[127.0.0.1:0]\npools: {app: {backends: [" +
      a.address() + "]}}\n");
  const std::string token = std::getenv("REMORA_TEST_KEY");
  EXPECT_EQ(ask(remora.admin_port(), get("/healthz")).status, 200);
  EXPECT_EQ(ask(remora.admin_port(), get("/x")).status, 401);
  EXPECT_EQ(ask(remora.admin_port(), get("/x", "Authorization: Bearer nonsense\r\n")).status, 401);
  EXPECT_EQ(ask(remora.admin_port(), get("/x", "Authorization: Bearer " + token + "\r\n")).status, 404);
}

TEST(Logs, TheProgramsLogIsReopenedAndItsLevelFollowsAReload) {
  Origin a(says_name("a"));
  const std::string folder = make_folder();
  const std::string config = simple_config(
      {a.address()}, "", "", "log: {output: " + folder + "/remora.log, format: json, level: LEVEL}\n");
  const auto with = [&](const std::string& level) {
    std::string text = config;
    return text.replace(text.find("LEVEL"), 5, level);
  };
  const std::string file = write(folder, with("info"));
  const auto contains = [&](const std::string& name, const std::string& text) {
    return eventually([&] {
      std::ifstream in(folder + "/" + name);
      return std::string((std::istreambuf_iterator<char>(in)), {}).find(text) != std::string::npos;
    });
  };
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::execl(binary().c_str(), "remora", "run", "-c", file.c_str(), nullptr);
    ::_exit(127);
  }
  ASSERT_GT(pid, 0);
  EXPECT_TRUE(contains("remora.log", "\"level\":\"info\""));
  std::filesystem::rename(folder + "/remora.log", folder + "/old.log");
  ::kill(pid, SIGHUP);
  EXPECT_TRUE(contains("remora.log", "\"level\":\"info\""));
  ::kill(pid, SIGTERM);
  int status = 0;
  ::waitpid(pid, &status, 0);
  EXPECT_EQ(status, 0);
  std::filesystem::remove_all(folder);
}

TEST(Logs, JsonLinesAndAFileThatIsReopened) {
  Origin a(says_name("a"));
  const std::string folder = make_folder();
  Remora remora(simple_config({a.address()}, "", "",
                              "log: {access: {format: json, output: " + folder + "/access.log}}\n"));
  const auto wait_for = [&](const std::string& file, const std::string& text) {
    return eventually([&] {
      std::ifstream in(file);
      return std::string((std::istreambuf_iterator<char>(in)), {}).find(text) != std::string::npos;
    });
  };
  remora.ask(get("/first"));
  EXPECT_TRUE(wait_for(folder + "/access.log", "\"target\":\"/first\""));
  std::filesystem::rename(folder + "/access.log", folder + "/old.log");
  remora.hang_up();
  remora.ask(get("/second"));
  EXPECT_TRUE(wait_for(folder + "/access.log", "\"target\":\"/second\""));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace remora::test

// Real app servers, two instances each, behind the real binary: their own session ids keep their clients
// where they are, and the death of one instance moves exactly its sessions, once.

#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <set>

#include "support/process.h"
#include "support/site.h"

namespace remora::test {
namespace {

namespace fs = std::filesystem;

/// One app server as a process.
struct Instance {
  std::string name, folder;
  int port = free_port();
  std::unique_ptr<Process> process;
};

class Apps : public ::testing::Test {
 protected:
  void TearDown() override {
    for (const Instance& i : instances_) fs::remove_all(i.folder);
  }
  /// Starts both instances; `arguments` makes the command line of one.
  template <class F>
  void start(F arguments) {
    for (const char* name : {"app1", "app2"}) {
      Instance& i = instances_.emplace_back();
      i.name = name;
      i.folder = make_folder();
      i.process = std::make_unique<Process>(arguments(i), i.folder + "/output");
    }
    for (const Instance& i : instances_) ASSERT_TRUE(i.process->wait_for_port(i.port));
  }
  std::string config(const std::string& affinity) const {
    std::vector<std::string> backends;
    for (const Instance& i : instances_)
      backends.push_back("{id: " + i.name + ", address: 127.0.0.1:" + std::to_string(i.port) + "}");
    return simple_config(backends, "affinity: " + affinity + "\n");
  }
  void kill(const std::string& name) {
    for (Instance& i : instances_)
      if (i.name == name) i.process->kill();
  }

  struct User {
    Browser browser;
    std::string home;
    int count = 0;
  };

  /// Each user counts on one server; after its death those of the other do not notice, and its own begin
  /// anew, once, and stay.
  void count_through_a_death(const Remora& remora, const std::string& target) {
    std::vector<User> users(20);
    for (User& u : users) {
      const Reply r = u.browser.get(remora.port(), target);
      ASSERT_EQ(r.status, 200) << r.head << r.body;
      u.home = r.field("X-Backend");
    }
    for (int round = 2; round <= 6; ++round)
      for (User& u : users) {
        const Reply r = u.browser.get(remora.port(), target);
        EXPECT_EQ(r.field("X-Backend"), u.home);
        EXPECT_EQ(r.field("X-Count"), std::to_string(round));
      }
    kill("app1");
    int moved = 0;
    for (User& u : users) {
      const bool was_there = u.home == "app1";
      moved += was_there ? 1 : 0;
      for (int i = 0; i < 3; ++i) {
        const Reply r = u.browser.get(remora.port(), target);
        EXPECT_EQ(r.status, 200);
        EXPECT_EQ(r.field("X-Backend"), "app2");
        EXPECT_EQ(r.field("X-Count"), std::to_string(was_there ? i + 1 : i + 7)) << u.home;
        EXPECT_EQ(announced(r).reason, was_there && i == 0 ? "failover" : "sticky");
        EXPECT_EQ(announced(r).epoch, was_there ? 2 : 1);
      }
    }
    EXPECT_GT(moved, 0);
    EXPECT_LT(moved, 20);
  }

  std::vector<Instance> instances_;
};

class Tomcat : public Apps {
 protected:
  void SetUp() override {
    start([](const Instance& i) {
      const std::string home = "/usr/share/tomcat10", apps = REMORA_SOURCE_DIR "/tests/e2e/apps/tomcat";
      for (const char* folder : {"/conf", "/webapps/ROOT", "/logs", "/temp", "/work"})
        fs::create_directories(i.folder + folder);
      fs::copy(apps + "/server.xml", i.folder + "/conf/server.xml");
      fs::copy(apps + "/web.xml", i.folder + "/conf/web.xml");
      fs::copy(apps + "/count.jsp", i.folder + "/webapps/ROOT/count.jsp");
      return std::vector<std::string>{"java",
                                      "-Xmx128m",
                                      "-XX:TieredStopAtLevel=1",
                                      "-XX:+UseSerialGC",
                                      "-Dapp.name=" + i.name,
                                      "-Dapp.port=" + std::to_string(i.port),
                                      "-Dcatalina.home=" + home,
                                      "-Dcatalina.base=" + i.folder,
                                      "-Djava.io.tmpdir=" + i.folder + "/temp",
                                      "-cp",
                                      home + "/bin/bootstrap.jar:" + home + "/bin/tomcat-juli.jar",
                                      "org.apache.catalina.startup.Bootstrap",
                                      "start"};
    });
  }
};

TEST_F(Tomcat, KeepsItsUsersByJsessionidThroughADeath) {
  const Remora remora(config("app_cookie"));
  count_through_a_death(remora, "/count.jsp");
}

TEST_F(Tomcat, KeepsUsersWithoutCookiesByThePathParameter) {
  const Remora remora(config("app_cookie"));
  for (int user = 0; user < 6; ++user) {
    std::string target = "/count.jsp", home;
    for (int n = 1; n <= 5; ++n) {
      const Reply r = remora.ask(get(target));  // cookies are not kept
      ASSERT_EQ(r.status, 200) << r.head << r.body;
      if (home.empty()) home = r.field("X-Backend");
      EXPECT_EQ(r.field("X-Backend"), home);
      EXPECT_EQ(r.field("X-Count"), std::to_string(n));
      const auto at = r.body.find("href=\"") + 6;
      target = r.body.substr(at, r.body.find('"', at) - at);
      EXPECT_NE(target.find(";jsessionid="), std::string::npos) << r.body;
    }
  }
}

TEST_F(Tomcat, IsFoundByTheRouteInItsIdsWhenRemoraKnowsNothing) {
  std::vector<User> users(10);
  {
    const Remora remora(config("{kind: app_cookie, route_separator: '.'}"));
    for (User& u : users) u.home = u.browser.get(remora.port(), "/count.jsp").field("X-Backend");
  }
  const Remora again(config("{kind: app_cookie, route_separator: '.'}"));  // its table is empty
  for (User& u : users) {
    const Reply r = u.browser.get(again.port(), "/count.jsp");
    EXPECT_EQ(r.field("X-Backend"), u.home);
    EXPECT_EQ(r.field("X-Count"), "2");
  }
}

class Flask : public Apps {
 protected:
  void SetUp() override {
    start([](const Instance& i) {
      return std::vector<std::string>{"/usr/bin/python3", REMORA_SOURCE_DIR "/tests/e2e/apps/flask_app.py",
                                      i.name, std::to_string(i.port), i.folder + "/sessions"};
    });
  }
};

TEST_F(Flask, KeepsItsUsersThroughADeath) {
  const Remora remora(config("{kind: app_cookie, name: session}"));
  count_through_a_death(remora, "/count");
}

TEST_F(Flask, NeedsNoStoreWithACompanionCookie) {
  const Remora remora(config("{kind: app_cookie, name: session, carry: token}"));
  count_through_a_death(remora, "/count");
}

TEST_F(Flask, SessionsThatItClearsAreForgotten) {
  const Remora remora(config("{kind: app_cookie, name: session, carry: token}"));
  User u;
  u.browser.get(remora.port(), "/count");
  EXPECT_EQ(u.browser.cookies.count("session-r"), 1U);
  u.browser.get(remora.port(), "/logout");
  EXPECT_TRUE(u.browser.cookies.empty());
}

class LongPolling : public Apps {
 protected:
  void SetUp() override {
    start([](const Instance& i) {
      return std::vector<std::string>{"node", REMORA_SOURCE_DIR "/tests/e2e/apps/polling_app.js", i.name,
                                      std::to_string(i.port)};
    });
  }
  /// Two members of one room, without cookies.
  struct Room {
    std::string name, home;
    std::string listener, speaker;  // their ids
  };
  static std::string target(const Room& room, const std::string& sid) {
    return "/poll?room=" + room.name + (sid.empty() ? "" : "&sid=" + sid);
  }
  static void join(const Remora& remora, Room& room) {
    for (std::string* sid : {&room.listener, &room.speaker}) {
      const Reply r = remora.ask(get(target(room, "")));
      ASSERT_EQ(r.status, 200) << r.head << r.body;
      *sid = r.body;
      room.home = r.field("X-Backend");
    }
  }
  /// The one polls, the other speaks.
  static void talk(const Remora& remora, const Room& room, const std::string& text) {
    Socket poll = remora.connect();
    poll.send(get(target(room, room.listener)));
    const std::string head = poll.receive_head();
    ASSERT_TRUE(head.starts_with("HTTP/1.1 200")) << head;
    const Reply said = remora.ask("POST " + target(room, room.speaker) + "&say=" + text +
                                  " HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n");
    EXPECT_EQ(said.status, 200) << said.body;
    EXPECT_EQ(said.body, "1") << room.name;
    EXPECT_NE(poll.receive_until("0\r\n\r\n").find(text), std::string::npos);
  }
};

TEST_F(LongPolling, MembersOfARoomMeetByItsNameInTheQuery) {
  const Remora remora(config("{kind: hash, of: [{query: room}]}"));
  std::vector<Room> rooms(16);
  std::set<std::string> homes;
  for (std::size_t i = 0; i < rooms.size(); ++i) {
    rooms[i].name = "r" + std::to_string(i);
    join(remora, rooms[i]);
    homes.insert(rooms[i].home);
  }
  ASSERT_EQ(homes.size(), 2U);
  for (int round = 0; round < 3; ++round)
    for (const Room& room : rooms) talk(remora, room, "round" + std::to_string(round));
  kill("app1");
  for (Room& room : rooms) {
    const bool was_there = room.home == "app1";
    if (was_there) {
      EXPECT_EQ(remora.ask(get(target(room, room.listener))).status, 400) << "its server's memory is gone";
      join(remora, room);
    }
    EXPECT_EQ(room.home, "app2");
    talk(remora, room, "after");
  }
}

}  // namespace
}  // namespace remora::test

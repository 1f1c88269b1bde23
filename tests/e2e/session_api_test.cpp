// The session API beside real requests: state by call and by field, and who may write.

#include <gtest/gtest.h>

#include "support/remora.h"
#include "support/site.h"
#include "support/stores.h"
#include "util/text.h"

namespace remora::test {
namespace {

/// Two apps that say what they got, behind a remora with the API on a unix socket.
class SessionApi : public testing::TestWithParam<bool> {
 protected:
  SessionApi() {
    std::string store;
    if (GetParam()) {
      redis_ = std::make_unique<RedisServer>();
      store = "store: {kind: redis, index_key: {env: REMORA_TEST_KEY}, redis: {nodes: [\"redis://127.0.0.1:" +
              std::to_string(redis_->port()) + "\"]}}\n";
    }
    remora_ = std::make_unique<Remora>(with_admin(
        simple_config({"{id: a, address: " + a_.address() + "}", "{id: b, address: " + b_.address() + "}"},
                      "affinity: cookie\nsession: {state: {max_bytes: 1KiB}}\n", "",
                      store + "session_api: unix:" + folder_ + "/api\nlog: {access: off}\n")));
  }
  ~SessionApi() override { std::system(("rm -rf " + folder_).c_str()); }
  static Origin::Script app(const std::string& name) {
    return answering([name](const std::string& head, const std::string&) {
      const std::string control = field_of(head, "X-Control");
      return ok(name, (control.empty() ? "" : "Remora-Session-Control: " + control + "\r\n") +
                          "X-Backend: " + name + "\r\nX-Session: " + field_of(head, "Remora-Session") +
                          "\r\nX-State: " + field_of(head, "Remora-State") + "\r\n");
    });
  }
  Reply call(const std::string& method, const std::string& id, const std::string& fields = "",
             const std::string& body = "") {
    Socket s = Socket::connect_unix(folder_ + "/api");
    s.send(method + " /v1/sessions/" + id + " HTTP/1.1\r\nHost: x\r\nContent-Length: " +
           std::to_string(body.size()) + "\r\n" + fields + "\r\n" + body);
    return s.receive_reply(method == "HEAD");
  }
  /// A request through remora; sets session_ and id_.
  Reply ask() {
    Reply r = browser_.get(remora_->port(), "/");
    session_ = r.field("X-Session");
    id_ = session_.substr(1, 32);
    return r;
  }
  std::string owner() const { return "Remora-Session: " + session_ + "\r\n"; }

  const std::string folder_ = make_folder();
  Origin a_{app("a")}, b_{app("b")};
  std::unique_ptr<RedisServer> redis_;
  std::unique_ptr<Remora> remora_;
  Browser browser_;
  std::string session_, id_;
};

TEST_P(SessionApi, KeepsReadsAndDeletesWithVersions) {
  ask();
  EXPECT_EQ(call("GET", id_).status, 404);
  const Reply made = call("PUT", id_, owner() + "If-None-Match: *\r\n", std::string("a\0b", 3));
  EXPECT_EQ(made.status, 201);
  EXPECT_EQ(made.field("ETag"), "\"1\"");
  EXPECT_EQ(call("PUT", id_, owner() + "If-None-Match: *\r\n", "x").status, 412);
  const Reply got = call("GET", id_);
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.body, std::string("a\0b", 3));
  EXPECT_EQ(got.field("ETag"), "\"1\"");
  EXPECT_GT(std::atoi(got.field("Remora-TTL").c_str()), 60);
  const Reply head = call("HEAD", id_);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.field("ETag"), "\"1\"");
  EXPECT_EQ(call("PUT", id_, owner() + "If-Match: \"1\"\r\n", "second").status, 204);
  EXPECT_EQ(call("PUT", id_, owner() + "If-Match: \"1\"\r\n", "late").status, 412);
  // RFC 9110 13.1.1 and 13.1.2: lists, and the strong and the weak comparison.
  EXPECT_EQ(call("PUT", id_, owner() + "If-None-Match: \"1\", W/\"2\"\r\n", "late").status, 412);
  EXPECT_EQ(call("PUT", id_, owner() + "If-Match: W/\"2\"\r\n", "late").status, 412);
  EXPECT_EQ(call("PUT", id_, owner() + "If-Match: \"1\", \"2\"\r\nIf-None-Match: \"7\"\r\n", "second").status,
            204);
  EXPECT_EQ(call("GET", id_).body, "second");
  EXPECT_EQ(call("DELETE", id_, owner() + "If-Match: \"1\"\r\n").status, 412);
  EXPECT_EQ(call("DELETE", id_, owner()).status, 204);
  EXPECT_EQ(call("GET", id_).status, 404);
  EXPECT_EQ(call("DELETE", id_, owner()).status, 404);
}

TEST_P(SessionApi, OnlyTheOwnerWritesAndTheNextOneGetsIt) {
  const std::string home = ask().field("X-Backend");
  const std::string former = owner();
  EXPECT_EQ(call("PUT", id_, former, "kept").status, 201);
  remora_->wish(home, "maint");
  const Reply moved = ask();
  EXPECT_NE(moved.field("X-Backend"), home);
  EXPECT_EQ(moved.field("X-State"), base64_encode("kept"));
  EXPECT_EQ(call("PUT", id_, former, "of a zombie").status, 409);
  EXPECT_EQ(call("DELETE", id_, former).status, 409);
  EXPECT_EQ(call("GET", id_).body, "kept");
  EXPECT_EQ(call("PUT", id_, owner(), "new").status, 204);
}

// The epoch was the caller's word: with 4294967295 a session could never move again.
TEST_P(SessionApi, NobodyWritesAtAnEpochThatIsNotTheirs) {
  const std::string home = ask().field("X-Backend");
  const std::string former = session_;
  EXPECT_EQ(call("PUT", id_, owner(), "kept").status, 201);
  const auto with_epoch = [&](const std::string& field, const std::string& epoch) {
    const auto at = field.find(";epoch=") + 7;
    return "Remora-Session: " + field.substr(0, at) + epoch + field.substr(field.find(';', at)) + "\r\n";
  };
  for (const char* epoch : {"2", "3", "4294967295"}) {
    const Reply refused = call("PUT", id_, with_epoch(former, epoch), "poison");
    EXPECT_EQ(refused.status, 403) << epoch;
    EXPECT_NE(refused.body, "");
    EXPECT_EQ(call("DELETE", id_, with_epoch(former, epoch)).status, 403) << epoch;
  }
  const std::string without = former.substr(0, former.find(";mac="));
  ASSERT_NE(without, former);
  EXPECT_EQ(call("PUT", id_, "Remora-Session: " + without + "\r\n", "poison").status, 403);
  std::string false_mac = former;
  char& c = false_mac[former.find(";mac=") + 20];
  c = c == 'A' ? 'B' : 'A';
  EXPECT_EQ(call("PUT", id_, "Remora-Session: " + false_mac + "\r\n", "poison").status, 403);
  // Another session's proof is none of this one's.
  const std::string mine = session_, my_id = id_;
  Browser other;
  const std::string others = other.get(remora_->port(), "/").field("X-Session");
  EXPECT_EQ(
      call("PUT", my_id, "Remora-Session: " + without + others.substr(others.find(";mac=")) + "\r\n", "x")
          .status,
      403);
  remora_->wish(home, "maint");
  EXPECT_EQ(ask().field("X-State"), base64_encode("kept"));
  EXPECT_EQ(call("PUT", id_, "Remora-Session: " + mine + "\r\n", "late").status, 409);
  EXPECT_EQ(call("PUT", id_, owner(), "new").status, 204);
}

TEST_P(SessionApi, RefusesWhatIsWrongAndSaysWhy) {
  ask();
  EXPECT_EQ(call("PUT", id_, "", "x").status, 400);
  EXPECT_EQ(call("PUT", id_, "Remora-Session: \"00112233445566778899aabbccddeeff\";epoch=1\r\n", "x").status,
            400);
  EXPECT_EQ(call("PUT", id_, owner() + "Remora-TTL: soon\r\n", "x").status, 400);
  EXPECT_EQ(call("PUT", id_, owner(), std::string(1025, 'x')).status, 413);
  EXPECT_EQ(call("PUT", id_, owner(), std::string(100000, 'x')).status, 413);
  EXPECT_EQ(call("PUT", id_, owner(), std::string(1024, 'x')).status, 201);
  EXPECT_EQ(call("POST", id_, owner(), "x").status, 405);
  EXPECT_EQ(call("GET", "nonsense").status, 404);
  EXPECT_EQ(call("GET", id_ + "?pool=other").status, 404);
  EXPECT_EQ(call("GET", id_ + "?pool=app").status, 200);
}

TEST_P(SessionApi, AStateMayEndBeforeItsSession) {
  ask();
  EXPECT_EQ(call("PUT", id_, owner() + "Remora-TTL: 1\r\n", "short").status, 201);
  EXPECT_EQ(call("GET", id_).status, 200);
  EXPECT_TRUE(eventually([&] { return call("GET", id_).status == 404; }));
}

// expressjs/session #632 "Race condition between logout request and long running request".
TEST_P(SessionApi, AWriteThatWasBegunBeforeADeletionCreatesNothing) {
  ask();
  const std::string slow = owner();
  EXPECT_EQ(call("PUT", id_, slow, "anna").status, 201);
  const auto at = [](const std::string& field) { return field.substr(field.find(";at="), 17); };
  const auto next = [&](const std::string& than) {  // the clock goes by milliseconds
    EXPECT_TRUE(eventually([&] {
      ask();
      return at(session_) != at(than);
    }));
    return owner();
  };
  const std::string logout = next(slow);
  EXPECT_EQ(call("DELETE", id_, logout).status, 204);
  EXPECT_EQ(call("PUT", id_, slow, "anna again").status, 409);
  EXPECT_EQ(call("PUT", id_, slow + "If-None-Match: *\r\n", "anna again").status, 409);
  EXPECT_EQ(call("PUT", id_, slow + "If-Match: \"1\"\r\n", "anna again").status, 409);
  EXPECT_EQ(call("GET", id_).status, 404);
  EXPECT_EQ(call("DELETE", id_, slow).status, 404);
  // The request that deleted it goes on (a session that is regenerated), and so do those that come later.
  EXPECT_EQ(call("PUT", id_, logout, "a new one").status, 201);
  EXPECT_EQ(call("GET", id_).body, "a new one");
  EXPECT_EQ(call("DELETE", id_, logout).status, 204);
  EXPECT_EQ(call("PUT", id_, next(logout), "bert").status, 201);
  EXPECT_EQ(call("GET", id_).body, "bert");
}

// The end of a session is no better than a logout: also when nothing had been kept until then.
TEST_P(SessionApi, AWriteAfterTheSessionsEndCreatesNothing) {
  for (const bool kept : {true, false})
    for (const char* control : {"end", "renew"}) {
      browser_ = Browser();
      ask();
      const std::string former = owner(), id = id_;
      if (kept) {
        EXPECT_EQ(call("PUT", id, former, "anna").status, 201);
      }
      browser_.more = "X-Control: " + std::string(control) + "\r\n";
      ask();
      browser_.more.clear();
      EXPECT_TRUE(eventually([&] { return call("PUT", id, former, "late").status == 409; }))
          << kept << control;
      EXPECT_EQ(call("GET", id).status, 404) << kept << control;
      ask();
      EXPECT_NE(id_, id);
      EXPECT_EQ(call("GET", id_).status, kept && std::string(control) == "renew" ? 200 : 404)
          << kept << control;
    }
}

TEST_P(SessionApi, WithoutItsStoreAnswers503) {
  if (!GetParam()) GTEST_SKIP() << "memory is always there";
  ask();
  redis_->kill();
  Reply r;
  EXPECT_TRUE(eventually([&] { return (r = call("GET", id_)).status == 503; }));
  EXPECT_NE(r.field("Retry-After"), "");
  EXPECT_EQ(call("PUT", id_, owner(), "x").status, 503);
}

INSTANTIATE_TEST_SUITE_P(Stores, SessionApi, testing::Bool(),
                         [](const auto& info) { return info.param ? "Redis" : "Memory"; });

TEST(SessionApiAddress, NeedsATokenUnlessItIsAUnixSocket) {
  Origin app(says_name("a"));
  const int port = free_port();
  Remora remora(simple_config(
      {app.address()}, "affinity: cookie\nsession: {state: on}\n", "",
      "session_api: {bind: \"127.0.0.1:" + std::to_string(port) + "\", token: {env: REMORA_TEST_KEY}}\n"));
  const std::string question = "GET /v1/sessions/00112233445566778899aabbccddeeff HTTP/1.1\r\nHost: x\r\n";
  EXPECT_EQ(ask(port, question + "\r\n").status, 401);
  EXPECT_EQ(ask(port, question + "Authorization: Bearer wrong\r\n\r\n").status, 401);
}

}  // namespace
}  // namespace remora::test

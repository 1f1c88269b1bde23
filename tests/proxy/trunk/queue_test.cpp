// Requests that queue for a permit of a backend with `max_in_flight`.

#include <gtest/gtest.h>

#include "pool/permit.h"
#include "support/trunk.h"

namespace remora::test {
namespace {

using namespace std::chrono_literals;
using When = BackendScript::When;
using Fails = BackendScript::Fails;
using Strings = std::vector<std::string>;

std::string pool(const std::string& more = {}, const std::string& limits = "max_in_flight: 1") {
  return "pools:\n  app:\n    balance: first\n    timeouts: {queue: 2s}\n" + more +
         "    backends: [{id: a, address: 127.0.0.1:1, " + limits + "}, {id: b, address: 127.0.0.1:2, " +
         limits + "}]\n";
}
constexpr const char* sessions = "    affinity: cookie\n";

/// Requests of other connections hold a permit of this backend.
class Others {
 public:
  Others(Trunk& trunk, const std::string& id, std::uint32_t count = 1) : backend_(trunk.member(id).backend) {
    for (; held_ < count; ++held_) EXPECT_TRUE(backend_->queue->enter(*backend_, count));
  }
  ~Others() {
    while (held_ > 0) finish_one();
  }
  Others(const Others&) = delete;
  Others& operator=(const Others&) = delete;
  void finish_one() {
    --held_;
    backend_->queue->leave(backend_);
  }

 private:
  const std::shared_ptr<Backend> backend_;
  std::uint32_t held_ = 0;
};

/// Nobody waits at this backend, and no permit is taken.
void expect_free(Trunk& trunk, const std::string& id) {
  Backend& backend = trunk.backend_of(id);
  EXPECT_EQ(backend.in_flight.load(), 0U);
  EXPECT_TRUE(backend.queue->enter(backend, 1)) << "somebody is still in the queue of " << id;
  backend.queue->leave(trunk.member(id).backend);
}

/// A session at a, whose requests queue there while others hold its permit.
std::string session_at_a(Trunk& trunk) {
  trunk.get("/");
  EXPECT_EQ(trunk.connector.connected.back(), "a");
  trunk.connector.connected.clear();
  return trunk.cookie();
}

TEST(Queue, APermitThatIsReleasedServesTheOneWhoWaits) {
  Trunk trunk(pool(sessions));
  const std::string cookie = session_at_a(trunk);
  Others others(trunk, "a");
  trunk.start("GET", "/", {{"Cookie", cookie}});
  trunk.advance(1s);
  EXPECT_FALSE(trunk.done());
  EXPECT_TRUE(trunk.connector.connected.empty());
  others.finish_one();
  trunk.settle();
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(trunk.delivered().head.status, 200);
  EXPECT_EQ(trunk.connector.connected, Strings{"a"});
  expect_free(trunk, "a");
}

TEST(Queue, WithoutAFreePermitInTimeTheReplyIs503WithRetryAfter) {
  Trunk trunk(pool(sessions));
  const std::string cookie = session_at_a(trunk);
  {
    const Others others(trunk, "a");
    trunk.start("GET", "/", {{"Cookie", cookie}});
    trunk.advance(1900ms);
    EXPECT_FALSE(trunk.done());
    trunk.advance(200ms);
    ASSERT_TRUE(trunk.done());
  }
  EXPECT_EQ(trunk.delivered().head.status, 503);
  EXPECT_EQ(field(trunk.delivered().head.fields, "Retry-After"), "1");
  EXPECT_FALSE(field(trunk.delivered().head.fields, "Set-Cookie"));
  EXPECT_EQ(trunk.end(), Exchange::End::keep);
  EXPECT_TRUE(trunk.connector.connected.empty());
  expect_free(trunk, "a");
}

TEST(Queue, OnFullMoveTakesTheSessionElsewhereAfterTheWait) {
  Trunk trunk(pool("    affinity: cookie\n    session: {on_full: move}\n"));
  const std::string cookie = session_at_a(trunk);
  const Others others(trunk, "a");
  EXPECT_EQ(trunk.request("POST", "/", {{"Cookie", cookie}, {"Content-Length", "2"}}, "hi").head.status, 200);
  EXPECT_EQ(trunk.connector.connected, Strings{"b"});
  EXPECT_EQ(trunk.connector.requests.back().body, "hi");
  const auto told = field(trunk.connector.requests.back().head.fields, "Remora-Session");
  ASSERT_TRUE(told);
  EXPECT_NE(told->find("reason=overload"), std::string::npos);
  EXPECT_EQ(trunk.backend_of("a").in_flight.load(), 1U);
}

TEST(Queue, OnFullMoveWithNobodyToMoveToIs503) {
  Trunk trunk(pool("    affinity: cookie\n    session: {on_full: move}\n"));
  const std::string cookie = session_at_a(trunk);
  const Others at_a(trunk, "a"), at_b(trunk, "b");
  EXPECT_EQ(trunk.get("/", {{"Cookie", cookie}}).head.status, 503);
  EXPECT_TRUE(trunk.connector.connected.empty());
}

TEST(Queue, AClientThatLeavesTheQueueTakesNoPermit) {
  for (const bool resets : {true, false}) {
    Trunk trunk(pool(sessions));
    const std::string cookie = session_at_a(trunk);
    Others others(trunk, "a");
    trunk.start("POST", "/", {{"Cookie", cookie}, {"Content-Length", "5"}}, "he", false);
    if (resets) {
      trunk.client.reset();
    } else {
      trunk.client.half_close();  // in mid-request
    }
    trunk.settle();
    ASSERT_TRUE(trunk.done());
    EXPECT_TRUE(trunk.delivered().aborted);
    EXPECT_EQ(trunk.delivered().head.status, 0);
    EXPECT_EQ(trunk.end(), Exchange::End::close);
    others.finish_one();
    trunk.settle();
    EXPECT_TRUE(trunk.connector.connected.empty());
    expect_free(trunk, "a");
  }
}

TEST(Queue, AClientThatOnlyEndsItsStreamStillGetsItsTurn) {
  Trunk trunk(pool(sessions));
  const std::string cookie = session_at_a(trunk);
  Others others(trunk, "a");
  trunk.start("GET", "/", {{"Cookie", cookie}});
  trunk.client.half_close();
  trunk.settle();
  EXPECT_FALSE(trunk.done());
  others.finish_one();
  trunk.settle();
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(trunk.delivered().head.status, 200);
}

TEST(Queue, AGrantAndADepartureInOneMomentLoseNoPermit) {
  Trunk trunk(pool(sessions));
  const std::string cookie = session_at_a(trunk);
  Others others(trunk, "a");
  trunk.start("GET", "/", {{"Cookie", cookie}});
  others.finish_one();  // the grant is posted, but has not arrived
  trunk.client.reset();
  trunk.settle();
  ASSERT_TRUE(trunk.done());
  expect_free(trunk, "a");
}

TEST(Queue, AGrantAtTheLastMomentIsUsed) {
  Trunk trunk(pool(sessions));
  const std::string cookie = session_at_a(trunk);
  Others others(trunk, "a");
  trunk.start("GET", "/", {{"Cookie", cookie}});
  trunk.advance(1990ms);
  others.finish_one();
  trunk.advance(1s);
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(trunk.delivered().head.status, 200);
  expect_free(trunk, "a");
}

TEST(Queue, ABackendOutOfServiceByThenIsLeftWithoutAnAttempt) {
  struct Way {
    const char* name;
    void (*leave)(Member&);
    bool moves;
  };
  const Way ways[] = {
      {"found down", [](Member& m) { m.backend->liveness.set_down(true); }, true},
      {"probed down",
       [](Member& m) {
         m.health = Health::down;
         m.backend->liveness.set_down(true);
       },
       true},
      {"maint", [](Member& m) { m.admin = Admin::maint; }, true},
      {"ejected", [](Member& m) { m.ejected = Ejected::all; }, true},
      {"drain keeps sessions", [](Member& m) { m.admin = Admin::drain; }, false},
      {"panic uses all",
       [](Member& m) {
         m.health = Health::down;
         m.panic = true;
         m.backend->liveness.set_down(true);
       },
       false},
  };
  for (const Way& way : ways) {
    SCOPED_TRACE(way.name);
    Trunk trunk(pool("    affinity: cookie\n    health: {probe: tcp}\n    failover: {attempts: 1}\n"));
    const std::string cookie = session_at_a(trunk);
    Others others(trunk, "a");
    trunk.start("POST", "/", {{"Cookie", cookie}, {"Content-Length", "2"}}, "hi");
    trunk.advance(1s);
    way.leave(trunk.member("a"));
    others.finish_one();
    trunk.settle();
    ASSERT_TRUE(trunk.done());
    EXPECT_EQ(trunk.delivered().head.status, 200);
    EXPECT_EQ(trunk.connector.connected, Strings{way.moves ? "b" : "a"});
    expect_free(trunk, "a");
    expect_free(trunk, "b");
  }
}

TEST(Queue, ARequestLeavesItAtOnceWhenItsBackendGoesAndTheSessionMovesForThatReason) {
  struct Way {
    const char* reason;
    void (*leave)(Trunk&);
  };
  const Way ways[] = {
      {"maint",
       [](Trunk& t) {
         t.member("a").admin = Admin::maint;
         t.members_changed();
       }},
      {"failover",
       [](Trunk& t) {
         t.member("a").health = Health::down;
         t.members_changed();
       }},
      {"removed",
       [](Trunk& t) {
         t.reload(
             "pools:\n  app:\n    affinity: cookie\n    timeouts: {queue: 2s}\n"
             "    backends: [{id: b, address: 127.0.0.1:2, max_in_flight: 1}]\n");
       }},
  };
  for (const Way& way : ways) {
    SCOPED_TRACE(way.reason);
    Trunk trunk(pool(sessions));
    trunk.keep_log();
    const std::string cookie = session_at_a(trunk);
    const Others others(trunk, "a");  // which never finish
    trunk.start("POST", "/", {{"Cookie", cookie}, {"Content-Length", "2"}}, "hi");
    trunk.advance(500ms);
    ASSERT_FALSE(trunk.done());
    way.leave(trunk);
    trunk.settle();
    ASSERT_TRUE(trunk.done());
    EXPECT_EQ(trunk.delivered().head.status, 200);
    EXPECT_EQ(trunk.connector.connected, Strings{"b"});
    EXPECT_EQ(trunk.connector.requests.back().body, "hi");
    const auto told = field(trunk.connector.requests.back().head.fields, "Remora-Session");
    ASSERT_TRUE(told);
    EXPECT_NE(told->find(std::string("epoch=2;reason=") + way.reason), std::string::npos) << *told;
    const auto log = trunk.take_log();
    EXPECT_EQ(log.back().at("reason").as_string(), way.reason);
    EXPECT_EQ(log.back().at("queue_ms").as_double(), 500);
    expect_free(trunk, "b");
  }
}

TEST(Queue, OneThatStillServesKeepsItsQueueThroughOtherChanges) {
  Trunk trunk(pool(sessions));
  const std::string cookie = session_at_a(trunk);
  Others others(trunk, "a");
  trunk.start("GET", "/", {{"Cookie", cookie}});
  trunk.member("b").admin = Admin::maint;
  trunk.members_changed();
  trunk.settle();
  EXPECT_FALSE(trunk.done());
  others.finish_one();
  trunk.settle();
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(trunk.connector.connected, Strings{"a"});
}

TEST(Queue, AtTheTimeoutABackendThatIsOutOfServiceIsLeftForAnother) {
  Trunk trunk(pool(sessions));
  const std::string cookie = session_at_a(trunk);
  const Others others(trunk, "a");
  trunk.start("GET", "/", {{"Cookie", cookie}});
  trunk.member("a").admin = Admin::maint;  // nobody has said so
  trunk.advance(1900ms);
  EXPECT_FALSE(trunk.done());
  trunk.advance(200ms);
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(trunk.delivered().head.status, 200);
  EXPECT_EQ(trunk.connector.connected, Strings{"b"});
}

TEST(Queue, NewSessionsAndHashesLeaveADrainedBackendAfterTheWait) {
  for (const char* affinity : {"", "    affinity: cookie\n", "    affinity: ip_hash\n"}) {
    Trunk trunk(pool(affinity));
    trunk.get("/");
    const std::string first = trunk.connector.connected.back();
    const std::string second = first == "a" ? "b" : "a";
    trunk.connector.connected.clear();
    trunk.new_connection();
    Others here(trunk, first);
    Others there(trunk, second);
    trunk.start("GET", "/");
    trunk.advance(500ms);
    trunk.member(first).admin = Admin::drain;
    trunk.members_changed();
    there.finish_one();
    here.finish_one();
    trunk.settle();
    ASSERT_TRUE(trunk.done());
    EXPECT_EQ(trunk.connector.connected, Strings{second}) << affinity;
    expect_free(trunk, first);
  }
}

TEST(Queue, WithNobodyLeftInServiceTheReplyIs503) {
  Trunk trunk(pool(sessions));
  const std::string cookie = session_at_a(trunk);
  Others others(trunk, "a");
  trunk.start("GET", "/", {{"Cookie", cookie}});
  trunk.advance(500ms);
  for (const char* id : {"a", "b"}) trunk.member(id).admin = Admin::maint;
  others.finish_one();
  trunk.settle();
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(trunk.delivered().head.status, 503);
  expect_free(trunk, "a");
}

TEST(Queue, ARetryReleasesItsPermitFirst) {
  Trunk trunk(pool());
  trunk.connector.script("a", {.fails = Fails::closes});
  trunk.connector.script("b", {.when = When::on_go});
  trunk.start("GET", "/");
  EXPECT_EQ(trunk.backend_of("a").in_flight.load(), 0U);
  EXPECT_EQ(trunk.backend_of("b").in_flight.load(), 1U);
  trunk.backend.go();
  trunk.settle();
  expect_free(trunk, "a");
  expect_free(trunk, "b");
}

TEST(Queue, ARetryAtTheSameBackendDoesNotWaitForItsOwnPermit) {
  Trunk trunk(pool(sessions));
  const std::string cookie = session_at_a(trunk);
  trunk.connector.script("a", {.fails = Fails::closes});
  trunk.start("GET", "/", {{"Cookie", cookie}});
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(trunk.connector.connected, (Strings{"a", "a"}));
  expect_free(trunk, "a");
}

TEST(Queue, APermitIsHeldUntilTheResponseHasBeenDelivered) {
  Trunk trunk(pool());
  trunk.connector.script("a", {.body = "long", .stalls_after = 2});
  trunk.start("GET", "/");
  EXPECT_EQ(trunk.delivered().body, "lo");
  EXPECT_EQ(trunk.backend_of("a").in_flight.load(), 1U);
  trunk.backend.go();
  trunk.settle();
  EXPECT_EQ(trunk.delivered().body, "long");
  expect_free(trunk, "a");
}

TEST(Queue, TheWaitIsNotCountedAsTheBackends) {
  Trunk trunk(pool(sessions));
  const std::string cookie = session_at_a(trunk);
  Others others(trunk, "a");
  trunk.keep_log();
  trunk.start("GET", "/", {{"Cookie", cookie}});
  trunk.advance(1s);
  others.finish_one();
  trunk.settle();
  ASSERT_TRUE(trunk.done());
  EXPECT_EQ(TrafficSum(trunk.backend_of("a").traffic).microseconds, 0U);
  const auto log = trunk.take_log();
  ASSERT_EQ(log.size(), 1U);
  EXPECT_EQ(log.front().at("queue_ms").as_double(), 1000);
}

}  // namespace
}  // namespace remora::test

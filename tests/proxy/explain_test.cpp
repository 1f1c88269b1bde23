// Explanations take the same decisions as the road, and leave no trace.

#include "proxy/explain.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "balance/rendezvous.h"
#include "http/h1/head.h"
#include "proxy/decide.h"
#include "session/lifecycle.h"
#include "support/affinity.h"

namespace remora {
namespace {

class Explain : public ::testing::Test {
 protected:
  Explain() {
    const config::Pool pool = test::pool_with("[{kind: app_cookie, name: SID}, {kind: cookie, name: c}]");
    view_ = add_pool(pool, {"a", "b", "c"});
    members_ = std::const_pointer_cast<PoolSnapshot>(view_->snapshot);
    config::Route all, moved, named;
    all.pool = "app";
    moved.path = "/old";
    moved.redirect = config::Redirect{"https://new/", 308};
    named.path = "/named";
    named.redirect = config::Redirect{"https://{host}{uri}", 301};
    snapshot_.router =
        std::make_shared<Router>(std::vector{all, moved, named}, std::vector<std::string>{"app"});
  }
  std::shared_ptr<PoolView> add_pool(const config::Pool& pool, const std::vector<std::string>& ids) {
    auto view = std::make_shared<PoolView>();
    view->config = pool;
    view->affinity = make_affinity(pool, keys_, namer_);
    view->counters = std::make_shared<PoolCounters>(1);
    auto members = std::make_shared<PoolSnapshot>();
    for (const std::string& id : ids) {
      Member m;
      m.backend = std::make_shared<Backend>(pool.name, id);
      members->members.push_back(m);
    }
    view->snapshot = members;
    snapshot_.pools.push_back(view);
    return view;
  }
  void only(std::size_t member) {
    for (std::size_t i = 0; i < members_->members.size(); ++i)
      if (i != member) members_->members[i].health = Health::down;
  }
  Explanation ask(ExplainRequest r) { return explain(snapshot_, r, memory_, scratch_, now_); }
  std::string token(const Binding& b) {
    std::string out;
    TokenSealer(keys_, "app", "cookie", "c").seal(b, scratch_, out);
    return out;
  }
  Binding binding(const char* backend) {
    Binding b;
    b.id = new_session_id();
    b.backend = backend_hash(backend);
    b.created = b.last_seen = now_.wall;
    return b;
  }
  Explanation ask(const std::string& cookie, const std::string& target = "/") {
    ExplainRequest r;
    r.target = target;
    if (!cookie.empty()) r.fields = {{"Cookie", cookie}};
    return ask(r);
  }
  static bool says(const Explanation& e, const std::string& text) {
    return std::any_of(e.steps.begin(), e.steps.end(),
                       [&](const std::string& line) { return line.find(text) != std::string::npos; });
  }

  std::shared_ptr<const KeyRing> keys_ =
      std::make_shared<KeyRing>(std::vector<std::string>{std::string(32, 'k')});
  std::shared_ptr<const SessionNamer> namer_ = std::make_shared<SessionNamer>("i", "app");
  std::shared_ptr<PoolView> view_;
  std::shared_ptr<PoolSnapshot> members_;
  Snapshot snapshot_;
  SessionMemory memory_{1000};
  CryptoScratch scratch_;
  ClockReading now_{Clock::Steady(std::chrono::hours(1000)), Clock::Wall(std::chrono::hours(500000))};
};

TEST_F(Explain, ASessionThatStays) {
  const Explanation e = ask("c=" + token(binding("b")));
  EXPECT_EQ(e.backend, "b");
  EXPECT_EQ(e.reason, Reason::sticky);
  EXPECT_EQ(e.epoch, 1U);
  EXPECT_TRUE(says(e, "route: number 1"));
  EXPECT_TRUE(says(e, "affinity cookie: session \""));
  EXPECT_TRUE(says(e, "it stays"));
}

TEST_F(Explain, ASessionThatMovesGoesWhereTheRoadWouldSendIt) {
  members_->members[1].health = Health::down;
  const Binding b = binding("b");
  const Explanation e = ask("c=" + token(b));
  EXPECT_EQ(e.reason, Reason::failover);
  EXPECT_EQ(e.epoch, 2U);
  EXPECT_EQ(e.backend, rendezvous(move_key(b), *members_, Tried())->backend->id);
  EXPECT_EQ(memory_.moves.size(), 0U);  // it was only explained
  view_->config.session.on_lost = config::OnLost::reject;
  EXPECT_EQ(ask("c=" + token(b)).status, 503);
}

TEST_F(Explain, AnIdThatNothingIsKnownOf) {
  const Explanation e = ask("SID=x");
  EXPECT_EQ(e.cause, Cause::unbound);
  EXPECT_EQ(e.backend, rendezvous(namer_->name("x", scratch_).hash(), *members_, Tried())->backend->id);
}

TEST_F(Explain, NoSessionARedirectARefusalAndNobodyLeft) {
  EXPECT_EQ(ask("").reason, Reason::new_);
  EXPECT_TRUE(says(ask("c=x"), "no session: malformed"));
  EXPECT_EQ(ask("", "/old/x").status, 308);
  EXPECT_EQ(ask("", "/a b").status, 400);
  EXPECT_EQ(ask("x\r\nEvil: y").status, 400);
  for (Member& m : members_->members) m.health = Health::down;
  EXPECT_EQ(ask("").status, 503);
  EXPECT_TRUE(says(ask(""), "takes nothing new"));
}

TEST_F(Explain, WhatSomebodyMerelyWantsHappensOnlyIfAnotherCanTakeTheSession) {
  const Binding b = binding("b");
  const std::string cookie = "c=" + token(b);
  members_->members[1].leaving = true;
  members_->members[1].admin = Admin::drain;
  EXPECT_EQ(ask(cookie).reason, Reason::drain);
  EXPECT_NE(ask(cookie).backend, "b");
  only(1);
  EXPECT_EQ(ask(cookie).backend, "b");
  EXPECT_EQ(ask(cookie).reason, Reason::sticky);
  EXPECT_EQ(ask(cookie).epoch, 1U);
  EXPECT_EQ(ask(cookie).status, 0);
  members_->members[1].leaving = false;
  Binding leaves = b;
  leaves.leave = true;  // Remora-Session-Control: move
  memory_.moves.active(leaves, view_->config.session, now_);
  EXPECT_EQ(ask(cookie).backend, "b");
  EXPECT_EQ(ask(cookie).status, 0);
  members_->members[0].health = Health::up;
  EXPECT_EQ(ask(cookie).backend, "a");
  EXPECT_EQ(ask(cookie).reason, Reason::rebalance);
}

TEST_F(Explain, ASessionThatHasToMoveAndCannotIs503) {
  const std::string cookie = "c=" + token(binding("b"));
  for (Member& m : members_->members) m.health = Health::down;
  EXPECT_EQ(ask(cookie).status, 503);
  EXPECT_EQ(ask(cookie).backend, "");
}

TEST_F(Explain, AMoveThatTheClientHasNotHeardOfIsItsReason) {
  const Binding b = binding("b");
  memory_.moves.moved(b.id, 2, backend_hash("c"), Reason::failover, view_->config.session, now_);
  const Explanation e = ask("c=" + token(b));
  EXPECT_EQ(e.backend, "c");
  EXPECT_EQ(e.epoch, 2U);
  EXPECT_EQ(e.reason, Reason::failover);
}

TEST_F(Explain, ARenewedIdIsServedWhereItsSessionLivesAndIsNoSession) {
  const Binding b = binding("b");
  memory_.moves.renewed(b.id, b.epoch, b.backend, view_->config.session, now_);
  const Explanation there = ask("c=" + token(b));
  EXPECT_EQ(there.backend, "b");
  EXPECT_EQ(there.reason, Reason::none);
  EXPECT_EQ(there.epoch, 0U);
  members_->members[1].backend->note_generation(7);
  members_->members[1].leaving = true;
  EXPECT_EQ(ask("c=" + token(b)).backend, "b");
  members_->members[1].health = Health::down;
  view_->config.session.on_lost = config::OnLost::reject;
  const Explanation elsewhere = ask("c=" + token(b));
  EXPECT_EQ(elsewhere.status, 0);
  EXPECT_NE(elsewhere.backend, "b");
  EXPECT_EQ(elsewhere.reason, Reason::none);
  EXPECT_EQ(elsewhere.epoch, 0U);
}

TEST_F(Explain, AfterAnExpiredIdOfTheAppComesTheChoiceOfItsKey) {
  for (int i = 0; i < 20; ++i) {  // the successor's choice would be another one now and then
    const std::string id = "x" + std::to_string(i);
    Binding b = binding("b");
    const SessionKey key = namer_->name(id, scratch_);
    b.created = now_.wall - view_->config.session.max_lifetime;
    memory_.learned.bind(key, b, 0, view_->config.session, now_);
    const Explanation e = ask("SID=" + id);
    ASSERT_EQ(e.cause, Cause::too_old);
    EXPECT_EQ(e.backend, rendezvous(key.hash(), *members_, Tried())->backend->id);
    EXPECT_EQ(e.reason, Reason::expired);
    EXPECT_EQ(e.epoch, 1U);
  }
}

TEST_F(Explain, AfterAnExpiredTokenComesItsSuccessorWhereThatIsKnownToBe) {
  Binding b = binding("b");
  b.last_seen = now_.wall - std::chrono::hours(1);
  b.created = b.last_seen;
  const std::string cookie = "c=" + token(b);
  const SessionId next = successor(b.id, now_.wall);
  EXPECT_EQ(ask(cookie).backend,
            rendezvous_if(next.hash(), *members_, [](const Member&) { return true; })->backend->id);
  for (const char* at : {"a", "b", "c"}) {
    SessionMemory fresh(1000);
    fresh.moves.moved(next, 3, backend_hash(at), Reason::failover, view_->config.session, now_);
    ExplainRequest r;
    r.fields = {{"Cookie", cookie}};
    const Explanation e = explain(snapshot_, r, fresh, scratch_, now_);
    EXPECT_EQ(e.backend, at);
    EXPECT_EQ(e.epoch, 3U);
    EXPECT_EQ(e.reason, Reason::expired);
  }
  memory_.moves.ended(next, 1, Reason::none, view_->config.session, now_);
  EXPECT_TRUE(says(ask(cookie), "the balancer chooses"));
}

TEST_F(Explain, BackupsServeWhenNoOrdinaryMemberCan) {
  members_->members[2].backup = true;
  EXPECT_NE(ask("").backend, "c");
  only(2);
  EXPECT_EQ(ask("").status, 0);
  EXPECT_EQ(ask("").backend, "c");
}

TEST_F(Explain, APreflightBeginsNoSession) {
  ExplainRequest r;
  r.method = "OPTIONS";
  EXPECT_EQ(ask(r).reason, Reason::new_);
  r.fields = {{"Origin", "https://shop.test"}, {"Access-Control-Request-Method", "PUT"}};
  const Explanation e = ask(r);
  EXPECT_EQ(e.reason, Reason::none);
  EXPECT_EQ(e.epoch, 0U);
  EXPECT_FALSE(e.backend.empty());
}

TEST_F(Explain, FieldsThatNoClientMaySendDoNotCount) {
  auto listener = std::make_shared<ListenerView>();
  listener->config.strip_client_headers = {"cookie"};
  config::Cidr proxy;
  proxy.bytes[10] = proxy.bytes[11] = 0xff;
  proxy.bytes[12] = 10;
  proxy.bits = 104;  // 10.0.0.0/8
  listener->config.trusted_proxies = {proxy};
  snapshot_.listeners = {listener};
  snapshot_.serving = {0};
  ExplainRequest r;
  r.fields = {{"Cookie", "c=" + token(binding("b"))}};
  EXPECT_EQ(ask(r).reason, Reason::new_);
  std::copy_n(proxy.bytes, 16, r.client.bytes);
  EXPECT_EQ(ask(r).reason, Reason::sticky);
}

TEST_F(Explain, ARedirectToTheHostThatNobodyNamedIsRefused) {
  ExplainRequest r;
  r.target = "/named/x";
  r.fields = {{"Host", "shop.test"}};
  EXPECT_EQ(ask(r).status, 301);
  EXPECT_TRUE(says(ask(r), "redirect to https://shop.test/named/x"));
  r.fields = {{"Host", ""}};
  EXPECT_EQ(ask(r).status, 400);
}

TEST_F(Explain, AnIdleSessionOfABusyBackendIsRebalancedIfTheRateAllows) {
  view_->config.session.rebalance.emplace();
  const Binding b = binding("b");
  const std::string cookie = "c=" + token(b);
  EXPECT_EQ(ask(cookie).reason, Reason::sticky);  // nothing is known about its last use
  ClockReading before = now_;
  before.steady -= std::chrono::minutes(2);
  before.wall -= std::chrono::minutes(2);
  memory_.active.seen(b, 0, view_->config.session, before);
  members_->members[1].backend->served = 1000;
  const Explanation e = ask(cookie);
  EXPECT_EQ(e.reason, Reason::rebalance);
  EXPECT_NE(e.backend, "b");
  EXPECT_EQ(e.epoch, 2U);
  EXPECT_EQ(ask(cookie).reason, Reason::rebalance);  // it was only explained
  view_->counters->rebalance.allow(1, now_.steady);
  EXPECT_EQ(ask(cookie).reason, Reason::sticky);
  EXPECT_EQ(ask(cookie).backend, "b");
  EXPECT_TRUE(says(ask(cookie), "the rate of such moves allows none now"));
}

TEST_F(Explain, NamesTheBackendsOfWhichTheBalancerDrawsOne) {
  view_->config.balance = config::Balance::round_robin;
  members_->members[0].health = Health::down;
  const Explanation some = ask("");
  EXPECT_EQ(some.candidates, (std::vector<std::string>{"b", "c"}));
  EXPECT_TRUE(says(some, "the balancer chooses one of b, c (round_robin)"));
  view_->config.balance = config::Balance::first;
  EXPECT_TRUE(ask("").candidates.empty());
  EXPECT_EQ(ask("").backend, "b");
  view_->config.balance = config::Balance::least_requests;
  members_->members[1].backend->in_flight = 100;
  EXPECT_TRUE(ask("").candidates.empty());
  EXPECT_EQ(ask("").backend, "c");
}

TEST_F(Explain, FirstRequestsOfOneClientShareABackend) {
  ExplainRequest r;
  r.fields = {{"Host", "shop.test"}, {"User-Agent", "x"}};
  r.client.bytes[15] = 7;
  RequestHead head;
  const std::string text = "GET / HTTP/1.1\r\nHost: shop.test\r\nUser-Agent: x\r\n\r\n";
  ASSERT_EQ(parse_request_head(text, {}, head).status, Parsed::Status::ok);
  Arrival arrival;
  arrival.client = r.client;
  members_->members[0].backend->in_flight = 100;  // the balancer would not choose it
  memory_.first.settle(first_requests_key(head, arrival, view_->number), backend_hash("a"), now_.steady);
  EXPECT_EQ(ask(r).backend, "a");
  r.fields.emplace_back("Via", "1.1 proxy");
  EXPECT_NE(ask(r).backend, "a");
}

TEST_F(Explain, OptionsThatNoBrowserSendsAsAPreflightBeginASession) {
  ExplainRequest r;
  r.method = "OPTIONS";
  r.fields = {{"Access-Control-Request-Method", "PUT"}};
  EXPECT_EQ(ask(r).reason, Reason::new_);
  r.fields.emplace_back("Origin", "https://shop.test");
  EXPECT_EQ(ask(r).reason, Reason::none);
  r.fields.emplace_back("Cookie", "theme=dark");
  EXPECT_EQ(ask(r).reason, Reason::new_);
}

TEST_F(Explain, ARejectedSessionSaysWhyItWouldHaveMoved) {
  members_->members[1].admin = Admin::maint;
  view_->config.session.on_lost = config::OnLost::reject;
  const Explanation e = ask("c=" + token(binding("b")));
  EXPECT_EQ(e.status, 503);
  EXPECT_EQ(e.reason, Reason::maint);
  EXPECT_EQ(e.backend, "");
}

class ExplainSplit : public Explain {
 protected:
  ExplainSplit() {
    config::Pool pool = test::pool_with("{kind: cookie, name: n}");
    pool.name = "next";
    next_ = std::const_pointer_cast<PoolSnapshot>(add_pool(pool, {"d", "e"})->snapshot);
    config::Route all;
    all.split = {{"app", 1}, {"next", 1}};
    snapshot_.router = std::make_shared<Router>(std::vector{all}, std::vector<std::string>{"app", "next"});
  }
  static void stop(PoolSnapshot& pool) {
    for (Member& m : pool.members) m.health = Health::down;
  }
  std::shared_ptr<PoolSnapshot> next_;
};

TEST_F(ExplainSplit, ASessionOfADeadPoolGoesOnInAnother) {
  const Binding b = binding("b");
  stop(*members_);
  const Explanation e = ask("c=" + token(b));
  EXPECT_EQ(e.status, 0);
  EXPECT_EQ(e.pool, "next");
  EXPECT_EQ(e.backend, rendezvous(move_key(b), *next_, Tried())->backend->id);
  EXPECT_EQ(e.reason, Reason::failover);
  EXPECT_EQ(e.epoch, 2U);
  stop(*next_);
  EXPECT_EQ(ask("c=" + token(b)).status, 503);
}

TEST_F(ExplainSplit, ASessionThatWentOnInAnotherPoolIsThere) {
  const Binding b = binding("b");
  memory_.moves.moved(b.id, 2, backend_hash("d"), Reason::failover, view_->config.session, now_);
  const Explanation e = ask("c=" + token(b));
  EXPECT_EQ(e.pool, "next");
  EXPECT_EQ(e.backend, "d");
  EXPECT_EQ(e.epoch, 2U);
  EXPECT_EQ(e.reason, Reason::failover);
}

TEST_F(ExplainSplit, AnIdOfTheAppIsServedByAnotherPoolToo) {
  stop(*members_);
  const Explanation e = ask("SID=x");
  EXPECT_EQ(e.pool, "next");
  EXPECT_EQ(e.reason, Reason::new_);
}

TEST_F(ExplainSplit, ARequestWithoutASessionGoesWhereSomebodyServes) {
  EXPECT_EQ(ask("").pool, "app");
  stop(*members_);
  EXPECT_EQ(ask("").pool, "next");
  EXPECT_EQ(ask("").status, 0);
}

}  // namespace
}  // namespace remora

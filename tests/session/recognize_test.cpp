// Whose session: the kinds in order, against what this instance remembers. With real kinds and real tables.

#include "session/recognize.h"

#include <gtest/gtest.h>

#include "affinity/seal.h"
#include "remora/pool_snapshot.h"
#include "support/affinity.h"

namespace remora {
namespace {

using namespace std::chrono_literals;
using What = Recognized::What;

class Recognize : public ::testing::Test {
 protected:
  void kinds(const std::string& affinity) {
    const config::Session session = pool_.session;
    pool_ = test::pool_with(affinity);
    pool_.session = session;
    kinds_ = make_affinity(pool_, keys_, namer_);
  }
  Binding binding() const {
    Binding b;
    b.id = new_session_id();
    b.backend = 1;
    b.created = b.last_seen = now_.wall;
    return b;
  }
  std::string cookie(const Binding& b) {
    std::string out = "c=";
    TokenSealer(keys_, "app", "cookie", "c").seal(b, scratch_, out);
    return out;
  }
  std::string url(const Binding& b) {
    std::string out = "/;rsid=";
    TokenSealer(keys_, "app", "url_rewrite", "rsid").seal(b, scratch_, out);
    return out;
  }
  Recognized ask(const std::string& cookies = "", const std::string& target = "/",
                 const std::string& sid = "") {
    cookies_ = cookies;
    target_ = target;
    sid_ = sid;
    fields_ = {{"Cookie", cookies_, Known::cookie}, {"Sid", sid_, Known::other}};
    RequestView v;
    v.fields = fields_;
    v.target = target_;
    return recognize(kinds_, v, memory_, pool_.session, scratch_, now_);
  }
  void bind(const std::string& sid, const Binding& b) {
    memory_.learned.bind(namer_->name(sid, scratch_), b, 0, pool_.session, now_);
  }
  void pass(std::chrono::milliseconds d) {
    now_.steady += d;
    now_.wall += d;
  }

  config::Pool pool_;
  std::shared_ptr<const KeyRing> keys_ =
      std::make_shared<KeyRing>(std::vector<std::string>{std::string(32, 'k')});
  std::shared_ptr<const SessionNamer> namer_ = std::make_shared<SessionNamer>("i", "app");
  std::vector<std::shared_ptr<const Affinity>> kinds_;
  CryptoScratch scratch_;
  SessionMemory memory_{1000};
  ClockReading now_{Clock::Steady(std::chrono::hours(1000)), Clock::Wall(std::chrono::hours(500000))};
  std::string cookies_, target_, sid_;
  std::vector<Field> fields_;
};

TEST_F(Recognize, AnOldTokenGoesToThePresentOwner) {
  kinds("{kind: cookie, name: c}");
  const Binding b = binding();
  memory_.moves.moved(b.id, 2, 9, Reason::failover, pool_.session, now_);
  const Recognized r = ask(cookie(b));
  EXPECT_EQ(r.what, What::session);
  EXPECT_EQ(r.binding.backend, 9U);
  EXPECT_EQ(r.binding.epoch, 2U);
  EXPECT_TRUE(r.behind);
  EXPECT_EQ(r.moved_for, Reason::failover);
  Binding newer = b;  // another instance has moved it on
  newer.epoch = 3;
  newer.backend = 4;
  EXPECT_EQ(ask(cookie(newer)).binding.backend, 4U);
  EXPECT_FALSE(ask(cookie(newer)).behind);
}

TEST_F(Recognize, ATokenOfAnEndedSessionIsNone) {
  kinds("{kind: cookie, name: c}");
  const Binding b = binding();
  memory_.moves.ended(b.id, 1, Reason::none, pool_.session, now_);
  EXPECT_EQ(ask(cookie(b)).what, What::nothing);
  EXPECT_EQ(ask(cookie(b)).cause, Cause::ended);
}

TEST_F(Recognize, ALostSessionStaysLostWhereTheAppWantsAnError) {
  kinds("[{kind: cookie, name: c}, {kind: header, name: Sid, learn: true}]");
  pool_.session.on_lost = config::OnLost::reject;
  const Binding b = binding();
  memory_.moves.ended(b.id, 1, Reason::failover, pool_.session, now_);
  EXPECT_EQ(ask(cookie(b)).what, What::lost);
  const Binding learned = binding();
  bind("x", learned);
  memory_.learned.end(namer_->name("x", scratch_), learned.id);
  EXPECT_EQ(ask("", "/", "x").what, What::lost);
}

TEST_F(Recognize, ARenewedIdIsServedWhereItsSessionLivesAndIsNotTheSession) {
  kinds("{kind: cookie, name: c}");
  const Binding b = binding();
  memory_.moves.renewed(b.id, 1, b.backend, pool_.session, now_);
  const Recognized r = ask(cookie(b));
  EXPECT_EQ(r.what, What::detached);
  EXPECT_EQ(r.binding.backend, b.backend);
}

TEST_F(Recognize, ATokenPastItsLifetimeIsNoneUnlessALongExchangeKeptItAlive) {
  kinds("{kind: cookie, name: c}");
  const Binding b = binding();
  const std::string c = cookie(b);
  pass(30min);
  memory_.moves.active(b, pool_.session, now_);
  pass(20min);
  EXPECT_EQ(ask(c).what, What::session);
  EXPECT_TRUE(ask(c).stamp_is_old);
  pass(20min);
  EXPECT_EQ(ask(c).what, What::nothing);
  EXPECT_EQ(ask(c).cause, Cause::idle);
}

TEST_F(Recognize, AClockThatJumpsBackByAMinuteChangesNothing) {
  kinds("[{kind: cookie, name: c}, {kind: header, name: Sid, learn: true}]");
  const Binding b = binding();
  bind("x", binding());
  now_.wall -= 1min;
  EXPECT_EQ(ask(cookie(b)).what, What::session);
  EXPECT_EQ(ask("", "/", "x").what, What::session);
}

TEST_F(Recognize, TheFirstOfAListThatRecognizesDecides) {
  kinds("[{kind: header, name: Sid, learn: true}, {kind: cookie, name: c}]");
  const Binding by_id = binding(), by_cookie = binding();
  bind("x", by_id);
  EXPECT_EQ(ask(cookie(by_cookie), "/", "x").binding.id, by_id.id);
  EXPECT_TRUE(ask(cookie(by_cookie), "/", "x").learned);
  EXPECT_EQ(ask(cookie(by_cookie), "/", "unknown").binding.id, by_cookie.id);
  EXPECT_EQ(ask(cookie(by_cookie)).binding.id, by_cookie.id);
  const Recognized unknown = ask("", "/", "unknown");
  EXPECT_EQ(unknown.what, What::unbound);
  EXPECT_EQ(unknown.kind, 0U);
  EXPECT_EQ(ask("c=x", "/").cause,
            Cause::malformed);  // of those that do not, the first with something to say
  EXPECT_EQ(ask().cause, Cause::absent);
}

TEST_F(Recognize, SeesWhetherACookieCameBackWhoeverDecides) {
  kinds("[url_rewrite, {kind: cookie, name: c}]");
  const Binding b = binding();
  EXPECT_FALSE(ask("", url(b)).came_by_cookie);
  EXPECT_TRUE(ask(cookie(b), url(b)).came_by_cookie);
  EXPECT_EQ(ask(cookie(b), url(b)).kind, 0U);
  EXPECT_EQ(ask(cookie(b)).kind, 1U);
}

TEST_F(Recognize, ATokenInAHeaderIsAsGoodAsACookieForUrls) {
  kinds("[url_rewrite, {kind: header_token, name: Sid}]");
  const Binding b = binding();
  std::string token;
  TokenSealer(keys_, "app", "header_token", "sid").seal(b, scratch_, token);
  EXPECT_TRUE(ask("", "/", token).came_by_cookie);
  EXPECT_TRUE(ask("", url(b), token).came_by_cookie);
  EXPECT_FALSE(ask("", url(b), "x").came_by_cookie);
}

// The header's token says nothing of the cookie's age.
TEST_F(Recognize, ACookieThatLastsWantsToBeSetAgainAlsoBesideAHeader) {
  pool_.session.idle_timeout.reset();
  kinds("[{kind: cookie, name: c, max_age: 1h}, {kind: header_token, name: Sid}]");
  const Binding b = binding();
  const std::string first = cookie(b);
  std::string token;
  TokenSealer(keys_, "app", "header_token", "sid").seal(b, scratch_, token);
  pass(31min);
  EXPECT_TRUE(ask(first, "/", token).stamp_is_late);
}

TEST_F(Recognize, AnExplanationLeavesNoTrace) {
  kinds("{kind: header, name: Sid, learn: true}");
  SessionMemory tiny(64);
  const SessionKey key = namer_->name("x", scratch_);
  tiny.learned.bind(key, binding(), 0, pool_.session, now_);
  fields_ = {{"Sid", "x", Known::other}};
  RequestView v;
  v.fields = fields_;
  EXPECT_EQ(recognize(kinds_, v, tiny, pool_.session, scratch_, now_, false).what, What::session);
  // Had it been "used", a flood of one-time sessions would spare it.
  for (int i = 0; i < 5000; ++i)
    tiny.learned.bind(namer_->name(std::to_string(i), scratch_), binding(), 0, pool_.session, now_);
  EXPECT_FALSE(tiny.learned.find_now(key, now_));
}

// kubernetes/ingress-nginx #9154: the session goes on, so the cookie has to.
TEST_F(Recognize, ACookieThatLastsWantsToBeSetAgainWhicheverTokenCameFirst) {
  pool_.session.idle_timeout.reset();
  for (const char* affinity :
       {"{kind: cookie, name: c, max_age: 1h}", "[url_rewrite, {kind: cookie, name: c, max_age: 1h}]"}) {
    kinds(affinity);
    const Binding b = binding();
    const std::string target = affinity[0] == '[' ? url(b) : "/";
    const std::string first = cookie(b);
    EXPECT_FALSE(ask(first, target).stamp_is_old);
    pass(15min);
    EXPECT_TRUE(ask(first, target).stamp_is_old) << affinity;
    EXPECT_EQ(ask(first, target).what, What::session);
    Binding again = b;
    again.last_seen = now_.wall;
    EXPECT_FALSE(ask(cookie(again), target).stamp_is_old) << "it was set again";
    // Activity that the cookie does not know of does not make it younger.
    memory_.moves.active(b, pool_.session, now_);
    EXPECT_TRUE(ask(first, target).stamp_is_old);
    EXPECT_FALSE(ask(first, target).stamp_is_late);
    pass(15min);
    EXPECT_TRUE(ask(first, target).stamp_is_late) << affinity;
  }
  // A cookie of another session than the URL's is not that session's to set again.
  const Binding other = binding();
  const std::string old = cookie(other);
  pass(15min);
  EXPECT_FALSE(ask(old, url(binding())).stamp_is_old);
}

// An app whose every answer is offered to shared caches must not cost its users their sessions.
TEST_F(Recognize, AStampThatIsHalfOfTheIdleTimeoutOldCannotWait) {
  kinds("{kind: cookie, name: c}");
  const std::string c = cookie(binding());
  pass(15min - 1ms);
  EXPECT_TRUE(ask(c).stamp_is_old);
  EXPECT_FALSE(ask(c).stamp_is_late);
  pass(1ms);
  EXPECT_TRUE(ask(c).stamp_is_late);
}

TEST_F(Recognize, TokensMayGoOnUrlsOnlyForWhoNeedsThem) {
  kinds("[{kind: app_cookie, name: SID}, {kind: cookie, name: c}, url_rewrite]");
  const Binding b = binding();
  const auto may = [&](const Recognized& r) { return may_be_issued(r, kinds_); };
  EXPECT_TRUE(may(ask())) << "who they are is not known yet";
  EXPECT_TRUE(may(ask("", url(b))));
  EXPECT_FALSE(may(ask(cookie(b))));
  EXPECT_FALSE(may(ask(cookie(b), url(b))));
  EXPECT_TRUE(may(ask("c=x"))) << "a cookie that is none";
  EXPECT_TRUE(may(ask("SID=unknown")));
  bind("known", b);
  EXPECT_FALSE(may(ask("SID=known"))) << "the app's own cookie came back";
}

// jetty/jetty.project #5853, RFC 6265 4.2.2: the order of cookies of one name means nothing.
TEST_F(Recognize, OfTwoIdsOfTheAppTheOneThatLivesDecides) {
  kinds("{kind: app_cookie, name: SID, query_parameter: sid}");
  const Binding b = binding();
  bind("live", b);
  for (const auto& [cookies, target] : std::vector<std::pair<std::string, std::string>>{
           {"SID=stale; SID=live", "/"},
           {"SID=live; SID=stale", "/"},
           {"SID=a; SID=b; SID=a; SID=\"live\"", "/"},
           {"SID=stale", "/x?sid=live"},
           {"SID=live", "/x?sid=stale"},
       }) {
    const Recognized r = ask(cookies, target);
    EXPECT_EQ(r.what, What::session) << cookies << target;
    EXPECT_EQ(r.binding.id, b.id) << cookies << target;
    EXPECT_EQ(r.key, namer_->name("live", scratch_));
  }
  EXPECT_EQ(ask("SID=x; SID=y").what, What::unbound);
  EXPECT_EQ(ask("SID=x; SID=y").key, namer_->name("x", scratch_));
}

TEST_F(Recognize, AnIdThatHasEndedDoesNotHideALivingOne) {
  kinds("{kind: app_cookie, name: SID}");
  pool_.session.on_lost = config::OnLost::reject;
  const Binding over = binding(), lives = binding();
  bind("over", over);
  memory_.learned.end(namer_->name("over", scratch_), over.id);
  EXPECT_EQ(ask("SID=over").what, What::lost);
  EXPECT_EQ(ask("SID=over; SID=unknown").what, What::unbound);
  bind("lives", lives);
  EXPECT_EQ(ask("SID=over; SID=lives").binding.id, lives.id);
}

TEST_F(Recognize, AnIdThatNamesItsServerCountsMoreThanOneThatDoesNot) {
  kinds("{kind: app_cookie, name: SID, route_separator: '.'}");
  EXPECT_EQ(ask("SID=stale; SID=live.app2").lookup.route, backend_hash("app2"));
}

TEST_F(Recognize, OfTwoTokensTheOneWhoseSessionHasNotEndedDecides) {
  kinds("{kind: cookie, name: c}");
  Binding a = binding(), b = binding();
  a.epoch = 3;
  EXPECT_EQ(ask(cookie(a) + "; " + cookie(b)).binding.id, a.id);
  memory_.moves.ended(a.id, 3, Reason::none, pool_.session, now_);
  EXPECT_EQ(ask(cookie(a) + "; " + cookie(b)).binding.id, b.id);
  EXPECT_TRUE(ask(cookie(b) + "; " + cookie(a)).came_by_cookie);
}

}  // namespace
}  // namespace remora

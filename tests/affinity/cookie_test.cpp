// Cookie affinity as a table of requests; over sockets: e2e/failover_test.cpp.

#include <gtest/gtest.h>

#include "affinity/seal.h"
#include "support/affinity.h"

namespace remora {
namespace {

using namespace std::chrono_literals;

class CookieAffinity : public ::testing::Test {
 protected:
  CookieAffinity() { use("{kind: cookie, name: c}"); }
  void use(const std::string& affinity) {
    pool_ = test::pool_with(affinity);
    affinity_ = make_affinity(pool_, keys_, nullptr).front();
  }

  Binding begun() {
    Binding b;
    b.id = new_session_id();
    b.backend = 42;
    b.created = b.last_seen = now_;
    return b;
  }
  std::string token(Binding b) {
    std::string out;
    TokenSealer(keys_, "app", "cookie", "c").seal(b, scratch_, out);
    return out;
  }
  Hint identify(const std::string& cookies) {
    cookies_ = cookies;
    fields_ = {{"Cookie", cookies_, Known::cookie}};
    return affinity_->identify(view(), scratch_, now_);
  }
  RequestView view() {
    RequestView v;
    v.fields = fields_;
    v.secure = secure_;
    return v;
  }
  Cause cause_of(const Hint& h) {
    if (const auto* opened = std::get_if<Opened>(&h)) return opened->expired;
    return std::get<NoHint>(h).cause;
  }
  std::string mark(const Served& served, bool cacheable = false, std::uint16_t status = 200,
                   std::vector<Field> fields = {}) {
    ResponseView response;
    response.shared_cacheable = cacheable;
    response.status = status;
    response.fields = fields;
    edits_.clear();
    affinity_->mark(view(), served, response, scratch_, now_, edits_);
    return test::added_lines(edits_);
  }

  config::Pool pool_;
  std::shared_ptr<const KeyRing> keys_ =
      std::make_shared<KeyRing>(std::vector<std::string>{std::string(32, 'k')});
  std::shared_ptr<const Affinity> affinity_;
  CryptoScratch scratch_;
  Clock::Wall now_{std::chrono::hours(24 * 365 * 50)};
  std::string cookies_;
  std::vector<Field> fields_;
  TextArena arena_;
  ResponseEdits edits_{arena_};
  bool secure_ = false;
};

TEST_F(CookieAffinity, RecognizesItsToken) {
  const Binding b = begun();
  const Hint hint = identify("x=1; c=" + token(b) + "; y=2");
  ASSERT_TRUE(std::holds_alternative<Opened>(hint));
  EXPECT_EQ(std::get<Opened>(hint).binding.id, b.id);
}

TEST_F(CookieAffinity, SaysWhyAThingIsNoSession) {
  EXPECT_EQ(cause_of(identify("")), Cause::absent);
  EXPECT_EQ(cause_of(identify("d=" + token(begun()))), Cause::absent);
  EXPECT_EQ(cause_of(identify("c=x")), Cause::malformed);
  EXPECT_EQ(cause_of(identify("c=" + std::string(128, 'A'))), Cause::unknown_key);
}

TEST_F(CookieAffinity, EndsBetweenOneAndOneAndAQuarterIdleTimeouts) {
  const std::string cookie = "c=" + token(begun());
  now_ += 2250s - 1ms;
  EXPECT_EQ(cause_of(identify(cookie)), Cause::none);
  now_ += 1ms;
  EXPECT_EQ(cause_of(identify(cookie)), Cause::idle);
}

TEST_F(CookieAffinity, EndsAtItsMaximumLifetimeHoweverActive) {
  Binding b = begun();
  b.created = now_ - 12h;
  EXPECT_EQ(cause_of(identify("c=" + token(b))), Cause::too_old);
}

TEST_F(CookieAffinity, ToleratesTwoMinutesOfSkewAndNoMore) {
  const std::string cookie = "c=" + token(begun());
  now_ -= 2min;
  EXPECT_EQ(cause_of(identify(cookie)), Cause::none);
  now_ -= 1ms;
  EXPECT_EQ(cause_of(identify(cookie)), Cause::future);
}

TEST_F(CookieAffinity, OfSeveralTheHighestEpochThenTheLatestStampCounts) {
  Binding a = begun(), b = begun(), c = begun();
  b.epoch = 2;
  c.epoch = 2;
  c.last_seen = now_ + 1s;
  for (const std::string& order : {token(a) + "; c=" + token(b) + "; c=" + token(c),
                                   token(c) + "; c=" + token(a) + "; c=x; c=" + token(b)})
    EXPECT_EQ(std::get<Opened>(std::get<Several>(identify("c=" + order)).of[0]).binding.id, c.id);
}

TEST_F(CookieAffinity, OneSessionSaidTwiceIsOne) {
  Binding a = begun();
  const std::string old = token(a);
  a.epoch = 2;
  for (const std::string& both : {old + "; c=" + token(a), token(a) + "; c=" + old})
    EXPECT_EQ(std::get<Opened>(identify("c=" + both)).binding.epoch, 2U);
}

TEST_F(CookieAffinity, ALivingTokenCountsMoreThanOneThatHasExpired) {
  Binding old = begun();
  old.epoch = 9;
  old.last_seen = now_ - 2h;
  const Binding lives = begun();
  for (const std::string& both : {token(old) + "; c=" + token(lives), token(lives) + "; c=" + token(old)})
    EXPECT_EQ(std::get<Opened>(std::get<Several>(identify("c=" + both)).of[0]).binding.id, lives.id);
}

TEST_F(CookieAffinity, ManyCookiesCostABoundedNumberOfDecryptions) {
  std::string many = "c=x";
  for (int i = 0; i < 100; ++i) many += "; c=x";
  EXPECT_EQ(cause_of(identify(many + "; c=" + token(begun()))), Cause::malformed);
}

TEST_F(CookieAffinity, IsSentAgainOnlyWhenItMustChange) {
  Served served;
  served.binding = begun();
  served.reason = Reason::sticky;
  EXPECT_EQ(mark(served), "");
  now_ += 450s;
  EXPECT_NE(mark(served), "");  // its stamp is a quarter of the idle timeout old
  now_ -= 450s;
  served.refresh = true;
  EXPECT_NE(mark(served), "");
  served.refresh = false;
  served.begun = true;
  EXPECT_EQ(mark(served).substr(0, 14), "Set-Cookie: c=");
}

TEST_F(CookieAffinity, SharedCachesGetATokenOnlyIfItMustBeSentAndThenPrivately) {
  Served served;
  served.binding = begun();
  served.begun = true;
  EXPECT_EQ(mark(served, true), "");
  EXPECT_FALSE(edits_.make_private);
  served.changed = true;
  EXPECT_NE(mark(served, true), "");
  EXPECT_TRUE(edits_.make_private);
  // Whatever the response says, caches may keep it (RFC 9111 4.2.2).
  served.changed = false;
  EXPECT_NE(mark(served), "");
  EXPECT_TRUE(edits_.make_private);
}

TEST_F(CookieAffinity, AttributesFollowTheConfiguration) {
  use("{kind: cookie, name: c, domain: example.com, path: /x, same_site: none, partitioned: on, max_age: "
      "1m}");
  secure_ = true;
  Served served;
  served.binding = begun();
  served.begun = true;
  const std::string line = mark(served);
  EXPECT_EQ(line.substr(line.find(';')),
            "; Path=/x; Domain=example.com; HttpOnly; SameSite=None; Partitioned; Max-Age=60; Secure\r\n");
  affinity_->clear(view(), edits_);
  EXPECT_NE(
      test::added_lines(edits_).find("Set-Cookie: c=; Path=/x; Domain=example.com; HttpOnly; SameSite=None; "
                                     "Partitioned; Max-Age=0; Secure\r\n"),
      std::string::npos);
}

// RFC 6265bis 5.7: a browser ignores such a cookie whole (home-assistant/frontend #6550,
// kubernetes/ingress-nginx #1759). Where TLS ends in front of remora, the client's scheme is not known.
TEST_F(CookieAffinity, WhatBrowsersTakeOnlyWithSecureHasIt) {
  for (const char* affinity :
       {"{kind: cookie, name: c, same_site: none}", "{kind: cookie, name: c, partitioned: on}",
        "{kind: cookie, name: c, same_site: none, partitioned: on, secure: auto}",
        "{kind: cookie, name: __Host-c}", "{kind: cookie, name: __host-c}",
        "{kind: cookie, name: __Secure-c}", "{kind: cookie, name: __SECURE-c}",
        "{kind: cookie, name: __Http-c}", "{kind: cookie, name: __Host-Http-c}"}) {
    use(affinity);
    for (const bool secure : {false, true}) {
      secure_ = secure;
      Served served;
      served.binding = begun();
      served.begun = true;
      EXPECT_NE(mark(served).find("; Secure\r\n"), std::string::npos) << affinity;
      edits_.clear();
      affinity_->clear(view(), edits_);
      EXPECT_NE(test::added_lines(edits_).find("; Secure\r\n"), std::string::npos) << affinity;
    }
  }
  for (const char* affinity : {"{kind: cookie, name: c}", "{kind: cookie, name: c, same_site: strict}",
                               "{kind: cookie, name: x__Host-c}"}) {
    use(affinity);
    for (const bool secure : {false, true}) {
      secure_ = secure;
      Served served;
      served.binding = begun();
      served.begun = true;
      EXPECT_EQ(mark(served).find("; Secure") != std::string::npos, secure) << affinity;
    }
  }
}

TEST_F(CookieAffinity, WhatNoBrowserTakesIsRefused) {
  for (const char* affinity :
       {"{kind: cookie, same_site: none, secure: off}", "{kind: cookie, partitioned: on, secure: off}",
        "{kind: cookie, name: __Host-c, secure: off}", "{kind: cookie, name: __secure-c, secure: off}",
        "{kind: cookie, name: __Http-c, secure: off}", "{kind: cookie, name: __Http-c, http_only: off}",
        "{kind: cookie, name: __Host-Http-c, http_only: off}", "{kind: cookie, name: __host-c, path: /x}",
        "{kind: cookie, name: __Host-c, domain: example.com}",
        "{kind: app_cookie, name: SID, carry: token, same_site: none, secure: off}",
        "{kind: app_cookie, name: __Host-SID, carry: token, domain: example.com}"})
    EXPECT_THROW(use(affinity), std::runtime_error) << affinity;
}

// RFC 6265 5.3: Max-Age counts from the response that sets the cookie (kubernetes/ingress-nginx #9154,
// traefik/traefik PR #13613).
TEST_F(CookieAffinity, ThatLastsIsSetAgainOnceAQuarterOfItsTimeHasPassed) {
  use("{kind: cookie, name: c, max_age: 40s}");
  for (const bool idle : {true, false}) {
    if (!idle) {
      pool_.session.idle_timeout.reset();
      affinity_ = make_affinity(pool_, keys_, nullptr).front();
    }
    const std::string cookie = "c=" + token(begun());
    now_ += 10s - 1ms;
    EXPECT_FALSE(std::get<Opened>(identify(cookie)).aging);
    now_ += 1ms;
    EXPECT_TRUE(std::get<Opened>(identify(cookie)).aging);
    now_ -= 1min;  // another instance's clock is ahead
    EXPECT_FALSE(std::get<Opened>(identify(cookie)).aging);
    now_ += 1min;
  }
  use("{kind: cookie, name: c}");
  const std::string cookie = "c=" + token(begun());
  now_ += 20min;
  EXPECT_FALSE(std::get<Opened>(identify(cookie)).aging) << "it ends with the browser";
}

// A tunnel or a stream of events may last longer than the cookie, and nothing can be set meanwhile.
TEST_F(CookieAffinity, ThatLastsIsSetAgainByWhatMayTakeLong) {
  Served served;
  served.binding = begun();
  served.reason = Reason::sticky;
  const std::vector<Field> events{{"Content-Type", "text/event-stream; charset=utf-8", Known::content_type}};
  const std::vector<Field> page{{"Content-Type", "text/html", Known::content_type}};
  EXPECT_EQ(mark(served, false, 101), "");
  use("{kind: cookie, name: c, max_age: 1h}");
  EXPECT_NE(mark(served, false, 101).find("; Max-Age=3600"), std::string::npos);
  EXPECT_NE(mark(served, false, 200, events).find("; Max-Age=3600"), std::string::npos);
  EXPECT_EQ(mark(served, false, 200, page), "");
}

}  // namespace
}  // namespace remora

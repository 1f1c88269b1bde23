// Every kind but the cookie, each as a table: what it recognizes, what it hides, what it learns, what it
// marks.

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "affinity/seal.h"
#include "remora/pool_snapshot.h"
#include "support/affinity.h"
#include "util/hash.h"

namespace remora {
namespace {

using namespace std::chrono_literals;

/// One kind in a pool "app", and requests and responses to show it.
class Kinds : public ::testing::Test {
 protected:
  void use(const std::string& affinity) {
    pool_ = test::pool_with(affinity);
    affinity_ = make_affinity(pool_, keys_, namer_).front();
  }
  void request(const std::string& target,
               const std::vector<std::pair<std::string, std::string>>& fields = {}) {
    target_ = target;
    text_ = fields;
    fields_.clear();
    for (const auto& [name, value] : text_) fields_.push_back({name, value, known(name)});
    view_ = {};
    view_.target = target_;
    view_.host = "h";
    view_.path = std::string_view(target_).substr(0, target_.find('?'));
    view_.fields = fields_;
  }
  void response(const std::vector<std::pair<std::string, std::string>>& fields, std::uint16_t status = 200) {
    answer_text_ = fields;
    answer_fields_.clear();
    for (const auto& [name, value] : answer_text_) answer_fields_.push_back({name, value, known(name)});
    answer_ = {};
    answer_.status = status;
    answer_.fields = answer_fields_;
    answer_.now = std::chrono::duration_cast<std::chrono::seconds>(now_.time_since_epoch()).count();
  }
  static Known known(std::string_view name) {
    return name == "Cookie"             ? Known::cookie
           : name == "Set-Cookie"       ? Known::set_cookie
           : name == "Location"         ? Known::location
           : name == "Content-Location" ? Known::content_location
           : name == "Refresh"          ? Known::refresh
           : name == "Link"             ? Known::link
           : name == "Referer"          ? Known::referer
           : name == "Content-Type"     ? Known::content_type
           : name == "Content-Encoding" ? Known::content_encoding
           : name == "Cache-Control"    ? Known::cache_control
           : name == "Accept"           ? Known::accept
                                        : Known::other;
  }
  Hint identify() { return affinity_->identify(view_, scratch_, now_); }
  ObservedId learn() { return affinity_->learn(view_, answer_, scratch_); }
  void mark(const Served& served) {
    edits_.clear();
    affinity_->mark(view_, served, answer_, scratch_, now_, edits_);
  }
  /// The response field as the client gets it.
  std::string marked(const std::string& name) {
    for (std::size_t i = 0; i < answer_text_.size(); ++i)
      if (answer_text_[i].first == name) {
        const Field original{name, answer_text_[i].second};
        return std::string(edited(edits_.fields, i, original).value);
      }
    return "";
  }
  Served begun() {
    Served s;
    s.binding.id = new_session_id();
    s.binding.backend = 42;
    s.binding.created = s.binding.last_seen = now_;
    s.begun = true;
    s.reason = Reason::new_;
    return s;
  }

  config::Pool pool_;
  std::shared_ptr<const KeyRing> keys_ =
      std::make_shared<KeyRing>(std::vector<std::string>{std::string(32, 'k')});
  std::shared_ptr<const SessionNamer> namer_ = std::make_shared<SessionNamer>(std::string(32, 'i'), "app");
  std::shared_ptr<const Affinity> affinity_;
  CryptoScratch scratch_;
  Clock::Wall now_{std::chrono::hours(24 * 365 * 50)};
  std::string target_;
  std::vector<std::pair<std::string, std::string>> text_, answer_text_;
  std::vector<Field> fields_, answer_fields_;
  RequestView view_;
  ResponseView answer_;
  TextArena arena_;
  ResponseEdits edits_{arena_};
};

// ip_hash -------------------------------------------------------------------------------------------

TEST_F(Kinds, IpHashMasksBothFamilies) {
  use("ip_hash");
  const auto hash = [&](std::initializer_list<int> bytes) {
    request("/");
    std::size_t i = 0;
    for (const int b : bytes) view_.client.bytes[i++] = static_cast<std::uint8_t>(b);
    return std::get<HashOn>(identify()).hash;
  };
  // IPv6: /64 unless set otherwise, so a client's changing interface id does not matter.
  EXPECT_EQ(hash({0x20, 1, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8}),
            hash({0x20, 1, 0, 0, 0, 0, 0, 1, 8, 7, 6, 5, 4, 3, 2, 1}));
  EXPECT_NE(hash({0x20, 1, 0, 0, 0, 0, 0, 1}), hash({0x20, 1, 0, 0, 0, 0, 0, 2}));
  const auto v4 = [&](int last) { return hash({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, last}); };
  EXPECT_NE(v4(1), v4(2));
  use("{kind: ip_hash, ipv4_prefix: 24}");
  EXPECT_EQ(v4(1), v4(2));
}

// header --------------------------------------------------------------------------------------------

TEST_F(Kinds, HeaderIsHashedUnlessItIsLearned) {
  use("{kind: header, name: X-Tenant}");
  const auto hash = [&](const std::string& value) {
    request("/", {{"x-tenant", value}});
    return std::get<HashOn>(identify()).hash;
  };
  EXPECT_EQ(hash("a"), hash("a"));
  EXPECT_NE(hash("a"), hash("b"));
  EXPECT_EQ(hash("\"a\""), hash("a"));  // quoted values are compared without quotes
  for (const auto& fields : std::vector<std::vector<std::pair<std::string, std::string>>>{
           {}, {{"X-Tenant", ""}}, {{"X-Tenant", "\"\""}}, {{"X-Tenant", "a"}, {"x-tenant", "b"}}}) {
    request("/", fields);
    EXPECT_TRUE(std::holds_alternative<NoHint>(identify()));
  }
}

TEST_F(Kinds, LearnedHeaderIsNamedTheSameInRequestAndResponse) {
  use("{kind: header, name: Mcp-Session-Id, learn: true}");
  request("/", {{"mcp-session-id", "abc"}});
  response({{"Mcp-Session-Id", "abc"}});
  EXPECT_EQ(std::get<Lookup>(identify()).key, *learn().key);
  response({});
  EXPECT_FALSE(learn().key);
}

TEST_F(Kinds, NamesDependOnPoolAndIndexKeyAndShowNothingOfTheId) {
  const SessionKey key = namer_->name("abc", scratch_);
  EXPECT_EQ(key, namer_->name("abc", scratch_));
  EXPECT_FALSE(key == SessionNamer(std::string(32, 'i'), "other").name("abc", scratch_));
  EXPECT_FALSE(key == SessionNamer(std::string(32, 'j'), "app").name("abc", scratch_));
  const std::string longer(5000, 'x');
  EXPECT_EQ(namer_->name(longer, scratch_), namer_->name(longer, scratch_));
  EXPECT_FALSE(namer_->name(longer, scratch_) == key);
}

// jwt_claim -----------------------------------------------------------------------------------------

class OneClaim final : public VerifiedClaims {
 public:
  std::optional<std::string_view> find(std::string_view verifier,
                                       std::string_view claim) const noexcept override {
    if (verifier == "main" && claim == "sub") return "alice";
    return std::nullopt;
  }
};

TEST_F(Kinds, JwtClaimHashesWhatTheVerifierVouchesFor) {
  const auto use_jwt = [&](std::map<std::string, std::string> values) {
    pool_.name = "app";
    pool_.affinity = {test::kind_with("jwt_claim", std::move(values))};
    affinity_ = make_affinity(pool_, keys_, namer_).front();
  };
  use_jwt({{"verifier", "main"}});
  const OneClaim claims;
  request("/");
  EXPECT_TRUE(std::holds_alternative<NoHint>(identify()));  // nothing was verified
  view_.claims = &claims;
  EXPECT_EQ(std::get<HashOn>(identify()).hash, hash_text("alice"));
  use_jwt({{"verifier", "main"}, {"claim", "tenant"}});
  EXPECT_TRUE(std::holds_alternative<NoHint>(identify()));
  use_jwt({{"verifier", "main"}, {"carry", "store"}});
  EXPECT_TRUE(std::get<Lookup>(identify()).adopt);
}

// app_cookie ----------------------------------------------------------------------------------------

/// The id that counts when nothing else tells.
Lookup first_of(const Hint& hint) {
  if (const auto* several = std::get_if<Several>(&hint)) return std::get<Lookup>(several->of[0]);
  return std::get<Lookup>(hint);
}

TEST_F(Kinds, AppCookieFindsTheIdInCookiePathAndQuery) {
  use("{kind: app_cookie, query_parameter: sid}");
  const SessionKey abc = namer_->name("abc", scratch_);
  struct Row {
    const char *target, *cookie;
    bool found;
  };
  for (const Row& row : std::vector<Row>{
           {"/", "JSESSIONID=abc", true},
           {"/", "x=1; JSESSIONID=\"abc\"; y=2", true},
           {"/a;jsessionid=abc", "", true},
           {"/a;jsessionid=abc?x=1", "x=1", true},
           {"/a?sid=abc", "", true},
           {"/a;jsessionid=zzz?sid=zzz", "JSESSIONID=abc", true},  // the cookie comes first
           {"/a;jsessionid=abc?sid=zzz", "", true},
           {"/", "JSESSIONID=", false},  // empty ids are no ids
           {"/", "JSESSIONID=\"\"", false},
           {"/", "jsessionid=abc", false},  // cookie names have case (RFC 6265 4.1.1)
           {"/a?jsessionid=abc", "", false},
           {"/", "", false},
       }) {
    request(row.target, {{"Cookie", row.cookie}});
    const Hint hint = identify();
    EXPECT_EQ(!std::holds_alternative<NoHint>(hint), row.found) << row.target << " " << row.cookie;
    if (row.found) {
      EXPECT_EQ(first_of(hint).key, abc) << row.target << " " << row.cookie;
    }
  }
}

TEST_F(Kinds, AppCookieLearnsFromSetCookieAndOwnRedirects) {
  use("app_cookie");
  request("/");
  struct Row {
    std::vector<std::pair<std::string, std::string>> fields;
    const char* id;  // "": none
    bool forgotten;
  };
  for (const Row& row : std::vector<Row>{
           {{{"Set-Cookie", "JSESSIONID=abc; Path=/; HttpOnly"}}, "abc", false},
           {{{"Set-Cookie", "x=1"}, {"Set-Cookie", "JSESSIONID=abc"}}, "abc", false},
           {{{"Set-Cookie", "JSESSIONID=old"}, {"Set-Cookie", "JSESSIONID=abc"}}, "abc", false},
           {{{"Set-Cookie", "JSESSIONID=abc; max-age=60"}}, "abc", false},
           {{{"Set-Cookie", "JSESSIONID=abc; Max-Age=0"}}, "", true},
           {{{"Set-Cookie", "JSESSIONID=abc; Max-Age=-1"}}, "", true},
           {{{"Set-Cookie", "JSESSIONID=; Path=/"}}, "", true},
           {{{"Set-Cookie", "JSESSIONID=; Expires=Thu, 01 Jan 1970 00:00:00 GMT"}}, "", true},
           {{{"Set-Cookie", "JSESSIONID=x; Expires=Thu, 01-Jan-70 00:00:10 GMT"}}, "", true},
           {{{"Set-Cookie", "JSESSIONID=abc; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=60"}},
            "abc",
            false},
           {{{"Set-Cookie", "JSESSIONIDX=abc"}}, "", false},
           {{{"Set-Cookie", "JSESSIONID"}}, "", false},
           {{{"Location", "/a;jsessionid=abc?x"}}, "abc", false},
           {{{"Location", "http://h/a;jsessionid=abc"}}, "abc", false},
           {{{"Location", "http://evil.example/a;jsessionid=abc"}}, "", false},
           {{}, "", false},
       }) {
    response(row.fields);
    const ObservedId learned = learn();
    EXPECT_EQ(learned.forgotten, row.forgotten) << (row.fields.empty() ? "" : row.fields[0].second);
    EXPECT_EQ(learned.key.has_value(), *row.id != '\0') << (row.fields.empty() ? "" : row.fields[0].second);
    if (learned.key && *row.id != '\0') {
      EXPECT_EQ(*learned.key, namer_->name(row.id, scratch_));
    }
  }
}

TEST_F(Kinds, AppCookieHonorsTheServerThatAnIdNames) {
  use("{kind: app_cookie, route_separator: '.'}");
  request("/", {{"Cookie", "JSESSIONID=AB.CD.tomcat2"}});
  EXPECT_EQ(std::get<Lookup>(identify()).route, backend_hash("tomcat2"));
  request("/", {{"Cookie", "JSESSIONID=ABCD"}});
  EXPECT_EQ(std::get<Lookup>(identify()).route, 0U);
}

class CompanionCookie : public Kinds {
 protected:
  void SetUp() override { use("{kind: app_cookie, carry: token}"); }
  /// The companion that a response with this id gets.
  std::string companion(const std::string& id, const Served& served) {
    request("/");
    response({{"Set-Cookie", "JSESSIONID=" + id}});
    mark(served);
    const std::string lines = test::added_lines(edits_);
    const auto at = lines.find("JSESSIONID-r=");
    return at == std::string::npos ? "" : lines.substr(at, lines.find(';', at) - at);
  }
};

TEST_F(CompanionCookie, SaysWhereTheSessionLivesWithoutAnyStore) {
  const Served served = begun();
  const std::string token = companion("abc", served);
  ASSERT_NE(token, "");
  request("/", {{"Cookie", "JSESSIONID=abc; " + token}});
  EXPECT_EQ(std::get<Opened>(identify()).binding.id, served.binding.id);
}

TEST_F(CompanionCookie, IsWorthNothingBesideAnotherId) {
  const std::string token = companion("abc", begun());
  request("/", {{"Cookie", "JSESSIONID=abd; " + token}});
  const auto lookup = std::get<Lookup>(identify());
  EXPECT_FALSE(lookup.stored);
  EXPECT_EQ(lookup.cause, Cause::forged);
  request("/", {{"Cookie", token}});  // without the app's id there is no session
  EXPECT_TRUE(std::holds_alternative<NoHint>(identify()));
}

TEST_F(CompanionCookie, LivesAndDiesWithTheAppsCookie) {
  Served served = begun();
  const std::string token = companion("abc", served);
  served.begun = false;
  served.reason = Reason::sticky;
  request("/", {{"Cookie", "JSESSIONID=abc; " + token}});
  response({});
  mark(served);
  EXPECT_EQ(test::added_lines(edits_), "");      // nothing changed
  response({{"Set-Cookie", "JSESSIONID=def"}});  // login: another id for the same session
  mark(served);
  EXPECT_NE(test::added_lines(edits_).find("JSESSIONID-r="), std::string::npos);
  response({{"Set-Cookie", "JSESSIONID=; Max-Age=0"}});
  mark(served);
  EXPECT_NE(test::added_lines(edits_).find("JSESSIONID-r=; Path=/; HttpOnly; Max-Age=0"), std::string::npos);
  RequestEdits hidden(arena_);
  affinity_->conceal(view_, hidden);
  ASSERT_EQ(hidden.dropped_cookies().size(), 1U);
  EXPECT_EQ(hidden.dropped_cookies()[0], "JSESSIONID-r");
}

TEST_F(CompanionCookie, ThatLastsIsSetAgainWhileItIsUsed) {
  use("{kind: app_cookie, name: JSESSIONID, carry: token, max_age: 1h}");
  const Served first = begun();
  request("/", {{"Cookie", "JSESSIONID=abc; " + companion("abc", first)}});
  now_ += 14min;
  EXPECT_FALSE(std::get<Opened>(identify()).aging);
  now_ += 1min;
  EXPECT_TRUE(std::get<Opened>(identify()).aging);
  Served served = first;
  served.begun = false;
  served.reason = Reason::sticky;
  served.refresh = true;
  response({});
  mark(served);
  EXPECT_NE(test::added_lines(edits_).find("; Max-Age=3600"), std::string::npos) << test::added_lines(edits_);
  EXPECT_TRUE(edits_.make_private);
}

TEST_F(CompanionCookie, AnIdThatOnlyTheClientClaimsEarnsNone) {
  request("/", {{"Cookie", "JSESSIONID=invented"}});
  response({});
  mark(begun());
  EXPECT_EQ(test::added_lines(edits_), "");
}

// magro/memcached-session-manager #197: apps on `/` and `/XY`, each with a JSESSIONID.
TEST_F(CompanionCookie, TellsWhichOfTwoIdsIsTheSession) {
  const Served served = begun();
  const std::string token = companion("live", served);
  for (const char* ids : {"JSESSIONID=stale; JSESSIONID=live; ", "JSESSIONID=live; JSESSIONID=stale; "}) {
    request("/", {{"Cookie", ids + token}});
    EXPECT_EQ(std::get<Opened>(identify()).binding.id, served.binding.id) << ids;
    response({});
    Served again = served;
    again.begun = false;
    again.reason = Reason::sticky;
    mark(again);
    EXPECT_EQ(test::added_lines(edits_), "") << ids;
  }
  request("/;jsessionid=live", {{"Cookie", "JSESSIONID=stale; " + token}});
  EXPECT_EQ(std::get<Opened>(identify()).binding.id, served.binding.id);
  request("/", {{"Cookie", "JSESSIONID=stale; JSESSIONID=other; " + token}});
  EXPECT_TRUE(std::holds_alternative<Lookup>(identify()));
}

TEST_F(CompanionCookie, OfAProxyBehindUsStaysAndOursGetsAnotherName) {
  request("/");
  response({{"Set-Cookie", "JSESSIONID=abc"}, {"Set-Cookie", "JSESSIONID-r=theirs; Path=/"}});
  mark(begun());
  EXPECT_NE(test::added_lines(edits_).find("Set-Cookie: JSESSIONID-r~2="), std::string::npos);
}

TEST_F(Kinds, AnEventNamesTheSessionThatALaterUrlCarries) {
  use("{kind: app_cookie, name: sessionId, query_parameter: sessionId}");
  ASSERT_TRUE(affinity_->reads_events());
  request("/messages?sessionId=u-1");
  const SessionKey key = std::get<Lookup>(identify()).key;
  for (const char* data :
       {"/messages?sessionId=u-1", "http://h:1/messages/?x=1&sessionId=u-1", "?sessionId=u-1#f"})
    EXPECT_EQ(affinity_->learn_event(data, scratch_), key) << data;
  for (const char* data : {"", "/messages", "/messages?sessionId=", "/?session_id=u-1"})
    EXPECT_FALSE(affinity_->learn_event(data, scratch_)) << data;
  use("{kind: app_cookie, name: sessionId}");
  EXPECT_FALSE(affinity_->reads_events());
}

// url_rewrite ---------------------------------------------------------------------------------------

class UrlRewrite : public Kinds {
 protected:
  void SetUp() override { use("url_rewrite"); }
  std::string token(const Served& served) {
    request("/");
    response({{"Location", "/x"}}, 302);
    mark(served);
    const std::string url = marked("Location");
    return url.substr(url.find('=') + 1);
  }
};

TEST_F(UrlRewrite, RecognizesItsTokenAndHidesIt) {
  const Served served = begun();
  const std::string t = token(served);
  ASSERT_EQ(t.size(), 128U);
  request("/a;rsid=" + t + "/b?x=1", {{"Referer", "http://h/z;rsid=" + t + "?y"}, {"X", "y"}});
  EXPECT_EQ(std::get<Opened>(identify()).binding.id, served.binding.id);
  RequestEdits hidden(arena_);
  affinity_->conceal(view_, hidden);
  EXPECT_EQ(hidden.target, "/a/b?x=1");
  ASSERT_EQ(hidden.fields.size(), 1U);
  EXPECT_EQ(hidden.fields[0].value, "http://h/z?y");
}

TEST_F(UrlRewrite, WhatIsNoTokenIsNoSession) {
  const std::string t = token(begun());
  struct Row {
    std::string value;
    Cause cause;
  };
  std::string flipped = t;
  flipped[50] = flipped[50] == 'A' ? 'B' : 'A';
  for (const Row& row :
       {Row{"", Cause::malformed}, Row{"x", Cause::malformed}, Row{t.substr(1), Cause::malformed},
        Row{flipped, Cause::forged}, Row{std::string(8192, 'A'), Cause::malformed},
        Row{std::string(128, 'A'), Cause::unknown_key}}) {
    request("/a;rsid=" + row.value);
    EXPECT_EQ(std::get<NoHint>(identify()).cause, row.cause) << row.value.substr(0, 20);
    RequestEdits hidden(arena_);
    affinity_->conceal(view_, hidden);
    EXPECT_EQ(hidden.target, "/a");  // hidden all the same
  }
}

TEST_F(UrlRewrite, MarksTheFieldsThatCarryUrls) {
  const Served served = begun();
  request("/dir/page");
  response({{"Location", "/x?a=1"},
            {"Content-Location", "y"},
            {"Refresh", "5; url='/z'"},
            {"Link", "</next>; rel=next; title=\"<b>\", <https://elsewhere.example/>; rel=prev"},
            {"Set-Cookie", "a=/x"}});
  mark(served);
  const std::string t = marked("Location").substr(8, 128);
  EXPECT_EQ(marked("Location"), "/x;rsid=" + t + "?a=1");
  EXPECT_EQ(marked("Content-Location"), "y;rsid=" + t);
  EXPECT_EQ(marked("Refresh"), "5; url='/z;rsid=" + t + "'");
  EXPECT_EQ(marked("Link"),
            "</next;rsid=" + t + ">; rel=next; title=\"<b>\", <https://elsewhere.example/>; rel=prev");
  EXPECT_EQ(marked("Set-Cookie"), "a=/x");
  EXPECT_TRUE(edits_.make_private);
  EXPECT_EQ(test::added_lines(edits_), "Referrer-Policy: same-origin\r\n");
}

TEST_F(UrlRewrite, LeavesAResponseAloneThatHasNothingToMark) {
  request("/");
  for (const auto& fields : std::vector<std::vector<std::pair<std::string, std::string>>>{
           {},
           {{"Location", "https://elsewhere.example/"}},
           {{"Refresh", "soon; url=/x"}},
           {{"Refresh", "5; url=//elsewhere.example/"}},
           {{"Link", "broken <"}},
           {{"Content-Type", "text/html"}}}) {
    response(fields);
    mark(begun());
    EXPECT_TRUE(edits_.fields.empty());
    EXPECT_EQ(test::added_lines(edits_), "");
    EXPECT_FALSE(edits_.make_private);
    EXPECT_EQ(edits_.body, nullptr);
  }
}

TEST_F(UrlRewrite, KeepsTheClientsOwnTokenWhileItIsTrue) {
  Served served = begun();
  const std::string t = token(served);
  served.begun = false;
  served.reason = Reason::sticky;
  request("/a;rsid=" + t);
  response({{"Location", "/x"}});
  mark(served);
  EXPECT_EQ(marked("Location"), "/x;rsid=" + t);
  served.changed = true;
  mark(served);
  EXPECT_NE(marked("Location"), "/x;rsid=" + t);
}

TEST_F(UrlRewrite, UrlsStayCleanOnceACookieCameBack) {
  Served served = begun();
  served.came_by_cookie = true;
  request("/");
  response({{"Location", "/x"}});
  mark(served);
  EXPECT_EQ(marked("Location"), "/x");
}

TEST_F(UrlRewrite, RewritesPagesOnlyWhenAskedAndAble) {
  use("{kind: url_rewrite, rewrite: [location, html]}");
  request("/");
  struct Row {
    std::vector<std::pair<std::string, std::string>> fields;
    std::uint16_t status;
    bool rewritten;
  };
  for (const Row& row : std::vector<Row>{
           {{{"Content-Type", "text/html; charset=utf-8"}}, 200, true},
           {{{"Content-Type", "TEXT/HTML"}}, 404, true},
           {{{"Content-Type", "text/html; charset=UTF-16"}}, 200, false},
           {{{"Content-Type", "text/html"}, {"Content-Encoding", "gzip"}}, 200, false},
           {{{"Content-Type", "text/html"}, {"Content-Encoding", "identity"}}, 200, true},
           {{{"Content-Type", "text/html"}}, 206, false},
           // RFC 9110 7.7: nobody on the way may change it.
           {{{"Content-Type", "text/html"}, {"Cache-Control", "max-age=0, No-Transform"}}, 200, false},
           {{{"Content-Type", "text/html"}, {"Cache-Control", "x=\"a, no-transform\""}}, 200, true},
           {{{"Content-Type", "text/plain"}}, 200, false},
           {{}, 200, false},
       }) {
    response(row.fields, row.status);
    mark(begun());
    EXPECT_EQ(edits_.body != nullptr, row.rewritten);
    EXPECT_EQ(edits_.other_body, row.rewritten);
  }
  RequestEdits hidden(arena_);
  affinity_->conceal(view_, hidden);
  EXPECT_TRUE(hidden.identity_coding);
}

// getsentry/sentry #67900 (Safari plays films only in ranges), h2o/h2o #429 (gzip lost): only what may be
// rewritten has to come whole and plain.
TEST_F(UrlRewrite, AsksForAPlainBodyOnlyWhereAPageMayCome) {
  use("{kind: url_rewrite, rewrite: [location, html]}");
  struct Row {
    const char* target;
    std::vector<std::pair<std::string, std::string>> fields;
    bool plain;
  };
  for (const Row& row : std::vector<Row>{
           {"/", {}, true},
           {"/a.html", {}, true},
           {"/a.php", {{"Accept", "text/html,application/xhtml+xml,*/*;q=0.8"}}, true},
           {"/v1.2/page", {}, true},
           {"/page?file=x.mp4", {}, true},
           {"/x.mp4/page", {}, true},
           {"/x", {{"Accept", "*/*"}}, true},
           {"/x", {{"Accept", "text/*"}}, true},
           {"/x", {{"Accept", "image/png"}, {"Accept", "text/html"}}, true},
           {"/x", {{"Sec-Fetch-Dest", "document"}}, true},
           {"/x", {{"Sec-Fetch-Dest", "iframe"}}, true},
           {"/x", {{"Sec-Fetch-Dest", "empty"}}, true},
           {"/x", {{"Sec-Fetch-Dest", "unheard-of"}}, true},
           {"/x", {{"Sec-Fetch-Dest", "video"}}, false},
           {"/x", {{"sec-fetch-dest", "Style"}}, false},
           {"/x", {{"Sec-Fetch-Dest", "image"}, {"Accept", "image/avif,*/*"}}, false},
           {"/x", {{"Accept", "application/json"}}, false},
           {"/x", {{"Accept", "text/event-stream"}}, false},
           {"/x", {{"Accept", "image/avif, image/webp;q=0.5"}}, false},
           {"/film.mp4", {}, false},
           {"/a/style.CSS?v=2", {}, false},
           {"/manual.pdf", {{"Sec-Fetch-Dest", "document"}}, false},
           {"/app.js;rsid=x", {}, false},
           {"/font.woff2", {}, false},
       }) {
    request(row.target, row.fields);
    RequestEdits hidden(arena_);
    affinity_->conceal(view_, hidden);
    EXPECT_EQ(hidden.identity_coding, row.plain)
        << row.target << " " << (row.fields.empty() ? "" : row.fields.front().second);
  }
  use("url_rewrite");
  request("/");
  RequestEdits hidden(arena_);
  affinity_->conceal(view_, hidden);
  EXPECT_FALSE(hidden.identity_coding) << "redirects alone need no body";
}

TEST_F(UrlRewrite, AReloadAfterSomeTimeCarriesTheToken) {
  request("/dir/page?x=1");
  for (const char* refresh : {"30", "30; url=", "30;url=''"}) {
    response({{"Refresh", refresh}});
    mark(begun());
    const std::string value = marked("Refresh");
    EXPECT_EQ(value.rfind("30;url=/dir/page;rsid=", 0), 0U) << value;
    EXPECT_EQ(value.substr(value.size() - 4), "?x=1");
  }
}

// A Link that is resolved against the document must not cost a page its base.
TEST_F(UrlRewrite, FieldsThatWereMarkedHaveNoBase) {
  use("{kind: url_rewrite, rewrite: [location, html]}");
  request("/");
  response({{"Content-Type", "text/html"}, {"Link", "</next>; rel=next"}});
  mark(begun());
  ASSERT_NE(edits_.body, nullptr);
  std::string out;
  edits_.body->feed("<base href='//cdn.example/'>", true, out);
  EXPECT_EQ(out, "<base href='//cdn.example/'>");
}

// All of them ---------------------------------------------------------------------------------------

TEST(Registry, HoldsEachKindOnceUnderItsYamlName) {
  std::set<std::string_view> names;
  for (const AffinityKind* kind : affinity_kinds()) names.insert(kind->name);
  EXPECT_EQ(names, (std::set<std::string_view>{"cookie", "url_rewrite", "header_token", "app_cookie",
                                               "header", "ip_hash", "jwt_claim", "hash"}));
  EXPECT_EQ(affinity_kinds().size(), names.size());
  const auto keys = std::make_shared<KeyRing>(std::vector<std::string>{std::string(32, 'k')});
  const auto namer = std::make_shared<SessionNamer>("i", "app");
  const auto made =
      make_affinity(test::pool_with("[app_cookie, {kind: header, name: x}, cookie, ip_hash]"), keys, namer);
  ASSERT_EQ(made.size(), 4U);
  EXPECT_EQ(made[0]->name(), "app_cookie");
  EXPECT_EQ(made[3]->name(), "ip_hash");
}

}  // namespace
}  // namespace remora

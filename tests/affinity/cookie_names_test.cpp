// Names of tokens where several proxies share a browser's cookies (RFC 6265 8.5: cookies know no port).
// traefik/traefik #1574, kubernetes/ingress-nginx #4208.

#include "affinity/cookie_names.h"

#include <gtest/gtest.h>

#include <deque>
#include <set>

#include "util/cookies.h"

namespace remora {
namespace {

std::shared_ptr<const KeyRing> ring(std::initializer_list<char> letters) {
  std::vector<std::string> keys;
  for (const char c : letters) keys.emplace_back(32, c);
  return std::make_shared<KeyRing>(keys);
}

/// Two proxies with keys of their own; `mine` is the one that is looked at.
class Names : public ::testing::Test {
 protected:
  std::string token(const std::shared_ptr<const KeyRing>& keys) {
    std::string out;
    TokenSealer(keys, "app", "cookie", "t").seal(Binding{}, scratch_, out);
    return out;
  }
  // Both live as long as the test, beside those before.
  RequestView request(std::vector<std::string> cookies) {
    const std::vector<std::string>& kept = lines_.emplace_back(std::move(cookies));
    std::vector<Field>& fields = fields_.emplace_back();
    for (const std::string& c : kept) fields.push_back({"Cookie", c, Known::cookie});
    RequestView v;
    v.fields = fields;
    return v;
  }
  ResponseView response(std::vector<std::string> lines) {
    const std::vector<std::string>& kept = lines_.emplace_back(std::move(lines));
    std::vector<Field>& answer = fields_.emplace_back();
    for (const std::string& l : kept) answer.push_back({"Set-Cookie", l, Known::set_cookie});
    ResponseView v;
    v.fields = answer;
    return v;
  }
  std::string left(const RequestView& r) {
    RequestEdits edits(arena_);
    names_.conceal(r, edits);
    std::string out;
    append_cookies_without(r.fields[0].value, edits.dropped_cookies(), out);
    return out;
  }

  std::shared_ptr<const KeyRing> mine_ = ring({'a', 'b'}), other_ = ring({'z'});
  CookieNames names_{"t", mine_};
  CryptoScratch scratch_;
  TextArena arena_;
  std::deque<std::vector<std::string>> lines_;
  std::deque<std::vector<Field>> fields_;
};

TEST_F(Names, AloneItIsTheFirst) {
  EXPECT_EQ(names_[names_.own(request({}))], "t");
  EXPECT_EQ(names_[names_.own(request({"t=" + token(mine_)}))], "t");
  EXPECT_EQ(names_[names_.own(request({"t=" + token(ring({'b'}))}))], "t");  // an older key of ours
  EXPECT_EQ(names_[names_.own(request({"t=broken; t~9=x; tt=y"}))], "t");    // whatever broke it: ours again
}

TEST_F(Names, AnothersTokenIsNeitherHiddenNorOverwritten) {
  const std::string theirs = "t=" + token(other_);
  const RequestView r = request({theirs});
  EXPECT_EQ(names_[names_.own(r)], "t~2");
  EXPECT_EQ(left(r), theirs);
  const RequestView both = request({theirs + "; t~2=" + token(mine_)});
  EXPECT_EQ(names_[names_.own(both)], "t~2");
  EXPECT_EQ(left(both), theirs);
  const RequestView three = request({theirs + "; t~2=" + token(ring({'y'}))});
  EXPECT_EQ(names_[names_.own(three)], "t~3");
}

TEST_F(Names, WhatTheBackendSetsIsItsOwn) {
  const RequestView first = request({"x=1"});
  const ResponseView inner = response({"t=" + token(other_) + "; Path=/"});
  EXPECT_EQ(names_[names_.for_response(first, inner)], "t~2");
  const ResponseView two = response({"t=a", "t~2=b; Path=/"});
  EXPECT_EQ(names_[names_.for_response(first, two)], "t~3");
  const RequestView held = request({"t=" + token(mine_)});
  EXPECT_TRUE(names_.displaced(held, inner));
  EXPECT_TRUE(names_.displaced(held, response({"t=; Max-Age=0"})));
  EXPECT_FALSE(names_.displaced(held, response({"u=1", "t~2=x"})));
}

TEST_F(Names, WithOneKeyTheLastIsOursAndThoseBeforeAreOfProxiesBehind) {
  const std::string inner = "t=" + token(mine_);
  const RequestView r = request({inner + "; t~2=" + token(mine_)});
  EXPECT_EQ(names_[names_.own(r)], "t~2");
  EXPECT_EQ(left(r), inner);
  EXPECT_FALSE(names_.displaced(r, response({"t=renewed"})));
}

TEST_F(Names, OfTwoCookiesOfOneNameOnlyOursIsHidden) {
  const std::string theirs = "t=" + token(other_);
  EXPECT_EQ(left(request({theirs + "; t=" + token(mine_) + "; x=1"})), theirs + "; x=1");
}

TEST_F(Names, ThereAreFewAndTheLastIsTakenByForce) {
  std::string all;
  for (std::size_t i = 0; i < CookieNames::most; ++i) all += names_[i] + "=" + token(other_) + "; ";
  EXPECT_EQ(names_.own(request({all})), CookieNames::most - 1);
}

}  // namespace
}  // namespace remora

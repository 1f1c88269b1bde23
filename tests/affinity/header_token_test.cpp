// Affinity by our token in a header: what it recognizes and hides, and when it tells a token.

#include <gtest/gtest.h>

#include "affinity/foreign_tokens.h"
#include "affinity/seal.h"
#include "support/affinity.h"

namespace remora {
namespace {

using namespace std::chrono_literals;
using Fields = std::vector<std::pair<std::string, std::string>>;

class HeaderToken : public ::testing::Test {
 protected:
  HeaderToken() { use("{kind: header_token, name: X-Token}"); }
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
  std::string token(const Binding& b, const std::string& kind = "header_token",
                    const std::string& name = "x-token", const std::string& pool = "app") {
    std::string out;
    TokenSealer(keys_, pool, kind, name).seal(b, scratch_, out);
    return out;
  }
  void request(const Fields& fields) {
    text_ = fields;
    fields_.clear();
    for (const auto& [name, value] : text_) fields_.push_back({name, value});
    view_.fields = fields_;
  }
  Hint identify(const Fields& fields) {
    request(fields);
    return affinity_->identify(view_, scratch_, now_);
  }
  Cause cause(const Fields& fields) {
    const Hint hint = identify(fields);
    if (const auto* opened = std::get_if<Opened>(&hint)) return opened->expired;
    return std::get<NoHint>(hint).cause;
  }
  /// What the response to the last request says to the client.
  std::string mark(const Served& served, bool cacheable = false) {
    ResponseView response;
    response.status = 200;
    response.shared_cacheable = cacheable;
    edits_.clear();
    affinity_->mark(view_, served, response, scratch_, now_, edits_);
    return test::added_lines(edits_);
  }
  Served sticky() {
    Served s;
    s.binding = begun();
    s.reason = Reason::sticky;
    return s;
  }
  bool tells(const Served& served, bool cacheable = false) { return !mark(served, cacheable).empty(); }
  /// The names of the fields that the app gets.
  std::vector<std::string> left(const RequestEdits& edits) {
    std::vector<std::string> out;
    for (std::size_t i = 0; i < text_.size(); ++i)
      if (!edits.drops_field(i)) out.push_back(text_[i].first);
    return out;
  }

  config::Pool pool_;
  std::shared_ptr<const KeyRing> keys_ =
      std::make_shared<KeyRing>(std::vector<std::string>{std::string(32, 'k')});
  std::shared_ptr<const Affinity> affinity_;
  CryptoScratch scratch_;
  Clock::Wall now_{std::chrono::hours(24 * 365 * 50)};
  Fields text_;
  std::vector<Field> fields_;
  RequestView view_;
  TextArena arena_;
  ResponseEdits edits_{arena_};
};

TEST_F(HeaderToken, IsRecognizedInTheFieldThatItWasToldIn) {
  Served served = sticky();
  served.begun = true;
  const std::string told = mark(served);
  ASSERT_EQ(told.size(), std::string("X-Token: \r\n").size() + token_text_size) << told;
  ASSERT_TRUE(told.starts_with("X-Token: ")) << told;
  const std::string value = told.substr(9, token_text_size);
  for (const char* name : {"X-Token", "x-token", "X-TOKEN"})
    EXPECT_EQ(std::get<Opened>(identify({{"Other", value}, {name, value}})).binding.id, served.binding.id);
  EXPECT_EQ(affinity_->family(), Affinity::Family::issued);
  EXPECT_FALSE(affinity_->may_be_kept_back());
}

TEST_F(HeaderToken, SaysWhyAThingIsNoSession) {
  const std::string good = token(begun());
  std::string flipped = good;
  flipped[50] = flipped[50] == 'A' ? 'B' : 'A';
  struct Row {
    Fields fields;
    Cause cause;
  };
  for (const Row& row : std::vector<Row>{
           {{{"X-Token", good}}, Cause::none},
           {{}, Cause::absent},
           {{{"X-Token", ""}}, Cause::absent},
           {{{"X-Tokens", good}}, Cause::absent},
           {{{"X_Token", good}}, Cause::absent},  // CGI's spelling is not the field
           {{{"X_Token", good}, {"X-Token", good}}, Cause::none},
           {{{"X-Token", "x"}}, Cause::malformed},
           {{{"X-Token", "\"" + good + "\""}}, Cause::malformed},
           {{{"X-Token", good + ", " + good}}, Cause::malformed},
           {{{"X-Token", good}, {"X-Token", good}}, Cause::malformed},  // said twice
           {{{"X-Token", ""}, {"x-token", good}}, Cause::malformed},
           {{{"X-Token", std::string(8192, 'A')}}, Cause::malformed},
           {{{"X-Token", flipped}}, Cause::forged},
           {{{"X-Token", std::string(128, 'A')}}, Cause::unknown_key},
           {{{"X-Token", token(begun(), "cookie")}}, Cause::forged},  // valid nowhere else
           {{{"X-Token", token(begun(), "header_token", "y")}}, Cause::forged},
           {{{"X-Token", token(begun(), "header_token", "x-token", "b")}}, Cause::forged},
       })
    EXPECT_EQ(cause(row.fields), row.cause) << (row.fields.empty() ? "" : row.fields.front().second);
}

TEST_F(HeaderToken, LivesAsLongAsACookie) {
  const Fields fields{{"X-Token", token(begun())}};
  now_ += 2250s - 1ms;
  EXPECT_EQ(cause(fields), Cause::none);
  now_ += 1ms;
  EXPECT_EQ(cause(fields), Cause::idle);
  now_ -= 2250s + 2min + 1ms;
  EXPECT_EQ(cause(fields), Cause::future);
  Binding old = begun();
  old.created = now_ - 12h;
  EXPECT_EQ(cause({{"X-Token", token(old)}}), Cause::too_old);
}

TEST_F(HeaderToken, IsHiddenFromTheAppHoweverItIsSpelled) {
  request({{"A", "1"},
           {"X-Token", token(begun())},
           {"x-token", "x"},
           {"X_Token", ""},
           {"X.TOKEN", "y"},
           {"X-Tokens", "2"}});
  RequestEdits hidden(arena_);
  affinity_->conceal(view_, hidden);
  EXPECT_EQ(left(hidden), (std::vector<std::string>{"A", "X-Tokens"}));
  hidden.clear();
  EXPECT_EQ(left(hidden).size(), text_.size());
}

TEST_F(HeaderToken, IsToldWhenTheClientNeedsIt) {
  Served served = sticky();
  request({{"X-Token", token(served.binding)}});
  EXPECT_FALSE(tells(served));
  now_ += 8min;  // more than a quarter of the idle timeout
  EXPECT_TRUE(tells(served));
  now_ -= 8min;
  for (bool Served::* why : {&Served::begun, &Served::changed, &Served::refresh}) {
    Served other = served;
    other.*why = true;
    EXPECT_TRUE(tells(other));
    EXPECT_TRUE(edits_.make_private) << "no shared cache may keep a token";
  }
}

TEST_F(HeaderToken, WaitsOnResponsesForSharedCachesUnlessItMustBeTold) {
  Served served = sticky();
  request({{"X-Token", token(served.binding)}});
  served.begun = true;
  EXPECT_FALSE(tells(served, true));
  EXPECT_FALSE(edits_.make_private);
  served.begun = false;
  served.changed = true;
  EXPECT_TRUE(tells(served, true));
  EXPECT_TRUE(edits_.make_private);
}

TEST_F(HeaderToken, AClientThatKeepsCookiesGetsNoneUnlessItHasOne) {
  Served served = sticky();
  served.came_by_cookie = served.changed = true;
  request({});
  EXPECT_FALSE(tells(served));
  request({{"X-Token", token(served.binding)}});
  EXPECT_TRUE(tells(served));
}

TEST_F(HeaderToken, AnEmptyFieldEndsIt) {
  affinity_->clear(view_, edits_);
  EXPECT_EQ(test::added_lines(edits_), "X-Token: \r\n");
  EXPECT_TRUE(edits_.make_private);
}

TEST_F(HeaderToken, StaysOutOfHpacksTable) {
  Served served = sticky();
  served.begun = true;
  mark(served);
  ASSERT_EQ(edits_.added.size(), 1U);
  EXPECT_EQ(edits_.added.front().known, Known::remora);
}

TEST_F(HeaderToken, HasANameOfItsOwnByDefault) {
  use("header_token");
  EXPECT_EQ(pool_.affinity.front().settings->token_field, "X-Session-Token");
  EXPECT_TRUE(pool_.affinity.front().settings->seals);
  EXPECT_FALSE(pool_.affinity.front().settings->derived);
}

// As for cookies (foreign_tokens.h): only what has the name and the form of a token, and may be ours.
TEST_F(HeaderToken, OfAnotherPoolIsHiddenAndAnAppsOwnFieldIsNot) {
  std::vector<config::Pool> pools{pool_, config::Pool()};
  const ForeignTokens foreign(pools, 1, keys_);
  const auto other = std::make_shared<KeyRing>(std::vector<std::string>{std::string(32, 'o')});
  std::string stranger;
  TokenSealer(other, "app", "header_token", "x-token").seal(begun(), scratch_, stranger);
  request({{"X-Token", token(begun())},
           {"X_Token", token(begun())},
           {"X-Other", token(begun())},
           {"x-token", "the app's own"},
           {"X-token", stranger}});
  RequestEdits hidden(arena_);
  foreign.conceal(view_, hidden);
  EXPECT_EQ(left(hidden), (std::vector<std::string>{"X-Other", "x-token", "X-token"}));
  RequestEdits own(arena_);
  ForeignTokens(pools, 0, keys_).conceal(view_, own);
  EXPECT_EQ(left(own).size(), text_.size());
}

}  // namespace
}  // namespace remora

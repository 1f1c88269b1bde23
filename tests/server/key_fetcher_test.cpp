// When key sets are fetched, and what becomes of failures, with a clock and a network in the test's hand.

#include "server/key_fetcher.h"

#include <gtest/gtest.h>

#include "server/fakes.h"

namespace remora {
namespace {

using namespace test;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* url = "http://keys.example/jwks";
constexpr const char* one_key =
    R"({"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]})";

config::Jwt verifier(const std::string& from) {
  config::Jwt rules;
  rules.name = "login";
  rules.jwks_url = from;
  rules.refresh = seconds(600);
  return rules;
}

class KeyFetcherTest : public ::testing::Test {
 protected:
  KeyFetcherTest()
      : fetcher(
            clock, names,
            [this](const FetchUrl& from, const std::vector<Endpoint>&,
                   const std::shared_ptr<const ClientTls>&, std::function<void(const Fetched&)> done) {
              fetches.push_back({from.path, std::move(done)});
              return [this] { ++aborted; };
            },
            std::make_unique<HandAlarm>(alarm),
            [this](const std::string&, const std::shared_ptr<const JwtKeySet>& keys) {
              found.push_back(keys->size());
            }) {}

  struct Fetch {
    std::string path;
    std::function<void(const Fetched&)> done;
  };
  void answer(const Fetched& what) {
    const Fetch first = std::move(fetches.front());
    fetches.pop_front();
    first.done(what);
  }
  /// Its first fetch succeeds.
  void begin() {
    fetcher.watch({verifier(url)});
    names.answer(addresses({"127.0.0.1"}));
    answer({"", one_key});
  }

  HandClock clock;
  HandNames names;
  AlarmSetting alarm;
  std::deque<Fetch> fetches;
  std::vector<std::size_t> found;
  int aborted = 0;
  KeyFetcher fetcher;
};

TEST_F(KeyFetcherTest, FetchesAtOnceAndAgainAfterRefresh) {
  fetcher.watch({verifier(url)});
  EXPECT_TRUE(fetcher.busy());
  ASSERT_EQ(names.asked.size(), 1u);
  EXPECT_EQ(names.asked[0].name, "keys.example");
  names.answer(addresses({"127.0.0.1"}));
  ASSERT_EQ(fetches.size(), 1u);
  EXPECT_EQ(fetches[0].path, "/jwks");
  answer({"", one_key});
  EXPECT_FALSE(fetcher.busy());
  EXPECT_EQ(found, std::vector<std::size_t>{1});
  ASSERT_TRUE(alarm.at);
  EXPECT_EQ(*alarm.at - clock.steady_now(), seconds(600));
  ring(alarm, clock);
  EXPECT_EQ(names.asked.size(), 1u);
}

TEST_F(KeyFetcherTest, AnAddressNeedsNoNameServer) {
  fetcher.watch({verifier("http://127.0.0.1:9/jwks")});
  EXPECT_TRUE(names.asked.empty());
  EXPECT_EQ(fetches.size(), 1u);
}

TEST_F(KeyFetcherTest, TheSameDocumentIsNoNews) {
  begin();
  ring(alarm, clock);
  names.answer(addresses({"127.0.0.1"}));
  answer({"", one_key});
  EXPECT_EQ(found.size(), 1u);
}

TEST_F(KeyFetcherTest, WhatFailsIsTriedAgainAfterFiveSeconds) {
  fetcher.watch({verifier(url)});
  names.answer(lookup_failure("timed out"));
  EXPECT_EQ(*alarm.at - clock.steady_now(), seconds(5));
  ring(alarm, clock);
  names.answer(addresses({"127.0.0.1"}));
  answer({"status 500", ""});
  EXPECT_EQ(*alarm.at - clock.steady_now(), seconds(5));
  ring(alarm, clock);
  names.answer(addresses({"127.0.0.1"}));
  answer({"", "no key set"});
  EXPECT_EQ(*alarm.at - clock.steady_now(), seconds(5));
  EXPECT_TRUE(found.empty());
}

TEST_F(KeyFetcherTest, AnUnknownKeyMakesItFetchEarlyButNotOften) {
  begin();
  fetcher.unknown_key(url);
  EXPECT_TRUE(names.asked.empty()) << "it was fetched a moment ago";
  clock.advance(seconds(30));
  fetcher.unknown_key(url);
  EXPECT_EQ(names.asked.size(), 1u);
  fetcher.unknown_key(url);
  EXPECT_EQ(names.asked.size(), 1u) << "a fetch is running";
  fetcher.unknown_key("http://other.example/");
  EXPECT_EQ(names.asked.size(), 1u);
}

TEST_F(KeyFetcherTest, AReloadKeepsWhatIsKnownAndForgetsOtherUrls) {
  begin();
  fetcher.watch({verifier(url)});
  EXPECT_FALSE(fetcher.busy()) << "nothing is due";
  fetcher.watch({verifier("http://other.example/jwks")});
  ASSERT_EQ(names.asked.size(), 1u);
  EXPECT_EQ(names.asked[0].name, "other.example");
  fetcher.watch({});
  EXPECT_TRUE(fetcher.empty());
  names.answer(addresses({"127.0.0.1"}));
  EXPECT_TRUE(fetches.empty()) << "a reload was faster than the name server";
}

TEST_F(KeyFetcherTest, OfTwoVerifiersTheShorterRefreshCounts) {
  config::Jwt often = verifier(url);
  often.refresh = seconds(60);
  fetcher.watch({verifier(url), often});
  names.answer(addresses({"127.0.0.1"}));
  answer({"", one_key});
  EXPECT_EQ(*alarm.at - clock.steady_now(), seconds(60));
}

TEST_F(KeyFetcherTest, StopEndsWhatRunsAndIgnoresWhatComes) {
  fetcher.watch({verifier(url)});
  names.answer(addresses({"127.0.0.1"}));
  fetcher.stop();
  EXPECT_EQ(aborted, 1);
  answer({"", one_key});
  EXPECT_TRUE(found.empty());
  EXPECT_FALSE(alarm.at);
}

}  // namespace
}  // namespace remora

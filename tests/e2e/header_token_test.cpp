// Clients without cookies, over HTTP/1.1 and HTTP/2: remora's token in a header, and a hash of what they say.

#include <gtest/gtest.h>

#include <map>
#include <mutex>
#include <set>

#include "support/http2_peer.h"
#include "support/site.h"

namespace remora::test {
namespace {

using Pairs = Http2Peer::Pairs;

struct Got {
  int status = 0;
  std::string backend;
  Announced session;
  std::string told;   // X-Session-Token
  std::string cache;  // Cache-Control
};

class Clients : public ::testing::TestWithParam<bool> {
 protected:
  static std::string listener() { return GetParam() ? "h2c: on\n" : ""; }
  /// One request on a new connection. The names of `fields` are in lower case.
  static Got ask(const Remora& remora, const std::string& target, const Pairs& fields = {}) {
    Got got;
    const auto take = [&](const auto& reply) {
      got.status = reply.status;
      got.backend = reply.field("x-backend");
      got.told = reply.field("x-session-token");
      got.cache = reply.field("cache-control");
      Reply session;
      session.head = "HTTP/1.1 200 OK\r\nX-Session: " + reply.field("x-session") + "\r\n\r\n";
      got.session = announced(session);
    };
    if (GetParam()) {
      Http2Client client(remora.port());
      take(client.get(target, fields));
    } else {
      std::string lines;
      for (const auto& [name, value] : fields) lines.append(name).append(": ").append(value).append("\r\n");
      const Reply reply = remora.ask(get(target, lines));
      take(reply);
    }
    return got;
  }
};

INSTANTIATE_TEST_SUITE_P(Over, Clients, ::testing::Bool(),
                         [](const auto& info) { return std::string(info.param ? "Http2" : "Http1"); });

TEST_P(Clients, AFailoverTellsANewTokenAndRaisesTheEpoch) {
  Site site(3);
  const Remora remora(site.config("affinity: header_token\n", "", listener()));
  const Got first = ask(remora, "/");
  EXPECT_EQ(first.session.epoch, 1);
  ASSERT_EQ(first.told.size(), 128U);
  EXPECT_EQ(first.cache, "private");
  const Pairs token{{"x-session-token", first.told}};
  for (int i = 0; i < 5; ++i) {
    const Got got = ask(remora, "/", token);
    EXPECT_EQ(got.backend, first.backend);
    EXPECT_EQ(got.session.id, first.session.id);
    EXPECT_EQ(got.told, "");
  }
  site.stop(first.backend);
  const Got moved = ask(remora, "/", token);
  EXPECT_EQ(moved.status, 200);
  EXPECT_NE(moved.backend, first.backend);
  EXPECT_EQ(moved.session.id, first.session.id);
  EXPECT_EQ(moved.session.epoch, 2);
  EXPECT_EQ(moved.session.reason, "failover");
  ASSERT_EQ(moved.told.size(), 128U);
  EXPECT_NE(moved.told, first.told);
  const Got after = ask(remora, "/", {{"x-session-token", moved.told}});
  EXPECT_EQ(after.backend, moved.backend);
  EXPECT_EQ(after.session.epoch, 2);
  EXPECT_EQ(after.session.reason, "sticky");
  // Another instance with the same keys needs no store for it.
  const Remora other(site.config("affinity: header_token\n", "", listener()));
  EXPECT_EQ(ask(other, "/", {{"x-session-token", moved.told}}).backend, moved.backend);
}

TEST_P(Clients, ATokenIsInNoLogAndSeenByNoApp) {
  std::string seen;
  std::mutex mutex;
  Origin app(answering([&](const std::string& head, const std::string&) {
    const std::scoped_lock lock(mutex);
    seen += head;
    return ok("ok", "X-Session-Token: the app's\r\nX-Backend: a\r\n");
  }));
  const Remora remora(simple_config({app.address()}, "affinity: header_token\n", listener(),
                                    "log: {level: debug, access: {format: json, output: stderr}}\n"));
  const std::string token = ask(remora, "/first").told;
  ASSERT_EQ(token.size(), 128U) << "ours, and ours alone";
  EXPECT_EQ(ask(remora, "/second", {{"x-session-token", token}, {"x_session_token", token}}).told, "");
  ASSERT_TRUE(remora.wait_for_log("/second"));
  EXPECT_EQ(remora.log().find(token.substr(0, 40)), std::string::npos);
  EXPECT_NE(remora.log().find("header_token"), std::string::npos);
  const std::scoped_lock lock(mutex);
  EXPECT_NE(seen.find("/second"), std::string::npos);
  EXPECT_EQ(seen.find(token.substr(0, 40)), std::string::npos) << seen;
  EXPECT_EQ(seen.find("oken:"), std::string::npos) << seen;
}

TEST_P(Clients, AnEndIsToldByAnEmptyField) {
  Site site(2);
  const Remora remora(site.config("affinity: header_token\n", "", listener()));
  const Got first = ask(remora, "/");
  const Pairs token{{"x-session-token", first.told}};
  EXPECT_EQ(ask(remora, "/control/end", token).told, "");
  const Got next = ask(remora, "/", token);
  EXPECT_NE(next.session.id, first.session.id);
  EXPECT_EQ(next.told.size(), 128U);
}

TEST_P(Clients, AnExplanationWithTheHeaderSaysWhereItsSessionLives) {
  Site site(5);
  const Remora remora(site.config("affinity: header_token\n", "", listener()));
  for (int i = 0; i < 5; ++i) {
    const Got first = ask(remora, "/");
    const Ran said =
        remora.command({"explain", "curl", "-s", "-H", "X-Session-Token: " + first.told, "http://test/"});
    EXPECT_EQ(said.code, 0);
    EXPECT_NE(said.output.find("affinity header_token: session"), std::string::npos) << said.output;
    EXPECT_NE(said.output.find("bound to: " + first.backend), std::string::npos) << said.output;
    EXPECT_EQ(said.output.find(first.told), std::string::npos) << said.output;
  }
}

TEST_P(Clients, WhatTheySayLeadsToOneBackendAndADeathMovesOnlyItsOwn) {
  Site site(3);
  const Remora remora(site.config(
      "affinity: {kind: hash, of: [{header: X-Conversation}, {cookie: uid}, {query: user}, {path: "
      "\"/rooms/{key}/\"}]}\n",
      "", listener()));
  const auto homes = [&](const std::string& value) {
    std::set<std::string> out;
    out.insert(ask(remora, "/", {{"x-conversation", value}}).backend);
    out.insert(ask(remora, "/", {{"cookie", "a=b; uid=" + value}}).backend);
    out.insert(ask(remora, "/x?user=" + value).backend);
    out.insert(ask(remora, "/rooms/" + value + "/messages?user=").backend);
    return out;
  };
  std::map<std::string, std::string> home;
  std::set<std::string> used;
  for (int i = 0; i < 12; ++i) {
    const std::string value = "v" + std::to_string(i);
    const auto found = homes(value);
    ASSERT_EQ(found.size(), 1U) << value;
    home[value] = *found.begin();
    used.insert(*found.begin());
  }
  ASSERT_EQ(used.size(), 3U);
  site.stop("a");
  for (const auto& [value, before] : home) {
    const auto found = homes(value);
    ASSERT_EQ(found.size(), 1U) << value;
    if (before == "a") {
      EXPECT_NE(*found.begin(), "a");
    } else {
      EXPECT_EQ(*found.begin(), before);
    }
  }
}

}  // namespace
}  // namespace remora::test

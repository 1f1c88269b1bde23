// What an explanation says is what then happens.

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "support/site.h"

namespace remora::test {
namespace {

namespace json = boost::json;

std::string cookies_of(const Browser& browser) {
  std::string line;
  for (const auto& [name, value] : browser.cookies) line += (line.empty() ? "" : "; ") + name + "=" + value;
  return line;
}

/// Has this request explained, then sends it.
void agree(const Remora& remora, const Browser& browser, const std::string& method = "GET",
           const std::string& preflight = "") {
  json::object headers{{"Host", "localhost"}};
  std::string fields;
  const auto add = [&](const std::string& name, const std::string& value) {
    if (value.empty()) return;
    headers[name] = value;
    fields += name + ": " + value + "\r\n";
  };
  add("Cookie", cookies_of(browser));
  add("Access-Control-Request-Method", preflight);
  const json::object asked{{"method", method}, {"target", "/"}, {"headers", headers}};
  const Reply answer = remora.api("POST", "/api/v1/explain", json::serialize(asked));
  boost::system::error_code ec;
  const json::value said = json::parse(answer.body, ec);
  ASSERT_FALSE(ec) << answer.body;
  const json::object& e = said.as_object();
  const Reply real =
      remora.ask(method + " / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + fields + "\r\n");
  const json::value& status = e.at("status");
  EXPECT_EQ(status.is_null() ? 200 : status.as_int64(), real.status) << answer.body;
  if (!status.is_null()) return;
  EXPECT_EQ(e.at("backend").as_string(), real.field("X-Backend")) << answer.body;
  EXPECT_EQ(e.at("epoch").as_int64(), announced(real).epoch) << answer.body;
  if (!announced(real).reason.empty()) {
    EXPECT_EQ(e.at("reason").as_string(), announced(real).reason) << answer.body;
  }
}

void wish_all_but(const Remora& remora, const std::string& spared, const std::string& wanted) {
  for (const std::string name : {"a", "b", "c"})
    if (name != spared) remora.wish(name, wanted);
}

TEST(Explanation, IsWhatThenHappensToASession) {
  Site site(3);
  const Remora remora(with_admin(site.config("affinity: cookie\n")));
  const auto [browser, home] = begin(remora.port());
  agree(remora, browser);
  remora.wish(home, "drain");
  agree(remora, browser);
  remora.wish(home, "maint");
  agree(remora, browser);  // moves
  agree(remora, browser);  // its token is from before the move
  for (const std::string name : {"a", "b", "c"}) remora.wish(name, "maint");
  agree(remora, browser);
}

TEST(Explanation, IsWhatThenHappensToARenewedId) {
  Site site(3);
  const Remora remora(with_admin(site.config("affinity: cookie\n")));
  auto [browser, home] = begin(remora.port());
  const Browser former = browser;
  browser.get(remora.port(), "/control/renew");
  agree(remora, former);
  agree(remora, browser);
  // Its server is gone: the balancer's choice, and there is only one.
  remora.wish(home, "maint");
  const std::string left = home == "a" ? "b" : "a";
  wish_all_but(remora, left, "maint");
  agree(remora, former);
}

TEST(Explanation, IsWhatThenHappensToIdsOfTheAppAndToPreflights) {
  Site site(3);
  const Remora remora(with_admin(site.config("affinity: [{kind: app_cookie, name: SID}, cookie]\n")));
  for (int i = 0; i < 8; ++i) {
    Browser stranger;
    stranger.cookies["SID"] = "unknown" + std::to_string(i);
    agree(remora, stranger);
  }
  wish_all_but(remora, "b", "maint");
  agree(remora, {}, "OPTIONS", "PUT");
  agree(remora, {}, "OPTIONS");
  agree(remora, {});
}

TEST(Explanation, IsWhatThenHappensInASplit) {
  Site site(3);
  const auto entry = [&](const std::string& name) {
    return "{id: " + name + ", address: " + site.address(name) + "}";
  };
  const Remora remora(
      with_admin("state_dir: none\nkeys: [{env: REMORA_TEST_KEY}]\nadmin: off\nlisteners: [127.0.0.1:0]\n"
                 "pools:\n  app: {affinity: cookie, backends: [" +
                 entry("a") + "]}\n  next: {affinity: cookie, backends: [" + entry("b") + ", " + entry("c") +
                 "]}\nroutes: [{path: /, split: {app: 50, next: 50}}]\n"));
  Browser browser;
  for (int i = 0; i < 200 && browser.get(remora.port()).field("X-Backend") != "a"; ++i) browser = {};
  agree(remora, browser);
  remora.wish("a", "maint");
  agree(remora, browser);  // goes on in the other pool
  agree(remora, browser);
}

}  // namespace
}  // namespace remora::test

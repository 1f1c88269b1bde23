// Unix sockets in the file: mode, group, whom their peers stand for; and the keys of forwarding beside them.

#include <gtest/gtest.h>

#include <cstdlib>

#include "affinity/registry.h"
#include "config/loader.h"
#include "net/address.h"

namespace remora::config {
namespace {

std::string said(const std::string& text) {
  const Loaded loaded = load_text(text, "f", affinity_kinds());
  const auto* e = std::get_if<LoadError>(&loaded);
  return e != nullptr ? e->lines.front() : "";
}
Config good(const std::string& text) {
  Loaded loaded = load_text(text, "f", affinity_kinds());
  if (const auto* e = std::get_if<LoadError>(&loaded)) {
    for (const auto& line : e->lines) ADD_FAILURE() << line;
    return {};
  }
  return std::get<Config>(loaded);
}
std::string with(const std::string& listener, const std::string& pool = "") {
  return "listeners: [{bind: unix:/l, " + listener + "}]\npools: {a: {backends: [127.0.0.1:1]" + pool +
         "}}\n";
}

TEST(SocketAccess, IsReadAsChmodTakesIt) {
  EXPECT_EQ(good("listeners: [unix:/l]\npools: {a: {backends: [127.0.0.1:1]}}\n").listeners[0].access.mode,
            0660U);
  for (const char* mode : {"0666", "666", "\"0666\"", "'666'", "0o666"})
    EXPECT_EQ(good(with(std::string("mode: ") + mode)).listeners[0].access.mode, 0666U) << mode;
  EXPECT_EQ(good(with("mode: 0200")).listeners[0].access.mode, 0200U);
  EXPECT_FALSE(good(with("mode: 0660")).listeners[0].access.group.has_value());
  EXPECT_EQ(good(with("group: root")).listeners[0].access.group, 0U);
  EXPECT_EQ(good(with("group: 33")).listeners[0].access.group, 33U);
  for (const char* mode : {"rw", "0o", "66", "0888", "07777", "1666", "-660", "''"})
    EXPECT_NE(said(with(std::string("mode: ") + mode)).find("is not a mode"), std::string::npos) << mode;
  EXPECT_NE(said(with("mode: 0440")).find("needs the right to write"), std::string::npos);
  EXPECT_NE(said(with("group: nobody-has-this")).find("there is no group 'nobody-has-this'"),
            std::string::npos);
}

TEST(SocketAccess, BelongsToUnixSockets) {
  const std::string rest = "\npools: {a: {backends: [127.0.0.1:1]}}\n";
  EXPECT_EQ(said("listeners: [{bind: 127.0.0.1:80, mode: 0660}]" + rest),
            "f:1:40: listeners[0].mode: is for unix sockets (bind: unix:/path)");
  EXPECT_NE(
      said("listeners: [unix:/l]\nadmin: {bind: 127.0.0.1:9900, group: root}" + rest).find("unix sockets"),
      std::string::npos);
  const Config c = good("listeners: [unix:/l]\nadmin: {bind: unix:/a, mode: 0600, group: 7}" + rest);
  EXPECT_EQ(c.admin.access.mode, 0600U);
  EXPECT_EQ(c.admin.access.group, 7U);
  const std::string keeps_state =
      "\nkeys: []\npools: {a: {backends: [127.0.0.1:1], affinity: cookie, session: {state: on}}}\n";
  const Config api = good("listeners: [unix:/l]\nsession_api: {bind: unix:/s, mode: 0666}" + keeps_state);
  ASSERT_TRUE(api.session_api.has_value());
  EXPECT_EQ(api.session_api->access.mode, 0666U);
}

TEST(TrustedProxies, UnixPeersHaveAName) {
  for (const char* word : {"unix", "UNIX", "\"unix:\""}) {
    const Config c = good(with(std::string("trusted_proxies: [10.0.0.0/8, ") + word + "]"));
    EXPECT_TRUE(contains(c.listeners[0].trusted_proxies, ClientAddress{})) << word;
    EXPECT_FALSE(contains(c.listeners[0].trusted_proxies, *parse_ip("127.0.0.1"))) << word;
    EXPECT_FALSE(contains(c.listeners[0].trusted_proxies, *parse_ip("::1"))) << word;
  }
  EXPECT_FALSE(
      contains(good(with("trusted_proxies: [0.0.0.0/0]")).listeners[0].trusted_proxies, ClientAddress{}));
  EXPECT_NE(said(with("trusted_proxies: [unix:/l]")).find("is not an address block"), std::string::npos);
}

TEST(TrustedProxies, WhatSaysNothingIsDoubted) {
  const auto count = [](const std::string& text) { return warnings(good(text)).size(); };
  EXPECT_EQ(count(with("trusted_proxies: [unix]")), 0U);
  EXPECT_EQ(count(with("per_client: {requests_per_second: 5}")), 1U);
  EXPECT_EQ(count(with("trusted_proxies: [unix], per_client: {requests_per_second: 5}")), 0U);
  EXPECT_EQ(count(with("proxy_protocol: on, per_client: {requests_per_second: 5}")), 0U);
  EXPECT_EQ(count(with("mode: 0660", ", affinity: ip_hash")), 1U);
  EXPECT_EQ(count(with("trusted_proxies: [unix]", ", affinity: ip_hash")), 0U);
  EXPECT_EQ(count("listeners: [{bind: 127.0.0.1:80, trusted_proxies: [unix]}]\n"
                  "pools: {a: {backends: [127.0.0.1:1]}}\n"),
            1U);
}

TEST(StripClientHeaders, AreNamesOrBeginnings) {
  const Config c = good(with("strip_client_headers: [X-Tenant, X-Internal-*]"));
  EXPECT_EQ(c.listeners[0].strip_client_headers, (std::vector<std::string>{"x-tenant", "x-internal-*"}));
  for (const char* bad : {"\"*\"", "\"X-*-Y\"", "\"a b\"", "Host", "Content-Length", "\"\""})
    EXPECT_NE(said(with("strip_client_headers: [" + std::string(bad) + "]")), "") << bad;
}

TEST(Forwarding, AnExampleShowsItsKeys) {
  ::setenv("REMORA_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", 1);
  const Loaded loaded = load_file(REMORA_SOURCE_DIR "/config/examples/behind-nginx.yaml", affinity_kinds());
  const auto* c = std::get_if<Config>(&loaded);
  ASSERT_NE(c, nullptr);
  EXPECT_TRUE(contains(c->listeners[0].trusted_proxies, ClientAddress{}));
  EXPECT_EQ(c->listeners[0].access.mode, 0660U);
  EXPECT_EQ(c->listeners[0].strip_client_headers.size(), 1U);
  EXPECT_FALSE(c->pools[0].via);
  for (const std::string& warning : warnings(*c))
    EXPECT_EQ(warning.find("listener"), std::string::npos) << warning;
}

TEST(Forwarding, HasItsSwitchesAndWords) {
  EXPECT_TRUE(good(with("mode: 0660")).pools[0].via);
  EXPECT_FALSE(good(with("mode: 0660", ", via: off")).pools[0].via);
  const std::string route = "routes: [{host: \"Shop.test.\", path: /, redirect: \"";
  const Config c = good(with("mode: 0660") + route + "https://{authority}/{port}{host}{uri}\"}]\n");
  EXPECT_EQ(c.routes[0].host, "shop.test");  // as a request's, without the dot
  EXPECT_NE(said(with("mode: 0660") + route + "https://{name}\"}]\n").find("is none of {scheme}"),
            std::string::npos);
}

}  // namespace
}  // namespace remora::config

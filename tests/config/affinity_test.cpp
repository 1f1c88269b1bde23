// Mistakes in the settings of affinity kinds that have much to say, each with its place.

#include <gtest/gtest.h>

#include "affinity/registry.h"
#include "config/loader.h"

namespace remora::config {
namespace {

std::vector<std::string> errors(const std::string& text) {
  const Loaded loaded = load_text(text, "f", affinity_kinds());
  const auto* e = std::get_if<LoadError>(&loaded);
  return e != nullptr ? e->lines : std::vector<std::string>{};
}

struct Row {
  std::vector<std::string> got;
  const char* wanted;
};

void expect(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    ASSERT_EQ(row.got.size(), 1U) << row.wanted << (row.got.empty() ? "" : "\n" + row.got.back());
    EXPECT_NE(row.got[0].find(row.wanted), std::string::npos) << row.got[0];
  }
}

std::vector<std::string> affinity(const std::string& text) {
  return errors("listeners: [127.0.0.1:80]\npools: {a: {backends: [127.0.0.1:1], affinity: " + text + "}}\n");
}

TEST(HashSettings, EachMistakeIsSaidOnceWithItsPlace) {
  const auto hashed = [](const std::string& keys) { return affinity("{kind: hash, " + keys + "}"); };
  expect({
      {hashed(""), ".affinity: needs `of:`"},
      {hashed("of: none"), "of: must be a map with one key"},
      {hashed("of: []"), "of: needs at least one source"},
      {hashed("of: [{header: a}, cookie]"), "of[1]: must be a map with one key"},
      {hashed("of: [{header: a, cookie: b}]"), "of[0]: must be a map with one key"},
      {hashed("of: [{header: }]"), "of[0].header: needs a value"},
      {hashed("of: [{header: [a]}]"), "of[0].header: must be a single value"},
      {hashed("of: [{body: a}]"), "of[0]: 'body' is none of header | cookie | query | path"},
      {hashed("of: [{header: 'a b'}]"), "of[0]: 'a b' is no name of a cookie or header"},
      {hashed("of: [{cookie: 'a;b'}]"), "of[0]: 'a;b' is no name of a cookie or header"},
      {hashed("of: [{query: 'a&b'}]"), "of[0]: 'a&b' is no name for a URL parameter"},
      {hashed("of: [{query: ''}]"), "of[0]: '' is no name for a URL parameter"},
      {hashed("of: [{path: 'a/{key}'}]"), "of[0]: 'a/{key}' must begin with '/'"},
      {hashed("of: [{path: /a}]"), "of[0]: '/a' needs one {key}"},
      {hashed("of: [{path: /}]"), "of[0]: '/' needs one {key}"},
      {hashed("of: [{path: '/{key}/{key}'}]"), "needs one {key}"},
      {hashed("of: [{path: '/a-{key}'}]"), "it stands for a whole one"},
      {hashed("of: [{path: '/a//{key}'}]"), "must not have empty segments"},
      {hashed("of: [{path: '/a/../{key}'}]"), "must not have empty segments"},
      {hashed("of: [{path: '/a/%2e%2e/{key}'}]"), "must not have empty segments"},
      {hashed("of: [{path: '/a/{key}?x=1'}]"), "must be a path alone"},
      {hashed("of: [{path: '/a;b/{key}'}]"), "must be a path alone"},
      {hashed("of: [{header: X-a}, {query: a}, {header: x-A}]"), "of[2]: the same source stands"},
      {hashed("of: [{path: '/r/{key}'}, {path: '/%72/{key}/'}]"), "of[1]: the same source stands"},
      {hashed("of: [{query: a}, {query: b}, {query: c}, {query: d}, {query: e}, {query: f}, {query: g}, "
              "{query: h}, {query: i}]"),
       "of: at most 8 sources"},
      {hashed("of: {header: a}, bounded_load: 1"), "above 1"},
      {hashed("of: {header: a}, carry: store"), "unknown key"},
      {affinity("[{kind: hash, of: {header: a}}, {kind: hash, of: [{header: A}]}]"),
       "the same kind stands in the list twice"},
      {affinity("{kind: hash, of: {header: a}}, session: {idle_timeout: 1m}"), "cannot be kept"},
  });
}

TEST(HeaderTokenSettings, AFieldThatOthersNeedIsRefused) {
  expect({
      {affinity("{kind: header_token, name: X_Token}"), "is no name for this header"},
      {affinity("{kind: header_token, name: ''}"), "is no name for this header"},
      {affinity("{kind: header_token, name: '--'}"), "is no name for this header"},
      {affinity("{kind: header_token, name: authorization}"),
       "name: 'authorization' has a meaning of its own"},
      {affinity("{kind: header_token, name: Remora-Session}"), "has a meaning of its own"},
      {affinity("{kind: header_token, path: /}"), "unknown key"},
      {affinity("[header_token, {kind: header_token, name: Y}]"), "the same kind stands in the list twice"},
  });
}

TEST(HeaderTokenSettings, ATrustedProxysRequestIdIsNoToken) {
  EXPECT_EQ(
      errors("listeners: [{bind: 127.0.0.1:80, request_id: x-session-token}]\n"
             "pools: {a: {affinity: header_token, backends: [127.0.0.1:1]}}\n"),
      std::vector<std::string>{"f:1:12: listeners: request_id of listener 127.0.0.1:80 is the header of "
                               "pool 'a' for its tokens: give one another name"});
}

TEST(HeaderTokenSettings, PoolsOfOneHostHaveTheirOwnHeaders) {
  const std::string pools =
      "listeners: [127.0.0.1:80]\npools:\n  a: {affinity: header_token, backends: [127.0.0.1:1]}\n"
      "  b: {affinity: {kind: header_token, name: x-session-token}, backends: [127.0.0.1:2]}\n";
  EXPECT_NE(errors(pools + "routes: [{path: /, split: {a: 1, b: 1}}]")
                .at(0)
                .find("share the header name 'x-session-token'"),
            std::string::npos);
  EXPECT_TRUE(errors(pools + "routes: [{host: a.com, pool: a}, {host: b.com, pool: b}]").empty());
}

}  // namespace
}  // namespace remora::config

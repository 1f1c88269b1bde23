// Affinity by a hash of what requests say anyway: which source decides, and what its value is.

#include <gtest/gtest.h>

#include "affinity/seal.h"
#include "support/affinity.h"
#include "util/hash.h"

namespace remora {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

class Hash : public ::testing::Test {
 protected:
  void use(const std::string& settings) {
    affinity_ = make_affinity(test::pool_with("{kind: hash, " + settings + "}"), nullptr, nullptr).front();
  }
  /// What the kind hashes of a request; `route_path`: if routes see another path than was sent.
  Hint ask(const std::string& target, const Fields& fields = {}, const std::string& route_path = "") {
    std::vector<Field> given;
    for (const auto& [name, value] : fields)
      given.push_back({name, value, name == "Cookie" ? Known::cookie : Known::other});
    RequestView view;
    view.target = target;
    view.path = std::string_view(target).substr(0, target.find('?'));
    view.route_path = route_path.empty() ? view.path : std::string_view(route_path);
    view.fields = given;
    return affinity_->identify(view, scratch_, {});
  }
  bool is_there(const std::string& target, const Fields& fields = {}) {
    return std::holds_alternative<HashOn>(ask(target, fields));
  }
  void expect(const std::string& value, const std::string& target, const Fields& fields = {},
              const std::string& route_path = "") {
    const Hint hint = ask(target, fields, route_path);
    ASSERT_TRUE(std::holds_alternative<HashOn>(hint)) << target;
    EXPECT_EQ(std::get<HashOn>(hint).hash, hash_text(value)) << target;
  }

  std::shared_ptr<const Affinity> affinity_;
  CryptoScratch scratch_;
};

TEST_F(Hash, OfAHeader) {
  use("of: [{header: X-Conversation}]");
  expect("a", "/", {{"x-conversation", "a"}});
  expect("a", "/", {{"X-Conversation", "\"a\""}});
  expect("a, b", "/", {{"X-Conversation", "a, b"}});
  expect("a", "/", {{"X-Conversation", ""}, {"X-Conversation", "a"}});
  for (const Fields& fields : std::vector<Fields>{{},
                                                  {{"X-Conversation", ""}},
                                                  {{"X-Conversation", "\"\""}},
                                                  {{"X_Conversation", "a"}},
                                                  {{"X-Conversations", "a"}},
                                                  {{"X-Conversation", "a"}, {"X-Conversation", "b"}}})
    EXPECT_FALSE(is_there("/", fields));
}

TEST_F(Hash, OfACookie) {
  use("of: [{cookie: uid}]");
  expect("a", "/", {{"Cookie", "x=1; uid=a; y=2"}});
  expect("a", "/", {{"Cookie", "x=1"}, {"Cookie", "uid=\"a\""}});
  expect("a", "/", {{"Cookie", "uid=a; uid=b"}});  // RFC 6265 5.4: the longest path comes first
  expect("b", "/", {{"Cookie", "uid=; uid=b"}});
  expect("a=b", "/", {{"Cookie", "uid=a=b"}});
  for (const char* line : {"", "uid", "uid=", "UID=a", "uid2=a", "x=uid=a", "; ;uid"})
    EXPECT_FALSE(is_there("/", {{"Cookie", line}})) << line;
}

TEST_F(Hash, OfAParameterOfTheQuery) {
  use("of: [{query: user}]");
  expect("a", "/?user=a");
  expect("a", "/x/y?b=1&user=a&c=2");
  expect("b", "/?user=a&user=b");
  expect("a b@c", "/?user=a+b%40c");
  expect("a b@c", "/?user=a%20b@c");
  expect("50%", "/?user=50%");  // a broken escape stays
  expect("%4", "/?user=%4");
  expect("%zz", "/?user=%zz");
  expect("a=b", "/?user=a=b");
  for (const char* target : {"/", "/?", "/?user", "/?user=", "/?USER=a", "/?xuser=a", "/?a=user=b", "/user=a",
                             "/;user=a", "/?a#&user=b", "/?user=a&user="})
    EXPECT_FALSE(is_there(target)) << target;
}

TEST_F(Hash, OfASegmentOfThePath) {
  use("of: [{path: \"/rooms/{key}/\"}]");
  for (const char* path : {"/rooms/42", "/rooms/42/", "/rooms/42/messages/7", "/rooms/42?x=/rooms/7",
                           "/rooms/42;a=b/", "/rooms;c=d/42;rsid=T"})
    expect("42", path);
  for (const char* path : {"/", "*", "/rooms", "/rooms/", "/rooms//", "/rooms//42", "/Rooms/42", "/room/42",
                           "/x/rooms/42", "/rooms/;a=b", "//rooms/42"})
    EXPECT_FALSE(is_there(path)) << path;
  expect("42", "/x/%2e%2e/%72ooms/42", {}, "/rooms/42");  // the path that routes see
  use("of: [{path: \"/{key}\"}]");
  expect("a", "/a/b");
  EXPECT_FALSE(is_there("/"));
  use("of: [{path: \"/caf%c3%a9/{key}/menu\"}]");
  expect("7", "/caf\xc3\xa9/7/menu");
  EXPECT_FALSE(is_there("/caf\xc3\xa9/7"));
  EXPECT_FALSE(is_there("/caf\xc3\xa9/7/menus"));
}

TEST_F(Hash, TheFirstSourceThatIsThereDecides) {
  use("of: [{header: X-Conversation}, {cookie: uid}, {query: user}, {path: \"/rooms/{key}/\"}]");
  const std::string all = "/rooms/p?user=q";
  const std::pair<std::string, std::string> header{"X-Conversation", "h"}, cookie{"Cookie", "uid=c"};
  struct Row {
    const char *value, *source;
    std::string target;
    Fields fields;
  };
  for (const Row& row : std::vector<Row>{{"h", "header x-conversation", all, {header, cookie}},
                                         {"h", "header x-conversation", "/", {header}},
                                         {"c", "cookie uid", all, {cookie}},
                                         {"c", "cookie uid", all, {{"X-Conversation", ""}, cookie}},
                                         {"c", "cookie uid", all, {header, header, cookie}},
                                         {"q", "query user", all, {}},
                                         {"q", "query user", all, {{"Cookie", "uid="}}},
                                         {"p", "path /rooms/{key}", "/rooms/p?user=", {}}}) {
    expect(row.value, row.target, row.fields);
    EXPECT_EQ(std::get<HashOn>(ask(row.target, row.fields)).source, row.source);
  }
  EXPECT_EQ(std::get<NoHint>(ask("/")).cause, Cause::absent);
}

TEST_F(Hash, SaysTheSameWhereverTheValueStands) {
  use("of: [{header: X-Room}, {query: room}]");
  EXPECT_EQ(std::get<HashOn>(ask("/", {{"X-Room", "7"}})).hash, std::get<HashOn>(ask("/?room=7")).hash);
}

TEST_F(Hash, AValueOverAKibibyteIsNotThere) {
  use("of: [{header: X}, {query: q}, {cookie: c}, {path: \"/{key}\"}]");
  const std::string most(1024, 'a'), more(1025, 'a'), escapes(1024, '+');
  expect(most, "/", {{"X", most}});
  expect(most, "/?q=" + most);
  expect(std::string(1024, ' '), "/?q=" + escapes);
  expect(most, "/", {{"Cookie", "c=" + most}});
  expect(most, "/" + most);
  EXPECT_FALSE(is_there("/" + more + "?q=" + more, {{"X", more}, {"Cookie", "c=" + more}}));
}

TEST_F(Hash, CarriesItsBoundAndKeepsNothing) {
  use("of: {query: q}, bounded_load: 1.25");
  EXPECT_EQ(std::get<HashOn>(ask("/?q=1")).bounded_load, 1.25);
  use("of: {query: q}, bounded_load: off");
  EXPECT_EQ(std::get<HashOn>(ask("/?q=1")).bounded_load, 0);
  EXPECT_EQ(affinity_->family(), Affinity::Family::derived);
  EXPECT_TRUE(test::pool_with("{kind: hash, of: {query: q}}").affinity.front().settings->derived);
}

}  // namespace
}  // namespace remora

// Members of JSON objects by the type that is expected; of another type is as good as absent.

#include "util/json_members.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

namespace remora {
namespace {

const boost::json::object object =
    boost::json::parse(R"({"text":"a","empty":"","yes":true,"seven":7,"minus":-1,"half":0.5,
                           "huge":18446744073709551615,"list":[1,2],"object":{"x":1},"null":null})")
        .get_object();

TEST(JsonMembers, AreReadByTheirType) {
  EXPECT_EQ(json_text(object, "text"), "a");
  EXPECT_TRUE(json_flag(object, "yes"));
  EXPECT_EQ(json_number(object, "seven"), 7U);
  EXPECT_EQ(json_number(object, "huge"), 18446744073709551615U);
  EXPECT_EQ(json_member<std::int64_t>(object, "minus"), -1);
  EXPECT_EQ(json_array(object, "list").size(), 2U);
  EXPECT_EQ(json_number(json_object(object, "object"), "x"), 1U);
}

TEST(JsonMembers, OfAnotherTypeCountAsAbsent) {
  for (const char* key : {"absent", "null", "yes", "seven", "list", "object"}) {
    EXPECT_FALSE(json_member<std::string>(object, key)) << key;
    EXPECT_EQ(json_text(object, key), "") << key;
  }
  for (const char* key : {"absent", "null", "text", "list", "minus", "half", "yes"})
    EXPECT_FALSE(json_member<std::uint64_t>(object, key)) << key;
  for (const char* key : {"absent", "null", "text", "seven"})
    EXPECT_FALSE(json_member<bool>(object, key)) << key;
  EXPECT_TRUE(json_array(object, "object").empty());
  EXPECT_TRUE(json_object(object, "list").empty());
  EXPECT_EQ(json_member<std::string>(object, "empty"), "");
}

TEST(JsonMembers, ANumberThatDoesNotFitCountsAsAbsent) {
  EXPECT_FALSE(json_member<std::uint16_t>(object, "huge"));
  EXPECT_FALSE(json_member<std::int64_t>(object, "huge"));
  EXPECT_EQ(json_number<std::uint16_t>(object, "minus"), 0);
}

}  // namespace
}  // namespace remora

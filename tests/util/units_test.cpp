// Values as people and tools write them.

#include "util/units.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

// YAML 1.1 booleans: Jinja and Python write True, Helm and PyYAML make `off` into false, Ruby yes.
TEST(Switch, InAnySpellingOfYaml) {
  for (const char* on : {"on", "On", "ON", "true", "True", "TRUE", "yes", "Yes", "YES"})
    EXPECT_EQ(parse_switch(on), true) << on;
  for (const char* off : {"off", "Off", "OFF", "false", "False", "FALSE", "no", "No", "NO"})
    EXPECT_EQ(parse_switch(off), false) << off;
  for (const char* neither : {"", "1", "0", "y", "n", "none", "onn", "of", " on"})
    EXPECT_FALSE(parse_switch(neither).has_value()) << neither;
}

}  // namespace
}  // namespace remora

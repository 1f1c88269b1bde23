#include "net/address.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

TEST(Address, TextOfAnAddressIsWhatItWasMadeOf) {
  for (const char* text : {"0.0.0.0", "127.0.0.1", "10.20.30.40", "255.255.255.255", "1.9.10.99",
                           "100.200.101.199", "::1", "2001:db8::1", "fe80::1234:5678:9abc:def0"}) {
    const auto address = parse_ip(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->text(), text);
  }
}

}  // namespace
}  // namespace remora

// Reason phrases.

#include "http/reason.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

TEST(Reason, IsTheOneOfTheStandard) {
  const std::pair<std::uint16_t, std::string_view> known[] = {{100, "Continue"},
                                                              {101, "Switching Protocols"},
                                                              {103, "Early Hints"},
                                                              {301, "Moved Permanently"},
                                                              {302, "Found"},
                                                              {303, "See Other"},
                                                              {307, "Temporary Redirect"},
                                                              {308, "Permanent Redirect"},
                                                              {400, "Bad Request"},
                                                              {401, "Unauthorized"},
                                                              {403, "Forbidden"},
                                                              {404, "Not Found"},
                                                              {408, "Request Timeout"},
                                                              {413, "Content Too Large"},
                                                              {414, "URI Too Long"},
                                                              {417, "Expectation Failed"},
                                                              {429, "Too Many Requests"},
                                                              {431, "Request Header Fields Too Large"},
                                                              {500, "Internal Server Error"},
                                                              {501, "Not Implemented"},
                                                              {502, "Bad Gateway"},
                                                              {503, "Service Unavailable"},
                                                              {504, "Gateway Timeout"},
                                                              {505, "HTTP Version Not Supported"}};
  for (const auto& [status, phrase] : known) EXPECT_EQ(reason_phrase(status), phrase);
}

TEST(Reason, OfAnUnregisteredStatusIsError) {
  for (const int status : {0, 199, 299, 598, 999})
    EXPECT_EQ(reason_phrase(static_cast<std::uint16_t>(status)), "Error") << status;
}

}  // namespace
}  // namespace remora

// Which requests are CORS preflights (Fetch standard 3.2.2, 3.3): only these pass a route that wants a token.

#include "proxy/preflight.h"

#include <gtest/gtest.h>

#include <string>

#include "http/h1/head.h"

namespace remora {
namespace {

bool passes(const std::string& method, const std::string& fields) {
  const std::string text = method + " /cart HTTP/1.1\r\nHost: shop.test\r\n" + fields + "\r\n";
  RequestHead head;
  const Parsed parsed = parse_request_head(text, {}, head);
  EXPECT_EQ(parsed.status, Parsed::Status::ok) << parsed.why << "\n" << text;
  return is_cors_preflight(head);
}

const std::string origin = "Origin: https://spa.test\r\n", wants = "Access-Control-Request-Method: PUT\r\n";

// envoyproxy/envoy #12375, istio/proxy #651, pomerium/pomerium #78, aspnet/CORS #45.
TEST(Preflight, IsWhatBrowsersSend) {
  EXPECT_TRUE(passes("OPTIONS", origin + wants));
  EXPECT_TRUE(
      passes("OPTIONS", "origin: null\r\naccess-control-request-method: DELETE\r\n"));  // a sandboxed frame
  EXPECT_TRUE(passes("OPTIONS", origin + wants +
                                    "Access-Control-Request-Headers: authorization,content-type\r\n"
                                    "Access-Control-Request-Private-Network: true\r\nSec-Fetch-Mode: cors\r\n"
                                    "Accept: */*\r\nReferer: https://spa.test/\r\nUser-Agent: x\r\n"));
  EXPECT_TRUE(passes("OPTIONS", origin + wants + "Content-Length: 0\r\n"));
}

TEST(Preflight, IsNothingElse) {
  for (const char* method : {"GET", "HEAD", "POST", "PUT", "options"})
    EXPECT_FALSE(passes(method, origin + wants)) << method;
  EXPECT_FALSE(passes("OPTIONS", ""));
  EXPECT_FALSE(passes("OPTIONS", origin));
  EXPECT_FALSE(passes("OPTIONS", wants));
  EXPECT_FALSE(passes("OPTIONS", "Origin:\r\n" + wants));
  EXPECT_FALSE(passes("OPTIONS", origin + "Access-Control-Request-Method:\r\n"));
  EXPECT_FALSE(passes("OPTIONS", origin + "Access-Control-Request-Method: PUT, DELETE\r\n"));
  EXPECT_FALSE(passes("OPTIONS", origin + origin + wants));
  EXPECT_FALSE(passes("OPTIONS", origin + wants + wants));
}

TEST(Preflight, HasNoContentNoCredentialsAndNoOtherMethod) {
  for (const char* field : {"Content-Length: 1", "Transfer-Encoding: chunked", "Authorization: Bearer x",
                            "Authorization: Basic eDp5", "Cookie: jwt=x", "X-HTTP-Method-Override: DELETE",
                            "X-HTTP-Method: DELETE", "x-method-override: PUT"})
    EXPECT_FALSE(passes("OPTIONS", origin + wants + field + "\r\n")) << field;
}

}  // namespace
}  // namespace remora

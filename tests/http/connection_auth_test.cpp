// Which challenges and credentials tie a user to a connection (RFC 4559; NTLM, Kerberos).

#include "http/connection_auth.h"

#include <gtest/gtest.h>

#include "http/h1/head.h"

namespace remora {
namespace {

using enum ConnectionAuth;

ConnectionAuth asked(const char* value, std::uint16_t status = 401, const char* name = "WWW-Authenticate") {
  std::string head = "HTTP/1.1 " + std::to_string(status) + " No\r\nContent-Length: 0\r\n";
  head.append(name).append(": ").append(value).append("\r\n\r\n");
  ResponseHead parsed;
  EXPECT_EQ(parse_response_head(head, Method::get, parsed).status, Parsed::Status::ok) << head;
  return asked_connection_auth(parsed.status, parsed.fields);
}

TEST(ConnectionAuth, IsOfferedByNameInAnyCaseAndPlace) {
  for (const char* value : {"NTLM", "Negotiate", "negotiate", "nTlM", "Kerberos", "CredSSP", "Nego2",
                            "Negotiate, NTLM", "Basic realm=\"x\", NTLM", "NTLM,Basic realm=\"x\"",
                            "Basic realm=\"a, b\", charset=\"UTF-8\", Negotiate",
                            "Digest realm=\"q\\\"uote, NTLM\", nonce=\"a\",Negotiate", ",, NTLM ,",
                            "Negotiate\t", "NTLM realm=\"x\"", "Basic realm=\"never closed, NTLM"})
    EXPECT_EQ(asked(value), offered) << value;
  EXPECT_EQ(asked("NTLM", 401, "www-authenticate"), offered);
  EXPECT_EQ(asked("Negotiate", 407, "Proxy-Authenticate"), offered);
}

TEST(ConnectionAuth, ALegHasAToken) {
  for (const char* value :
       {"NTLM TlRMTVNTUAACAAAADAAMADgAAAAFgomi", "Negotiate oYG2MIGzoAMKAQGhDAYKKwYBBAGCNwICCg==",
        "negotiate  YII=", "Basic realm=\"x\", NTLM TlRM+/a=", "NTLM challenge"})
    EXPECT_EQ(asked(value), continued) << value;
}

TEST(ConnectionAuth, OtherSchemesAndOtherStatusesAreNone) {
  for (const char* value : {"Basic realm=\"NTLM\"", "Basic realm=\"NTLM, Negotiate\"", "Bearer", "NTLMv9",
                            "Digest ntlm=\"1\", negotiate=2", "Bearer scope=\"a\", ntlm = x", "X-NTLM", ""})
    EXPECT_EQ(asked(value), none) << value;
  EXPECT_EQ(asked("NTLM", 200), none);
  EXPECT_EQ(asked("NTLM", 403), none);
  EXPECT_EQ(asked("NTLM", 401, "X-Authenticate"), none);
}

TEST(ConnectionAuth, SeveralLinesCountTogether) {
  ResponseHead head;
  ASSERT_EQ(
      parse_response_head("HTTP/1.1 401 No\r\nContent-Length: 0\r\nWWW-Authenticate: Basic realm=\"x\"\r\n"
                          "WWW-Authenticate: Negotiate\r\nWWW-Authenticate: NTLM TlRM\r\n\r\n",
                          Method::get, head)
          .status,
      Parsed::Status::ok);
  EXPECT_EQ(asked_connection_auth(head.status, head.fields), continued);
}

TEST(ConnectionAuth, OfARequestIsItsCredentials) {
  const auto uses = [](const std::string& line) {
    RequestHead head;
    const std::string text = "GET / HTTP/1.1\r\nHost: a\r\n" + line + "\r\n\r\n";
    EXPECT_EQ(parse_request_head(text, response_limits(), head).status, Parsed::Status::ok) << line;
    return head.connection_auth;
  };
  for (const char* line :
       {"Authorization: NTLM TlRMTVNTUAAB",
        "authorization: negotiate YII=", "AUTHORIZATION:Negotiate\tYII=", "Authorization: NTLM",
        "Authorization: Kerberos YII=", "Proxy-Authorization: NTLM TlRM", "Authorization: CredSSP TSX="})
    EXPECT_TRUE(uses(line)) << line;
  for (const char* line :
       {"Authorization: Basic TlRMOng=", "Authorization: Bearer NTLM", "Authorization: NTLMx y",
        "X-Authorization: NTLM x", "Authorization:", "Authorization: Basic x, NTLM y"})
    EXPECT_FALSE(uses(line)) << line;
}

}  // namespace
}  // namespace remora

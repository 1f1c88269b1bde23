// Who asks and how he came, as trusted proxies say it: schemes in all their spellings, unix sockets.

#include "proxy/arrival.h"

#include <gtest/gtest.h>

#include "http/h1/grammar.h"
#include "net/address.h"

namespace remora {
namespace {

using Fields = std::vector<std::pair<const char*, const char*>>;

config::Cidr block(const char* address, unsigned bits) {
  config::Cidr c;
  const auto base = *parse_ip(address);
  std::copy(std::begin(base.bytes), std::end(base.bytes), c.bytes);
  c.bits = static_cast<std::uint8_t>(bits);
  return c;
}
const std::vector<config::Cidr> ten{block("10.0.0.0", 96 + 8)};
const std::vector<config::Cidr> unix_peers{config::Cidr{}};  // as `unix` is read

Arrival arrive(const Fields& said, const ClientAddress& peer = *parse_ip("10.0.0.9"),
               const std::vector<config::Cidr>& trusted = ten, bool tls = false) {
  std::vector<Field> fields;
  for (const auto& [name, value] : said) fields.push_back({name, value, known_field(name)});
  Arrival a;
  a.peer = a.client = peer;
  a.secure = tls;
  resolve_arrival(fields, trusted, a);
  return a;
}

// traefik/traefik #6388 and #9736: for upgrades it sends the scheme of the WebSocket.
TEST(OuterScheme, IsReadInAllItsForms) {
  struct Row {
    Fields fields;
    bool secure;
  };
  const auto xfp = [](const char* value) { return Fields{{"X-Forwarded-Proto", value}}; };
  const auto forwarded = [](const char* value) { return Fields{{"Forwarded", value}}; };
  for (const Row& row : std::vector<Row>{
           {xfp("https"), true},
           {xfp("HTTPS"), true},
           {xfp("wss"), true},
           {xfp("WSS"), true},
           {xfp("ssl"), true},
           {xfp("\"https\""), true},
           {xfp("http"), false},
           {xfp("ws"), false},
           // More schemes than addresses: Express, Rack, Symfony and Spring take the outermost one.
           {xfp("https, http"), true},
           {xfp("https,http"), true},
           {xfp("http,wss"), true},
           {xfp("http, ws"), false},
           {{{"X-Forwarded-For", "9.9.9.9"}, {"X-Forwarded-Proto", "https, http"}}, true},
           // As many: our peer's own word, since it appends to both.
           {{{"X-Forwarded-For", "1.1.1.1, 9.9.9.9"}, {"X-Forwarded-Proto", "https, http"}}, false},
           {{{"X-Forwarded-For", "9.9.9.9, 10.0.0.2"}, {"X-Forwarded-Proto", "wss, ws"}}, true},
           {{{"X-Forwarded-For", "9.9.9.9, 10.0.0.2"}, {"X-Forwarded-Proto", "ws, wss"}}, false},
           {forwarded("for=9.9.9.9;proto=wss"), true},
           {forwarded("for=9.9.9.9;proto=ws"), false},
           {forwarded("for=9.9.9.9; Proto=\"WSS\""), true},
           {forwarded("proto=https"), true},
           {forwarded("for=unknown;proto=https"), true},
           {forwarded("for=_hidden;proto=https"), true},
           {{{"X-Forwarded-Scheme", "https"}}, true},
           {{{"X-Forwarded-Scheme", "wss"}}, true},
           {{{"X-Forwarded-Protocol", "ssl"}}, true},  // gunicorn's
           {{{"X-Scheme", "https"}}, true},            // ingress-nginx
           {{{"X-Url-Scheme", "https"}}, true},
           {{{"X-Forwarded-Ssl", "on"}}, true},
           {{{"X-Forwarded-SSL", "off"}}, false},
           {{{"Front-End-Https", "On"}}, true},  // Microsoft
           {{{"Front-End-Https", "Off"}}, false},
           // The first that says something counts.
           {{{"X-Forwarded-Proto", "http"}, {"X-Forwarded-Ssl", "on"}}, false},
           {{{"X-Forwarded-Proto", "https"}, {"Front-End-Https", "off"}}, true},
           {{{"X-Forwarded-Proto", "gopher"}, {"X-Forwarded-Scheme", "https"}}, true},
           {{{"X-Forwarded-Proto", ""}, {"X-Forwarded-Scheme", "https"}}, true},
           // A proxy that only knows X-Forwarded-For passes on what the client says in Forwarded.
           {{{"X-Forwarded-For", "9.9.9.9"}, {"Forwarded", "for=1.1.1.1;proto=https"}}, false},
       }) {
    EXPECT_EQ(arrive(row.fields).secure, row.secure)
        << row.fields.back().first << ": " << row.fields.back().second;
    EXPECT_FALSE(arrive(row.fields, *parse_ip("8.8.8.8")).secure) << row.fields.back().first;
  }
}

TEST(OuterScheme, AWordThatIsNoneLeavesTheConnectionsOwn) {
  for (const char* word : {"gopher", "h2", "on", "https2", ""}) {
    EXPECT_TRUE(arrive({{"X-Forwarded-Proto", word}}, *parse_ip("10.0.0.9"), ten, true).secure) << word;
    EXPECT_FALSE(arrive({{"X-Forwarded-Proto", word}}).secure) << word;
  }
  EXPECT_FALSE(arrive({{"X-Forwarded-Proto", "ws"}}, *parse_ip("10.0.0.9"), ten, true).secure);
}

// caddyserver/caddy #7263, jshttp/proxy-addr #9: a proxy on the same machine has no address.
TEST(UnixPeers, AreTrustedByName) {
  const ClientAddress unix_peer;
  EXPECT_TRUE(unix_peer.is_unknown());
  EXPECT_EQ(unix_peer.text(), "unknown");
  EXPECT_EQ(arrive({{"X-Forwarded-For", "9.9.9.9"}}, unix_peer, unix_peers).client.text(), "9.9.9.9");
  EXPECT_TRUE(arrive({{"X-Forwarded-Proto", "https"}}, unix_peer, unix_peers).secure);
  EXPECT_EQ(arrive({}, unix_peer, unix_peers).client.text(), "unknown");
  for (const auto* nobody : {&ten})
    EXPECT_EQ(arrive({{"X-Forwarded-For", "9.9.9.9"}}, unix_peer, *nobody).client.text(), "unknown");
  EXPECT_EQ(arrive({{"X-Forwarded-For", "9.9.9.9"}}, unix_peer, {block("0.0.0.0", 96)}).client.text(),
            "unknown");
}

TEST(UnixPeers, AmongTheHopsAreTrustedAsWell) {
  std::vector<config::Cidr> both = ten;
  both.push_back(config::Cidr{});
  const auto client = [](const char* xff, const std::vector<config::Cidr>& trusted) {
    return arrive({{"X-Forwarded-For", xff}}, *parse_ip("10.0.0.9"), trusted).client.text();
  };
  for (const char* hop : {"unix:", "unix", "UNIX:", "::"}) {
    EXPECT_EQ(client(("9.9.9.9, " + std::string(hop)).c_str(), both), "9.9.9.9") << hop;
    EXPECT_EQ(client(("9.9.9.9, " + std::string(hop)).c_str(), ten), "10.0.0.9") << hop;
  }
  EXPECT_EQ(client("9.9.9.9, unknown", both), "10.0.0.9");  // nobody knows who said what stands before
}

}  // namespace
}  // namespace remora

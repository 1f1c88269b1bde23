// RFC 9113 3 and 9: how a connection starts and ends.

#include <signal.h>

#include "support/certificates.h"
#include "support/h2_site.h"

namespace remora::test::h2 {
namespace {

using Starting = Http2;

// 3.4
TEST_F(Starting, TheServersFirstFrameIsSettings) {
  Client other(port());
  other.send(std::string(preface) + settings());
  EXPECT_TRUE(other.sync());
  EXPECT_EQ(other.violation(), "");
  EXPECT_TRUE(other.setting(Setting::max_concurrent_streams).has_value());
}

// 3.4: the client may go on before it has seen the server's preface.
TEST_F(Starting, ARequestRightBehindThePrefaceIsServed) {
  Client other(port());
  other.send(std::string(preface) + settings() + headers(1, get_block("/first")));
  EXPECT_TRUE(other.responds(1));
}

TEST_F(Starting, ARequestBeforeTheSettingsAreAcknowledgedIsServed) {
  Client other(port());
  other.acks_settings = false;
  ASSERT_TRUE(other.start());
  EXPECT_TRUE(other.responds(other.get("/")));
}

TEST_F(Starting, APrefaceInPiecesIsUnderstood) {
  Client other(port());
  for (const char c : preface) ASSERT_TRUE(other.send({&c, 1}));
  for (const char c : settings({{Setting::initial_window_size, 70000}})) ASSERT_TRUE(other.send({&c, 1}));
  EXPECT_TRUE(other.alive());
}

// 3.4: a connection error PROTOCOL_ERROR; GOAWAY may be omitted. Here the preface tells the protocols apart,
// so that HTTP/1.1's answer, 400 or 505, will do as well.
TEST_F(Starting, AWrongPrefaceEndsTheConnection) {
  Client other(port());
  other.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\rX" + settings());
  EXPECT_TRUE(other.closes());
  EXPECT_TRUE(nothing_forwarded());
}

TEST_F(Starting, APrefaceOfAnotherVersionEndsTheConnection) {
  Client other(port());
  other.send("PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n" + settings());
  EXPECT_TRUE(other.closes());
  EXPECT_TRUE(nothing_forwarded());
}

// 3.4: SETTINGS must be first behind the preface.
TEST_F(Starting, APingInPlaceOfTheFirstSettingsIsAProtocolError) {
  Client other(port());
  other.send(std::string(preface) + ping());
  EXPECT_TRUE(other.ends_with(Error::protocol_error));
}

TEST_F(Starting, ARequestInPlaceOfTheFirstSettingsIsAProtocolError) {
  Client other(port());
  other.send(std::string(preface) + headers(1, get_block()));
  EXPECT_TRUE(other.ends_with(Error::protocol_error));
  EXPECT_TRUE(nothing_forwarded());
}

TEST_F(Starting, AnAcknowledgmentInPlaceOfTheFirstSettingsIsAProtocolError) {
  Client other(port());
  other.send(std::string(preface) + settings_ack());
  EXPECT_TRUE(other.ends_with(Error::protocol_error));
}

TEST_F(Starting, ASecondPrefaceEndsTheConnection) {
  client.send(preface);
  EXPECT_TRUE(client.closes());
}

TEST_F(Starting, Http11OnTheSameListenerIsServed) {
  EXPECT_EQ(ask(port(), remora::test::get("/one")).status, 200);
  EXPECT_TRUE(only_forwarded("GET /one\n"));
}

// 3.1: the upgrade of HTTP/1.1 to h2c is gone.
TEST_F(Starting, AnUpgradeToH2cIsNotFollowed) {
  const Reply r = ask(port(), remora::test::get("/",
                                                "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                                                "HTTP2-Settings: AAMA\r\n"));
  EXPECT_EQ(r.status, 200);
  ASSERT_EQ(backend().requests().size(), 1u);
  EXPECT_EQ(backend().requests()[0].field("Upgrade"), "");
  EXPECT_EQ(backend().requests()[0].field("HTTP2-Settings"), "");
}

TEST(PriorKnowledge, IsNotBelievedUnlessTheListenerSaysSo) {
  Backend backend;
  Remora remora(simple_config({backend.address()}));
  Client client(remora.port());
  client.send(std::string(preface) + settings() + headers(1, get_block()));
  EXPECT_TRUE(client.closes());
  EXPECT_EQ(backend.lines(), "");
}

// TLS: 3.2 and 9.2 --------------------------------------------------------------------------------------

class Alpn : public ::testing::Test {
 protected:
  explicit Alpn(const std::string& more = "") {
    const std::string pair = make_certificate(folder_, "test");
    const std::string other = make_certificate(folder_, "other");
    remora_ = std::make_unique<Remora>(simple_config(
        {backend.address()}, "", "tls: {certificates: [" + pair + ", " + other + "]" + more + "}\n"));
  }
  ~Alpn() override { std::ignore = std::system(("rm -r " + folder_).c_str()); }
  static TlsOptions offering(const std::string& protocols) {
    TlsOptions o;
    o.alpn = protocols;
    return o;
  }
  int port() const { return remora_->port(); }
  /// A status line in HTTP/1.1 for a request in HTTP/1.1.
  static std::string plain_status(Client& c) {
    std::string received, request = remora::test::get("/");
    while (!request.empty() && c.wire().write(request) != Wire::Io::ended) {
    }
    while (received.find("\r\n") == std::string::npos && c.wire().wait(false, patience))
      if (c.wire().read(received) == Wire::Io::ended) break;
    return received.substr(0, received.find('\r'));
  }
  Backend backend;

 private:
  const std::string folder_ = make_folder();
  std::unique_ptr<Remora> remora_;
};

class AlpnOfHttp11Only : public Alpn {
 protected:
  AlpnOfHttp11Only() : Alpn(", alpn: [http/1.1]") {}
};

const std::string h2 = "\x02h2", http11 = "\x08http/1.1";

TEST_F(Alpn, H2IsChosenByDefault) {
  Client client(port(), offering(http11 + h2));
  EXPECT_EQ(client.wire().alpn(), "h2");
  ASSERT_TRUE(client.start());
  EXPECT_TRUE(client.alive());
  EXPECT_EQ(client.violation(), "");
}

TEST_F(Alpn, Http11IsChosenWhereTheClientKnowsNoOther) {
  Client client(port(), offering(http11));
  EXPECT_EQ(client.wire().alpn(), "http/1.1");
  EXPECT_EQ(plain_status(client), "HTTP/1.1 200 OK");
}

TEST_F(Alpn, WithoutItTheConnectionIsHttp11) {
  Client client(port(), offering(""));
  EXPECT_EQ(client.wire().alpn(), "");
  EXPECT_EQ(plain_status(client), "HTTP/1.1 200 OK");
}

// 3.2: h2c is not a protocol under TLS.
TEST_F(Alpn, H2cIsNeverChosen) {
  Client client(port(), offering("\x03h2c" + http11));
  EXPECT_NE(client.wire().alpn(), "h2c");
}

TEST_F(Alpn, ABadFrameUnderTlsIsAnsweredWithGoaway) {
  Client client(port(), offering(h2));
  ASSERT_TRUE(client.start());
  client.send(frame(Type::ping, 0, 0, "short"));
  EXPECT_TRUE(client.ends_with(Error::frame_size_error));
}

TEST_F(Alpn, Http11AfterH2WasChosenEndsTheConnection) {
  Client client(port(), offering(h2));
  client.send(remora::test::get("/"));
  EXPECT_TRUE(client.closes());
  EXPECT_EQ(backend.lines(), "");
}

// RFC 9113 9.1.2, RFC 9110 15.5.20
TEST_F(Alpn, AnAuthorityOfAnotherCertificateIsMisdirected) {
  Client client(port(), offering(h2));
  ASSERT_TRUE(client.start());
  const auto of = [](const std::string& authority) {
    return replaced(replaced(request("/"), ":authority", {{":authority", authority}}), ":scheme",
                    {{":scheme", "https"}});
  };
  const std::uint32_t other = client.ask(of("other"));
  EXPECT_TRUE(client.responds(other, 421));
  EXPECT_EQ(backend.lines(), "");
  const std::uint32_t own = client.ask(of("test"));
  EXPECT_TRUE(client.responds(own));
}

TEST_F(Alpn, Tls12IsServed) {
  TlsOptions o;
  o.max_version = TLS1_2_VERSION;
  Client client(port(), o);
  EXPECT_EQ(client.wire().alpn(), "h2");
  ASSERT_TRUE(client.start());
  EXPECT_TRUE(client.alive());
}

TEST_F(AlpnOfHttp11Only, DoesNotChooseH2) {
  Client client(port(), offering(h2 + http11));
  EXPECT_EQ(client.wire().alpn(), "http/1.1");
  EXPECT_EQ(plain_status(client), "HTTP/1.1 200 OK");
}

// Ends ------------------------------------------------------------------------------------------------

/// A server of its own for each test.
class Ending : public ::testing::Test {
 protected:
  void run(const std::string& listener = "") {
    remora = std::make_unique<Remora>(h2_config(backend, listener));
  }
  Backend backend;
  std::unique_ptr<Remora> remora;
};

// 9.1, 6.8
TEST_F(Ending, AnIdleConnectionIsToldBeforeItIsClosed) {
  run("timeouts: {idle: 300ms}\n");
  Client client(remora->port());
  ASSERT_TRUE(client.start());
  EXPECT_TRUE(client.alive());
  EXPECT_TRUE(client.ends_with(Error::no_error));
}

TEST_F(Ending, AConnectionWithoutAPrefaceIsClosedInTime) {
  run("timeouts: {header: 300ms, idle: 300ms}\n");
  Client client(remora->port());
  client.send(preface.substr(0, 10));
  EXPECT_TRUE(client.closes());
}

// 6.8
TEST_F(Ending, AStopLetsTheStreamsThatRunFinish) {
  run();
  Client client(remora->port());
  ASSERT_TRUE(client.start());
  const std::uint32_t held = client.get("/hold");
  ASSERT_TRUE(backend.received(1));
  remora->signal(SIGTERM);
  ASSERT_TRUE(client.wait([&] { return client.went_away(); }));
  EXPECT_EQ(client.goaway_code(), Error::no_error);
  EXPECT_FALSE(client.stream(held).over());
  backend.release();
  EXPECT_TRUE(client.responds(held));
  EXPECT_EQ(client.stream(held).body, "released");
  EXPECT_TRUE(client.ends_with(Error::no_error));
  EXPECT_EQ(client.goaway_last_stream(), held);
  EXPECT_EQ(client.violation(), "");
}

TEST_F(Ending, AStopTellsASilentClient) {
  run();
  Client client(remora->port());
  ASSERT_TRUE(client.start());
  EXPECT_TRUE(client.alive());
  remora->signal(SIGTERM);
  EXPECT_TRUE(client.ends_with(Error::no_error));
}

TEST_F(Ending, AClientThatClosesInMidFrameDisturbsNobody) {
  run();
  {
    Client client(remora->port());
    ASSERT_TRUE(client.start());
    client.send(frame_of_length(100, Type::headers, end_headers, 1, "ab"));
  }
  Client other(remora->port());
  ASSERT_TRUE(other.start());
  EXPECT_TRUE(other.alive());
}

}  // namespace
}  // namespace remora::test::h2

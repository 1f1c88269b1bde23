// Which tickets a listener takes, by a clock that the test moves.

#include "net/tls_tickets.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "net/tls.h"
#include "support/certificates.h"
#include "support/manual_clock.h"

namespace remora {
namespace {

using namespace std::chrono_literals;

struct SslDeleter {
  void operator()(SSL* s) const noexcept { SSL_free(s); }
  void operator()(SSL_SESSION* s) const noexcept { SSL_SESSION_free(s); }
};
using Ssl = std::unique_ptr<SSL, SslDeleter>;
using Session = std::unique_ptr<SSL_SESSION, SslDeleter>;

class TicketTest : public ::testing::TestWithParam<int> {
 protected:
  TicketTest() {
    char name[] = "/tmp/remora-tickets-XXXXXX";
    folder_ = ::mkdtemp(name);
    clock_.set_wall(real_clock().wall_now());  // OpenSSL asks the machine whether a certificate is valid
    test::make_certificate(folder_, "site");
    test::make_certificate(folder_, "client");
    test::make_certificate(folder_, "other");
    tls_.certificates = {{file("site.pem"), file("site.key")}};
  }
  ~TicketTest() override { std::filesystem::remove_all(folder_); }
  std::string file(const std::string& name) const { return folder_ + "/" + name; }

  std::shared_ptr<const ServerTls> load(const ServerTls* previous = nullptr,
                                        const std::string& listener = "a:1") const {
    std::string why;
    auto loaded = ServerTls::load(tls_, listener, previous, clock_, why);
    EXPECT_TRUE(loaded) << why;
    return loaded;
  }
  struct Visit {
    Session session;
    bool connected = false, resumed = false;
  };
  /// One handshake in memory, with the client's certificate.
  Visit visit(const ServerTls& server, const Session& from = nullptr) const {
    const SslCtx context(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_max_proto_version(context.get(), GetParam());
    SSL_CTX_use_certificate_chain_file(context.get(), file("client.pem").c_str());
    SSL_CTX_use_PrivateKey_file(context.get(), file("client.key").c_str(), SSL_FILETYPE_PEM);
    const Ssl client(SSL_new(context.get())), accepted(SSL_new(server.context()));
    BIO *one = nullptr, *two = nullptr;
    BIO_new_bio_pair(&one, 0, &two, 0);
    SSL_set_bio(client.get(), one, one);
    SSL_set_bio(accepted.get(), two, two);
    SSL_set_connect_state(client.get());
    SSL_set_accept_state(accepted.get());
    if (from) SSL_set_session(client.get(), from.get());
    char byte = 0;
    for (int i = 0; i < 20; ++i) {
      SSL_do_handshake(client.get());
      SSL_do_handshake(accepted.get());
      SSL_read(client.get(), &byte, 1);  // tickets of TLS 1.3 come after the handshake
    }
    Visit out;
    out.connected = SSL_is_init_finished(client.get()) == 1 && SSL_is_init_finished(accepted.get()) == 1;
    out.resumed = SSL_session_reused(accepted.get()) == 1;
    SSL_shutdown(client.get());
    out.session.reset(SSL_get1_session(client.get()));
    take_openssl_error();
    return out;
  }

  std::string folder_;
  config::ListenerTls tls_;
  test::ManualClock clock_;
};

INSTANTIATE_TEST_SUITE_P(Versions, TicketTest, ::testing::Values(TLS1_2_VERSION, TLS1_3_VERSION),
                         [](const auto& info) { return info.param == TLS1_2_VERSION ? "Tls12" : "Tls13"; });

// TLS 1.3 gives a new ticket at each resumption: from one to the next a session went on without end.
TEST_P(TicketTest, AChainOfResumptionsEndsADayAfterTheFullHandshake) {
  const auto server = load();
  Visit last = visit(*server);
  ASSERT_TRUE(last.connected);
  EXPECT_FALSE(last.resumed);
  for (int hour = 1; hour < 24; ++hour) {
    clock_.advance(1h);
    last = visit(*server, last.session);
    ASSERT_TRUE(last.resumed) << "hour " << hour;
  }
  clock_.advance(1h);
  last = visit(*server, last.session);
  EXPECT_TRUE(last.connected);
  EXPECT_FALSE(last.resumed);
  EXPECT_TRUE(visit(*server, last.session).resumed);  // a full handshake begins another day
}

TEST_P(TicketTest, NoTicketOutlivesTheClientCertificate) {
  tls_.client_auth = config::ClientAuth::required;
  tls_.client_ca = file("client.pem");
  const std::string sign = "openssl req -x509 -key " + file("client.key") +
                           " -days 1 -subj /CN=client -out " + file("client.pem") + " >/dev/null 2>&1";
  ASSERT_EQ(std::system(sign.c_str()), 0);
  const auto server = load();
  clock_.advance(2h);  // the handshake is later than the certificate, and so the day would end later
  const Visit first = visit(*server);
  ASSERT_TRUE(first.connected);
  clock_.advance(21h);
  EXPECT_TRUE(visit(*server, first.session).resumed);
  clock_.advance(2h);
  EXPECT_FALSE(visit(*server, first.session).resumed);
}

TEST_P(TicketTest, AReloadKeepsTicketsWhileClientsProveTheSame) {
  tls_.client_auth = config::ClientAuth::required;
  tls_.client_ca = file("ca.pem");
  std::filesystem::copy_file(file("client.pem"), tls_.client_ca);
  const auto before = load();
  const Visit first = visit(*before);
  ASSERT_TRUE(first.connected);
  EXPECT_TRUE(visit(*load(before.get()), first.session).resumed);
  EXPECT_FALSE(visit(*load(before.get(), "b:2"), first.session).resumed);  // another listener

  std::filesystem::rename(file("ca.pem"), file("moved.pem"));  // another path, the same contents
  tls_.client_ca = file("moved.pem");
  EXPECT_TRUE(visit(*load(before.get()), first.session).resumed);

  std::filesystem::copy_file(file("other.pem"), tls_.client_ca,
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_FALSE(visit(*load(before.get()), first.session).resumed);

  tls_.client_auth = config::ClientAuth::off;
  EXPECT_FALSE(visit(*load(before.get()), first.session).resumed);
}

TEST_P(TicketTest, AnotherServerKeyNeedsAFullHandshake) {
  const auto before = load();
  const Visit first = visit(*before);
  tls_.certificates = {{file("other.pem"), file("other.key")}};
  const Visit after = visit(*load(before.get()), first.session);
  EXPECT_TRUE(after.connected);
  EXPECT_FALSE(after.resumed);
}

}  // namespace
}  // namespace remora

// TLS contexts, built once per configuration, and the TLS session of one stream.
//
// Contexts are built on the control thread (they read files) and are immutable afterwards; OpenSSL
// reference-counts them, so a reload may replace them under running connections. A TlsSession belongs to its
// Transport: its BIO reads from the stream's pending receive and writes to the socket.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/server_tls.h"
#include "net/tls_tickets.h"
#include "net/transport.h"
#include "remora/clock.h"
#include "remora/config.h"
#include "remora/result.h"

namespace remora {

struct SslCtxDeleter {
  void operator()(SSL_CTX* c) const noexcept { SSL_CTX_free(c); }
};
using SslCtx = std::unique_ptr<SSL_CTX, SslCtxDeleter>;

/// OpenSSL's message for the oldest error in this thread's queue. Empties the queue.
std::string take_openssl_error();

/// Sets the options that all contexts share.
void common_options(SSL_CTX* context);

/// Adds a certificate and its key, besides those of other key types. On failure returns false and sets
/// `why`.
bool load_pair(SSL_CTX* context, const std::string& cert, const std::string& key, std::string& why);

/// A listener's TLS settings: certificates chosen by SNI and by what the client can verify, versions, client
/// authentication (server_tls.cpp).
class ServerTls {
 public:
  /// Reads every file. On failure returns null and sets `why` to the file and the reason. `listener`: its
  /// address; tickets are not valid at another listener. `previous` hands on its ticket keys, so that
  /// sessions stay resumable over a reload, unless the session context has changed (tls_tickets.h). `clock`
  /// outlives everything loaded with it.
  static std::shared_ptr<const ServerTls> load(const config::ListenerTls&, std::string_view listener,
                                               const ServerTls* previous, const Clock& clock,
                                               std::string& why);
  SSL_CTX* context() const noexcept { return contexts_.front().get(); }
  const CertificateChoice& choice() const noexcept { return choice_; }

 private:
  static int choose_certificate(SSL*, int*, void*);
  CertificateChoice choice_;
  std::vector<SslCtx> contexts_;  // one per group of choice_
  SessionContext session_context_{};
};

/// A pool's TLS settings toward its backends.
class ClientTls {
 public:
  /// `protocol`: what to offer by ALPN.
  static std::shared_ptr<const ClientTls> load(
      const config::BackendTls&, std::string& why,
      config::BackendProtocol protocol = config::BackendProtocol::http1);
  SSL_CTX* context() const noexcept { return context_.get(); }
  bool verifies() const noexcept { return verify_; }
  /// Unique in this process.
  std::uint64_t number() const noexcept { return number_; }

 private:
  SslCtx context_;
  std::uint64_t number_ = 0;
  bool verify_ = true;
};

class TlsSession {
 public:
  TlsSession(Transport& stream, const ServerTls& server);
  /// `http1_only`: offers nothing else by ALPN, whatever the context does.
  TlsSession(Transport& stream, const ClientTls& client, const std::string& server_name, bool http1_only);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;
  /// The session of a transport; null: it has no TLS.
  static const TlsSession* of(const Transport& transport) noexcept { return transport.tls_.get(); }

  Io handshake();
  Io read();
  Transport::WriteResult write(std::span<const asio::const_buffer> runs);
  void close_notify() noexcept;
  /// After the handshake: the protocol that was chosen by ALPN, and the name that the client asked for (SNI).
  /// Empty: none.
  std::string_view alpn() const noexcept;
  std::string_view server_name() const noexcept;
  /// Moves the session to another stream.
  void continue_on(Transport& stream) noexcept;

 private:
  explicit TlsSession(Transport& stream, SSL_CTX* context);
  static BIO_METHOD* bio_method();
  static int bio_read(BIO*, char* out, int size);
  static int bio_write(BIO*, const char* data, int size);
  static long bio_ctrl(BIO*, int command, long, void*);
  Io blocked_on(int result);

  friend class Transport;
  Transport* stream_;
  SSL* ssl_;
  Transport::Input raw_;  // bytes as received
  // This record is not the last one of a write(): TCP makes larger packets of them together.
  bool more_records_ = false;
  std::string error_;
};

}  // namespace remora

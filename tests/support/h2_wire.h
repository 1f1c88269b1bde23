// A client's connection for HTTP/2 tests: TCP, or TLS with ALPN. Reads and writes never block.
#pragma once

#include <openssl/ssl.h>

#include <string>

#include "support/net.h"

namespace remora::test::h2 {

struct TlsOptions {
  std::string sni = "test";
  std::string alpn = "\x02h2";  // as on the wire: each name behind its length. Empty: no ALPN
  int max_version = TLS1_3_VERSION;
};

class Wire {
 public:
  enum class Io { done, blocked, ended };

  explicit Wire(int port);
  Wire(int port, const TlsOptions& tls);
  ~Wire();
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  /// Appends what has arrived.
  Io read(std::string& to);
  /// Removes what was written from the front.
  Io write(std::string& from);
  /// Waits until there is something to read or, if `write`, room to write. False: not within the limit.
  bool wait(bool write, std::chrono::milliseconds limit) const;
  void shutdown_send() { socket_.shutdown_send(); }
  /// The protocol that the server chose; empty: none.
  std::string alpn() const;
  bool connected() const { return connected_; }

 private:
  Io result_of(int ssl_result) const;
  Socket socket_;
  SSL_CTX* context_ = nullptr;
  SSL* ssl_ = nullptr;
  bool connected_ = false;
};

}  // namespace remora::test::h2

#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/error.hpp>
#include <cerrno>
#include <cstring>

#include "net/calls.h"
#include "util/text.h"

namespace remora {

namespace {
// Lists as ALPN has them (RFC 7301 3.1).
constexpr std::string_view alpn_http1 = "\x08http/1.1", alpn_h2 = "\x02h2", alpn_both = "\x02h2\x08http/1.1";

std::string_view alpn_for(config::BackendProtocol protocol) noexcept {
  switch (protocol) {
    case config::BackendProtocol::http1:
      break;
    case config::BackendProtocol::h2:
      return alpn_h2;
    case config::BackendProtocol::automatic:
      return alpn_both;
  }
  return alpn_http1;
}

const unsigned char* bytes(std::string_view text) noexcept {
  return reinterpret_cast<const unsigned char*>(text.data());
}

constexpr std::size_t record_bytes = 16 * 1024;  // RFC 8446 5.1: the maximum plaintext of a record
}  // namespace

std::string take_openssl_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "unknown TLS error";
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "error " + std::to_string(code);
}

bool load_pair(SSL_CTX* context, const std::string& cert, const std::string& key, std::string& why) {
  if (SSL_CTX_use_certificate_chain_file(context, cert.c_str()) != 1) {
    why = "certificate '" + cert + "' cannot be used: " + take_openssl_error();
    return false;
  }
  if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context) != 1) {
    why = "key '" + key + "' cannot be used with certificate '" + cert + "': " + take_openssl_error();
    return false;
  }
  return true;
}

void common_options(SSL_CTX* context) {
  SSL_CTX_set_options(context,
                      SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  // Tickets allow resumption without server memory.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
}

namespace {
/// RFC 6066 3: SNI names have no trailing dot, but clients and configurations may have one.
std::string_view without_final_dot(std::string_view name) noexcept {
  if (name.size() > 1 && name.back() == '.') name.remove_suffix(1);
  return name;
}
}  // namespace

// Contexts ------------------------------------------------------------------------------------------

std::shared_ptr<const ClientTls> ClientTls::load(const config::BackendTls& c, std::string& why,
                                                 config::BackendProtocol protocol) {
  auto tls = std::make_shared<ClientTls>();
  tls->context_.reset(SSL_CTX_new(TLS_client_method()));
  static std::atomic<std::uint64_t> last{0};
  tls->number_ = ++last;
  tls->verify_ = c.verify;
  SSL_CTX* context = tls->context_.get();
  common_options(context);
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  if (c.verify) {
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    const int ok = c.ca.empty() ? SSL_CTX_set_default_verify_paths(context)
                                : SSL_CTX_load_verify_locations(context, c.ca.c_str(), nullptr);
    if (ok != 1) {
      why = "ca '" + c.ca + "' cannot be used: " + take_openssl_error();
      return nullptr;
    }
  }
  if (!c.cert.empty() && !load_pair(context, c.cert, c.key, why)) return nullptr;
  const std::string_view alpn = alpn_for(protocol);
  SSL_CTX_set_alpn_protos(context, bytes(alpn), static_cast<unsigned>(alpn.size()));
  return tls;
}

// One session ---------------------------------------------------------------------------------------

TlsSession::TlsSession(Transport& stream, SSL_CTX* context) : stream_(&stream), ssl_(SSL_new(context)) {
  BIO* bio = BIO_new(bio_method());
  BIO_set_data(bio, &stream);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_, bio, bio);
}

TlsSession::TlsSession(Transport& stream, const ServerTls& server) : TlsSession(stream, server.context()) {
  SSL_set_accept_state(ssl_);
}

TlsSession::TlsSession(Transport& stream, const ClientTls& client, const std::string& server_name,
                       bool http1_only)
    : TlsSession(stream, client.context()) {
  SSL_set_connect_state(ssl_);
  if (http1_only) SSL_set_alpn_protos(ssl_, bytes(alpn_http1), static_cast<unsigned>(alpn_http1.size()));
  const std::string name(without_final_dot(server_name));
  const bool is_address = parse_ip(name).has_value();
  if (!is_address) SSL_set_tlsext_host_name(ssl_, name.c_str());  // RFC 6066 3: no literal addresses
  if (!client.verifies()) return;
  if (is_address)
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_), name.c_str());
  else
    SSL_set1_host(ssl_, name.c_str());
}

void TlsSession::continue_on(Transport& stream) noexcept {
  stream_ = &stream;
  BIO_set_data(SSL_get_rbio(ssl_), &stream);
}

TlsSession::~TlsSession() {
  SSL_free(ssl_);
}

BIO_METHOD* TlsSession::bio_method() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "remora stream");
    BIO_meth_set_read(m, &bio_read);
    BIO_meth_set_write(m, &bio_write);
    BIO_meth_set_ctrl(m, &bio_ctrl);
    return m;
  }();
  return method;
}

int TlsSession::bio_read(BIO* bio, char* out, int size) {
  auto& stream = *static_cast<Transport*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  auto& raw = stream.tls_->raw_;
  const std::size_t n = std::min(static_cast<std::size_t>(size), raw.end - raw.begin);
  if (n == 0) {
    if (stream.wire_ended_) return 0;
    BIO_set_retry_read(bio);
    return -1;
  }
  std::memcpy(out, raw.buffer.data() + raw.begin, n);
  raw.begin += n;
  return static_cast<int>(n);
}

int TlsSession::bio_write(BIO* bio, const char* data, int size) {
  auto& stream = *static_cast<Transport*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  // TLS 1.3 sends tickets after the handshake, with a flush for each. Nothing waits for them, and the first
  // response follows: MSG_MORE lets them travel with it, or alone at the next ACK or after 200 ms.
  const bool ticket = SSL_get_state(stream.tls_->ssl_) == TLS_ST_SW_SESSION_TICKET;
  const int flags = stream.send_flags() | (ticket || stream.tls_->more_records_ ? MSG_MORE : 0);
  const ssize_t n = send_to(stream.fd(), data, static_cast<std::size_t>(size), flags);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) BIO_set_retry_write(bio);
  return static_cast<int>(n);
}

long TlsSession::bio_ctrl(BIO*, int command, long, void*) {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

Io TlsSession::blocked_on(int result) {
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ:
      return stream_->receive(raw_);
    case SSL_ERROR_WANT_WRITE:
      stream_->arm_write();
      return Io::blocked;
    case SSL_ERROR_ZERO_RETURN:
      stream_->ended_ = true;
      return Io::ready;
    case SSL_ERROR_SYSCALL:
      ERR_clear_error();
      return stream_->fail(errno != 0 ? error_code(errno, boost::system::system_category())
                                      : error_code(asio::error::connection_reset));
    default: {
      const bool cut = stream_->wire_ended_;  // FIN without close_notify: a truncation, not a clean end
      const long verdict = SSL_get_verify_result(ssl_);
      error_ = take_openssl_error();
      if (verdict != X509_V_OK) error_ += std::string(" (") + X509_verify_cert_error_string(verdict) + ")";
      return stream_->fail(cut ? asio::error::connection_reset : asio::error::no_protocol_option);
    }
  }
}

Io TlsSession::handshake() {
  for (;;) {
    ERR_clear_error();
    errno = 0;
    const int rc = SSL_do_handshake(ssl_);
    if (rc == 1) return Io::ready;
    if (const Io io = blocked_on(rc); io != Io::ready) return io;
    if (stream_->ended_) return stream_->fail(asio::error::connection_reset);
  }
}

Io TlsSession::read() {
  for (;;) {
    Transport::Input& in = stream_->in_;
    const std::size_t room = stream_->make_room(in);
    if (room == 0) return Io::blocked;
    ERR_clear_error();
    errno = 0;
    const int n = SSL_read(ssl_, in.buffer.data() + in.end, static_cast<int>(room));
    if (n > 0) {
      in.end += static_cast<std::size_t>(n);
      return Io::ready;
    }
    if (const Io io = blocked_on(n); io != Io::ready || stream_->ended_) return io;
  }
}

Transport::WriteResult TlsSession::write(std::span<const asio::const_buffer> runs) {
  // Copy head and first body bytes together, so that they leave in one record.
  static thread_local char scratch[record_bytes];
  std::size_t done = 0, run = 0, offset = 0;
  // Write until done or until the socket blocks. Stopping earlier to wait for "writable" would wait forever,
  // because the reactor is edge-triggered. Callers pass one buffer at a time, which bounds the work per
  // turn.
  for (;;) {
    std::size_t filled = 0;
    std::size_t r = run, o = offset;
    while (r < runs.size() && filled < record_bytes) {
      const std::size_t n = std::min(record_bytes - filled, runs[r].size() - o);
      std::memcpy(scratch + filled, static_cast<const char*>(runs[r].data()) + o, n);
      filled += n;
      o += n;
      if (o == runs[r].size()) {
        ++r;
        o = 0;
      }
    }
    if (filled == 0) return {done, Io::ready};
    ERR_clear_error();
    errno = 0;
    more_records_ = r < runs.size();
    const int n = SSL_write(ssl_, scratch, static_cast<int>(filled));
    more_records_ = false;
    if (n <= 0) {
      const Io io = blocked_on(n);
      return {done, io == Io::failed ? Io::failed : Io::blocked};
    }
    done += static_cast<std::size_t>(n);
    for (std::size_t left = static_cast<std::size_t>(n); left > 0;) {
      const std::size_t step = std::min(left, runs[run].size() - offset);
      offset += step;
      left -= step;
      if (offset == runs[run].size()) {
        ++run;
        offset = 0;
      }
    }
  }
}

std::string_view TlsSession::alpn() const noexcept {
  const unsigned char* chosen = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_, &chosen, &size);
  return {reinterpret_cast<const char*>(chosen), size};
}

std::string_view TlsSession::server_name() const noexcept {
  const char* const name = SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name);
  return name == nullptr ? std::string_view() : std::string_view(name);
}

void TlsSession::close_notify() noexcept {
  ERR_clear_error();
  if (SSL_is_init_finished(ssl_)) SSL_shutdown(ssl_);
  ERR_clear_error();
}

}  // namespace remora

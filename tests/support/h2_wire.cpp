#include "support/h2_wire.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

namespace remora::test::h2 {

namespace {
void never_block(int fd) {
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
}
}  // namespace

Wire::Wire(int port) : socket_(Socket::connect(port)), connected_(socket_.fd() >= 0) {
  never_block(socket_.fd());
}

Wire::Wire(int port, const TlsOptions& tls)
    : socket_(Socket::connect(port)), context_(SSL_CTX_new(TLS_client_method())) {
  SSL_CTX_set_max_proto_version(context_, tls.max_version);
  ssl_ = SSL_new(context_);
  SSL_set_tlsext_host_name(ssl_, tls.sni.c_str());
  if (!tls.alpn.empty())
    SSL_set_alpn_protos(ssl_, reinterpret_cast<const unsigned char*>(tls.alpn.data()),
                        static_cast<unsigned>(tls.alpn.size()));
  const timeval limit{patience.count() / 1000, 0};
  ::setsockopt(socket_.fd(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  SSL_set_fd(ssl_, socket_.fd());
  connected_ = SSL_connect(ssl_) == 1;
  ERR_clear_error();
  never_block(socket_.fd());
}

Wire::~Wire() {
  SSL_free(ssl_);
  SSL_CTX_free(context_);
}

Wire::Io Wire::result_of(int ssl_result) const {
  const int error = SSL_get_error(ssl_, ssl_result);
  ERR_clear_error();
  return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? Io::blocked : Io::ended;
}

Wire::Io Wire::read(std::string& to) {
  if (!connected_) return Io::ended;
  char block[65536];
  if (ssl_ != nullptr) {
    const int n = SSL_read(ssl_, block, sizeof block);
    if (n <= 0) return result_of(n);
    to.append(block, static_cast<std::size_t>(n));
    return Io::done;
  }
  const ssize_t n = ::recv(socket_.fd(), block, sizeof block, 0);
  if (n > 0) to.append(block, static_cast<std::size_t>(n));
  if (n > 0) return Io::done;
  return n < 0 && (errno == EAGAIN || errno == EINTR) ? Io::blocked : Io::ended;
}

Wire::Io Wire::write(std::string& from) {
  if (!connected_) return Io::ended;
  if (ssl_ != nullptr) {
    SSL_set_mode(ssl_, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    const int n = SSL_write(ssl_, from.data(), static_cast<int>(from.size()));
    if (n <= 0) return result_of(n);
    from.erase(0, static_cast<std::size_t>(n));
    return Io::done;
  }
  const ssize_t n = ::send(socket_.fd(), from.data(), from.size(), MSG_NOSIGNAL);
  if (n > 0) from.erase(0, static_cast<std::size_t>(n));
  if (n > 0) return Io::done;
  return n < 0 && (errno == EAGAIN || errno == EINTR) ? Io::blocked : Io::ended;
}

bool Wire::wait(bool write, std::chrono::milliseconds limit) const {
  if (ssl_ != nullptr && SSL_pending(ssl_) > 0) return true;
  pollfd p{socket_.fd(), static_cast<short>(write ? POLLIN | POLLOUT : POLLIN), 0};
  return ::poll(&p, 1, static_cast<int>(limit.count())) == 1;
}

std::string Wire::alpn() const {
  const unsigned char* name = nullptr;
  unsigned length = 0;
  if (ssl_ != nullptr) SSL_get0_alpn_selected(ssl_, &name, &length);
  return {reinterpret_cast<const char*>(name), length};
}

}  // namespace remora::test::h2

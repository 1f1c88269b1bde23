#include "net/tls_tickets.h"

#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

namespace remora {

namespace {

using Digest = std::array<std::uint8_t, 32>;

std::int64_t seconds_of(Clock::Wall t) {
  return std::chrono::duration_cast<std::chrono::seconds>(t.time_since_epoch()).count();
}

/// Digests of every certificate and CRL that clients are verified against. Sorted: the order in the file
/// does not matter.
std::vector<Digest> trusted_by(SSL_CTX* context) {
  std::vector<Digest> out;
  const STACK_OF(X509_OBJECT)* objects = X509_STORE_get0_objects(SSL_CTX_get_cert_store(context));
  for (int i = 0; i < sk_X509_OBJECT_num(objects); ++i) {
    const X509_OBJECT* object = sk_X509_OBJECT_value(objects, i);
    Digest digest{};
    unsigned size = 0;
    if (X509* certificate = X509_OBJECT_get0_X509(object))
      X509_digest(certificate, EVP_sha256(), digest.data(), &size);
    else if (X509_CRL* crl = X509_OBJECT_get0_X509_CRL(object))
      X509_CRL_digest(crl, EVP_sha256(), digest.data(), &size);
    if (size == digest.size()) out.push_back(digest);
  }
  std::sort(out.begin(), out.end());
  return out;
}

/// Digests of the public keys, not of whole certificates: renewal with the same key changes nothing. One per
/// key type, in OpenSSL's order.
std::vector<Digest> keys_of(SSL_CTX* context) {
  std::vector<Digest> out;
  for (long next = SSL_CERT_SET_FIRST; SSL_CTX_set_current_cert(context, next) == 1;
       next = SSL_CERT_SET_NEXT) {
    Digest digest{};
    unsigned size = 0;
    X509_pubkey_digest(SSL_CTX_get0_certificate(context), EVP_sha256(), digest.data(), &size);
    out.push_back(digest);
  }
  return out;
}

class Hash {
 public:
  Hash() : context_(EVP_MD_CTX_new()) { EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr); }
  /// Prefixes each part with its length, so that different lists of parts never hash the same bytes.
  void add(const void* data, std::size_t size) {
    const std::uint64_t length = size;
    EVP_DigestUpdate(context_.get(), &length, sizeof length);
    EVP_DigestUpdate(context_.get(), data, size);
  }
  Digest finish() {
    Digest out{};
    EVP_DigestFinal_ex(context_.get(), out.data(), nullptr);
    return out;
  }

 private:
  struct Free {
    void operator()(EVP_MD_CTX* c) const noexcept { EVP_MD_CTX_free(c); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

/// Called for each new ticket: stamps it with the time of the full handshake; a resumed session keeps its
/// first stamp.
int stamp_ticket(SSL* ssl, void* clock) {
  SSL_SESSION* const session = SSL_get_session(ssl);
  void* known = nullptr;
  std::size_t size = 0;
  if (SSL_SESSION_get0_ticket_appdata(session, &known, &size) == 1 && size != 0) return 1;
  const std::int64_t now = seconds_of(static_cast<const Clock*>(clock)->wall_now());
  return SSL_SESSION_set1_ticket_appdata(session, &now, sizeof now);
}

bool may_resume(SSL_SESSION* session, std::int64_t now) {
  void* data = nullptr;
  std::size_t size = 0;
  std::int64_t proved = 0;
  if (SSL_SESSION_get0_ticket_appdata(session, &data, &size) != 1 || size != sizeof proved) return false;
  std::copy_n(static_cast<const std::uint8_t*>(data), size, reinterpret_cast<std::uint8_t*>(&proved));
  constexpr std::int64_t skew = 120;  // tolerates a wall clock that was set back slightly
  if (proved > now + skew || now - proved >= std::chrono::seconds(max_ticket_life).count()) return false;
  const X509* const client = SSL_SESSION_get0_peer(session);
  if (client == nullptr) return true;
  time_t at = now;
  return X509_cmp_time(X509_get0_notAfter(client), &at) > 0;
}

SSL_TICKET_RETURN judge_ticket(SSL*, SSL_SESSION* session, const unsigned char*, std::size_t,
                               SSL_TICKET_STATUS status, void* clock) {
  switch (status) {
    case SSL_TICKET_SUCCESS:
    case SSL_TICKET_SUCCESS_RENEW:
      if (!may_resume(session, seconds_of(static_cast<const Clock*>(clock)->wall_now())))
        return SSL_TICKET_RETURN_IGNORE_RENEW;
      return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
    default:
      return SSL_TICKET_RETURN_IGNORE_RENEW;
  }
}

}  // namespace

SessionContext session_context(std::string_view listener, config::ClientAuth auth,
                               std::span<SSL_CTX* const> contexts) {
  Hash hash;
  hash.add(listener.data(), listener.size());
  hash.add(&auth, sizeof auth);
  for (SSL_CTX* const context : contexts) {
    for (const Digest& key : keys_of(context)) hash.add(key.data(), key.size());
    for (const Digest& trusted : trusted_by(context)) hash.add(trusted.data(), trusted.size());
  }
  return hash.finish();
}

void bound_tickets(SSL_CTX* context, const Clock& clock) {
  SSL_CTX_set_session_ticket_cb(context, &stamp_ticket, &judge_ticket, const_cast<Clock*>(&clock));
}

}  // namespace remora

#include "net/server_tls.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "net/tls.h"
#include "util/text.h"

namespace remora {

namespace {

// TLS 1.2: forward secrecy and authenticated encryption only (RFC 9325 4.2). TLS 1.3 has nothing else.
constexpr const char* server_ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20";

/// The protocols of a listener, preferred first, as ALPN has them (RFC 7301 3.1). Static: running connections
/// outlive the configuration that their contexts were made from.
const std::string& alpn_list(const std::vector<config::Alpn>& protocols) {
  static const std::string h2 = "\x02h2", http11 = "\x08http/1.1", h2_first = h2 + http11,
                           http11_first = http11 + h2;
  const bool starts_with_h2 = protocols.front() == config::Alpn::h2;
  if (protocols.size() == 1) return starts_with_h2 ? h2 : http11;
  return starts_with_h2 ? h2_first : http11_first;
}

// Select only what the listener offers, in its order. RFC 7301 3.2: no overlap is fatal.
int choose_alpn(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
                unsigned offered_size, void* list) {
  const std::string& ours = *static_cast<const std::string*>(list);
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, reinterpret_cast<const unsigned char*>(ours.data()),
                            static_cast<unsigned>(ours.size()), offered,
                            offered_size) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

std::string_view text_of(const ASN1_STRING* s) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(s)),
          static_cast<std::size_t>(ASN1_STRING_length(s))};
}

std::string ip_text(std::string_view bytes) {
  char text[INET6_ADDRSTRLEN] = "";
  if (bytes.size() == 4) ::inet_ntop(AF_INET, bytes.data(), text, sizeof text);
  if (bytes.size() == 16) ::inet_ntop(AF_INET6, bytes.data(), text, sizeof text);
  return text;
}

/// The fallback for certificates without subject alternative names (RFC 6125 6.4.4).
std::string common_name(X509* certificate) {
  X509_NAME* const subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0) return "";
  return to_lower(text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at))));
}

}  // namespace

// The choice ----------------------------------------------------------------------------------------

CertificateInfo info_of(X509* certificate) {
  CertificateInfo out;
  auto* list =
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(list); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(list, i);
    if (name->type == GEN_DNS) out.names.push_back(to_lower(text_of(name->d.dNSName)));
    if (name->type == GEN_IPADD) out.names.push_back(ip_text(text_of(name->d.iPAddress)));
  }
  GENERAL_NAMES_free(list);
  if (out.names.empty()) out.names.push_back(common_name(certificate));
  std::erase(out.names, "");
  if (const EVP_PKEY* key = X509_get0_pubkey(certificate)) out.key_type = EVP_PKEY_get_base_id(key);
  return out;
}

CertificateChoice::CertificateChoice(std::span<const CertificateInfo> certificates) {
  if (certificates.empty()) return;
  const auto holders = [&](std::string_view name) {  // exact, or by a wildcard for the first label
    const auto dot = name.find('.');
    const std::string wildcard =
        dot == std::string_view::npos || dot == 0 ? "" : "*" + std::string(name.substr(dot));
    std::vector<std::size_t> out;
    for (std::size_t i = 0; i < certificates.size(); ++i)
      for (const std::string& n : certificates[i].names)
        if (n == name || (!wildcard.empty() && n == wildcard)) {
          out.push_back(i);
          break;
        }
    return out;
  };
  // The default group: the first certificate, and others that serve the same name.
  std::vector<std::size_t> first = {0};
  if (!certificates.front().names.empty()) first = holders(certificates.front().names.front());
  first.erase(std::remove(first.begin(), first.end(), 0U), first.end());
  first.insert(first.begin(), 0);
  group(certificates, first);
  for (const CertificateInfo& c : certificates)
    for (const std::string& name : c.names) {
      const bool wildcard = name.starts_with("*.");
      auto& known = wildcard ? by_suffix_ : by_name_;
      const std::string key = wildcard ? name.substr(1) : name;
      if (!known.contains(key)) known.emplace(key, group(certificates, holders(name)));
    }
}

std::size_t CertificateChoice::group(std::span<const CertificateInfo> certificates,
                                     std::vector<std::size_t> members) {
  std::vector<int> types;
  std::erase_if(members, [&](std::size_t i) {  // keep the first of each key type
    const int type = certificates[i].key_type;
    if (std::find(types.begin(), types.end(), type) != types.end()) return true;
    types.push_back(type);
    return false;
  });
  const auto known = std::find(groups_.begin(), groups_.end(), members);
  if (known != groups_.end()) return static_cast<std::size_t>(known - groups_.begin());
  groups_.push_back(std::move(members));
  return groups_.size() - 1;
}

const std::size_t* CertificateChoice::find(std::string_view given) const {
  std::string name = to_lower(given);
  // RFC 6066 3: names have no trailing dot, but some clients send it.
  if (name.ends_with('.')) name.pop_back();
  if (const auto exact = by_name_.find(name); exact != by_name_.end()) return &exact->second;
  const auto dot = name.find('.');  // RFC 6125 6.4.3: one label only
  if (dot == std::string::npos || dot == 0) return nullptr;
  const auto wildcard = by_suffix_.find(std::string_view(name).substr(dot));
  return wildcard == by_suffix_.end() ? nullptr : &wildcard->second;
}

bool CertificateChoice::share_one(std::string_view one, std::string_view other) const {
  if (groups_.size() < 2) return true;
  const std::size_t* const b = find(other);
  if (b == nullptr) return true;
  const std::size_t* const a = one.empty() ? nullptr : find(one);
  const std::vector<std::size_t>& shown = groups_[a == nullptr ? 0 : *a];
  const std::vector<std::size_t>& wanted = groups_[*b];
  return std::find_first_of(shown.begin(), shown.end(), wanted.begin(), wanted.end()) != shown.end();
}

// Contexts ------------------------------------------------------------------------------------------

namespace {

/// Builds a context without certificates. On failure returns null and sets `why`.
SslCtx make_context(const config::ListenerTls& c, const Clock& clock, std::string& why) {
  SslCtx context(SSL_CTX_new(TLS_server_method()));
  common_options(context.get());
  SSL_CTX_set_min_proto_version(context.get(), c.min_version == 13 ? TLS1_3_VERSION : TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(context.get(), server_ciphers);
  SSL_CTX_set_alpn_select_cb(context.get(), choose_alpn, const_cast<std::string*>(&alpn_list(c.alpn)));
  bound_tickets(context.get(), clock);
  if (!c.tickets) {
    SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(context.get(), 0);
  }
  if (c.client_auth == config::ClientAuth::off) return context;
  auto* names = SSL_load_client_CA_file(c.client_ca.c_str());
  if (names == nullptr || SSL_CTX_load_verify_locations(context.get(), c.client_ca.c_str(), nullptr) != 1) {
    why = "client_ca '" + c.client_ca + "' cannot be used: " + take_openssl_error();
    return nullptr;
  }
  SSL_CTX_set_client_CA_list(context.get(), names);
  SSL_CTX_set_verify(context.get(),
                     c.client_auth == config::ClientAuth::required
                         ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
                         : SSL_VERIFY_PEER,
                     nullptr);
  return context;
}

}  // namespace

std::shared_ptr<const ServerTls> ServerTls::load(const config::ListenerTls& c, std::string_view listener,
                                                 const ServerTls* previous, const Clock& clock,
                                                 std::string& why) {
  auto tls = std::make_shared<ServerTls>();
  if (c.certificates.empty()) {
    why = "tls needs a certificate";
    return nullptr;
  }
  std::vector<CertificateInfo> facts;
  for (const auto& pair : c.certificates) {
    const SslCtx alone(SSL_CTX_new(TLS_server_method()));
    if (!load_pair(alone.get(), pair.cert, pair.key, why)) return nullptr;
    facts.push_back(info_of(SSL_CTX_get0_certificate(alone.get())));
  }
  tls->choice_ = CertificateChoice(facts);
  std::vector<SSL_CTX*> contexts;
  for (const auto& group : tls->choice_.groups()) {
    SslCtx context = make_context(c, clock, why);
    if (!context) return nullptr;
    for (const std::size_t i : group)
      if (!load_pair(context.get(), c.certificates[i].cert, c.certificates[i].key, why)) return nullptr;
    contexts.push_back(context.get());
    tls->contexts_.push_back(std::move(context));
  }
  tls->session_context_ = session_context(listener, c.client_auth, contexts);
  for (SSL_CTX* context : contexts)
    SSL_CTX_set_session_id_context(context, tls->session_context_.data(),
                                   static_cast<unsigned>(tls->session_context_.size()));
  SSL_CTX* first = tls->context();
  SSL_CTX_set_tlsext_servername_callback(first, &ServerTls::choose_certificate);
  SSL_CTX_set_tlsext_servername_arg(first, tls.get());
  unsigned char ticket_keys[80];
  if (previous != nullptr && previous->session_context_ == tls->session_context_ &&
      SSL_CTX_get_tlsext_ticket_keys(previous->context(), ticket_keys, sizeof ticket_keys) == 1)
    SSL_CTX_set_tlsext_ticket_keys(first, ticket_keys, sizeof ticket_keys);
  OPENSSL_cleanse(ticket_keys, sizeof ticket_keys);
  return tls;
}

int ServerTls::choose_certificate(SSL* ssl, int*, void* self) {
  const char* sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (sni == nullptr) return SSL_TLSEXT_ERR_NOACK;
  const ServerTls& tls = *static_cast<ServerTls*>(self);
  const std::size_t* const group = tls.choice_.find(sni);
  if (group == nullptr) return SSL_TLSEXT_ERR_NOACK;
  SSL_set_SSL_CTX(ssl, tls.contexts_[*group].get());
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace remora

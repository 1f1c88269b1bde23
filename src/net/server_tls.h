// Chooses a listener's certificate by SNI: groups of certificates that serve the same name, so that the
// client gets one whose key type it can verify. Pure, except for reading certificates.
#pragma once

#include <openssl/ssl.h>

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace remora {

/// The properties of a certificate that the choice depends on.
struct CertificateInfo {
  std::vector<std::string> names;  // exact or *.suffix, lower case; IP addresses as text
  int key_type = 0;  // EVP_PKEY_RSA, EVP_PKEY_EC...: a context holds one certificate per key type
};
CertificateInfo info_of(X509* certificate);

/// Certificates by SNI name.
class CertificateChoice {
 public:
  CertificateChoice() = default;
  /// In configuration order: the first certificate of a key type wins.
  explicit CertificateChoice(std::span<const CertificateInfo> certificates);

  /// Each group is served by one context: indexes into the list, at most one per key type. The first group
  /// serves clients without SNI or with an unknown name.
  const std::vector<std::vector<std::size_t>>& groups() const noexcept { return groups_; }
  /// The group for a name; nullptr if none matches. Case and a trailing dot are ignored.
  const std::size_t* find(std::string_view name) const;
  /// Whether a client that was shown a certificate for the name `one` (empty: without SNI) may use the
  /// connection for the name `other`: one certificate serves both, or none is for `other`.
  bool share_one(std::string_view one, std::string_view other) const;

 private:
  std::size_t group(std::span<const CertificateInfo> certificates, std::vector<std::size_t> members);
  std::vector<std::vector<std::size_t>> groups_;
  std::map<std::string, std::size_t, std::less<>> by_name_;    // exact
  std::map<std::string, std::size_t, std::less<>> by_suffix_;  // of *.suffix, with its dot
};

}  // namespace remora

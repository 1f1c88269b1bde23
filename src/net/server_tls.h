// Which of a listener's certificates go together: for one name a client is shown the one that it can verify.
// Pure, but for what reads a certificate.
#pragma once

#include <openssl/ssl.h>

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace remora {

/// What matters of a certificate for the choice.
struct CertificateFacts {
  std::vector<std::string> names;  // exact or *.suffix, lower case; IP addresses as text
  int key_type = 0;                // EVP_PKEY_RSA, EVP_PKEY_EC...: a context holds one certificate of each
};
CertificateFacts facts_of(X509* certificate);

/// Certificates by the name that a client asks for.
class CertificateChoice {
 public:
  CertificateChoice() = default;
  /// In the order of the file, which decides between certificates of one key type.
  explicit CertificateChoice(std::span<const CertificateFacts> certificates);

  /// Each is to be served by one context: places in the list, at most one of each key type. The first serves
  /// clients whose name is none of these, or who give none.
  const std::vector<std::vector<std::size_t>>& groups() const noexcept { return groups_; }
  /// The group for a name; nothing fits: none. Upper case and a root dot do not count.
  const std::size_t* find(std::string_view name) const;

 private:
  std::size_t group(std::span<const CertificateFacts> certificates, std::vector<std::size_t> members);
  std::vector<std::vector<std::size_t>> groups_;
  std::map<std::string, std::size_t, std::less<>> by_name_;    // exact
  std::map<std::string, std::size_t, std::less<>> by_suffix_;  // of *.suffix, with its dot
};

}  // namespace remora

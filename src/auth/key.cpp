#include "auth/key.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "auth/strict_json.h"
#include "util/json_members.h"
#include "util/text.h"

namespace remora {

namespace json = boost::json;

namespace {

struct Row {
  JwtAlgorithm algorithm;
  std::string_view name;
};
constexpr Row names[] = {
    {JwtAlgorithm::hs256, "HS256"}, {JwtAlgorithm::hs384, "HS384"}, {JwtAlgorithm::hs512, "HS512"},
    {JwtAlgorithm::rs256, "RS256"}, {JwtAlgorithm::rs384, "RS384"}, {JwtAlgorithm::rs512, "RS512"},
    {JwtAlgorithm::ps256, "PS256"}, {JwtAlgorithm::ps384, "PS384"}, {JwtAlgorithm::ps512, "PS512"},
    {JwtAlgorithm::es256, "ES256"}, {JwtAlgorithm::es384, "ES384"}, {JwtAlgorithm::eddsa, "EdDSA"},
};

const EVP_MD* digest_of(JwtAlgorithm a) {
  using enum JwtAlgorithm;
  switch (a) {
    case hs256:
    case rs256:
    case ps256:
    case es256:
      return ::EVP_sha256();
    case hs384:
    case rs384:
    case ps384:
    case es384:
      return ::EVP_sha384();
    case hs512:
    case rs512:
    case ps512:
      return ::EVP_sha512();
    case eddsa:
      return nullptr;
  }
  return nullptr;
}

template <auto f>
struct Freer {
  template <class T>
  void operator()(T* p) const noexcept {
    f(p);
  }
};
using Number = std::unique_ptr<BIGNUM, Freer<BN_free>>;

const unsigned char* bytes(std::string_view s) {
  return reinterpret_cast<const unsigned char*>(s.data());
}

/// Converts R || S of fixed length (RFC 7518 3.4) to the DER that OpenSSL wants.
std::optional<std::string> ecdsa_der(std::string_view raw, std::size_t half) {
  if (raw.size() != 2 * half) return std::nullopt;
  const std::unique_ptr<ECDSA_SIG, Freer<ECDSA_SIG_free>> sig(::ECDSA_SIG_new());
  Number r(::BN_bin2bn(bytes(raw), static_cast<int>(half), nullptr));
  Number s(::BN_bin2bn(bytes(raw) + half, static_cast<int>(half), nullptr));
  if (!sig || !r || !s || ::ECDSA_SIG_set0(sig.get(), r.release(), s.release()) != 1) return std::nullopt;
  unsigned char* der = nullptr;
  const int size = ::i2d_ECDSA_SIG(sig.get(), &der);
  if (size <= 0) return std::nullopt;
  std::string out(reinterpret_cast<char*>(der), static_cast<std::size_t>(size));
  ::OPENSSL_free(der);
  return out;
}

std::optional<std::string> base64url(std::string_view text) {
  std::string out(text.size(), '\0');
  const auto n = base64url_decode(text, reinterpret_cast<std::uint8_t*>(out.data()), out.size());
  if (!n || *n == 0) return std::nullopt;
  out.resize(*n);
  return out;
}

using ParamBuild = std::unique_ptr<OSSL_PARAM_BLD, Freer<OSSL_PARAM_BLD_free>>;
using Params = std::unique_ptr<OSSL_PARAM, Freer<OSSL_PARAM_free>>;

EVP_PKEY* from_params(const char* type, const ParamBuild& build) {
  const Params params(::OSSL_PARAM_BLD_to_param(build.get()));
  const std::unique_ptr<EVP_PKEY_CTX, Freer<EVP_PKEY_CTX_free>> ctx(
      ::EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (!params || !ctx || ::EVP_PKEY_fromdata_init(ctx.get()) != 1 ||
      ::EVP_PKEY_fromdata(ctx.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1)
    return nullptr;
  return key;
}

EVP_PKEY* rsa_from_jwk(const json::object& jwk) {
  const auto n = base64url(json_text(jwk, "n")), e = base64url(json_text(jwk, "e"));
  if (!n || !e) return nullptr;
  const Number modulus(::BN_bin2bn(bytes(*n), static_cast<int>(n->size()), nullptr));
  const Number exponent(::BN_bin2bn(bytes(*e), static_cast<int>(e->size()), nullptr));
  const ParamBuild build(::OSSL_PARAM_BLD_new());
  if (!build || ::OSSL_PARAM_BLD_push_BN(build.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get()) != 1 ||
      ::OSSL_PARAM_BLD_push_BN(build.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get()) != 1)
    return nullptr;
  return from_params("RSA", build);
}

EVP_PKEY* ec_from_jwk(const json::object& jwk) {
  const std::string curve = json_text(jwk, "crv");
  const std::size_t size = curve == "P-256" ? 32 : curve == "P-384" ? 48 : 0;
  const auto x = base64url(json_text(jwk, "x")), y = base64url(json_text(jwk, "y"));
  if (size == 0 || !x || !y || x->size() != size || y->size() != size) return nullptr;
  const std::string point = "\x04" + *x + *y;
  const ParamBuild build(::OSSL_PARAM_BLD_new());
  if (!build ||
      ::OSSL_PARAM_BLD_push_utf8_string(build.get(), OSSL_PKEY_PARAM_GROUP_NAME, curve.c_str(), 0) != 1 ||
      ::OSSL_PARAM_BLD_push_octet_string(build.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) !=
          1)
    return nullptr;
  return from_params("EC", build);
}

EVP_PKEY* okp_from_jwk(const json::object& jwk) {
  const auto x = base64url(json_text(jwk, "x"));
  if (json_text(jwk, "crv") != "Ed25519" || !x || x->size() != 32) return nullptr;
  return ::EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes(*x), x->size());
}

}  // namespace

std::optional<JwtAlgorithm> parse_jwt_algorithm(std::string_view name) noexcept {
  for (const Row& row : names)
    if (row.name == name) return row.algorithm;
  return std::nullopt;
}

std::string_view to_string(JwtAlgorithm a) noexcept {
  for (const Row& row : names)
    if (row.algorithm == a) return row.name;
  return "";
}

void JwtKey::Free::operator()(EVP_PKEY* key) const noexcept {
  ::EVP_PKEY_free(key);
}

std::optional<JwtKey> JwtKey::from_secret(std::string secret, std::string& why) {
  if (secret.size() < 32) {
    why = "a secret needs at least 32 bytes (RFC 7518 3.2)";
    return std::nullopt;
  }
  JwtKey key(Type::secret, nullptr);
  key.secret_ = std::move(secret);
  return key;
}

std::optional<JwtKey> JwtKey::from_pkey(Pkey key, std::string& why) {
  const auto refuse = [&](const char* what) {
    why = what;
    return std::nullopt;
  };
  switch (::EVP_PKEY_get_base_id(key.get())) {
    case EVP_PKEY_RSA:
      if (::EVP_PKEY_get_bits(key.get()) < 2048)
        return refuse("an RSA key needs at least 2048 bits (RFC 7518 3.3)");
      if (::EVP_PKEY_get_bits(key.get()) > 16384) return refuse("an RSA key of more than 16384 bits");
      return JwtKey(Type::rsa, std::move(key));
    case EVP_PKEY_EC: {
      char group[32] = {};
      ::EVP_PKEY_get_utf8_string_param(key.get(), OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, nullptr);
      const std::string_view name = group;
      if (name == "prime256v1" || name == "P-256") return JwtKey(Type::p256, std::move(key));
      if (name == "secp384r1" || name == "P-384") return JwtKey(Type::p384, std::move(key));
      return refuse("an EC key of a curve other than P-256 and P-384");
    }
    case EVP_PKEY_ED25519:
      return JwtKey(Type::ed25519, std::move(key));
    default:
      return refuse("neither an RSA, nor an EC, nor an Ed25519 key");
  }
}

std::optional<JwtKey> JwtKey::from_pem(std::string_view pem, std::string& why) {
  const std::unique_ptr<BIO, Freer<BIO_free>> bio(
      ::BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  Pkey key(::PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
  if (!key) {
    const std::unique_ptr<BIO, Freer<BIO_free>> again(
        ::BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    const std::unique_ptr<X509, Freer<X509_free>> cert(
        ::PEM_read_bio_X509(again.get(), nullptr, nullptr, nullptr));
    if (cert) key.reset(::X509_get_pubkey(cert.get()));
  }
  ::ERR_clear_error();
  if (!key) {
    why = "holds no public key in PEM (-----BEGIN PUBLIC KEY----- or a certificate)";
    return std::nullopt;
  }
  return from_pkey(std::move(key), why);
}

std::optional<JwtKey> JwtKey::from_jwk(std::string_view text, std::string& why) {
  const auto jwk = parse_strict_object(text);
  if (!jwk) {
    why = "is no JSON object, or has a name twice";
    return std::nullopt;
  }
  const std::string type = json_text(*jwk, "kty");
  std::optional<JwtKey> out;
  if (type == "oct") {
    const auto secret = base64url(json_text(*jwk, "k"));
    if (!secret) {
      why = "is no key of type oct";
      return std::nullopt;
    }
    out = from_secret(*secret, why);
  } else {
    Pkey key(type == "RSA"   ? rsa_from_jwk(*jwk)
             : type == "EC"  ? ec_from_jwk(*jwk)
             : type == "OKP" ? okp_from_jwk(*jwk)
                             : nullptr);
    ::ERR_clear_error();
    if (!key) {
      why = "is no key of type RSA, EC (P-256, P-384), OKP (Ed25519) or oct";
      return std::nullopt;
    }
    out = from_pkey(std::move(key), why);
  }
  if (!out) return std::nullopt;
  out->id_ = json_text(*jwk, "kid");
  if (const std::string alg = json_text(*jwk, "alg"); !alg.empty()) {
    out->only_ = parse_jwt_algorithm(alg);
    if (!out->only_ || !out->serves(*out->only_)) {
      why = "is for an algorithm that it cannot serve: " + alg;
      return std::nullopt;
    }
  }
  return out;
}

bool JwtKey::serves(JwtAlgorithm a) const noexcept {
  if (only_ && *only_ != a) return false;
  using enum JwtAlgorithm;
  switch (a) {
    case hs256:
      return type_ == Type::secret;
    case hs384:
      return type_ == Type::secret && secret_.size() >= 48;
    case hs512:
      return type_ == Type::secret && secret_.size() >= 64;
    case rs256:
    case rs384:
    case rs512:
    case ps256:
    case ps384:
    case ps512:
      return type_ == Type::rsa;
    case es256:
      return type_ == Type::p256;
    case es384:
      return type_ == Type::p384;
    case eddsa:
      return type_ == Type::ed25519;
  }
  return false;
}

bool JwtKey::verifies(JwtAlgorithm a, std::string_view part, std::string_view signature) const {
  if (!serves(a)) return false;
  if (type_ == Type::secret) {
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    if (::HMAC(digest_of(a), secret_.data(), static_cast<int>(secret_.size()), bytes(part), part.size(), mac,
               &size) == nullptr)
      return false;
    return signature.size() == size && ::CRYPTO_memcmp(mac, signature.data(), size) == 0;
  }
  std::optional<std::string> der;
  if (type_ == Type::p256 || type_ == Type::p384) {
    der = ecdsa_der(signature, type_ == Type::p256 ? 32 : 48);
    if (!der) return false;
    signature = *der;
  }
  const std::unique_ptr<EVP_MD_CTX, Freer<EVP_MD_CTX_free>> ctx(::EVP_MD_CTX_new());
  EVP_PKEY_CTX* pkey_ctx = nullptr;
  bool fine = ctx && ::EVP_DigestVerifyInit(ctx.get(), &pkey_ctx, digest_of(a), nullptr, key_.get()) == 1;
  if (a == JwtAlgorithm::ps256 || a == JwtAlgorithm::ps384 || a == JwtAlgorithm::ps512)
    fine = fine && ::EVP_PKEY_CTX_set_rsa_padding(pkey_ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
           ::EVP_PKEY_CTX_set_rsa_pss_saltlen(pkey_ctx, RSA_PSS_SALTLEN_DIGEST) == 1;  // RFC 7518 3.5
  fine = fine &&
         ::EVP_DigestVerify(ctx.get(), bytes(signature), signature.size(), bytes(part), part.size()) == 1;
  ::ERR_clear_error();
  return fine;
}

std::optional<JwtKeySet> parse_jwks(std::string_view text, std::string& why) {
  constexpr std::size_t max_bytes = 1024 * 1024, max_keys = 100;
  const auto set = text.size() <= max_bytes ? parse_strict_object(text) : std::nullopt;
  const json::value* list = set ? set->if_contains("keys") : nullptr;
  if (list == nullptr || !list->is_array()) {
    why = "is no JWK Set: {\"keys\": [...]}";
    return std::nullopt;
  }
  JwtKeySet out;
  std::string last;
  for (const json::value& item : list->get_array()) {
    if (!item.is_object() || out.size() >= max_keys) continue;
    const std::string use = json_text(item.get_object(), "use");
    if (!use.empty() && use != "sig") continue;
    if (auto key = JwtKey::from_jwk(json::serialize(item), last)) out.push_back(std::move(*key));
  }
  if (out.empty()) {
    why = "has no key that can be used" + (last.empty() ? "" : ": one " + last);
    return std::nullopt;
  }
  return out;
}

}  // namespace remora

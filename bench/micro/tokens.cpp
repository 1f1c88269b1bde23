// What verifying a JWT costs, by algorithm; and one that was verified before.

#include <benchmark/benchmark.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "auth/jwt.h"
#include "util/text.h"

namespace remora {
namespace {

std::string b64(std::string_view s) {
  std::string out;
  base64url_append(out, reinterpret_cast<const std::uint8_t*>(s.data()), s.size());
  return out;
}

const auto now = Clock::Wall(std::chrono::seconds(1700000000));

/// A key of the algorithm, and a token of some 250 bytes signed with it.
struct Made {
  explicit Made(JwtAlgorithm a) {
    const std::string name(to_string(a));
    rules.name = "main";
    rules.algorithms = {a};
    const std::string part =
        b64("{\"alg\":\"" + name + "\"}") + "." +
        b64(R"({"iss":"https://id.example.com","sub":"1234567890","aud":"shop","exp":1700000600,"scope":"read write"})");
    std::string why, signature;
    const EVP_MD* digest = name == "EdDSA"         ? nullptr
                           : name.ends_with("256") ? EVP_sha256()
                           : name.ends_with("384") ? EVP_sha384()
                                                   : EVP_sha512();
    if (name[0] == 'H') {
      const std::string secret(64, 's');
      unsigned char mac[64];
      unsigned int n = 0;
      ::HMAC(digest, secret.data(), static_cast<int>(secret.size()),
             reinterpret_cast<const unsigned char*>(part.data()), part.size(), mac, &n);
      signature.assign(reinterpret_cast<char*>(mac), n);
      keys.push_back(std::move(*JwtKey::from_secret(secret, why)));
    } else {
      EVP_PKEY* key = name[0] == 'E' && name[1] == 'd' ? ::EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")
                      : name[0] == 'E'
                          ? ::EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", name == "ES256" ? "P-256" : "P-384")
                          : ::EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{2048});
      signature = sign(name, digest, key, part);
      BIO* bio = ::BIO_new(::BIO_s_mem());
      ::PEM_write_bio_PUBKEY(bio, key);
      char* data = nullptr;
      const long n = ::BIO_get_mem_data(bio, &data);
      keys.push_back(std::move(*JwtKey::from_pem({data, static_cast<std::size_t>(n)}, why)));
      ::BIO_free(bio);
      ::EVP_PKEY_free(key);
    }
    token = part + "." + b64(signature);
  }
  static std::string sign(const std::string& name, const EVP_MD* digest, EVP_PKEY* key,
                          const std::string& part) {
    EVP_MD_CTX* ctx = ::EVP_MD_CTX_new();
    EVP_PKEY_CTX* pctx = nullptr;
    ::EVP_DigestSignInit(ctx, &pctx, digest, nullptr, key);
    if (name[0] == 'P') {
      ::EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING);
      ::EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST);
    }
    std::string out(1024, '\0');
    std::size_t n = out.size();
    ::EVP_DigestSign(ctx, reinterpret_cast<unsigned char*>(out.data()), &n,
                     reinterpret_cast<const unsigned char*>(part.data()), part.size());
    out.resize(n);
    ::EVP_MD_CTX_free(ctx);
    if (name[0] != 'E' || name[1] != 'S') return out;
    const auto* p = reinterpret_cast<const unsigned char*>(out.data());
    ECDSA_SIG* sig = ::d2i_ECDSA_SIG(nullptr, &p, static_cast<long>(out.size()));
    const int half = name == "ES256" ? 32 : 48;
    std::string raw(static_cast<std::size_t>(2 * half), '\0');
    ::BN_bn2binpad(::ECDSA_SIG_get0_r(sig), reinterpret_cast<unsigned char*>(raw.data()), half);
    ::BN_bn2binpad(::ECDSA_SIG_get0_s(sig), reinterpret_cast<unsigned char*>(raw.data()) + half, half);
    ::ECDSA_SIG_free(sig);
    return raw;
  }
  config::Jwt rules;
  JwtKeySet keys;
  std::string token;
};

void verify(benchmark::State& state, JwtAlgorithm a) {
  const Made made(a);
  for (auto _ : state)
    if (verify_jwt(made.token, made.rules, made.keys, now).outcome != JwtOutcome::fine)
      return state.SkipWithError("refused");
}

void verify_again(benchmark::State& state) {
  const Made made(JwtAlgorithm::rs256);
  JwtCache cache;
  for (auto _ : state)
    if (cache.verify(made.token, made.rules, made.keys, 1, now).outcome != JwtOutcome::fine)
      return state.SkipWithError("refused");
}

const int registered = [] {
  using enum JwtAlgorithm;
  for (const auto a : {hs256, hs384, hs512, rs256, rs384, rs512, ps256, ps384, ps512, es256, es384, eddsa})
    benchmark::RegisterBenchmark(("jwt_verify/" + std::string(to_string(a))).c_str(), verify, a);
  benchmark::RegisterBenchmark("jwt_verify/seen_before", verify_again);
  return 0;
}();

}  // namespace
}  // namespace remora

// JWTs: the published vectors, the attacks that others fell to, and the rules.

#include "auth/jwt.h"

#include <gtest/gtest.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <functional>

#include "auth/strict_json.h"
#include "auth/verifier.h"
#include "util/text.h"

namespace remora {
namespace {

using enum JwtAlgorithm;
using Out = JwtOutcome;

std::string b64(std::string_view s) {
  std::string out;
  base64url_append(out, reinterpret_cast<const std::uint8_t*>(s.data()), s.size());
  return out;
}

JwtKeySet keys_of(const std::string& jwk) {
  std::string why;
  JwtKeySet set;
  auto key = JwtKey::from_jwk(jwk, why);
  EXPECT_TRUE(key) << why;
  if (key) set.push_back(std::move(*key));
  return set;
}

// The vectors ---------------------------------------------------------------------------------------

// RFC 7515 A.1.
const std::string rfc_hmac_jwk =
    R"({"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"})";
const std::string rfc_hmac_token =
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
    "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

TEST(Vectors, Rfc7515A1AndRfc7519Section3Hmac) {
  const JwsParts jws = verify_jws(rfc_hmac_token, {hs256}, keys_of(rfc_hmac_jwk));
  EXPECT_EQ(jws.outcome, Out::fine);
  EXPECT_EQ(jws.payload,
            "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}");
}

TEST(Vectors, Rfc7515A2Rsa) {
  const auto keys = keys_of(
      R"({"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"})");
  const JwsParts jws = verify_jws(
      "eyJhbGciOiJSUzI1NiJ9."
      "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
      "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_"
      "O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_"
      "nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-"
      "eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_"
      "IoypGlUPQGe77Rw",
      {rs256}, keys);
  EXPECT_EQ(jws.outcome, Out::fine);
}

TEST(Vectors, Rfc7515A3Ecdsa) {
  const auto keys = keys_of(
      R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})");
  const std::string token =
      "eyJhbGciOiJFUzI1NiJ9."
      "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
      "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
  EXPECT_EQ(verify_jws(token, {es256}, keys).outcome, Out::fine);
}

TEST(Vectors, Rfc8037A4Ed25519) {
  const auto keys =
      keys_of(R"({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})");
  const JwsParts jws = verify_jws(
      "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
      "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
      {eddsa}, keys);
  EXPECT_EQ(jws.outcome, Out::fine);
  EXPECT_EQ(jws.payload, "Example of Ed25519 signing");
}

// Keys made here, to sign with ----------------------------------------------------------------------

struct Signer {
  explicit Signer(JwtAlgorithm a) : algorithm(a) {
    if (a == hs256 || a == hs384 || a == hs512) {
      secret = std::string(64, 's');
    } else if (a == eddsa) {
      key = ::EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
    } else if (a == es256 || a == es384) {
      key = ::EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", a == es256 ? "P-256" : "P-384");
    } else {
      key = ::EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{2048});
    }
  }
  ~Signer() { ::EVP_PKEY_free(key); }
  Signer(const Signer&) = delete;
  Signer& operator=(const Signer&) = delete;

  const EVP_MD* digest() const {
    const std::string name(to_string(algorithm));
    if (name == "EdDSA") return nullptr;
    return name.ends_with("256") ? ::EVP_sha256() : name.ends_with("384") ? ::EVP_sha384() : ::EVP_sha512();
  }
  std::string sign(const std::string& text) const {
    if (key == nullptr) {
      unsigned char mac[64];
      unsigned int n = 0;
      ::HMAC(digest(), secret.data(), static_cast<int>(secret.size()),
             reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac, &n);
      return {reinterpret_cast<char*>(mac), n};
    }
    EVP_MD_CTX* ctx = ::EVP_MD_CTX_new();
    EVP_PKEY_CTX* pctx = nullptr;
    ::EVP_DigestSignInit(ctx, &pctx, digest(), nullptr, key);
    if (to_string(algorithm).starts_with("PS")) {
      ::EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING);
      ::EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST);
    }
    std::string out(1024, '\0');
    std::size_t n = out.size();
    ::EVP_DigestSign(ctx, reinterpret_cast<unsigned char*>(out.data()), &n,
                     reinterpret_cast<const unsigned char*>(text.data()), text.size());
    out.resize(n);
    ::EVP_MD_CTX_free(ctx);
    return to_string(algorithm).starts_with("ES") ? raw(out) : out;
  }
  std::string raw(const std::string& der) const {
    const auto* p = reinterpret_cast<const unsigned char*>(der.data());
    ECDSA_SIG* sig = ::d2i_ECDSA_SIG(nullptr, &p, static_cast<long>(der.size()));
    const int half = algorithm == es256 ? 32 : 48;
    std::string out(static_cast<std::size_t>(2 * half), '\0');
    ::BN_bn2binpad(::ECDSA_SIG_get0_r(sig), reinterpret_cast<unsigned char*>(out.data()), half);
    ::BN_bn2binpad(::ECDSA_SIG_get0_s(sig), reinterpret_cast<unsigned char*>(out.data()) + half, half);
    ::ECDSA_SIG_free(sig);
    return out;
  }
  std::string token(const std::string& payload, std::string head = "") const {
    if (head.empty()) head = R"({"alg":")" + std::string(to_string(algorithm)) + R"("})";
    const std::string part = b64(head) + "." + b64(payload);
    return part + "." + b64(sign(part));
  }
  std::string pem() const {
    BIO* bio = ::BIO_new(::BIO_s_mem());
    ::PEM_write_bio_PUBKEY(bio, key);
    char* data = nullptr;
    const long n = ::BIO_get_mem_data(bio, &data);
    std::string out(data, static_cast<std::size_t>(n));
    ::BIO_free(bio);
    return out;
  }
  JwtKeySet keys() const {
    std::string why;
    JwtKeySet set;
    auto k = key == nullptr ? JwtKey::from_secret(secret, why) : JwtKey::from_pem(pem(), why);
    EXPECT_TRUE(k) << why;
    if (k) set.push_back(std::move(*k));
    return set;
  }
  const JwtAlgorithm algorithm;
  EVP_PKEY* key = nullptr;
  std::string secret;
};

constexpr auto now_s = 1700000000;
const Clock::Wall now{std::chrono::seconds(now_s)};
std::string payload(const std::string& more = "", int exp = now_s + 600) {
  return R"({"sub":"ann","exp":)" + std::to_string(exp) + (more.empty() ? "" : "," + more) + "}";
}

config::Jwt rules_for(JwtAlgorithm a) {
  config::Jwt rules;
  rules.name = "main";
  rules.algorithms = {a};
  return rules;
}

class Algorithms : public ::testing::TestWithParam<JwtAlgorithm> {};

TEST_P(Algorithms, VerifyWhatTheirKeySignedAndNothingElse) {
  const Signer signer(GetParam()), other(GetParam());
  const JwtKeySet keys = signer.keys();
  const config::Jwt rules = rules_for(GetParam());
  const std::string token = signer.token(payload());
  const JwtVerdict fine = verify_jwt(token, rules, keys, now);
  ASSERT_EQ(fine.outcome, Out::fine);
  EXPECT_EQ(fine.claims->texts.at("sub"), "ann");
  // Any flipped bit of head, payload or signature.
  for (std::size_t i = 0; i < token.size(); i += 3) {
    std::string broken = token;
    broken[i] = broken[i] == 'A' ? 'B' : 'A';
    EXPECT_NE(verify_jwt(broken, rules, keys, now).outcome, Out::fine) << i;
  }
  const std::string part = token.substr(0, token.rfind('.'));
  const std::string signature = signer.sign(part);
  for (const std::size_t n : {std::size_t{0}, std::size_t{1}, signature.size() / 2, signature.size() - 1})
    EXPECT_NE(verify_jwt(part + "." + b64(signature.substr(0, n)), rules, keys, now).outcome, Out::fine) << n;
  EXPECT_NE(verify_jwt(part + "." + b64(signature + "x"), rules, keys, now).outcome, Out::fine);
  if (signer.key != nullptr) {
    EXPECT_EQ(verify_jwt(other.token(payload()), rules, keys, now).outcome, Out::signature);
  }
}

INSTANTIATE_TEST_SUITE_P(All, Algorithms,
                         ::testing::Values(hs256, hs384, hs512, rs256, rs384, rs512, ps256, ps384, ps512,
                                           es256, es384, eddsa),
                         [](const auto& info) { return std::string(to_string(info.param)); });

// Attacks -------------------------------------------------------------------------------------------

struct Attack {
  const char* source;
  std::string token;
  Out wanted;
};

std::vector<Attack> attacks(const Signer& hmac) {
  const std::string p = payload();
  const auto unsigned_token = [&](const std::string& head) { return b64(head) + "." + b64(p) + "."; };
  const auto with_head = [&](const std::string& head) { return hmac.token(p, head); };
  const auto with_payload = [&](const std::string& text) { return hmac.token(text); };
  const std::string good = hmac.token(p);
  const auto first = good.find('.'), second = good.rfind('.');
  std::string deep = R"({"alg":"HS256","x":)" + std::string(60, '[') + std::string(60, ']') + "}";
  return {
      {"RFC 8725 2.1: alg none", unsigned_token(R"({"alg":"none"})"), Out::algorithm},
      {"CVE-2015-9235: alg None", unsigned_token(R"({"alg":"None"})"), Out::algorithm},
      {"CVE-2018-1000531: alg NONE", unsigned_token(R"({"alg":"NONE"})"), Out::algorithm},
      {"alg nOnE with a signature", with_head(R"({"alg":"nOnE"})"), Out::algorithm},
      {"CVE-2020-28042: an empty signature", good.substr(0, second + 1), Out::signature},
      {"no signature part", good.substr(0, second), Out::malformed},
      {"RFC 8725 3.1: another HMAC than configured", Signer(hs512).token(p), Out::algorithm},
      {"CVE-2016-10555: RS256 named, HMAC signed", with_head(R"({"alg":"RS256"})"), Out::algorithm},
      {"alg missing", with_head(R"({"typ":"JWT"})"), Out::malformed},
      {"alg is a number", with_head(R"({"alg":256})"), Out::malformed},
      {"alg is a list", with_head(R"({"alg":["HS256"]})"), Out::malformed},
      {"alg is null", with_head(R"({"alg":null})"), Out::malformed},
      {"alg in lower case", with_head(R"({"alg":"hs256"})"), Out::algorithm},
      {"alg with a space", with_head(R"({"alg":"HS256 "})"), Out::algorithm},
      {"alg with a NUL", with_head("{\"alg\":\"HS256\\u0000\"}"), Out::algorithm},
      {"RFC 7515 10.12: alg twice, good first", with_head(R"({"alg":"HS256","alg":"none"})"), Out::malformed},
      {"RFC 7515 10.12: alg twice, good last", with_head(R"({"alg":"none","alg":"HS256"})"), Out::malformed},
      {"alg twice, one by an escape", with_head("{\"alg\":\"HS256\",\"\\u0061lg\":\"none\"}"),
       Out::malformed},
      {"RFC 7515 4.1.11: crit", with_head(R"({"alg":"HS256","crit":["exp"],"exp":1})"), Out::malformed},
      {"crit with an unknown extension", with_head(R"({"alg":"HS256","crit":["x"],"x":1})"), Out::malformed},
      {"crit empty", with_head(R"({"alg":"HS256","crit":[]})"), Out::malformed},
      {"RFC 7797: b64 false", with_head(R"({"alg":"HS256","b64":false})"), Out::malformed},
      {"RFC 7516: zip", with_head(R"({"alg":"HS256","zip":"DEF"})"), Out::malformed},
      {"RFC 7516: five parts (JWE)", good + ".AAAA.AAAA", Out::malformed},
      {"four parts", good + ".AAAA", Out::malformed},
      {"two parts", good.substr(0, second), Out::malformed},
      {"one part", "AAAA", Out::malformed},
      {"nothing but dots", "..", Out::malformed},
      {"empty", "", Out::malformed},
      {"CVE-2018-0114: its own key (jwk)",
       Signer(hs256).token(p, R"({"alg":"HS384","jwk":{"kty":"oct","k":"AAAA"}})"), Out::algorithm},
      {"padding in base64url", b64(R"({"alg":"HS256"})") + "=." + good.substr(first + 1), Out::malformed},
      {"base64 instead of base64url", good.substr(0, first) + "+" + good.substr(first), Out::malformed},
      {"white space inside", good.substr(0, first) + " " + good.substr(first), Out::malformed},
      {"a line end behind", good + "\n", Out::malformed},
      {"non-zero trailing bits",
       good.substr(0, good.size() - 1) +
           (good.back() == 'A' ? "B" : std::string(1, static_cast<char>(good.back() + 1))),
       Out::malformed},
      {"the head is no JSON", with_head("alg:HS256"), Out::malformed},
      {"the head is a list", with_head(R"(["HS256"])"), Out::malformed},
      {"the head is text", with_head(R"("HS256")"), Out::malformed},
      {"the head is not UTF-8", with_head("{\"alg\":\"HS256\",\"x\":\"\xff\"}"), Out::malformed},
      {"the head has bytes behind it", with_head(R"({"alg":"HS256"} {})"), Out::malformed},
      {"deep nesting", with_head(deep), Out::malformed},
      {"the payload is no JSON", with_payload("sub=ann"), Out::malformed},
      {"the payload is a list", with_payload("[]"), Out::malformed},
      {"the payload is empty", with_payload(""), Out::malformed},
      {"RFC 7519 4: exp twice", with_payload(R"({"exp":1,"exp":9999999999})"), Out::malformed},
      {"sub twice", with_payload(payload(R"("sub":"root")")), Out::malformed},
      {"a name twice, deep inside", with_payload(payload(R"("a":{"b":1,"b":2})")), Out::malformed},
      {"the payload is not UTF-8", with_payload(payload("\"x\":\"\xc3\x28\"")), Out::malformed},
      {"an unpaired surrogate", with_payload(payload(R"("x":"\ud800")")), Out::malformed},
      {"exp is text", with_payload(R"({"exp":"9999999999"})"), Out::malformed},
      {"exp is null", with_payload(R"({"exp":null})"), Out::malformed},
      {"exp is a list", with_payload(R"({"exp":[9999999999]})"), Out::malformed},
      {"exp is huge", with_payload(R"({"exp":1e300})"), Out::malformed},
      {"exp missing", with_payload(R"({"sub":"ann"})"), Out::expired},
      {"exp negative", with_payload(R"({"exp":-1})"), Out::expired},
      {"exp passed", with_payload(payload("", now_s - 31)), Out::expired},
      {"nbf ahead", with_payload(payload(R"("nbf":1700000031)")), Out::early},
      {"nbf is text", with_payload(payload(R"("nbf":"0")")), Out::malformed},
      {"iat ahead", with_payload(payload(R"("iat":1700000031)")), Out::early},
      {"iat is true", with_payload(payload(R"("iat":true)")), Out::malformed},
      {"comments in JSON", with_payload("{/**/\"exp\":9999999999}"), Out::malformed},
      {"a trailing comma", with_payload(R"({"exp":9999999999,})"), Out::malformed},
      {"a token of 17 KiB", with_payload(payload("\"x\":\"" + std::string(13000, 'x') + "\"")),
       Out::malformed},
      {"a kid that is a path (CVE-2018-20301 and others)",
       with_head(R"({"alg":"HS256","kid":["../../dev/null"]})"), Out::malformed},
      {"swapped parts", good.substr(first + 1, second - first) + good.substr(0, first) + good.substr(second),
       Out::malformed},
  };
}

TEST(Attacks, EachIsRefusedForItsOwnReason) {
  const Signer hmac(hs256);
  const JwtKeySet keys = hmac.keys();
  const config::Jwt rules = rules_for(hs256);
  ASSERT_EQ(verify_jwt(hmac.token(payload()), rules, keys, now).outcome, Out::fine);
  const auto list = attacks(hmac);
  EXPECT_GE(list.size(), 60U);
  for (const Attack& a : list)
    EXPECT_EQ(to_string(verify_jwt(a.token, rules, keys, now).outcome), to_string(a.wanted)) << a.source;
}

TEST(Attacks, APublicKeyIsNoSecret) {  // CVE-2015-9235: HMAC with the PEM text as its secret
  const Signer rsa(rs256);
  const std::string pem = rsa.pem();
  const std::string part = b64(R"({"alg":"HS256"})") + "." + b64(payload());
  unsigned char mac[32];
  unsigned int n = 0;
  ::HMAC(::EVP_sha256(), pem.data(), static_cast<int>(pem.size()),
         reinterpret_cast<const unsigned char*>(part.data()), part.size(), mac, &n);
  const std::string token = part + "." + b64({reinterpret_cast<char*>(mac), n});
  config::Jwt both = rules_for(rs256);
  both.algorithms = {rs256, hs256};  // the configuration refuses this; even so:
  EXPECT_EQ(verify_jwt(token, both, rsa.keys(), now).outcome, Out::algorithm);
}

TEST(Attacks, PsychicSignatures) {  // CVE-2022-21449: r = s = 0
  const Signer ec(es256);
  const std::string part = b64(R"({"alg":"ES256"})") + "." + b64(payload());
  EXPECT_EQ(verify_jwt(part + "." + b64(std::string(64, '\0')), rules_for(es256), ec.keys(), now).outcome,
            Out::signature);
  EXPECT_EQ(verify_jwt(part + "." + b64(std::string(64, '\xff')), rules_for(es256), ec.keys(), now).outcome,
            Out::signature);
}

TEST(Attacks, ADerSignatureIsNotARawOne) {
  const Signer ec(es256);
  const std::string part = b64(R"({"alg":"ES256"})") + "." + b64(payload());
  EVP_MD_CTX* ctx = ::EVP_MD_CTX_new();
  ::EVP_DigestSignInit(ctx, nullptr, ::EVP_sha256(), nullptr, ec.key);
  std::string der(128, '\0');
  std::size_t n = der.size();
  ::EVP_DigestSign(ctx, reinterpret_cast<unsigned char*>(der.data()), &n,
                   reinterpret_cast<const unsigned char*>(part.data()), part.size());
  ::EVP_MD_CTX_free(ctx);
  EXPECT_EQ(verify_jwt(part + "." + b64(der.substr(0, n)), rules_for(es256), ec.keys(), now).outcome,
            Out::signature);
}

TEST(Attacks, PaddingSchemesAreNotMixed) {
  const Signer rs(rs256);
  config::Jwt ps = rules_for(ps256);
  const std::string part = b64(R"({"alg":"PS256"})") + "." + b64(payload());
  EXPECT_EQ(verify_jwt(part + "." + b64(rs.sign(part)), ps, rs.keys(), now).outcome, Out::signature);
}

// Rules ---------------------------------------------------------------------------------------------

class Rules : public ::testing::Test {
 protected:
  Out said(const std::string& text) { return verify_jwt(signer.token(text), rules, keys, now).outcome; }
  Signer signer{hs256};
  JwtKeySet keys = signer.keys();
  config::Jwt rules = rules_for(hs256);
};

TEST_F(Rules, LeewayCountsOnBothEnds) {
  EXPECT_EQ(said(payload("", now_s - 29)), Out::fine);
  EXPECT_EQ(said(payload("", now_s - 30)), Out::expired);
  EXPECT_EQ(said(payload(R"("nbf":1700000030)")), Out::fine);
  EXPECT_EQ(said(payload(R"("nbf":1700000030.5)")), Out::early);
  rules.leeway = config::Millis(0);
  EXPECT_EQ(said(payload("", now_s)), Out::expired);
  EXPECT_EQ(said(payload("", now_s + 1)), Out::fine);
}

TEST_F(Rules, IssuerAndAudienceMustFit) {
  rules.issuer = "https://id.test";
  EXPECT_EQ(said(payload()), Out::issuer);
  EXPECT_EQ(said(payload(R"("iss":"https://id.test/")")), Out::issuer);
  EXPECT_EQ(said(payload(R"("iss":["https://id.test"])")), Out::issuer);
  EXPECT_EQ(said(payload(R"("iss":"https://id.test")")), Out::fine);
  rules.issuer.clear();
  rules.audience = "shop";
  EXPECT_EQ(said(payload()), Out::audience);
  EXPECT_EQ(said(payload(R"("aud":"shops")")), Out::audience);
  EXPECT_EQ(said(payload(R"("aud":["a","shop"])")), Out::fine);
  EXPECT_EQ(said(payload(R"("aud":"shop")")), Out::fine);
  EXPECT_EQ(said(payload(R"("aud":[["shop"]])")), Out::audience);
}

TEST_F(Rules, RequiredClaimsAreValuesOrInLists) {
  rules.required_claims = {{"scope", "read"}, {"role", "admin"}};
  EXPECT_EQ(said(payload(R"("scope":"read write","role":"admin")")), Out::fine);
  EXPECT_EQ(said(payload(R"("scope":["read"],"role":["user","admin"])")), Out::fine);
  EXPECT_EQ(said(payload(R"("scope":"readwrite","role":"admin")")), Out::claims);
  EXPECT_EQ(said(payload(R"("scope":"read","role":"admin user")")), Out::claims);
  EXPECT_EQ(said(payload(R"("scope":"read")")), Out::claims);
  EXPECT_EQ(said(payload(R"("scope":{"read":1},"role":"admin")")), Out::claims);
}

TEST_F(Rules, ClaimsBecomeTexts) {
  const auto v =
      verify_jwt(signer.token(payload(R"("n":42,"b":true,"u":"\u00e9","o":{},"l":[1]")")), rules, keys, now);
  EXPECT_EQ(v.outcome, Out::malformed);  // a stray quote: it is no JSON
  const auto w =
      verify_jwt(signer.token(payload(R"("n":42,"b":true,"u":"\u00e9","o":{},"l":[1])")), rules, keys, now);
  ASSERT_EQ(w.outcome, Out::fine);
  EXPECT_EQ(w.claims->texts.at("n"), "42");
  EXPECT_EQ(w.claims->texts.at("b"), "true");
  EXPECT_EQ(w.claims->texts.at("u"), "\xc3\xa9");
  EXPECT_FALSE(w.claims->texts.contains("o"));
  EXPECT_FALSE(w.claims->texts.contains("l"));
}

TEST_F(Rules, ACacheForgetsNothingThatMatters) {
  JwtCache cache;
  const std::string token = signer.token(payload("", now_s + 60));
  EXPECT_EQ(cache.verify(token, rules, keys, 1, now).outcome, Out::fine);
  EXPECT_EQ(cache.verify(token, rules, JwtKeySet{}, 1, now).outcome, Out::fine) << "from the cache";
  EXPECT_EQ(cache.verify(token, rules, JwtKeySet{}, 2, now).outcome, Out::key) << "other keys";
  EXPECT_EQ(cache.verify(token, rules, keys, 1, now + std::chrono::seconds(91)).outcome, Out::expired);
  std::string other = token;
  other.back() = other.back() == 'A' ? 'E' : 'A';
  EXPECT_NE(cache.verify(other, rules, keys, 1, now).outcome, Out::fine);
}

// Keys ----------------------------------------------------------------------------------------------

TEST(Keys, WeakOrForeignOnesAreRefused) {
  std::string why;
  EXPECT_FALSE(JwtKey::from_secret("short", why));
  EXPECT_NE(why.find("at least 32 bytes"), std::string::npos);
  EVP_PKEY* weak = ::EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{1024});
  BIO* bio = ::BIO_new(::BIO_s_mem());
  ::PEM_write_bio_PUBKEY(bio, weak);
  char* data = nullptr;
  const long n = ::BIO_get_mem_data(bio, &data);
  EXPECT_FALSE(JwtKey::from_pem({data, static_cast<std::size_t>(n)}, why));
  EXPECT_NE(why.find("2048 bits"), std::string::npos);
  ::BIO_free(bio);
  ::EVP_PKEY_free(weak);
  for (const char* bad : {"", "nonsense", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"})
    EXPECT_FALSE(JwtKey::from_pem(bad, why)) << bad;
  for (
      const char* bad :
      {"", "[]", "{}", R"({"kty":"RSA"})", R"({"kty":"EC","crv":"P-256","x":"AA","y":"AA"})",
       R"({"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"})", R"({"kty":"OKP","crv":"X25519","x":"AA"})",
       R"({"kty":"oct","k":"c2hvcnQ"})", R"({"kty":"oct","kty":"RSA"})",
       // a point that is not on the curve
       R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"})"})
    EXPECT_FALSE(JwtKey::from_jwk(bad, why)) << bad;
}

TEST(Keys, ASecretServesOnlyHashesOfItsSize) {
  std::string why;
  const auto key = JwtKey::from_secret(std::string(32, 'x'), why);
  EXPECT_TRUE(key->serves(hs256));
  EXPECT_FALSE(key->serves(hs384));
  EXPECT_FALSE(key->serves(rs256));
}

TEST(Keys, OfASetTheOneThatTheTokenNamesIsUsed) {
  const std::string one = std::string(32, '1'), two = std::string(32, '2');
  std::string why;
  const auto jwk = [](const std::string& kid, const std::string& secret, const std::string& more = "") {
    return R"({"kty":"oct","kid":")" + kid + R"(","k":")" + b64(secret) + "\"" + more + "}";
  };
  const auto set = parse_jwks("{\"keys\":[" + jwk("one", one) + "," + jwk("two", two) + "," +
                                  jwk("enc", two, R"(,"use":"enc")") +
                                  R"(,{"kty":"unknown"},{"kty":"OKP","crv":"X448","x":"AA"}]})",
                              why);
  ASSERT_TRUE(set) << why;
  EXPECT_EQ(set->size(), 2U);
  Signer signer(hs256);
  signer.secret = two;
  const config::Jwt rules = rules_for(hs256);
  EXPECT_EQ(verify_jwt(signer.token(payload(), R"({"alg":"HS256","kid":"two"})"), rules, *set, now).outcome,
            Out::fine);
  EXPECT_EQ(verify_jwt(signer.token(payload(), R"({"alg":"HS256","kid":"one"})"), rules, *set, now).outcome,
            Out::signature);
  EXPECT_EQ(verify_jwt(signer.token(payload(), R"({"alg":"HS256","kid":"three"})"), rules, *set, now).outcome,
            Out::key);
  EXPECT_EQ(verify_jwt(signer.token(payload()), rules, *set, now).outcome, Out::fine)
      << "no kid: each is tried";
  EXPECT_FALSE(parse_jwks("{}", why));
  EXPECT_FALSE(parse_jwks(R"({"keys":[]})", why));
  EXPECT_FALSE(parse_jwks(R"({"keys":[{"kty":"oct","k":"AA"}]})", why));
}

// What a forged token may cost ----------------------------------------------------------------------

/// Eight P-384 keys, two P-256 ones between them, as JWKs without and with a kid.
class ManyKeys : public ::testing::Test {
 protected:
  ManyKeys() {
    for (int i = 0; i < 8; ++i) {
      signers.push_back(std::make_unique<Signer>(es384));
      for (JwtKey& key : signers.back()->keys()) keys.push_back(std::move(key));
      if (i % 4 != 0) continue;
      Signer other(es256);
      for (JwtKey& key : other.keys()) keys.push_back(std::move(key));
    }
    rules.algorithms = {es256, es384};
  }
  config::Jwt rules = rules_for(es384);
  std::vector<std::unique_ptr<Signer>> signers;
  JwtKeySet keys;
  const Signer stranger{es384};
};

TEST_F(ManyKeys, AForgedTokenIsCheckedByFewOfThemAndOnlyByThoseThatFit) {
  const JwtVerdict forged = verify_jwt(stranger.token(payload()), rules, keys, now);
  EXPECT_EQ(forged.outcome, Out::signature);
  EXPECT_EQ(forged.checks, max_signature_checks);
  const Signer small(es256);
  EXPECT_EQ(verify_jwt(small.token(payload()), rules, keys, now).checks, 2U);
  EXPECT_EQ(verify_jwt(signers[2]->token(payload()), rules, keys, now).outcome, Out::fine);
  EXPECT_NE(concern_about(keys, rules), "");
  keys.erase(keys.begin() + 4, keys.end());
  EXPECT_EQ(concern_about(keys, rules), "");
}

TEST_F(ManyKeys, AKidNeedsOneCheckWhereverItsKeyStands) {
  std::string jwks;
  for (std::size_t i = 0; i < signers.size(); ++i) {
    std::size_t n = 0;
    unsigned char point[97];
    ::EVP_PKEY_get_octet_string_param(signers[i]->key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &n);
    ASSERT_EQ(n, 97U);
    const std::string_view bytes(reinterpret_cast<char*>(point), n);
    jwks += (i > 0 ? "," : "") + (R"({"kty":"EC","crv":"P-384","kid":"k)" + std::to_string(i)) +
            R"(","x":")" + b64(bytes.substr(1, 48)) + R"(","y":")" + b64(bytes.substr(49)) + "\"}";
  }
  std::string why;
  const auto set = parse_jwks("{\"keys\":[" + jwks + "]}", why);
  ASSERT_TRUE(set) << why;
  const std::string head = R"({"alg":"ES384","kid":"k7"})";
  const JwtVerdict fine = verify_jwt(signers[7]->token(payload(), head), rules, *set, now);
  EXPECT_EQ(fine.outcome, Out::fine);
  EXPECT_EQ(fine.checks, 1U);
  EXPECT_EQ(verify_jwt(stranger.token(payload(), head), rules, *set, now).checks, 1U);
}

TEST_F(ManyKeys, WhatIsRefusedWhoeverSignedItIsNotChecked) {
  rules.issuer = "https://issuer";
  rules.audience = "app";
  const auto refused = [&](const std::string& text, Out wanted) {
    const JwtVerdict v = verify_jwt(stranger.token(text), rules, keys, now);
    EXPECT_EQ(to_string(v.outcome), to_string(wanted));
    EXPECT_EQ(v.checks, 0U);
  };
  refused(payload(R"("iss":"https://issuer","aud":"app")", now_s - 3600), Out::expired);
  refused(payload(R"("iss":"https://other","aud":"app")"), Out::issuer);
  refused(payload(R"("iss":"https://issuer","aud":"other")"), Out::audience);
  refused("{", Out::malformed);
}

TEST_F(ManyKeys, TheSameForgedTokenAgainIsNotCheckedAgain) {
  JwtCache cache;
  for (const std::string& forged :
       {stranger.token(payload()), stranger.token(payload(R"("long":")" + std::string(6000, 'x') + "\""))}) {
    EXPECT_EQ(cache.verify(forged, rules, keys, 1, now).checks, max_signature_checks);
    for (int i = 0; i < 3; ++i) {
      const JwtVerdict again = cache.verify(forged, rules, keys, 1, now);
      EXPECT_EQ(again.outcome, Out::signature);
      EXPECT_EQ(again.checks, 0U);
    }
    EXPECT_EQ(cache.verify(forged, rules, stranger.keys(), 2, now).outcome, Out::fine) << "other keys";
  }
}

// Where it is found ---------------------------------------------------------------------------------

TEST(Finding, TakesOneTokenFromWhereItMayBe) {
  config::Jwt rules;
  using Carrier = config::Jwt::Carrier;
  rules.from = {{Carrier::bearer, ""}, {Carrier::cookie, "jwt"}, {Carrier::query, "token"}};
  const auto find = [&](std::vector<Field> fields, std::string_view query = "") {
    return find_token(fields, query, rules);
  };
  EXPECT_EQ(find({}).outcome, Out::absent);
  EXPECT_EQ(find({{"Authorization", "Bearer a.b.c"}}).token, "a.b.c");
  EXPECT_EQ(find({{"authorization", "bEARER  a.b.c"}}).token, "a.b.c");
  EXPECT_EQ(find({{"Authorization", "Basic abc"}}).outcome, Out::absent);
  EXPECT_EQ(find({{"Cookie", "x=1; jwt=a.b.c", Known::cookie}}).token, "a.b.c");
  EXPECT_EQ(find({}, "a=1&token=a.b.c&b=2").token, "a.b.c");
  EXPECT_EQ(find({}, "xtoken=a.b.c&token=").outcome, Out::absent);
  EXPECT_EQ(find({{"Authorization", "Bearer a.b.c"}, {"Authorization", "Bearer d"}}).outcome, Out::ambiguous);
  EXPECT_EQ(find({{"Authorization", "Bearer a"}}, "token=b").outcome, Out::ambiguous);
  EXPECT_EQ(find({{"Cookie", "jwt=a; jwt=b", Known::cookie}}).outcome, Out::ambiguous);
  rules.from = {{Carrier::cookie, "jwt"}};
  EXPECT_EQ(find({{"Authorization", "Bearer a.b.c"}}).outcome, Out::absent) << "not a place that was named";
}

}  // namespace
}  // namespace remora

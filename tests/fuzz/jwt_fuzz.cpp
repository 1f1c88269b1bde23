// Any bytes as a token, as a key set, as JSON: an outcome, never a crash; and nothing passes that nobody
// signed.

#include <cstdlib>

#include "auth/jwt.h"
#include "auth/strict_json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace remora;
  static const JwtKeySet keys = [] {
    std::string why;
    auto set = parse_jwks(
        R"({"keys":[{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"},{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]})",
        why);
    if (!set) std::abort();
    return std::move(*set);
  }();
  static const config::Jwt rules = [] {
    config::Jwt r;
    r.algorithms = {JwtAlgorithm::hs256, JwtAlgorithm::eddsa, JwtAlgorithm::es256};
    return r;
  }();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto verdict = verify_jwt(text, rules, keys, Clock::Wall(std::chrono::seconds(1300000000)));
  if (verdict.outcome == JwtOutcome::fine && !verdict.claims->texts.contains("iss")) std::abort();
  parse_strict_object(text);
  std::string why;
  parse_jwks(text, why);
  return 0;
}

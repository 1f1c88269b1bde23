// One named verifier in use: its rules, its keys, where a request carries its token, and its counters.
//
// Threading: immutable inside a snapshot; keys that are read again make a new verifier. All verifiers of one
// name share their counters, which are separate for each worker.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "auth/jwt.h"
#include "remora/counter.h"
#include "remora/http_view.h"

namespace remora {

struct alignas(64) JwtCounts {
  std::array<Counter, static_cast<std::size_t>(JwtOutcome::count_)> outcomes;
  void count(JwtOutcome o) noexcept { outcomes[static_cast<std::size_t>(o)].add(); }
};

struct JwtVerifier {
  config::Jwt rules;
  std::shared_ptr<const JwtKeySet> keys;  // empty until the URL has answered
  std::uint64_t keys_id = 0;              // identifies these rules and keys, for caches; never reused
  std::shared_ptr<std::vector<JwtCounts>> counts;
};

/// Reads keys from files. Keys behind a URL are not fetched here. Throws std::runtime_error with one line
/// that says what to do.
JwtKeySet load_jwt_keys(const config::Jwt& rules);

/// A warning about these keys for the operator; empty: none.
std::string concern_about(const JwtKeySet& keys, const config::Jwt& rules);

/// The token of a request. Different tokens, or several Authorization fields, are `ambiguous` (RFC 6750 2).
struct FoundToken {
  JwtOutcome outcome = JwtOutcome::absent;  // absent, ambiguous, or fine
  std::string_view token;
};
FoundToken find_token(std::span<const Field> fields, std::string_view query,
                      const config::Jwt& rules) noexcept;

/// The claims from all verifiers that a request has passed.
class PassedVerifiers final : public VerifiedClaims {
 public:
  std::optional<std::string_view> find(std::string_view verifier,
                                       std::string_view claim) const noexcept override;
  void clear() noexcept { count_ = 0; }
  void add(const JwtVerifier& verifier, std::shared_ptr<const JwtClaims> claims) {
    if (count_ < passed_.size()) passed_[count_++] = {&verifier, std::move(claims)};
  }
  bool empty() const noexcept { return count_ == 0; }
  std::size_t size() const noexcept { return count_; }
  const JwtVerifier& verifier(std::size_t i) const noexcept { return *passed_[i].verifier; }
  const JwtClaims& claims(std::size_t i) const noexcept { return *passed_[i].claims; }
  /// Discards one verifier's claims.
  void drop(std::size_t i) noexcept {
    for (--count_; i < count_; ++i) passed_[i] = std::move(passed_[i + 1]);
  }
  /// Calls `f(header, text)` for each claim that is forwarded and fits into a field.
  template <class F>
  void for_each_forwarded(F f) const {
    for (std::size_t i = 0; i < count_; ++i)
      for (const auto& [claim, header] : passed_[i].verifier->rules.forward_claims) {
        const auto found = passed_[i].claims->texts.find(claim);
        if (found != passed_[i].claims->texts.end() && fits_field(found->second))
          f(std::string_view(header), std::string_view(found->second));
      }
  }

 private:
  /// The text of a claim is somebody else's choice: a line end in it would begin another field.
  static bool fits_field(std::string_view text) noexcept;
  struct Passed {
    const JwtVerifier* verifier = nullptr;  // lives as long as the request's snapshot
    std::shared_ptr<const JwtClaims> claims;
  };
  std::array<Passed, 5> passed_;
  std::size_t count_ = 0;
};

/// The status of a refusal, and its WWW-Authenticate value per RFC 6750 3; empty: no such field.
struct Challenge {
  std::uint16_t status = 401;
  std::string_view value;
};
/// The refusal by a route that requires this verifier; nothing: the request may go on.
std::optional<Challenge> refusal(const JwtVerifier& verifier, JwtOutcome outcome,
                                 bool token_required) noexcept;

}  // namespace remora

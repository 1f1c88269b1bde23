// One named verifier at work: its rules, its keys, where a request carries its token, and what is counted.
//
// Threading: immutable inside a snapshot; keys that are read anew make a new one. The counters are shared by
// all of a name, and written by worker.
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
  std::shared_ptr<const JwtKeySet> keys;  // empty while a URL has not answered yet
  std::uint64_t keys_id = 0;              // of these rules and keys, for caches; never used again
  std::shared_ptr<std::vector<JwtCounts>> counts;
};

/// Reads the keys that stand in files; none of those behind a URL. Throws std::runtime_error with one line
/// that says what to do.
JwtKeySet load_jwt_keys(const config::Jwt& rules);

/// What an operator should know of these keys; empty: nothing.
std::string concern_about(const JwtKeySet& keys, const config::Jwt& rules);

/// Where a request carries its token: one place only (RFC 6750 2).
struct FoundToken {
  JwtOutcome outcome = JwtOutcome::absent;  // absent, ambiguous, or fine
  std::string_view token;
};
FoundToken find_token(std::span<const Field> fields, std::string_view query,
                      const config::Jwt& rules) noexcept;

/// The claims of the verifiers that a request has passed.
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
  /// What this one said does not count after all.
  void drop(std::size_t i) noexcept {
    for (--count_; i < count_; ++i) passed_[i] = std::move(passed_[i + 1]);
  }
  /// Calls `f(header, text)` for each claim that is forwarded and can stand in a field.
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
  /// A claim is text of somebody's choice: one with a line end in it would be a field of its own.
  static bool fits_field(std::string_view text) noexcept;
  struct Passed {
    const JwtVerifier* verifier = nullptr;  // lives as long as the request's snapshot
    std::shared_ptr<const JwtClaims> claims;
  };
  std::array<Passed, 5> passed_;
  std::size_t count_ = 0;
};

/// The status of a refusal, and the value of WWW-Authenticate, per RFC 6750 3; empty: none.
struct Challenge {
  std::uint16_t status = 401;
  std::string_view value;
};
/// What a route that asks this verifier answers; nothing: the request may go on.
std::optional<Challenge> refusal(const JwtVerifier& verifier, JwtOutcome outcome,
                                 bool token_required) noexcept;

}  // namespace remora

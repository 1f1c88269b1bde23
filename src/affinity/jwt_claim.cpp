// Affinity by a claim of the verified JWT: derived, or kept in the store (`carry: store`), which gives it
// lifetimes, epochs and control by the app. What verifies the JWT is behind VerifiedClaims.

#include "affinity/kinds.h"
#include "affinity/seal.h"

namespace remora {

namespace {

class JwtClaimAffinity final : public Affinity {
 public:
  explicit JwtClaimAffinity(const AffinityInput& in) : config_(in.config.jwt_claim), namer_(in.namer) {}

  std::string_view name() const noexcept override { return "jwt_claim"; }
  Family family() const noexcept override {
    return config_.carry == config::Carry::store ? Family::learned : Family::derived;
  }

  Hint identify(const RequestView& request, CryptoScratch& scratch, Clock::Wall) const override {
    if (request.claims == nullptr) return NoHint{};
    const auto value = request.claims->find(config_.verifier, config_.claim);
    if (!value || value->empty()) return NoHint{};
    if (config_.carry != config::Carry::store)
      return HashOn{hash_text(*value), config_.bounded_load.value_or(0)};
    Lookup lookup;
    lookup.key = namer_->name(*value, scratch);
    lookup.adopt = true;
    return lookup;
  }

 private:
  const config::JwtClaimAffinity config_;
  const std::shared_ptr<const SessionNamer> namer_;
};

}  // namespace

std::shared_ptr<const Affinity> make_jwt_claim_affinity(const AffinityInput& in) {
  return std::make_shared<JwtClaimAffinity>(in);
}

}  // namespace remora

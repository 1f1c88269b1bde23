// Affinity by a claim of the verified JWT: derived, or kept in the store (`carry: store`), which adds
// lifetimes, epochs and control by the app. VerifiedClaims hides how the JWT is verified.

#include "affinity/kinds.h"
#include "affinity/seal.h"

namespace remora {

namespace {

struct JwtClaimSettings final : AffinitySettings {
  std::string claim = "sub";
  Carry carry = Carry::nothing;
  double bounded_load = 0;
};

std::shared_ptr<const AffinitySettings> read(Settings& settings, std::string_view) {
  auto out = std::make_shared<JwtClaimSettings>();
  out->verifier = settings.text("verifier").value_or("");
  out->claim = settings.text("claim").value_or("sub");
  if (out->verifier.empty()) settings.bad("", "needs `verifier:`, one of `jwt`");
  if (out->claim.empty()) settings.bad("claim", "needs the name of a claim");
  out->carry = read_carry(settings);
  out->derived = out->carry == Carry::nothing;
  if (out->derived) out->bounded_load = read_bounded_load(settings);
  out->tells_apart = out->verifier + " " + out->claim;
  return out;
}

class JwtClaimAffinity final : public Affinity {
 public:
  JwtClaimAffinity(const AffinityInput& in, const JwtClaimSettings& settings)
      : settings_(settings), namer_(in.namer) {}

  std::string_view name() const noexcept override { return "jwt_claim"; }
  Family family() const noexcept override { return settings_.derived ? Family::derived : Family::learned; }

  Hint identify(const RequestView& request, CryptoScratch& scratch, Clock::Wall) const override {
    if (request.claims == nullptr) return NoHint{};
    const auto value = request.claims->find(settings_.verifier, settings_.claim);
    if (!value || value->empty()) return NoHint{};
    if (settings_.derived) return HashOn{hash_text(*value), settings_.bounded_load};
    Lookup lookup;
    lookup.key = namer_->name(*value, scratch);
    lookup.adopt = true;
    return lookup;
  }

 private:
  const JwtClaimSettings settings_;
  const std::shared_ptr<const SessionNamer> namer_;
};

std::shared_ptr<const Affinity> make(const AffinityInput& in) {
  return std::make_shared<JwtClaimAffinity>(in, static_cast<const JwtClaimSettings&>(in.settings));
}

}  // namespace

extern const AffinityKind jwt_claim_affinity{"jwt_claim", read, make};

}  // namespace remora

// Affinity by the client's address: a derived kind, so nothing is issued, stored or moved.

#include "affinity/kinds.h"
#include "net/address.h"

namespace remora {

namespace {

struct IpHashSettings final : AffinitySettings {
  std::uint8_t ipv4_prefix = 32, ipv6_prefix = 64;
  double bounded_load = 0;
};

std::shared_ptr<const AffinitySettings> read(Settings& settings, std::string_view) {
  auto out = std::make_shared<IpHashSettings>();
  const auto prefix = [&](const char* key, std::uint8_t& bits, std::uint8_t most) {
    const auto given = settings.whole_number(key);
    if (!given) return;
    if (*given < 1 || *given > most)
      settings.bad(key, "must be 1 to " + std::to_string(most));
    else
      bits = static_cast<std::uint8_t>(*given);
  };
  prefix("ipv4_prefix", out->ipv4_prefix, 32);
  prefix("ipv6_prefix", out->ipv6_prefix, 128);
  out->bounded_load = read_bounded_load(settings);
  out->derived = out->recognises_everyone = true;
  return out;
}

class IpHashAffinity final : public Affinity {
 public:
  explicit IpHashAffinity(const IpHashSettings& settings) : settings_(settings) {}

  std::string_view name() const noexcept override { return "ip_hash"; }
  Family family() const noexcept override { return Family::derived; }

  Hint identify(const RequestView& request, CryptoScratch&, Clock::Wall) const override {
    // The peer of a unix socket, address unknown: one hash for all such clients would send them to one
    // backend.
    if (request.client.is_unknown()) return NoHint{};
    const ClientAddress a = mask(request.client, settings_.ipv4_prefix, settings_.ipv6_prefix);
    return HashOn{hash_text({reinterpret_cast<const char*>(a.bytes), sizeof a.bytes}),
                  settings_.bounded_load};
  }

 private:
  const IpHashSettings settings_;
};

std::shared_ptr<const Affinity> make(const AffinityInput& in) {
  return std::make_shared<IpHashAffinity>(static_cast<const IpHashSettings&>(in.settings));
}

}  // namespace

extern const AffinityKind ip_hash_affinity{"ip_hash", read, make};

}  // namespace remora

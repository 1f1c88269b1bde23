// Affinity by the client's address: derived, so nothing is issued, stored or moved.

#include "affinity/kinds.h"
#include "net/address.h"

namespace remora {

namespace {

class IpHashAffinity final : public Affinity {
 public:
  explicit IpHashAffinity(const AffinityInput& in) : config_(in.config.ip_hash) {}

  std::string_view name() const noexcept override { return "ip_hash"; }
  Family family() const noexcept override { return Family::derived; }

  Hint identify(const RequestView& request, CryptoScratch&, Clock::Wall) const override {
    const ClientAddress a = mask(request.client, config_.ipv4_prefix, config_.ipv6_prefix);
    return HashOn{hash_text({reinterpret_cast<const char*>(a.bytes), sizeof a.bytes}),
                  config_.bounded_load.value_or(0)};
  }

 private:
  const config::IpHashAffinity config_;
};

}  // namespace

std::shared_ptr<const Affinity> make_ip_hash_affinity(const AffinityInput& in) {
  return std::make_shared<IpHashAffinity>(in);
}

}  // namespace remora

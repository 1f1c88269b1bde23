// Affinity by the client's address: derived, so nothing is issued, stored or moved.

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "affinity/kinds.h"
#include "net/address.h"

namespace remora {

namespace {

class IpHashAffinity final : public Affinity {
 public:
  explicit IpHashAffinity(const AffinityInput& in) : config_(in.pool.affinity.ip_hash) {}

  Hint identify(const RequestView& request, CryptoScratch&, Clock::Wall) const override {
    const ClientAddress a = mask(request.client, config_.ipv4_prefix, config_.ipv6_prefix);
    return HashOn{XXH3_64bits(a.bytes, sizeof a.bytes)};
  }

 private:
  const config::IpHashAffinity config_;
};

}  // namespace

std::shared_ptr<const Affinity> make_ip_hash_affinity(const AffinityInput& in) {
  return std::make_shared<IpHashAffinity>(in);
}

}  // namespace remora

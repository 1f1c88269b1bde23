#include "affinity/registry.h"

namespace remora {

namespace {
using Kind = config::AffinityKind;
struct Entry {
  Kind kind;
  std::shared_ptr<const Affinity> (*make)(const AffinityInput&);
};
constexpr Entry table[] = {
    {Kind::cookie, make_cookie_affinity},         {Kind::url_rewrite, make_url_rewrite_affinity},
    {Kind::app_cookie, make_app_cookie_affinity}, {Kind::header, make_header_affinity},
    {Kind::ip_hash, make_ip_hash_affinity},       {Kind::jwt_claim, make_jwt_claim_affinity},
};
}  // namespace

std::vector<std::shared_ptr<const Affinity>> make_affinity(const config::Pool& pool,
                                                           std::shared_ptr<const KeyRing> keys,
                                                           std::shared_ptr<const SessionNamer> namer) {
  std::vector<std::shared_ptr<const Affinity>> kinds;
  for (const config::Affinity& one : pool.affinity)
    for (const Entry& entry : table)
      if (entry.kind == one.kind) kinds.push_back(entry.make({pool, one, keys, namer}));
  return kinds;
}

}  // namespace remora

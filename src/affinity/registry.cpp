#include "affinity/registry.h"

namespace remora {

// One line per kind: NAME stands for `const AffinityKind NAME_affinity`, defined in NAME.cpp.
#define REMORA_AFFINITY_KINDS(kind)                                                             \
  kind(cookie) kind(url_rewrite) kind(header_token) kind(app_cookie) kind(header) kind(ip_hash) \
      kind(jwt_claim) kind(hash)

#define REMORA_DECLARE(name) extern const AffinityKind name##_affinity;
REMORA_AFFINITY_KINDS(REMORA_DECLARE)

#define REMORA_LIST(name) &name##_affinity,
std::span<const AffinityKind* const> affinity_kinds() noexcept {
  static const AffinityKind* const table[] = {REMORA_AFFINITY_KINDS(REMORA_LIST)};
  return table;
}

std::vector<std::shared_ptr<const Affinity>> make_affinity(const config::Pool& pool,
                                                           std::shared_ptr<const KeyRing> keys,
                                                           std::shared_ptr<const SessionNamer> namer) {
  std::vector<std::shared_ptr<const Affinity>> made;
  for (const config::Affinity& one : pool.affinity)
    for (const AffinityKind* kind : affinity_kinds())
      if (kind->name == one.kind) made.push_back(kind->make({pool, *one.settings, keys, namer}));
  return made;
}

}  // namespace remora

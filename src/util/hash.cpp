#include "util/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace remora {

std::uint64_t hash_text(std::string_view text) noexcept {
  return XXH3_64bits(text.data(), text.size());
}

}  // namespace remora

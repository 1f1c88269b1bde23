// The least time to live of a DNS answer, read by hand: never more than what fewer bytes of it say.

#include <cstdint>
#include <cstdlib>

#include "net/resolver.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using remora::least_ttl;
  const auto whole = least_ttl(data, static_cast<int>(size));
  if (whole && (whole->count() < 0 || whole->count() > 0x7fffffff)) std::abort();
  // A cut answer knows fewer records: its least is at least as long.
  for (const std::size_t n : {size / 2, size - size / 4}) {
    const auto cut = least_ttl(data, static_cast<int>(n));
    if (cut && whole && *cut < *whole) std::abort();
    if (cut && !whole) std::abort();
  }
  return 0;
}

// Finds the first byte of a class, sixteen bytes at a time: most of the work of parsing a head.
//
// Uses the vector extension of GCC and clang, so that the compiler chooses the instructions. Pure.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace remora {

using Sixteen [[gnu::vector_size(16)]] = unsigned char;

/// Sets bit i of the result if byte i of `mask` is 255. REQUIRES: each byte is 0 or 255.
inline unsigned bits_of_words(Sixteen mask) noexcept {
  std::uint64_t words[2];
  std::memcpy(words, &mask, sizeof words);
  // The multiplication gathers one bit of each byte in the highest byte, without carries.
  const auto gather = [](std::uint64_t word) {
    return static_cast<unsigned>((word & 0x0101010101010101) * 0x0102040810204080 >> 56);
  };
  return gather(words[0]) | gather(words[1]) << 8;
}
inline unsigned bits_of(Sixteen mask) noexcept {
#ifdef __SSE2__
  __m128i bytes;
  std::memcpy(&bytes, &mask, sizeof bytes);
  return static_cast<unsigned>(_mm_movemask_epi8(bytes));
#else
  return bits_of_words(mask);
#endif
}

/// The first byte in [at, end) for which `is` holds, or `end`. `is` is called with one byte (unsigned char)
/// and with a vector of sixteen: it must use only comparisons and bitwise operators.
template <class Is>
const char* find_byte(const char* at, const char* end, Is is) noexcept {
  for (; end - at >= 16; at += 16) {
    Sixteen bytes;
    std::memcpy(&bytes, at, sizeof bytes);
    const auto mask = is(bytes);
    Sixteen found;
    std::memcpy(&found, &mask, sizeof found);
    if (const unsigned bits = bits_of(found); bits != 0) return at + std::countr_zero(bits);
  }
  while (at != end && !is(static_cast<unsigned char>(*at))) ++at;
  return at;
}

}  // namespace remora

// The store key of a revoked claim. Pure.
//
// A value of 1 to 200 visible ASCII characters, which every store accepts in a key, appears there as it is,
// so that people can write it by hand. All other values (spaces, control characters, other bytes, longer
// ones) appear as `sha256:` and the 64 lower-case hexadecimal digits of their SHA-256. So do values that
// begin with `sha256:` themselves, so that no two values share a key, and values that would make the key
// longer than Memcached's 250 bytes. Every value has a key, so that none passes because it cannot be looked
// up.
#pragma once

#include <string>
#include <string_view>

namespace remora {

constexpr std::string_view hashed_revocation = "sha256:";

/// `sha256:` and the hexadecimal digits.
std::string hashed_revocation_of(std::string_view value);
/// PREFIX:revoked:VALUE, or its hashed form.
std::string revocation_key(std::string_view prefix, std::string_view value);

}  // namespace remora

// What a revoked claim is called in a store. Pure.
//
// A value that every store can have in a key stands there as it is, so that people can write it by hand: 1 to
// 200 visible ASCII characters. All other values (spaces, controls, other bytes, longer ones) stand under
// `sha256:` and the 64 lower-case hexadecimal digits of their SHA-256. So does a value that itself begins
// with `sha256:`, so that no two values share a key, and one with which the key would be longer than
// Memcached's 250 bytes. Every value has a key: none passes because it cannot be asked for.
#pragma once

#include <string>
#include <string_view>

namespace remora {

constexpr std::string_view hashed_revocation = "sha256:";

/// `sha256:` and the digits.
std::string hashed_revocation_of(std::string_view value);
/// PREFIX:revoked:VALUE, or its hashed form.
std::string revocation_key(std::string_view prefix, std::string_view value);

}  // namespace remora

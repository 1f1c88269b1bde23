// A configuration as text, one line a member, so that two can be compared and their difference be read.
//
// Members are found by Boost.PFR: one that is added later is compared as well.
#pragma once

#include <boost/pfr.hpp>
#include <string>
#include <type_traits>

#include "remora/affinity_kind.h"
#include "remora/config.h"

namespace remora::config {

template <class T>
void dump(const T& value, const std::string& path, std::string& out);

inline void dump(const std::string& value, const std::string& path, std::string& out) {
  out += path + " = '" + value + "'\n";
}

inline void dump(const Cidr& value, const std::string& path, std::string& out) {
  for (const std::uint8_t byte : value.bytes) dump(byte, path + ".byte", out);
  dump(value.bits, path + ".bits", out);
}

/// What a kind keeps for itself is its own; this is what all kinds have.
inline void dump(const Affinity& value, const std::string& path, std::string& out) {
  const AffinitySettings& s = *value.settings;
  out += path + " = " + value.kind + " derived " + std::to_string(s.derived) + " seals " +
         std::to_string(s.seals) + " rejects " + std::to_string(s.rejects_unknown) + " cookie '" +
         s.own_cookie + "' header '" + s.token_field + "' is session " + std::to_string(s.cookie_is_session) +
         "\n";
}

template <class A, class B>
void dump(const std::pair<A, B>& value, const std::string& path, std::string& out) {
  dump(value.first, path + ".first", out);
  dump(value.second, path + ".second", out);
}

template <class T>
concept Range = requires(const T& value) {
  value.begin();
  value.end();
};

template <class T>
concept Optional = requires(const T& value) {
  value.has_value();
  *value;
};

template <class T>
void dump(const T& value, const std::string& path, std::string& out) {
  if constexpr (std::is_arithmetic_v<T>) {
    out += path + " = " + std::to_string(value) + "\n";
  } else if constexpr (std::is_enum_v<T>) {
    out += path + " = " + std::to_string(static_cast<long>(value)) + "\n";
  } else if constexpr (std::is_same_v<T, Millis>) {
    out += path + " = " + std::to_string(value.count()) + " ms\n";
  } else if constexpr (Optional<T>) {
    if (value)
      dump(*value, path, out);
    else
      out += path + " = none\n";
  } else if constexpr (Range<T>) {
    std::size_t i = 0;
    for (const auto& item : value) dump(item, path + "[" + std::to_string(i++) + "]", out);
    out += path + ".size = " + std::to_string(i) + "\n";
  } else {
    std::size_t i = 0;
    boost::pfr::for_each_field(
        value, [&](const auto& member) { dump(member, path + "." + std::to_string(i++), out); });
  }
}

}  // namespace remora::config

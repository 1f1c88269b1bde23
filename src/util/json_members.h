// Members of JSON objects that another process, another version or a person has written. A member of another
// type, or a number that does not fit, counts as absent.
//
// Pure. References last as long as the object.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

namespace remora {

/// T: std::string, bool or a number.
template <class T>
std::optional<T> json_member(const boost::json::object& object, std::string_view key) {
  const boost::json::value* const v = object.if_contains(key);
  if (v == nullptr) return std::nullopt;
  if constexpr (std::is_same_v<T, std::string>) {
    const auto* const text = v->if_string();
    return text != nullptr ? std::optional(std::string(text->data(), text->size())) : std::nullopt;
  } else if constexpr (std::is_same_v<T, bool>) {
    const bool* const flag = v->if_bool();
    return flag != nullptr ? std::optional(*flag) : std::nullopt;
  } else {
    boost::system::error_code ec;
    const T number = v->to_number<T>(ec);
    return ec ? std::nullopt : std::optional(number);
  }
}

// Absent: empty, zero, false.

inline std::string json_text(const boost::json::object& object, std::string_view key) {
  return json_member<std::string>(object, key).value_or("");
}

template <class Number = std::uint64_t>
Number json_number(const boost::json::object& object, std::string_view key) {
  return json_member<Number>(object, key).value_or(Number{});
}

inline bool json_flag(const boost::json::object& object, std::string_view key) {
  return json_member<bool>(object, key).value_or(false);
}

inline const boost::json::array& json_array(const boost::json::object& object, std::string_view key) {
  static const boost::json::array none;
  const boost::json::value* const v = object.if_contains(key);
  return v != nullptr && v->is_array() ? v->get_array() : none;
}

inline const boost::json::object& json_object(const boost::json::object& object, std::string_view key) {
  static const boost::json::object none;
  const boost::json::value* const v = object.if_contains(key);
  return v != nullptr && v->is_object() ? v->get_object() : none;
}

}  // namespace remora

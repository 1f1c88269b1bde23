// Reads a YAML map: allowed keys, their values, and error reporting.
//
// A reader function asks for each key it knows. Keys left over when the Map is destroyed are reported as
// unknown, with the nearest known key. For an empty value, the mark is that of the key (yaml-cpp would point
// at the next line).
#pragma once

#include <yaml-cpp/yaml.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "remora/config.h"
#include "util/text.h"

namespace remora::config {

/// Collects errors with their positions in the file.
class Diagnostics {
 public:
  explicit Diagnostics(std::string file) : file_(std::move(file)) {}
  void add(const YAML::Mark& mark, std::string_view key, std::string_view what);
  bool empty() const noexcept { return errors_.empty(); }
  std::size_t count() const noexcept { return errors_.size(); }
  std::vector<std::string> lines() const;
  /// Records where a secret was read from. Not an error.
  void note_secret_file(const std::string& path);
  const std::vector<std::string>& secret_files() const noexcept { return secret_files_; }

 private:
  struct Error {
    int line, column;
    std::size_t order;
    std::string text;
  };
  std::string file_;
  std::vector<Error> errors_;
  std::vector<std::string> secret_files_;
};

/// A value with its full key ("pools.app.session") and its position.
struct Value {
  YAML::Node node;
  std::string key;
  YAML::Mark mark;
  Diagnostics* errors = nullptr;
  void bad(std::string_view what) const { errors->add(mark, key, what); }
  bool is_null() const { return node.IsNull(); }
  bool is_map() const { return node.IsMap(); }
  bool is_list() const { return node.IsSequence(); }
};

class Map {
 public:
  /// Reports an error and stays empty if the value is not a map.
  explicit Map(const Value& value);
  ~Map();
  Map(const Map&) = delete;
  Map& operator=(const Map&) = delete;

  /// The value of `key`, if present. Marks the key as known.
  std::optional<Value> get(const char* key);
  /// Calls `f` for each entry of a map whose keys are user-chosen names (pools, verifiers).
  void for_each(const std::function<void(const std::string&, const Value&)>& f);

  template <class T>
  void read(const char* key, T& out);
  template <class T, class Reader>
  void read_with(const char* key, T& out, Reader reader) {
    if (const auto v = get(key)) reader(*v, out);
  }

 private:
  struct Entry {
    std::string key;
    Value value;
    bool taken = false;
  };
  const Value self_;
  std::vector<Entry> entries_;
  std::vector<YAML::Mark> key_marks_;  // parallel to entries_
  std::set<std::string> known_;
  bool free_names_ = false;
};

// Scalars. On an invalid value, each function reports an error and leaves `out` unchanged.
std::optional<std::string> scalar(const Value& v);  // with ${NAME} replaced
/// True for `off` and its other spellings (PyYAML and Helm write `false`).
bool is_off(const Value& v);
/// Returns "on" or "off" for any of their spellings, else "".
const char* word_of_switch(std::string_view text) noexcept;
/// The value as written, quoted for an error line. Hides secrets and never shows a variable's content.
std::string quoted(const Value& v);
void read_value(const Value& v, std::string& out);
void read_value(const Value& v, bool& out);
void read_value(const Value& v, std::uint16_t& out);
void read_value(const Value& v, std::uint32_t& out);
void read_value(const Value& v, Millis& out);
void read_size(const Value& v, std::size_t& out);
void read_positive(const Value& v, Millis& out);
void read_address(const Value& v, Address& out);
/// Reads "none" or a value.
template <class T, class Reader>
void read_optional(const Value& v, std::optional<T>& out, Reader reader) {
  if (v.is_null() || (v.node.IsScalar() && iequals(v.node.Scalar(), "none"))) {
    out.reset();
    return;
  }
  T value{};
  const std::size_t before = v.errors->count();
  reader(v, value);
  if (v.errors->count() == before) out = value;
}
void read_percent(const Value& v, double& out);
/// Reads a number greater than 0 and at most 1,000,000.
void read_positive_number(const Value& v, double& out);
/// Reads {file: F} or {env: E}. Strips trailing line ends from a file. Errors never contain the secret.
void read_secret(const Value& v, std::string& out);
/// Calls `f` for each element. With `alone`, a single value counts as a list of one.
void for_each_item(const Value& v, bool alone, const std::function<void(const Value&)>& f);

/// Reads one of a fixed set of words.
template <class E>
void read_choice(const Value& v, E& out, std::initializer_list<std::pair<const char*, E>> words) {
  const auto text = scalar(v);
  if (!text) return;
  std::string all;
  for (const auto& [word, value] : words) {
    if (iequals(*text, word) || std::string_view(word_of_switch(*text)) == word) {
      out = value;
      return;
    }
    all += all.empty() ? "" : " | ";
    all += word;
  }
  v.bad(quoted(v) + " is none of " + all);
}

template <class T>
void Map::read(const char* key, T& out) {
  if (const auto v = get(key)) read_value(*v, out);
}

}  // namespace remora::config

// What a kind of affinity brings with it: its name in the file, how its settings are read, how it is made.
//
// A kind's own file reads its own settings, so that adding one touches no other (src/affinity/README.md). The
// rest of remora only knows the facts below, whatever the kind.
#pragma once

#include <chrono>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "remora/affinity.h"
#include "remora/config.h"
#include "util/text.h"
#include "util/units.h"

namespace remora {

class KeyRing;
class SessionNamer;

/// A parameter of URLs that is or names a session: no part of the path to routes, and masked in logs.
struct UrlSecret {
  config::UrlStyle style;
  std::string name;
  bool operator==(const UrlSecret&) const = default;
};

/// One map of the file while it is read. Each getter reports what it cannot take, with its place; keys that
/// nobody asked for are reported too.
class Settings {
 public:
  virtual ~Settings() = default;
  /// Nothing when the key is absent or null.
  virtual std::optional<std::string> text(const char* key) = 0;
  /// Texts of a list; a single value counts as a list of one.
  virtual std::optional<std::vector<std::string>> texts(const char* key) = 0;
  virtual std::optional<bool> flag(const char* key) = 0;
  virtual std::optional<std::uint32_t> whole_number(const char* key) = 0;
  /// Above 0.
  virtual std::optional<double> number(const char* key) = 0;
  virtual std::optional<std::chrono::milliseconds> duration(const char* key) = 0;
  /// A mistake in the value of a key; with an empty key, in the map as a whole.
  virtual void bad(const char* key, std::string_view what) = 0;

  /// One of a set of words; `out` keeps its default when the key is absent.
  template <class E>
  void choice(const char* key, E& out, std::initializer_list<std::pair<const char*, E>> words) {
    const auto said = text(key);
    if (!said) return;
    const auto on = parse_switch(*said);  // as YAML 1.1 and templates spell it
    std::string all;
    for (const auto& [word, value] : words) {
      if (iequals(*said, word) || (on && (*on ? std::string_view("on") : std::string_view("off")) == word)) {
        out = value;
        return;
      }
      all.append(all.empty() ? "" : " | ").append(word);
    }
    bad(key, "'" + *said + "' is none of " + all);
  }
};

/// The settings of one kind, read. Kinds derive from it.
struct AffinitySettings {
  virtual ~AffinitySettings() = default;
  bool derived = false;                   // only a hash of the request: no token, no table
  bool seals = false;                     // needs `keys`
  bool rejects_unknown = false;           // `on_unknown: reject`
  bool recognises_everyone = false;       // what stands behind it in a list is never asked
  std::string tells_apart;                // two of the kind in one list must differ in this
  std::string own_cookie;                 // a cookie that remora itself sets; empty: none
  bool cookie_is_session = false;         // and that alone says whose session it is
  std::string verifier;                   // of JWTs, by name; empty: none
  std::vector<UrlSecret> url_secrets;     // parameters that carry a session
  std::vector<UrlSecret> own_parameters;  // those of them that remora itself puts on URLs
};

struct AffinityInput {
  const config::Pool& pool;
  const AffinitySettings& settings;  // as this kind's `read` made them
  std::shared_ptr<const KeyRing> keys;
  std::shared_ptr<const SessionNamer> namer;
};

struct AffinityKind {
  std::string_view name;
  std::shared_ptr<const AffinitySettings> (*read)(Settings& settings, std::string_view pool);
  std::shared_ptr<const Affinity> (*make)(const AffinityInput&);
};

}  // namespace remora

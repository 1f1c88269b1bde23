// An affinity kind as a plug-in: its name in the configuration, the reader of its settings, its constructor.
//
// Each kind reads its own settings in its own file, so that adding a kind changes no other kind
// (src/affinity/README.md). The rest of remora knows only the properties below.
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

/// A URL parameter that carries or names a session. Routes do not see it as part of the path, and logs mask
/// it.
struct UrlSecret {
  config::UrlStyle style;
  std::string name;
  bool operator==(const UrlSecret&) const = default;
};

/// One map of the configuration file while it is read. Each getter reports an invalid value with its
/// position. Keys that no getter asked for are reported, too.
class Settings {
 public:
  virtual ~Settings() = default;
  /// Nothing if the key is absent or null.
  virtual std::optional<std::string> text(const char* key) = 0;
  /// A list of texts; a single value counts as a list of one.
  virtual std::optional<std::vector<std::string>> texts(const char* key) = 0;
  /// A list of maps with one key each, as (key, value); a single map counts as a list of one. Other entries
  /// are reported, and have an empty key.
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  virtual std::optional<Pairs> pairs(const char* key) = 0;
  virtual std::optional<bool> flag(const char* key) = 0;
  virtual std::optional<std::uint32_t> whole_number(const char* key) = 0;
  /// Must be above 0.
  virtual std::optional<double> number(const char* key) = 0;
  virtual std::optional<std::chrono::milliseconds> duration(const char* key) = 0;
  /// Reports an invalid value of a key; with an empty key, of the map as a whole.
  virtual void bad(const char* key, std::string_view what) = 0;
  /// Reports an invalid entry of a list.
  virtual void bad_entry(const char* key, std::size_t index, std::string_view what) = 0;

  /// One of a set of words. `out` keeps its default if the key is absent.
  template <class E>
  void choice(const char* key, E& out, std::initializer_list<std::pair<const char*, E>> words) {
    const auto given = text(key);
    if (!given) return;
    const auto on = parse_switch(*given);  // on and off, in any spelling of YAML 1.1 and of templates
    std::string all;
    for (const auto& [word, value] : words) {
      if (iequals(*given, word) || (on && (*on ? std::string_view("on") : std::string_view("off")) == word)) {
        out = value;
        return;
      }
      all.append(all.empty() ? "" : " | ").append(word);
    }
    bad(key, "'" + *given + "' is none of " + all);
  }
};

/// The settings of one kind, as read. Kinds derive from it.
struct AffinitySettings {
  virtual ~AffinitySettings() = default;
  bool derived = false;                   // only a hash of the request: no token, no table
  bool seals = false;                     // needs `keys`
  bool rejects_unknown = false;           // `on_unknown: reject`
  bool recognises_everyone = false;       // kinds behind this one in a list are never asked
  std::string tells_apart;                // two entries of this kind in one list must differ in this text
  std::string own_cookie;                 // name of the cookie that remora itself sets; empty: none
  bool cookie_is_session = false;         // that cookie alone identifies the session
  std::string token_field;                // the header that carries remora's own token; empty: none
  std::string verifier;                   // name of the JWT verifier; empty: none
  std::vector<UrlSecret> url_secrets;     // parameters that carry a session
  std::vector<UrlSecret> own_parameters;  // the ones among them that remora itself puts on URLs
};

struct AffinityInput {
  const config::Pool& pool;
  const AffinitySettings& settings;  // made by this kind's `read`
  std::shared_ptr<const KeyRing> keys;
  std::shared_ptr<const SessionNamer> namer;
};

struct AffinityKind {
  std::string_view name;
  std::shared_ptr<const AffinitySettings> (*read)(Settings& settings, std::string_view pool);
  std::shared_ptr<const Affinity> (*make)(const AffinityInput&);
};

}  // namespace remora

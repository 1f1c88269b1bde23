// The `affinity` section: a kind, a map with `kind:`, or a list of these. Each kind reads its own keys.

#include <algorithm>

#include "config/sections.h"
#include "remora/affinity_kind.h"
#include "util/text.h"

namespace remora::config {

namespace {

/// Gives a kind access to its own map.
class MapSettings final : public Settings {
 public:
  MapSettings(Map& map, const Value& self) : map_(map), self_(self) {}
  std::optional<std::string> text(const char* key) override {
    const auto v = present(key);
    return v ? scalar(*v) : std::nullopt;
  }
  std::optional<std::vector<std::string>> texts(const char* key) override {
    const auto v = present(key);
    if (!v) return std::nullopt;
    std::vector<std::string> out;
    for_each_item(*v, true, [&](const Value& item) {
      if (auto one = scalar(item)) out.push_back(std::move(*one));
    });
    return out;
  }
  std::optional<Pairs> pairs(const char* key) override {
    const auto v = present(key);
    if (!v) return std::nullopt;
    Pairs out;
    for_each_item(*v, true, [&](const Value& item) {
      out.emplace_back();
      if (!item.is_map() || item.node.size() != 1) return item.bad("must be a map with one key");
      Map(item).for_each([&](const std::string& name, const Value& one) {
        if (auto text = scalar(one)) out.back() = {name, std::move(*text)};
      });
    });
    return out;
  }
  std::optional<bool> flag(const char* key) override { return value<bool>(key); }
  std::optional<std::uint32_t> whole_number(const char* key) override { return value<std::uint32_t>(key); }
  std::optional<double> number(const char* key) override {
    return with<double>(key, [](const Value& v, double& out) { read_positive_number(v, out); });
  }
  std::optional<Millis> duration(const char* key) override {
    return with<Millis>(key, [](const Value& v, Millis& out) { read_positive(v, out); });
  }
  void bad(const char* key, std::string_view what) override {
    const auto v = *key != '\0' ? map_.get(key) : std::nullopt;
    (v ? *v : self_).bad(what);
  }
  void bad_entry(const char* key, std::size_t index, std::string_view what) override {
    const auto v = map_.get(key);
    if (!v) return self_.bad(what);
    std::size_t at = 0;
    for_each_item(*v, true, [&](const Value& item) {
      if (at++ == index) item.bad(what);
    });
  }

 private:
  std::optional<Value> present(const char* key) {
    auto v = map_.get(key);
    if (v && v->is_null()) v.reset();
    return v;
  }
  template <class T, class Reader>
  std::optional<T> with(const char* key, Reader reader) {
    const auto v = present(key);
    if (!v) return std::nullopt;
    T out{};
    const std::size_t before = v->errors->count();
    reader(*v, out);
    if (v->errors->count() != before) return std::nullopt;
    return out;
  }
  template <class T>
  std::optional<T> value(const char* key) {
    return with<T>(key, [](const Value& v, T& out) { read_value(v, out); });
  }
  Map& map_;
  const Value& self_;
};

/// Reads a bare kind or a map with `kind:`. Returns nothing if it was invalid (already reported).
std::optional<Affinity> read_kind(const Value& v, std::string_view pool, Kinds kinds) {
  const bool alone = v.node.IsScalar();
  if (!alone && !v.is_map()) {
    v.bad("must be a kind, a map with `kind:`, or a list of them");
    return std::nullopt;
  }
  const YAML::Node node = alone ? v.node : v.node["kind"];
  if (!node || !node.IsScalar()) {
    v.bad("needs `kind:`, a single word");
    return std::nullopt;
  }
  const auto known = std::find_if(kinds.begin(), kinds.end(),
                                  [&](const AffinityKind* k) { return k->name == node.Scalar(); });
  if (known == kinds.end()) {
    std::string all;
    for (const AffinityKind* k : kinds) all.append(all.empty() ? "" : " | ").append(k->name);
    v.bad("'" + node.Scalar() + "' is none of " + all);
    return std::nullopt;
  }
  Map map(Value{alone ? YAML::Node(YAML::NodeType::Map) : v.node, v.key, v.mark, v.errors});
  map.get("kind");
  MapSettings settings(map, v);
  return Affinity{node.Scalar(), (*known)->read(settings, pool)};
}

/// Reports kinds in a list that conflict with each other.
void check_list(const Value& v, const std::vector<Affinity>& list) {
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (list[i].settings->recognises_everyone && i + 1 < list.size())
      v.bad(list[i].kind + " recognizes every client, so the kinds after it are never used; put it last");
    for (std::size_t j = 0; j < i; ++j)
      if (list[i].kind == list[j].kind && list[i].settings->tells_apart == list[j].settings->tells_apart)
        v.bad("the same kind stands in the list twice");
  }
}

}  // namespace

void read_affinity(const Value& v, std::string_view pool, Kinds kinds, std::vector<Affinity>& out) {
  if (v.node.IsScalar() && iequals(v.node.Scalar(), "none")) return;
  if (!v.is_list()) {
    if (auto kind = read_kind(v, pool, kinds)) out.push_back(std::move(*kind));
    return;
  }
  for_each_item(v, false, [&](const Value& item) {
    if (auto kind = read_kind(item, pool, kinds)) out.push_back(std::move(*kind));
  });
  constexpr std::size_t max_kinds = 4;
  if (v.node.size() == 0) v.bad("needs at least one kind, or none");
  if (v.node.size() > max_kinds) v.bad("at most 4 kinds");
  check_list(v, out);
}

/// When a request carries two valid cookies of one name, the later one wins. Without the `__Host-` prefix,
/// any host of the domain can set such a cookie, so a neighboring host could plant its own session in a
/// user's browser (RFC 6265bis 4.1.3.2).
void cookie_warnings(const Config& config, std::vector<std::string>& out) {
  const bool tls = std::any_of(config.listeners.begin(), config.listeners.end(),
                               [](const Listener& l) { return l.tls.has_value(); });
  for (const Pool& pool : config.pools)
    for (const Affinity& a : pool.affinity) {
      const std::string& name = a.settings->own_cookie;
      if (!a.settings->cookie_is_session || name.starts_with("__Host-") || (!tls && !pool.session.state))
        continue;
      out.push_back("pool " + pool.name + ": other hosts of the domain can plant the cookie '" + name +
                    "': where all clients come over TLS, give it `name: __Host-" + name +
                    "` (with path / and no domain)");
    }
}

/// Listeners remove these fields before anybody looks for a token.
void token_field_warnings(const Config& config, std::vector<std::string>& out) {
  const auto strips = [](const std::string& pattern, const std::string& field) {
    if (pattern.ends_with('*'))
      return istarts_with(field, std::string_view(pattern).substr(0, pattern.size() - 1));
    return iequals(field, pattern);
  };
  for (const Pool& pool : config.pools)
    for (const Affinity& a : pool.affinity) {
      const std::string& field = a.settings->token_field;
      if (field.empty()) continue;
      for (const Listener& l : config.listeners)
        if (std::any_of(l.strip_client_headers.begin(), l.strip_client_headers.end(),
                        [&](const std::string& pattern) { return strips(pattern, field); }))
          out.push_back("listener " + l.name + ": strip_client_headers removes '" + field +
                        "', so no client can return a token of pool " + pool.name);
    }
}

}  // namespace remora::config

// `fallback` of a pool: what serves its requests while none of its backends can.

#include <algorithm>

#include "config/sections.h"
#include "remora/affinity_kind.h"
#include "util/files.h"
#include "util/text.h"

namespace remora::config {

namespace {

constexpr std::size_t max_body_bytes = 1024 * 1024;

/// Reads a text, or {file: F}: the content of a file, unchanged.
void read_body(const Value& v, std::string& out) {
  if (v.is_null()) return;
  if (!v.is_map()) return read_value(v, out);
  Map m(v);
  const auto file = m.get("file");
  if (!file) {
    if (v.node.size() == 0) v.bad("is a text or {file: F}");
    return;  // other keys are reported as unknown
  }
  std::string path;
  read_value(*file, path);
  if (path.empty()) return;
  bool missing = false;
  const std::string error = read_file(path, max_body_bytes, out, missing);
  if (missing || !error.empty())
    file->bad("the file '" + path + "' cannot be read: " + (missing ? "it does not exist" : error));
  else if (out.empty())
    file->bad("the file '" + path + "' is empty");
}

/// A value that a header field can carry.
void read_content_type(const Value& v, std::string& out) {
  read_value(v, out);
  const bool printable = std::all_of(out.begin(), out.end(), [](char c) { return c >= ' ' && c < 0x7f; });
  if (out.find('/') == std::string::npos || !printable || out.front() == ' ' || out.back() == ' ')
    v.bad(quoted(v) + " is not a media type (text/html; charset=utf-8)");
}

void read_retry_after(const Value& v, std::uint32_t& out) {
  std::optional<Millis> time;
  read_optional<Millis>(v, time, [](const Value& x, Millis& o) { read_positive(x, o); });
  if (!time) return;
  constexpr Millis longest = hours(24 * 7);
  if (*time > longest) return v.bad("must be at most 7 days");
  out = static_cast<std::uint32_t>((time->count() + 999) / 1000);
}

const Pool* pool_named(const Config& config, const std::string& name) {
  const auto it =
      std::find_if(config.pools.begin(), config.pools.end(), [&](const Pool& p) { return p.name == name; });
  return it == config.pools.end() ? nullptr : &*it;
}

/// The value of pools.NAME.fallback.
Value place_of(const Value& root, const std::string& pool) {
  Value out = root;
  out.key = "pools." + pool + ".fallback";
  const YAML::Node all = root.node["pools"];
  const YAML::Node one = all && all.IsMap() ? all[pool] : YAML::Node();
  if (const YAML::Node node = one && one.IsMap() ? one["fallback"] : YAML::Node()) out.mark = node.Mark();
  return out;
}

/// A URL parameter in which both pools put their tokens; empty: there is none. (Cookies: cross_check().)
std::string shared_parameter(const Pool& a, const Pool& b) {
  for (const Affinity& x : a.affinity)
    for (const Affinity& y : b.affinity)
      for (const UrlSecret& mine : x.settings->own_parameters)
        for (const UrlSecret& other : y.settings->own_parameters)
          if (mine == other) return mine.name;
  return "";
}

}  // namespace

void read_fallback(const Value& v, std::optional<Fallback>& out) {
  if (v.is_null() || is_off(v)) return;
  Fallback f;
  if (v.node.IsScalar()) {
    read_value(v, f.pool);
    if (iequals(f.pool, "none")) return;
    out = f;
    return;
  }
  Map m(v);
  m.read("status", f.status);
  m.read_with("body", f.body, read_body);
  m.read_with("content_type", f.content_type, read_content_type);
  m.read_with("retry_after", f.retry_after, read_retry_after);
  if (f.status < 200 || f.status > 599 || f.status == 204 || f.status == 205 || f.status == 304)
    v.bad("status must be 200 to 599, and one that has a body");
  if (f.body.empty() && !f.content_type.empty())
    refuse_keys(v, {"content_type"}, "does nothing without a `body`");
  out = f;
}

void check_fallbacks(const Value& root, const Config& config) {
  std::vector<std::string> reported;  // pools of circles: each circle is reported once
  for (const Pool& pool : config.pools) {
    if (!pool.fallback || pool.fallback->pool.empty()) continue;
    const Value here = place_of(root, pool.name);
    const Pool* const next = pool_named(config, pool.fallback->pool);
    if (next == nullptr) {
      here.bad("there is no pool '" + pool.fallback->pool + "'");
      continue;
    }
    std::string chain = pool.name;
    std::vector<std::string> passed{pool.name};
    for (const Pool* at = next; at != nullptr;
         at = at->fallback ? pool_named(config, at->fallback->pool) : nullptr) {
      chain += " -> " + at->name;
      const bool seen = std::find(passed.begin(), passed.end(), at->name) != passed.end();
      if (!seen) {
        passed.push_back(at->name);
        if (const std::string shared = shared_parameter(pool, *at); !shared.empty())
          here.bad("pools '" + pool.name + "' and '" + at->name + "' share the URL parameter '" + shared +
                   "': a session of one would replace the other's; give one another affinity.name");
        continue;
      }
      const bool told = std::find(reported.begin(), reported.end(), pool.name) != reported.end();
      if (at->name == pool.name && !told) {
        here.bad("leads back to itself: " + chain);
        reported.insert(reported.end(), passed.begin(), passed.end());
      }
      break;
    }
  }
}

}  // namespace remora::config

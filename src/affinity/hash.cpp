// Affinity by a value that requests contain anyway: a header, a cookie, a parameter of the query, a segment
// of the path. A derived kind: the first source of the list that is there decides, by a hash of its value
// alone. So requests that say the same in different places meet at one backend.

#include <algorithm>
#include <array>

#include "affinity/kinds.h"
#include "affinity/url_token.h"
#include "util/cookies.h"
#include "util/path_chars.h"
#include "util/text.h"

namespace remora {

namespace {

constexpr std::size_t max_sources = 8;
constexpr std::size_t max_value = 1024;  // longer values are not there: hashing costs little, but not nothing
constexpr std::string_view key_segment = "{key}";

struct Source {
  enum class In : std::uint8_t { header, cookie, query, path } in = In::header;
  std::string name;                   // of a header, cookie or parameter
  std::vector<std::string> segments;  // of a path
  std::string label;                  // for explanations; equal labels: the same source
};

struct HashSettings final : AffinitySettings {
  std::vector<Source> sources;
  double bounded_load = 0;
};

// Settings ------------------------------------------------------------------------------------------

/// A segment in the form of request paths that routes see.
std::string normal_segment(std::string_view written) {
  std::string out;
  for (std::size_t i = 0; i < written.size(); ++i) {
    const bool escape = written[i] == '%' && i + 2 < written.size();
    const int high = escape ? hex_value(written[i + 1]) : -1, low = escape ? hex_value(written[i + 2]) : -1;
    const char c = static_cast<char>(high * 16 + low);
    const bool decodes = high >= 0 && low >= 0 && same_when_escaped(c);
    out += decodes ? c : written[i];
    if (decodes) i += 2;
  }
  return out;
}

/// Reads `/rooms/{key}/`. Returns what is wrong with it; empty: nothing.
std::string read_shape(std::string_view path, std::vector<std::string>& out) {
  const auto odd = [](char c) {
    return static_cast<unsigned char>(c) <= ' ' || c == 0x7f || c == '?' || c == '#' || c == ';' || c == '\\';
  };
  if (!path.starts_with('/')) return "must begin with '/'";
  if (std::any_of(path.begin(), path.end(), odd))
    return "must be a path alone, without blanks, ';', '\\' and query";
  int keys = 0;
  for (std::string_view rest = path.substr(1);;) {
    const auto slash = std::min(rest.find('/'), rest.size());
    const std::string segment = normal_segment(rest.substr(0, slash));
    const bool last = slash == rest.size();
    if (segment.empty() && last) break;
    if (segment.empty() || segment == "." || segment == "..")
      return "must not have empty segments, '.' and '..'";
    if (segment == key_segment)
      ++keys;
    else if (segment.find(key_segment) != std::string::npos)
      return "has {key} in a part of a segment: it stands for a whole one";
    out.push_back(segment);
    if (last) break;
    rest.remove_prefix(slash + 1);
  }
  return keys == 1 ? "" : "needs one {key}: the segment to hash";
}

bool is_parameter_name(std::string_view name) noexcept {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) { return is_unreserved(c); });
}

/// Returns what is wrong with an entry of `of`; empty: nothing.
std::string read_source(const std::string& where, const std::string& name, Source& out) {
  using In = Source::In;
  std::string label = name;
  if (where == "header" || where == "cookie") {
    out.in = where == "header" ? In::header : In::cookie;
    if (!is_token(name)) return "'" + name + "' is no name of a cookie or header";
    if (out.in == In::header) label = to_lower(name);
  } else if (where == "query") {
    out.in = In::query;
    if (!is_parameter_name(name))
      return "'" + name + "' is no name for a URL parameter (letters, digits, '-', '_', '.' and '~')";
  } else if (where == "path") {
    out.in = In::path;
    if (const std::string wrong = read_shape(name, out.segments); !wrong.empty())
      return "'" + name + "' " + wrong;
    label.clear();
    for (const std::string& segment : out.segments) label.append("/").append(segment);
  } else {
    return "'" + where + "' is none of header | cookie | query | path";
  }
  out.name = name;
  out.label = where + " " + label;
  return "";
}

std::shared_ptr<const AffinitySettings> read(Settings& settings, std::string_view) {
  auto out = std::make_shared<HashSettings>();
  const auto given = settings.pairs("of");
  if (!given)
    settings.bad("", "needs `of:`, what to hash: [{header: X-Conversation}, {cookie: uid}], say");
  else if (given->empty())
    settings.bad("of", "needs at least one source: {header: X-Conversation}, say");
  else if (given->size() > max_sources)
    settings.bad("of", "at most " + std::to_string(max_sources) + " sources");
  for (std::size_t i = 0; given && i < std::min(given->size(), max_sources); ++i) {
    const auto& [where, name] = (*given)[i];
    if (where.empty()) continue;  // reported
    Source source;
    std::string wrong = read_source(where, name, source);
    const auto same = [&](const Source& other) { return other.label == source.label; };
    if (wrong.empty() && std::any_of(out->sources.begin(), out->sources.end(), same))
      wrong = "the same source stands in the list twice";
    if (!wrong.empty()) {
      settings.bad_entry("of", i, wrong);
      continue;
    }
    out->tells_apart.append(source.label).append("\n");
    out->sources.push_back(std::move(source));
  }
  out->bounded_load = read_bounded_load(settings);
  out->derived = true;
  return out;
}

// Values --------------------------------------------------------------------------------------------

/// Nothing if several fields of the name are there: servers differ in which of them counts.
std::string_view find_header(const RequestView& request, std::string_view name) noexcept {
  std::string_view value;
  for (const Field& f : request.fields) {
    if (!iequals(f.name, name)) continue;
    if (!value.empty()) return {};
    value = f.value;
  }
  if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
    value = value.substr(1, value.size() - 2);
  return value;
}

/// Of several, the first: browsers send the one with the longest path first (RFC 6265 5.4).
std::string_view find_cookie(const RequestView& request, std::string_view name) noexcept {
  std::string_view value;
  for (const Field& f : request.fields) {
    if (f.known != Known::cookie) continue;
    for_each_cookie(f.value, [&](const CookiePair& pair) {
      if (pair.name == name) value = pair.value;
      return value.empty();
    });
    if (!value.empty()) break;
  }
  return value;
}

/// The segment of the path that stands where the shape has {key}, without parameters (`;a=b`).
std::string_view find_segment(std::string_view path, const std::vector<std::string>& shape) noexcept {
  std::string_view key;
  for (const std::string& wanted : shape) {
    if (path.empty()) return {};
    path.remove_prefix(1);  // the slash
    const auto end = std::min(path.find('/'), path.size());
    std::string_view segment = path.substr(0, end);
    segment = segment.substr(0, segment.find(';'));
    path.remove_prefix(end);
    if (wanted == key_segment)
      key = segment;
    else if (segment != wanted)
      return {};
  }
  return key;
}

using Room = std::array<char, max_value>;

/// The value of a query's parameter as apps read it, because clients differ in what they escape. A broken
/// escape stays as it is. REQUIRES: at most max_value characters.
std::string_view decoded(std::string_view value, Room& room) noexcept {
  if (value.find_first_of("%+") == std::string_view::npos) return value;
  std::size_t n = 0;
  for (std::size_t i = 0; i < value.size(); ++i) {
    const bool escape = value[i] == '%' && i + 2 < value.size();
    const int high = escape ? hex_value(value[i + 1]) : -1, low = escape ? hex_value(value[i + 2]) : -1;
    if (high >= 0 && low >= 0) {
      room[n++] = static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      room[n++] = value[i] == '+' ? ' ' : value[i];
    }
  }
  return {room.data(), n};
}

std::string_view find(const RequestView& request, const Source& source, Room& room) noexcept {
  const auto bounded = [](std::string_view v) { return v.size() > max_value ? std::string_view() : v; };
  switch (source.in) {
    case Source::In::header:
      return bounded(find_header(request, source.name));
    case Source::In::cookie:
      return bounded(find_cookie(request, source.name));
    case Source::In::path:
      return bounded(find_segment(request.route_path, source.segments));
    case Source::In::query:
      break;
  }
  const UrlParameter p =
      find_url_parameter(request.target, config::UrlStyle::query, source.name, UrlForm::target);
  return decoded(bounded(p.value), room);
}

class HashAffinity final : public Affinity {
 public:
  explicit HashAffinity(const HashSettings& settings) : settings_(settings) {}

  std::string_view name() const noexcept override { return "hash"; }
  Family family() const noexcept override { return Family::derived; }

  Hint identify(const RequestView& request, CryptoScratch&, Clock::Wall) const override {
    Room room;
    for (const Source& source : settings_.sources)
      if (const std::string_view value = find(request, source, room); !value.empty())
        return HashOn{hash_text(value), settings_.bounded_load, source.label};
    return NoHint{};
  }

 private:
  const HashSettings settings_;
};

std::shared_ptr<const Affinity> make(const AffinityInput& in) {
  return std::make_shared<HashAffinity>(static_cast<const HashSettings&>(in.settings));
}

}  // namespace

extern const AffinityKind hash_affinity{"hash", read, make};

}  // namespace remora

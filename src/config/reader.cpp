#include "config/reader.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <tuple>

#include "config/address_text.h"
#include "config/shown.h"
#include "config/substitute.h"
#include "util/secrets.h"
#include "util/text.h"
#include "util/units.h"

namespace remora::config {

// Diagnostics ---------------------------------------------------------------------------------------

void Diagnostics::add(const YAML::Mark& mark, std::string_view key, std::string_view what) {
  Error e{mark.line + 1, mark.column + 1, errors_.size(), {}};  // yaml-cpp counts from 0
  if (!key.empty()) e.text.append(without_credentials(key)).append(": ");
  e.text.append(what);
  errors_.push_back(std::move(e));
}

void Diagnostics::note_secret_file(const std::string& path) {
  if (std::find(secret_files_.begin(), secret_files_.end(), path) == secret_files_.end())
    secret_files_.push_back(path);
}

std::vector<std::string> Diagnostics::lines() const {
  auto sorted = errors_;
  std::sort(sorted.begin(), sorted.end(), [](const Error& a, const Error& b) {
    return std::tie(a.line, a.column, a.order) < std::tie(b.line, b.column, b.order);
  });
  std::vector<std::string> out;
  for (const Error& e : sorted)
    out.push_back(file_ + ":" + std::to_string(e.line) + ":" + std::to_string(e.column) + ": " + e.text);
  return out;
}

// Map -----------------------------------------------------------------------------------------------

Map::Map(const Value& value) : self_(value) {
  if (value.node.IsNull()) return;
  if (!value.node.IsMap()) {
    value.bad("must be a map of keys");
    return;
  }
  std::set<std::string> seen;
  for (const auto& pair : value.node) {
    if (!pair.first.IsScalar()) {
      value.errors->add(pair.first.Mark(), value.key,
                        pair.first.IsMap()
                            ? "a key must be plain text (a template's braces? This file is read as it is, "
                              "only ${NAME} is replaced)"
                            : "a key must be plain text (an IPv6 address? Quote it: \"[::1]:80\")");
      continue;
    }
    Entry e;
    e.key = pair.first.Scalar();
    e.value.node = pair.second;
    e.value.key = value.key.empty() ? e.key : value.key + "." + e.key;
    e.value.mark =
        pair.second.IsNull() || pair.second.Mark().is_null() ? pair.first.Mark() : pair.second.Mark();
    e.value.errors = value.errors;
    if (!seen.insert(e.key).second) {  // yaml-cpp silently keeps both
      value.errors->add(pair.first.Mark(), e.value.key, "is given twice");
      continue;
    }
    entries_.push_back(std::move(e));
    key_marks_.push_back(pair.first.Mark());  // for unknown keys: point at the key, not at its value
  }
}

Map::~Map() {
  if (free_names_) return;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i].taken) continue;
    const std::string& key = entries_[i].key;
    std::string what = "unknown key";
    std::size_t best = std::max<std::size_t>(2, key.size() / 3) + 1;
    std::string nearest;
    for (const auto& known : known_)
      if (const std::size_t d = edit_distance(key, known); d < best) {
        best = d;
        nearest = known;
      }
    if (!nearest.empty())
      what += " (did you mean '" + nearest + "'?)";
    else if (self_.key.empty())
      what += " (keys that begin with `x-` are ignored: anchors can stand there)";
    self_.errors->add(key_marks_[i], entries_[i].value.key, what);
  }
}

std::optional<Value> Map::get(const char* key) {
  known_.insert(key);
  for (Entry& e : entries_) {
    if (e.key != key) continue;
    e.taken = true;
    return e.value;
  }
  return std::nullopt;
}

void Map::for_each(const std::function<void(const std::string&, const Value&)>& f) {
  free_names_ = true;
  for (Entry& e : entries_) f(e.key, e.value);
}

// Scalars -------------------------------------------------------------------------------------------

namespace {

const char* variable(const std::string& name) {
  return std::getenv(name.c_str());
}

template <class T>
void read_integer(const Value& v, T& out) {
  const auto text = scalar(v);
  if (!text) return;
  const auto n = parse_decimal(*text);
  if (!n)
    v.bad(quoted(v) + " is not a whole number");
  else if (*n > std::numeric_limits<T>::max())
    v.bad(quoted(v) + " is too large");
  else
    out = static_cast<T>(*n);
}

}  // namespace

std::string quoted(const Value& v) {
  return shown_value(v.key, v.node.IsScalar() ? v.node.Scalar() : "");
}

std::optional<std::string> scalar(const Value& v) {
  if (!v.node.IsScalar()) {
    v.bad(v.node.IsNull() ? "needs a value" : "must be a single value");
    return std::nullopt;
  }
  std::string error;
  auto text = substitute(v.node.Scalar(), variable, error);
  if (!text) v.bad(error);
  return text;
}

bool is_off(const Value& v) {
  if (!v.node.IsScalar()) return false;
  std::string ignored;
  const auto text = substitute(v.node.Scalar(), variable, ignored);
  return text && parse_switch(*text) == false;
}

const char* word_of_switch(std::string_view text) noexcept {
  const auto on = parse_switch(text);
  return on ? (*on ? "on" : "off") : "";
}

void read_value(const Value& v, std::string& out) {
  if (auto text = scalar(v)) out = std::move(*text);
}

void read_value(const Value& v, bool& out) {
  const auto text = scalar(v);
  if (!text) return;
  if (const auto on = parse_switch(*text))
    out = *on;
  else
    v.bad(quoted(v) + " is neither on nor off");
}

void read_value(const Value& v, std::uint16_t& out) {
  read_integer(v, out);
}
void read_value(const Value& v, std::uint32_t& out) {
  read_integer(v, out);
}

void read_value(const Value& v, Millis& out) {
  const auto text = scalar(v);
  if (!text) return;
  if (const auto d = parse_duration(*text))
    out = *d;
  else
    v.bad(quoted(v) + " is not a duration (250ms, 10s, 5m, 12h, 7d)");
}

void read_positive(const Value& v, Millis& out) {
  Millis d = out;
  read_value(v, d);
  if (d <= Millis(0))
    v.bad("must be more than zero");
  else
    out = d;
}

void read_size(const Value& v, std::size_t& out) {
  const auto text = scalar(v);
  if (!text) return;
  if (const auto n = parse_size(*text))
    out = *n;
  else
    v.bad(quoted(v) + " is not a size (512B, 16KiB, 1MiB)");
}

void read_address(const Value& v, Address& out) {
  if (v.is_list()) return v.bad("must be one address; quote one of IPv6: \"[::]:8080\"");
  auto text = scalar(v);
  if (!text) return;
  // No hint for a value from a variable: the hint would reveal the value.
  const std::string& raw = v.node.Scalar();
  const std::string better = raw.empty() || raw.find("${") != std::string::npos ? "" : address_hint(raw);
  const auto wrong = [&](std::string_view hint) {
    v.bad(quoted(v) + " is not an address (host:port, [v6]:port, unix:/path)" +
          (hint.empty() ? better : std::string(hint)));
  };
  text = plain_address(*text);
  if (text->rfind("unix:", 0) == 0) {
    if (text->size() < 7 || (*text)[5] != '/') return wrong("; a unix socket needs an absolute path");
    if (text->size() > 5 + 107) return wrong("; the path is too long for a unix socket (107 characters)");
    out = {Address::Kind::unix_path, text->substr(5), 0};
    return;
  }
  const auto colon = text->rfind(':');
  if (colon == std::string::npos || colon == 0) return wrong("");
  std::string host = text->substr(0, colon);
  if (host.front() == '[') {
    if (host.back() != ']') return wrong("");
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string::npos) {
    return wrong("");
  }
  const auto port = parse_decimal(text->substr(colon + 1));
  if (!port || *port > 65535) return wrong(better.empty() ? "; the port must be 0 to 65535" : "");
  for (const char c : host)
    if (c == '*' || !(is_token_char(c) || c == ':')) return wrong("");
  out = {Address::Kind::tcp, to_lower(host), static_cast<std::uint16_t>(*port)};
}

void read_percent(const Value& v, double& out) {
  const auto text = scalar(v);
  if (!text) return;
  if (const auto share = parse_share(*text))
    out = *share;
  else
    v.bad(quoted(v) + " is not a percentage (0% to 100%)");
}

void read_positive_number(const Value& v, double& out) {
  const auto text = scalar(v);
  if (!text) return;
  char* end = nullptr;
  const double n = std::strtod(text->c_str(), &end);
  if (text->empty() || *end != '\0' || !(n > 0) || n > 1e6)
    v.bad(quoted(v) + " is not a number above 0");
  else
    out = n;
}

void read_secret(const Value& v, std::string& out) {
  if (!v.is_map()) {
    v.bad("a secret is given as {file: F} or {env: NAME}");
    return;
  }
  Map map(v);
  const auto file = map.get("file"), env = map.get("env");
  if (file.has_value() == env.has_value()) {
    v.bad("a secret is given as {file: F} or {env: NAME}");
    return;
  }
  if (env) {
    const auto name = scalar(*env);
    if (!name) return;
    const char* value = std::getenv(name->c_str());
    if (value == nullptr || *value == '\0')
      env->bad("the environment has no '" + *name + "'");
    else
      out = value;
    return;
  }
  const auto path = scalar(*file);
  if (!path) return;
  v.errors->note_secret_file(*path);
  std::ifstream in(*path, std::ios::binary);
  std::string content(std::istreambuf_iterator<char>(in), {});
  if (!in.is_open() || in.bad()) {
    file->bad("the file '" + *path + "' cannot be read");
    return;
  }
  while (!content.empty() && (content.back() == '\n' || content.back() == '\r')) content.pop_back();
  if (content.empty())
    file->bad("the file '" + *path + "' is empty");
  else
    out = std::move(content);
}

void for_each_item(const Value& v, bool alone, const std::function<void(const Value&)>& f) {
  if (v.is_list()) {
    std::size_t i = 0;
    for (const auto& node : v.node) {
      Value item{node, v.key + "[" + std::to_string(i++) + "]", node.Mark().is_null() ? v.mark : node.Mark(),
                 v.errors};
      f(item);
    }
    return;
  }
  if (alone && !v.is_null())
    f(v);
  else if (!v.is_null())
    v.bad("must be a list");
}

}  // namespace remora::config

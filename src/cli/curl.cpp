#include "cli/curl.h"

#include <algorithm>
#include <stdexcept>

#include "cli/curl_options.h"
#include "util/text.h"

namespace remora {

namespace {

/// Resolves `.` and `..` like curl does before it sends a path.
std::string without_dots(std::string_view target) {
  const std::string_view query = target.substr(std::min(target.find('?'), target.size()));
  std::string_view path = target.substr(0, target.size() - query.size());
  std::vector<std::string_view> kept;
  bool folder = false;
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    const auto end = std::min(path.find('/'), path.size());
    const std::string_view segment = path.substr(0, end);
    path.remove_prefix(end);
    folder = segment == "." || segment == "..";
    if (segment == ".." && !kept.empty()) kept.pop_back();
    if (!folder) kept.push_back(segment);
  }
  std::string out;
  for (const std::string_view segment : kept) out.append("/").append(segment);
  if (folder || out.empty()) out += '/';
  return out.append(query);
}

class Reader {
 public:
  explicit Reader(const CurlWorld& world) : world_(world) {}

  CurlRequest read(const std::vector<std::string>& words) {
    bool only_urls = false;
    for (std::size_t i = 0; i < words.size(); ++i) {
      const std::string& word = words[i];
      if (i == 0 && word == "curl") continue;
      if (only_urls || word.size() < 2 || word.front() != '-')
        take_url(word);
      else if (word == "--")
        only_urls = true;
      else if (word.starts_with("--"))
        take_long(words, i);
      else
        take_letters(words, i);
    }
    if (!has_url_) throw std::invalid_argument("a URL or a path is missing");
    return finish();
  }

 private:
  [[noreturn]] static void not_understood(const std::string& word) {
    throw std::invalid_argument(
        "'" + word + "' is not understood; curl's options are, if they say something about the request");
  }
  static const std::string& value_after(const std::vector<std::string>& words, std::size_t& i,
                                        const std::string& option) {
    if (++i >= words.size()) throw std::invalid_argument(option + " wants a value");
    return words[i];
  }
  void take_long(const std::vector<std::string>& words, std::size_t& i) {
    const std::string& word = words[i];
    const auto equals = word.find('=');
    const std::string name = word.substr(2, equals == std::string::npos ? equals : equals - 2);
    const auto option = long_curl_option(name);
    if (!option) not_understood(word);
    if (!takes_value(*option)) return apply(*option, "", word);
    apply(*option, equals == std::string::npos ? value_after(words, i, word) : word.substr(equals + 1),
          "--" + name);
  }
  /// Grouped short options: -sSI, -XPOST, -b jar.
  void take_letters(const std::vector<std::string>& words, std::size_t& i) {
    const std::string& word = words[i];
    for (std::size_t k = 1; k < word.size(); ++k) {
      const auto option = short_curl_option(word[k]);
      const std::string name = std::string("-") + word[k];
      if (!option) not_understood(word);
      if (!takes_value(*option)) {
        apply(*option, "", name);
        continue;
      }
      return apply(*option, k + 1 < word.size() ? word.substr(k + 1) : value_after(words, i, name), name);
    }
  }
  void apply(CurlOption option, const std::string& value, const std::string& name) {
    switch (option) {
      case CurlOption::flag:
      case CurlOption::ignored:
        break;
      case CurlOption::method:
        method_ = value;
        break;
      case CurlOption::header:
        take_header(value, name);
        break;
      case CurlOption::cookie:
        cookies_.push_back(value);
        break;
      case CurlOption::agent:
        set("User-Agent", value);
        break;
      case CurlOption::referer:
        set("Referer", value.substr(0, value.find(";auto")));
        break;
      case CurlOption::user:
        set("Authorization", "Basic " + base64_encode(value));
        break;
      case CurlOption::bearer:
        set("Authorization", "Bearer " + value);
        break;
      case CurlOption::range:
        set("Range", "bytes=" + value);
        break;
      case CurlOption::resume:
        set("Range", "bytes=" + (value == "-" ? "0" : value) + "-");
        break;
      case CurlOption::head:
        implied_ = "HEAD";
        break;
      case CurlOption::get:
        get_ = true;
        break;
      case CurlOption::data:
        data_.push_back(value), type_ = "application/x-www-form-urlencoded";
        break;
      case CurlOption::encoded:
        data_.push_back(encoded(value)), type_ = "application/x-www-form-urlencoded";
        break;
      case CurlOption::json:
        data_.push_back(value), type_ = "application/json";
        break;
      case CurlOption::form:
        implied_ = "POST", type_ = "multipart/form-data";
        break;
      case CurlOption::upload:
        implied_ = "PUT";
        break;
      case CurlOption::url:
        take_url(value);
        break;
      case CurlOption::query:
        extra_query_.append(extra_query_.empty() ? "" : "&").append(encoded(value));
        break;
      case CurlOption::target:
        target_ = value;
        break;
      case CurlOption::as_is:
        as_is_ = true;
        break;
    }
  }
  /// Argument of --data-urlencode: content, =content, name=content.
  static std::string encoded(const std::string& text) {
    const auto equals = text.find('=');
    if (equals == std::string::npos) return percent_encoded(text);
    return (equals == 0 ? "" : text.substr(0, equals + 1)) + percent_encoded(text.substr(equals + 1));
  }
  void set(std::string_view name, std::string value) {
    for (auto& [known_name, known_value] : out_.headers)
      if (iequals(known_name, name)) {
        known_value = std::move(value);
        return;
      }
    out_.headers.emplace_back(name, std::move(value));
  }
  const std::string* find(std::string_view name) const {
    for (const auto& [known_name, value] : out_.headers)
      if (iequals(known_name, name)) return &value;
    return nullptr;
  }
  void take_header(const std::string& line, const std::string& option) {
    if (line.starts_with('@')) {
      const auto file = world_.read_file(line.substr(1));
      if (!file) throw std::invalid_argument("the file '" + line.substr(1) + "' cannot be read");
      for (std::string_view rest = *file; !rest.empty();) {
        const auto end = std::min(rest.find('\n'), rest.size());
        std::string_view one = rest.substr(0, end);
        if (one.ends_with('\r')) one.remove_suffix(1);
        if (!one.empty()) take_one(one, option);
        rest.remove_prefix(std::min(end + 1, rest.size()));
      }
      return;
    }
    take_one(line, option);
  }
  void take_one(std::string_view line, const std::string& option) {
    const auto colon = line.find(':');
    if (colon == std::string_view::npos && line.size() > 1 && line.ends_with(';'))
      return set(line.substr(0, line.size() - 1), "");
    if (colon == std::string_view::npos || colon == 0)
      throw std::invalid_argument(option + " wants 'Name: value', not '" + std::string(line) + "'");
    const std::string_view name = line.substr(0, colon), value = trim(line.substr(colon + 1));
    if (value.empty()) return;  // curl omits a field without a value
    if (iequals(name, "cookie")) {
      if (find(name) != nullptr) return set(name, *find(name) + "; " + std::string(value));
    } else if (const std::string* before = find(name); before != nullptr && !iequals(name, "host")) {
      return set(name, *before + ", " + std::string(value));
    }
    set(name, std::string(value));
  }

  /// Accepts scheme://user@host:port/path?query, host:port/path (curl assumes http), or a bare path.
  void take_url(const std::string& word) {
    if (has_url_) throw std::invalid_argument("one URL, not also '" + word + "'");
    has_url_ = true;
    std::string_view url = word;
    if (url.starts_with('/') || url.starts_with('?')) {
      url = url.substr(0, url.find('#'));
      out_.target = (url.starts_with('?') ? "/" : "") + std::string(url);
      return;
    }
    std::string_view scheme = "http";
    if (const auto end = url.find("://"); end != std::string_view::npos && end < url.find_first_of("/?#")) {
      scheme = url.substr(0, end);
      url.remove_prefix(end + 3);
    }
    out_.secure = iequals(scheme, "https") || iequals(scheme, "wss");
    if (!*out_.secure && !iequals(scheme, "http") && !iequals(scheme, "ws"))
      throw std::invalid_argument("a URL of http or https, or a path, is wanted");
    url = url.substr(0, url.find('#'));
    std::string_view authority = url.substr(0, url.find_first_of("/?"));
    url.remove_prefix(authority.size());
    if (const auto at = authority.rfind('@'); at != std::string_view::npos) {
      set("Authorization", "Basic " + base64_encode(percent_decoded(authority.substr(0, at))));
      authority.remove_prefix(at + 1);
    }
    host_ = authority.starts_with(':') ? "localhost" + std::string(authority) : std::string(authority);
    const std::string_view preset = *out_.secure ? ":443" : ":80";  // curl omits the default port
    if (host_.ends_with(preset)) host_.erase(host_.size() - preset.size());
    out_.target = (url.starts_with('/') ? "" : "/") + std::string(url);
  }

  void add_query(const std::string& more) {
    if (more.empty()) return;
    out_.target += out_.target.find('?') == std::string::npos ? "?" : "&";
    out_.target += more;
  }

  void add_cookies() {
    std::string_view host = host_;
    if (const std::string* field = find("Host")) host = *field;  // curl matches cookies against it
    host = host.substr(0, host.starts_with('[') ? std::min(host.find(']') + 1, host.size()) : host.find(':'));
    std::string all;
    for (const std::string& option : cookies_) {
      std::string pairs = option;
      if (option.find('=') == std::string::npos) {
        const auto jar = world_.read_file(option);  // curl treats a missing jar as empty
        pairs = jar ? cookies_of_jar(*jar, host, out_.target, out_.secure.value_or(true), world_.now) : "";
      }
      if (!pairs.empty()) all.append(all.empty() ? "" : "; ").append(pairs);
    }
    if (all.empty()) return;
    const std::string* field = find("Cookie");
    set("Cookie", field != nullptr ? *field + "; " + all : all);
  }

  CurlRequest finish() {
    if (!as_is_) out_.target = without_dots(out_.target);
    add_query(extra_query_);
    if (get_) {
      for (const std::string& data : data_) add_query(data);
    } else if (!data_.empty()) {
      if (implied_.empty()) implied_ = "POST";
    }
    if (!get_ && !type_.empty() && find("Content-Type") == nullptr) set("Content-Type", type_);
    out_.method = method_.empty() ? implied_ : method_;
    add_cookies();
    if (!target_.empty()) out_.target = target_;
    if (!host_.empty() && find("Host") == nullptr) set("Host", host_);
    return std::move(out_);
  }

  const CurlWorld& world_;
  CurlRequest out_;
  std::string method_, implied_, type_, host_, target_, extra_query_;
  std::vector<std::string> data_, cookies_;
  bool has_url_ = false, get_ = false, as_is_ = false;
};

}  // namespace

CurlRequest read_curl(std::vector<std::string> words, const CurlWorld& world) {
  if (words.size() == 1 && trim(words.front()).starts_with("curl "))
    words = split_like_a_shell(words.front());
  return Reader(world).read(words);
}

}  // namespace remora

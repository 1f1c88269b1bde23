#include "cli/explain_request.h"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <optional>
#include <stdexcept>

#include "util/text.h"

namespace remora {

namespace json = boost::json;

namespace {

/// scheme://host/path?query, or a path alone.
void put_url(std::string_view url, json::object& out, json::object& headers) {
  const auto scheme = url.find("://");
  if (scheme != std::string_view::npos) {
    const std::string_view name = url.substr(0, scheme);
    if (name != "http" && name != "https")
      throw std::invalid_argument("a URL of http or https, or a path, is wanted");
    out["secure"] = name == "https";
    url.remove_prefix(scheme + 3);
    const auto slash = url.find_first_of("/?#");
    headers["Host"] = url.substr(0, slash);
    url = slash == std::string_view::npos ? std::string_view() : url.substr(slash);
  }
  url = url.substr(0, url.find('#'));
  out["target"] = url.empty() ? "/" : url.front() == '/' ? std::string(url) : "/" + std::string(url);
}

void put_header(std::string_view line, json::object& headers) {
  const auto colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0)
    throw std::invalid_argument("-H wants 'Name: value', not '" + std::string(line) + "'");
  headers[line.substr(0, colon)] = trim(line.substr(colon + 1));
}

/// The text between the n-th pair of double quotes, with \" undone.
std::optional<std::string> quoted(std::string_view line, int n) {
  std::string text;
  bool inside = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\\' && inside && i + 1 < line.size()) {
      text += line[++i];
    } else if (line[i] == '"') {
      if (inside && n-- == 0) return text;
      inside = !inside;
      text.clear();
    } else if (inside) {
      text += line[i];
    }
  }
  return std::nullopt;
}

}  // namespace

json::object explain_from_curl(const std::vector<std::string>& words) {
  json::object out, headers;
  bool target = false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const auto value = [&]() -> const std::string& {
      if (++i >= words.size()) throw std::invalid_argument(word + " wants a value");
      return words[i];
    };
    if (i == 0 && word == "curl") continue;
    if (word == "-X" || word == "--request")
      out["method"] = value();
    else if (word == "-H" || word == "--header")
      put_header(value(), headers);
    else if (word == "-b" || word == "--cookie")
      headers["Cookie"] = value();
    else if (word == "-A" || word == "--user-agent")
      headers["User-Agent"] = value();
    else if (word == "-I" || word == "--head")
      out["method"] = "HEAD";
    else if (word == "-d" || word == "--data" || word == "--data-raw")
      value(), out.emplace("method", "POST");
    else if (word == "-s" || word == "-i" || word == "-v" || word == "-k" || word == "-L" ||
             word == "--compressed")
      continue;
    else if (word.size() > 1 && word.front() == '-')
      throw std::invalid_argument("'" + word + "' is not understood; -X, -H, -b, -A, -I, -d and a URL are");
    else if (target)
      throw std::invalid_argument("one URL, not also '" + word + "'");
    else
      put_url(word, out, headers), target = true;
  }
  if (!target) throw std::invalid_argument("a URL or a path is missing");
  out["headers"] = std::move(headers);
  return out;
}

json::object explain_from_log(const std::string& line) {
  json::object out, headers;
  const auto first = line.find_first_not_of(" \t");
  if (first != std::string::npos && line[first] == '{') {
    boost::system::error_code ec;
    const json::value parsed = json::parse(line, ec);
    if (ec || !parsed.is_object()) throw std::invalid_argument("this is no line of the JSON access log");
    const auto text = [&](const char* key) -> std::string {
      const json::value* v = parsed.get_object().if_contains(key);
      return v != nullptr && v->is_string() ? std::string(v->get_string()) : std::string();
    };
    if (text("target").empty()) throw std::invalid_argument("this line of the access log names no target");
    out["target"] = text("target");
    if (!text("method").empty()) out["method"] = text("method");
    if (!text("client").empty()) out["client"] = text("client");
    if (!text("host").empty()) headers["Host"] = text("host");
  } else {
    const auto request = quoted(line, 0);
    const auto space = request ? request->find(' ') : std::string::npos;
    const auto last = request ? request->rfind(' ') : std::string::npos;
    if (space == std::string::npos || last == space)
      throw std::invalid_argument("this is no line of the access log: \"METHOD TARGET HTTP/1.1\" is missing");
    out["method"] = request->substr(0, space);
    out["target"] = request->substr(space + 1, last - space - 1);
    out["client"] = line.substr(0, line.find(' '));
    if (const auto host = line.find(" host="); host != std::string::npos)
      headers["Host"] = quoted(std::string_view(line).substr(host), 0).value_or("");
  }
  out["headers"] = std::move(headers);
  return out;
}

}  // namespace remora

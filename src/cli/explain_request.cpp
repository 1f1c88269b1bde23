#include "cli/explain_request.h"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>

#include "cli/curl.h"
#include "util/json_members.h"

namespace remora {

namespace json = boost::json;

namespace {

std::optional<std::string> read_small_file(const std::string& path) {
  constexpr std::streamsize max_bytes = 1024 * 1024;
  std::error_code ec;
  if (!std::filesystem::is_regular_file(path, ec)) return std::nullopt;
  std::ifstream in(path, std::ios::binary);
  if (!in.is_open()) return std::nullopt;
  std::string text(static_cast<std::size_t>(max_bytes), '\0');
  in.read(text.data(), max_bytes);
  text.resize(static_cast<std::size_t>(in.gcount()));
  return text;
}

/// The text inside the n-th pair of double quotes, with \" unescaped.
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
  const CurlWorld world{read_small_file, std::time(nullptr)};
  const CurlRequest request = read_curl(words, world);
  json::object out, headers;
  for (const auto& [name, value] : request.headers) headers[name] = value;
  if (!request.method.empty()) out["method"] = request.method;
  if (request.secure) out["secure"] = *request.secure;
  out["target"] = request.target;
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
    const auto text = [&](const char* key) { return json_text(parsed.get_object(), key); };
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

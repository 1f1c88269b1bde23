// Lines of the access log from hostile texts: each is one line, and says again what went in.

#include <boost/json/parse.hpp>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "observe/access_log.h"
#include "util/text.h"

using namespace remora;

namespace {

void require(bool what) {
  if (!what) std::abort();
}

/// JSON as we write it stands for bytes, one character each.
std::string bytes_of(const boost::json::value& v) {
  const std::string_view text = v.as_string();
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x80) {
      out += text[i];
    } else {
      require(i + 1 < text.size() && (c == 0xc2 || c == 0xc3));
      out += static_cast<char>(((c & 3) << 6) | (static_cast<unsigned char>(text[++i]) & 0x3f));
    }
  }
  return out;
}

/// Takes a quoted text off the front.
std::string unquoted(std::string_view& line) {
  require(!line.empty() && line.front() == '"');
  line.remove_prefix(1);
  std::string out;
  for (;;) {
    require(!line.empty());
    if (line.front() == '"') break;
    if (line.front() == '\\' && line.size() > 3 && line[1] == 'x') {
      out += static_cast<char>(hex_value(line[2]) << 4 | hex_value(line[3]));
      line.remove_prefix(4);
      continue;
    }
    if (line.front() == '\\') line.remove_prefix(1);
    require(!line.empty());
    out += line.front();
    line.remove_prefix(1);
  }
  line.remove_prefix(1);
  return out;
}

void skip(std::string_view& line, std::string_view text) {
  require(line.substr(0, text.size()) == text);
  line.remove_prefix(text.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  const auto take = [&] {
    const std::string_view part = rest.substr(0, rest.find('|'));
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    return part;
  };
  AccessEntry e;
  e.method = "GET";  // a token: the parser sees to it
  e.target = take();
  e.host = take();
  e.referer = take();
  e.user_agent = take();
  e.request_id = take();
  e.pool = "app";
  e.backend = "app1";
  const auto or_dash = [](std::string_view s) { return s.empty() ? std::string("-") : std::string(s); };

  std::string line;
  format_combined(e, "01/Jan/2026:00:00:00 +0000", line);
  for (const char c : line.substr(0, line.size() - 1)) require(c >= ' ' && c < 0x7f);
  require(line.back() == '\n');
  std::string_view left(line);
  skip(left, left.substr(0, left.find('"')));
  require(unquoted(left) == "GET " + std::string(e.target) + " HTTP/1.1");
  skip(left, " 0 0 ");
  require(unquoted(left) == or_dash(e.referer));
  skip(left, " ");
  require(unquoted(left) == or_dash(e.user_agent));
  skip(left, " host=");
  require(unquoted(left) == or_dash(e.host));
  skip(left, " id=");
  // What follows the id is ours: it cannot say that another backend served the request.
  require(left.find(" pool=app backend=app1 affinity=") != std::string_view::npos);
  std::size_t words = 0;
  for (std::size_t at = left.find(" backend="); at != std::string_view::npos;
       at = left.find(" backend=", at + 1))
    ++words;
  require(words == 1 || left.front() == '"');

  std::string json;
  format_json(e, json);
  require(json.find('\n') == json.size() - 1);
  boost::system::error_code ec;
  const auto parsed = boost::json::parse(json, ec);
  require(!ec && parsed.is_object());
  const auto& o = parsed.get_object();
  require(bytes_of(o.at("target")) == e.target && bytes_of(o.at("host")) == e.host);
  require(bytes_of(o.at("referer")) == e.referer && bytes_of(o.at("user_agent")) == e.user_agent);
  require(bytes_of(o.at("id")) == e.request_id);
  return 0;
}

#include "config/loader.h"

#include <openssl/evp.h>
#include <yaml-cpp/eventhandler.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>

#include "config/merge.h"
#include "config/sections.h"
#include "config/shown.h"
#include "config/syntax.h"
#include "net/address.h"
#include "util/text.h"

namespace remora::config {

namespace {

constexpr std::size_t max_file_bytes = 4 * 1024 * 1024;

void read_log(const Value& v, Log& out) {
  Map m(v);
  m.read_with("level", out.level, [](const Value& x, LogLevel& o) {
    read_choice(x, o,
                {{"trace", LogLevel::trace},
                 {"debug", LogLevel::debug},
                 {"info", LogLevel::info},
                 {"warn", LogLevel::warn},
                 {"error", LogLevel::error}});
  });
  m.read_with("format", out.format, [](const Value& x, LogFormat& o) {
    read_choice(x, o, {{"text", LogFormat::text}, {"json", LogFormat::json}});
  });
  m.read("output", out.output);
  const auto access = m.get("access");
  if (!access) return;
  const auto format = [](const Value& x, AccessFormat& o) {
    read_choice(
        x, o,
        {{"combined", AccessFormat::combined}, {"json", AccessFormat::json}, {"off", AccessFormat::off}});
  };
  if (access->node.IsScalar()) return format(*access, out.access_format);
  Map a(*access);
  a.read_with("format", out.access_format, format);
  if (const auto output = a.get("output")) {
    read_value(*output, out.access_output);
    if (out.access_format == AccessFormat::off) output->bad("does nothing with `format: off`");
  }
}

/// A Unix socket or a loopback address: unreachable from other machines.
bool is_local(const Address& at) {
  return at.kind == Address::Kind::unix_path || is_loopback(at.host);
}

void read_admin(const Value& v, Admin& out) {
  const auto bind = [](const Value& x, std::optional<Address>& o) {
    if (is_off(x)) {
      o.reset();
      return;
    }
    Address a;
    read_address(x, a);
    o = a;
  };
  if (v.node.IsScalar()) return bind(v, out.bind);
  Map m(v);
  m.read_with("bind", out.bind, bind);
  read_socket_access(m, out.bind.value_or(Address{}), out.access);
  m.read_with("token", out.token, [](const Value& x, std::string& o) {
    if (!x.is_null()) read_secret(x, o);
  });
  m.read("read_only", out.read_only);
  if (!out.bind) refuse_keys(v, {"token", "read_only"}, "does nothing with `bind: off`");
  if (out.bind && !is_local(*out.bind) && out.token.empty())
    v.bad("bind is neither loopback nor a unix socket, so a token is required (admin.token: {file: F})");
}

void read_keys(const Value& v, std::vector<std::string>& out) {
  for_each_item(v, true, [&](const Value& item) {
    std::string text;
    read_secret(item, text);
    if (text.empty()) return;
    auto key = base64_decode(text);
    if (!key || key->size() != 32)
      item.bad("must be 32 bytes in base64; `remora keygen` prints one");
    else
      out.push_back(std::move(*key));
  });
}

void read_session_api(const Value& v, std::optional<SessionApi>& out) {
  if (is_off(v)) return;
  SessionApi api;
  if (v.node.IsScalar()) {
    read_address(v, api.bind);
  } else {
    Map m(v);
    if (const auto tls = m.get("tls"); tls && !tls->is_null())
      tls->bad("the session API never leaves this machine (unix socket or loopback), so it has no TLS");
    if (const auto bind = m.get("bind"))
      read_address(*bind, api.bind);
    else
      v.bad("needs `bind: unix:/path`, or a loopback address");
    read_socket_access(m, api.bind, api.access);
    m.read_with("token", api.token, read_secret);
  }
  const bool unix_socket = api.bind.kind == Address::Kind::unix_path;
  if (!api.bind.host.empty() && !is_local(api.bind))
    v.bad("it hands out sessions: bind it to a unix socket or loopback");
  else if (!api.bind.host.empty() && !unix_socket && api.token.empty())
    v.bad("every local user could connect: set a token ({file: F}), or bind it to a unix socket");
  out = api;
}

void read_dns_servers(const Value& v, std::vector<std::string>& out) {
  for_each_item(v, true, [&](const Value& item) {
    const auto text = scalar(item);
    if (!text) return;
    std::string_view host = *text;
    std::string_view port = "53";
    if (!parse_ip(host)) {
      const auto colon = host.rfind(':');
      port = colon == std::string_view::npos ? "" : host.substr(colon + 1);
      host = host.substr(0, colon);
      if (host.size() > 2 && host.front() == '[' && host.back() == ']')
        host = host.substr(1, host.size() - 2);
    }
    const auto number = parse_decimal(port);
    if (!parse_ip(host) || !number || *number == 0 || *number > 65535)
      return item.bad(quoted(item) + " is not the address of a name server (10.0.0.2, 10.0.0.2:5353)");
    out.push_back(host.find(':') != std::string_view::npos
                      ? "[" + std::string(host) + "]:" + std::string(port)
                      : std::string(host) + ":" + std::string(port));
  });
}

void read_root(const Value& root, Kinds kinds, Config& out) {
  Map m(root);
  if (const auto v = m.get("workers"); v && !(v->node.IsScalar() && v->node.Scalar() == "auto")) {
    std::uint32_t n = 1;
    read_value(*v, n);
    if (n < 1 || n > 1024) v->bad("must be auto or 1 to 1024");
    out.workers = n;
  }
  m.read_with("state_dir", out.state_dir, [](const Value& v, std::string& o) {
    read_value(v, o);
    if (iequals(o, "none")) o.clear();
  });
  m.read("shutdown_delay", out.shutdown_delay);
  m.read("shutdown_grace", out.shutdown_grace);
  m.read_with("keys", out.keys, read_keys);
  m.read_with("admin", out.admin, read_admin);
  m.read_with("log", out.log, read_log);
  m.read_with("store", out.store, read_store);
  if (const auto dns = m.get("dns")) {
    Map d(*dns);
    d.read_with("servers", out.dns_servers, read_dns_servers);
  }
  m.read_with("listeners", out.listeners, read_listeners);
  m.read_with("routes", out.routes, read_routes);
  m.read_with("jwt", out.jwt, read_jwt);
  m.read_with("session_api", out.session_api, read_session_api);
  if (const auto v = m.get("pools")) {
    Map pools(*v);
    pools.for_each([&](const std::string& name, const Value& value) {
      if (!is_token(name)) return value.bad("a pool's name is made of letters, digits, '-', '_' and '.'");
      Pool pool;
      read_pool(name, value, kinds, pool);
      out.pools.push_back(std::move(pool));
    });
    if ((v->is_map() || v->is_null()) && out.pools.empty()) v->bad("needs at least one pool");
  }
}

std::string sha256_hex(std::string_view text) {
  unsigned char digest[32];
  unsigned int size = sizeof digest;
  if (::EVP_Digest(text.data(), text.size(), digest, &size, ::EVP_sha256(), nullptr) != 1)
    return std::string(64, '0');
  std::string out;
  append_hex(out, digest, sizeof digest);
  return out;
}

/// Records only where documents and quoted values begin.
class DocumentStarts final : public YAML::EventHandler {
 public:
  std::optional<YAML::Mark> last;
  std::vector<YAML::Mark> quoted;
  void OnDocumentStart(const YAML::Mark& mark) override { last = mark; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, const std::string&) override {
    if (tag == "!") quoted.push_back(mark);
  }
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
  }
  void OnMapEnd() override {}
};

/// Reports a second document, and a quote that is never closed (yaml-cpp then swallows the rest of the file).
/// Does not use LoadAll: on some malformed files (a stray `]` after the first document), yaml-cpp 0.7 yields
/// documents forever without consuming input. Found by the fuzzer.
void check_structure(std::string_view text, Diagnostics& errors) {
  std::istringstream in{std::string(text)};
  YAML::Parser parser(in);
  DocumentStarts seen;
  if (!parser.HandleNextDocument(seen)) return;
  if (!seen.quoted.empty() && !quote_is_closed(text, seen.quoted.back().line, seen.quoted.back().column))
    return errors.add(seen.quoted.back(), "", "syntax: this quote is not closed");
  if (parser.HandleNextDocument(seen))
    errors.add(*seen.last, "", explain_second_document(text, seen.last->line));
}

}  // namespace

Loaded load_text(std::string_view text, const std::string& name, Kinds kinds) {
  Diagnostics errors(name);
  const auto failed = [&]() -> Loaded { return LoadError{errors.lines()}; };
  YAML::Node document;
  try {
    check_structure(text, errors);
    if (!errors.empty()) return failed();
    document = YAML::Load(std::string(text));
  } catch (const YAML::Exception& e) {
    const SyntaxError wrong = explain_syntax(text, e.mark.line, e.mark.column, e.msg);
    YAML::Mark mark = e.mark;
    mark.line = wrong.line;
    mark.column = wrong.column;
    errors.add(mark, "", wrong.what);
    return failed();
  }
  if (!document || document.IsNull()) {
    errors.add(YAML::Mark(), "", "the file is empty; the smallest useful one has `listeners` and `pools`");
    return failed();
  }
  if (!document.IsMap()) {
    errors.add(document.Mark(), "",
               "a file of keys is wanted (`listeners: ...`, `pools: ...`); is this the right file, and is a "
               "blank behind "
               "each colon?");
    return failed();
  }
  resolve_merges(document, errors);
  if (!errors.empty()) return failed();
  drop_extensions(document);
  Config config;
  config.shown = shown_text(document);
  const Value root{document, "", document.Mark(), &errors};
  try {
    read_root(root, kinds, config);
    cross_check(root, config);
  } catch (const YAML::Exception& e) {
    errors.add(e.mark, "", e.msg);
  }
  if (!errors.empty()) return failed();
  config.text = text;
  config.secret_files = errors.secret_files();
  config.hash = sha256_hex(text).substr(0, 16);
  return config;
}

Loaded load_file(const std::filesystem::path& file, Kinds kinds) {
  std::ifstream in(file, std::ios::binary);
  std::error_code ec;
  if (!in.is_open() || std::filesystem::is_directory(file, ec))
    return LoadError{
        {file.string() + ": cannot be read: " + (in.is_open() ? "it is a folder" : std::strerror(errno))}};
  std::string text(std::istreambuf_iterator<char>(in), {});
  if (text.size() > max_file_bytes)
    return LoadError{{file.string() + ": larger than 4 MiB; is this the right file?"}};
  return load_text(text, file.string(), kinds);
}

}  // namespace remora::config

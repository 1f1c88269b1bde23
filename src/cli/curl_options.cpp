#include "cli/curl_options.h"

#include <algorithm>
#include <iterator>

namespace remora {

namespace {

struct Named {
  char letter;  // 0: none
  std::string_view name;
  CurlOption what;
};

constexpr Named known[] = {
    {'X', "request", CurlOption::method},
    {'H', "header", CurlOption::header},
    {'b', "cookie", CurlOption::cookie},
    {'A', "user-agent", CurlOption::agent},
    {'e', "referer", CurlOption::referer},
    {'u', "user", CurlOption::user},
    {0, "oauth2-bearer", CurlOption::bearer},
    {'r', "range", CurlOption::range},
    {'C', "continue-at", CurlOption::resume},
    {'I', "head", CurlOption::head},
    {'G', "get", CurlOption::get},
    {'d', "data", CurlOption::data},
    {0, "data-ascii", CurlOption::data},
    {0, "data-binary", CurlOption::data},
    {0, "data-raw", CurlOption::data},
    {0, "data-urlencode", CurlOption::encoded},
    {0, "json", CurlOption::json},
    {'F', "form", CurlOption::form},
    {0, "form-string", CurlOption::form},
    {'T', "upload-file", CurlOption::upload},
    {0, "url", CurlOption::url},
    {0, "url-query", CurlOption::query},
    {0, "request-target", CurlOption::target},
    {0, "path-as-is", CurlOption::as_is},
};

/// Options that take a value but do not affect the request.
constexpr std::string_view with_value[] = {"abstract-unix-socket",
                                           "aws-sigv4",
                                           "cacert",
                                           "capath",
                                           "cert",
                                           "cert-type",
                                           "ciphers",
                                           "config",
                                           "connect-timeout",
                                           "connect-to",
                                           "cookie-jar",
                                           "create-file-mode",
                                           "crlfile",
                                           "curves",
                                           "delegation",
                                           "dns-interface",
                                           "dns-ipv4-addr",
                                           "dns-ipv6-addr",
                                           "dns-servers",
                                           "doh-url",
                                           "dump-header",
                                           "ech",
                                           "engine",
                                           "etag-compare",
                                           "etag-save",
                                           "expect100-timeout",
                                           "happy-eyeballs-timeout-ms",
                                           "haproxy-clientip",
                                           "interface",
                                           "ip-tos",
                                           "keepalive-time",
                                           "key",
                                           "key-type",
                                           "limit-rate",
                                           "local-port",
                                           "login-options",
                                           "max-filesize",
                                           "max-redirs",
                                           "max-time",
                                           "netrc-file",
                                           "noproxy",
                                           "output",
                                           "output-dir",
                                           "parallel-max",
                                           "pass",
                                           "pinnedpubkey",
                                           "preproxy",
                                           "proto",
                                           "proto-default",
                                           "proto-redir",
                                           "proxy",
                                           "proxy-cacert",
                                           "proxy-cert",
                                           "proxy-header",
                                           "proxy-key",
                                           "proxy-user",
                                           "quote",
                                           "rate",
                                           "resolve",
                                           "retry",
                                           "retry-delay",
                                           "retry-max-time",
                                           "service-name",
                                           "socks4",
                                           "socks4a",
                                           "socks5",
                                           "socks5-hostname",
                                           "speed-limit",
                                           "speed-time",
                                           "stderr",
                                           "telnet-option",
                                           "time-cond",
                                           "tls-max",
                                           "tls13-ciphers",
                                           "trace",
                                           "trace-ascii",
                                           "trace-config",
                                           "unix-socket",
                                           "variable",
                                           "write-out"};
constexpr std::string_view letters_with_value = "ocmwxDEKUYyzPQt";
constexpr std::string_view letters_alone = "sSivkLfNOJRgnq46012 3#ZMaBjlp";

constexpr std::string_view alone[] = {"anyauth",
                                      "append",
                                      "basic",
                                      "cert-status",
                                      "compressed",
                                      "compressed-ssh",
                                      "create-dirs",
                                      "crlf",
                                      "digest",
                                      "disable",
                                      "disallow-username-in-url",
                                      "fail",
                                      "fail-early",
                                      "fail-with-body",
                                      "false-start",
                                      "globoff",
                                      "haproxy-protocol",
                                      "http0.9",
                                      "http1.0",
                                      "http1.1",
                                      "http2",
                                      "http2-prior-knowledge",
                                      "http3",
                                      "http3-only",
                                      "ignore-content-length",
                                      "include",
                                      "insecure",
                                      "ipv4",
                                      "ipv6",
                                      "junk-session-cookies",
                                      "location",
                                      "location-trusted",
                                      "negotiate",
                                      "netrc",
                                      "netrc-optional",
                                      "no-alpn",
                                      "no-buffer",
                                      "no-keepalive",
                                      "no-progress-meter",
                                      "no-sessionid",
                                      "ntlm",
                                      "parallel",
                                      "parallel-immediate",
                                      "post301",
                                      "post302",
                                      "post303",
                                      "progress-bar",
                                      "proxy-insecure",
                                      "raw",
                                      "remote-header-name",
                                      "remote-name",
                                      "remote-name-all",
                                      "remote-time",
                                      "retry-all-errors",
                                      "retry-connrefused",
                                      "show-error",
                                      "show-headers",
                                      "silent",
                                      "ssl",
                                      "ssl-allow-beast",
                                      "ssl-no-revoke",
                                      "ssl-reqd",
                                      "styled-output",
                                      "suppress-connect-headers",
                                      "tcp-fastopen",
                                      "tcp-nodelay",
                                      "tlsv1",
                                      "tlsv1.0",
                                      "tlsv1.1",
                                      "tlsv1.2",
                                      "tlsv1.3",
                                      "tr-encoding",
                                      "trace-ids",
                                      "trace-time",
                                      "verbose",
                                      "xattr"};

template <std::size_t n>
bool among(const std::string_view (&list)[n], std::string_view name) {
  return std::find(std::begin(list), std::end(list), name) != std::end(list);
}

}  // namespace

std::optional<CurlOption> long_curl_option(std::string_view name) {
  for (const Named& k : known)
    if (k.name == name) return k.what;
  if (among(with_value, name)) return CurlOption::ignored;
  if (among(alone, name) || (name.starts_with("no-") && among(alone, name.substr(3))))
    return CurlOption::flag;
  return std::nullopt;
}

std::optional<CurlOption> short_curl_option(char letter) {
  for (const Named& k : known)
    if (k.letter == letter) return k.what;
  if (letters_with_value.find(letter) != std::string_view::npos) return CurlOption::ignored;
  if (letter != ' ' && letters_alone.find(letter) != std::string_view::npos) return CurlOption::flag;
  return std::nullopt;
}

bool takes_value(CurlOption o) {
  return o != CurlOption::flag && o != CurlOption::head && o != CurlOption::get && o != CurlOption::as_is;
}

}  // namespace remora

#include "util/secrets.h"

#include <algorithm>
#include <initializer_list>

#include "util/text.h"

namespace remora {

namespace {
bool holds_any(std::string_view text, std::initializer_list<std::string_view> words) noexcept {
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
    const auto same = [](char a, char b) { return lower(a) == b; };
    return std::search(text.begin(), text.end(), word.begin(), word.end(), same) != text.end();
  });
}

bool is_any(std::string_view text, std::initializer_list<std::string_view> words) noexcept {
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) { return iequals(text, word); });
}

bool ends_with_any(std::string_view text, std::initializer_list<std::string_view> words) noexcept {
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
    return text.size() > word.size() && iequals(text.substr(text.size() - word.size()), word);
  });
}

/// Hides the values of secret parameters after a `?`.
void hide_parameters(std::string& text) {
  std::size_t at = text.find('?');
  while (at != std::string::npos && at < text.size()) {
    const std::size_t begin = at + 1;
    const std::size_t end = std::min(text.size(), text.find_first_of("&;#", begin));
    const std::size_t equals = text.find('=', begin);
    at = end;
    if (equals >= end || !is_secret_field(std::string_view(text).substr(begin, equals - begin))) continue;
    text.replace(equals + 1, end - equals - 1, hidden);
    at = equals + 1 + hidden.size();
  }
}
}  // namespace

bool is_secret_key(std::string_view key) noexcept {
  if (iequals(key, "public_key")) return false;
  return is_any(key, {"key", "keys", "token", "secret", "password", "passwd", "passphrase"}) ||
         ends_with_any(key, {"_key", "_keys", "_token", "_secret", "_password"});
}

bool is_secret_field(std::string_view name) noexcept {
  return is_any(name, {"key", "sig", "code", "pass", "pwd", "jwt"}) ||
         ends_with_any(name, {"-key", "_key"}) ||
         holds_any(name, {"auth", "cookie", "token", "secret", "passw", "credential", "apikey", "api-key",
                          "api_key", "session", "signature"});
}

bool is_credential(std::string_view value) noexcept {
  value = trim(value);
  return istarts_with(value, "Basic ") || istarts_with(value, "Bearer ") || istarts_with(value, "Digest ");
}

std::string without_credentials(std::string_view text) {
  std::string out(text);
  const std::size_t scheme = out.find("://");
  const std::size_t at = out.rfind('@');
  if (scheme != std::string::npos && at != std::string::npos && at > scheme)
    out.replace(scheme + 3, at - scheme - 3, hidden);
  hide_parameters(out);
  return out;
}

std::string without_query(std::string_view url) {
  std::string out = without_credentials(url);
  if (const std::size_t query = out.find('?'); query != std::string::npos)
    out.replace(query + 1, std::string::npos, hidden);
  return out;
}

std::string without_user(std::string_view text) {
  if (text.find("://") != std::string_view::npos) return without_query(text);
  const std::size_t at = text.rfind('@');
  return at == std::string_view::npos ? std::string(text) : std::string(hidden).append(text.substr(at));
}

}  // namespace remora

// Hides secrets in what the admin API, error lines and logs show: decides which names stand for secrets, and
// strips credentials from URLs. Pure.
#pragma once

#include <string>
#include <string_view>

namespace remora {

/// Replaces a secret.
constexpr std::string_view hidden = "***";

/// Whether a configuration key's plain value is a secret: password, token, index_key ...
bool is_secret_key(std::string_view key) noexcept;
/// Whether the value of a header field or URL parameter is a secret: Authorization, Cookie, X-Api-Key ...
bool is_secret_field(std::string_view name) noexcept;
/// Whether a value is a credential: `Basic dXNlcjpwYXNz`, `Bearer eyJ...`.
bool is_credential(std::string_view value) noexcept;

/// Hides user and password in URLs, and the values of secret parameters. Everything up to the last `@` is
/// hidden, because a password may contain characters that should have been encoded.
std::string without_credentials(std::string_view text);
/// The same for a text that is one URL; also hides the whole query.
std::string without_query(std::string_view url);
/// The same for any text, such as a rejected value: also hides credentials without `://`.
std::string without_user(std::string_view text);

}  // namespace remora

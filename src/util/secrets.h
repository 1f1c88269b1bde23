// What must not be shown of a configuration: which names stand for secrets, and URLs without what they carry.
// For the admin API, error lines and logs. Pure.
#pragma once

#include <string>
#include <string_view>

namespace remora {

/// In place of a secret.
constexpr std::string_view hidden = "***";

/// A key of the configuration whose plain value is a secret: password, token, index_key ...
bool is_secret_key(std::string_view key) noexcept;
/// A header field, or a parameter of a URL, whose value is one: Authorization, Cookie, X-Api-Key ...
bool is_secret_field(std::string_view name) noexcept;
/// `Basic dXNlcjpwYXNz`, `Bearer eyJ...`.
bool is_credential(std::string_view value) noexcept;

/// URLs lose user and password, and the values of secret parameters. A password may hold anything, also what
/// should have been encoded: everything up to the last `@` goes.
std::string without_credentials(std::string_view text);
/// The same for a text that is one URL: the whole query goes.
std::string without_query(std::string_view url);
/// The same for a text that may be anything, such as a value that was refused: also without `://`.
std::string without_user(std::string_view text);

}  // namespace remora

// ${NAME} in a value, replaced from the environment, in the forms that compose files and shells have. Pure
// but for `variable`.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace remora::config {

/// The value of a variable of the environment, or nullptr.
using Variables = std::function<const char*(const std::string& name)>;

/// `${NAME}` must be set. `${NAME:-WORD}`: WORD when it is unset or empty; `${NAME-WORD}`: when it is unset.
/// `${NAME:?TEXT}`, `${NAME?TEXT}`: else the file is refused with TEXT. `${NAME:+WORD}`, `${NAME+WORD}`: WORD
/// when it is set, else nothing. WORD may hold further ones. `$$` is a dollar sign; any other `$` stays as it
/// is. Nothing: `error` says why, without any value.
std::optional<std::string> substitute(std::string_view text, const Variables& variable, std::string& error);

}  // namespace remora::config

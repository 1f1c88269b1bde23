// Expands ${NAME} in a value from the environment, in the forms known from compose files and shells. Pure,
// apart from calls to `variable`.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace remora::config {

/// Returns the value of an environment variable, or nullptr if it is unset.
using Variables = std::function<const char*(const std::string& name)>;

/// `${NAME}`: must be set. `${NAME:-WORD}`: WORD if NAME is unset or empty. `${NAME-WORD}`: WORD if NAME is
/// unset. `${NAME:?TEXT}`, `${NAME?TEXT}`: in the same cases, the file is rejected with TEXT.
/// `${NAME:+WORD}`: WORD if NAME is set and not empty, else nothing. `${NAME+WORD}`: WORD if NAME is set.
/// WORD may contain further expressions. `$$` is a dollar sign; any other `$` is kept. Returns nothing on an
/// error; `error` then says why, without any values.
std::optional<std::string> substitute(std::string_view text, const Variables& variable, std::string& error);

}  // namespace remora::config

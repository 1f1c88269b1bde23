// Recognizes CORS preflights. Pure.
#pragma once

#include "http/message.h"

namespace remora {

/// Whether this is a preflight as browsers send it (Fetch standard, "CORS-preflight fetch"): OPTIONS with one
/// Origin and one Access-Control-Request-Method, without content and without credentials. False for requests
/// with credentials, or with a field that makes apps treat OPTIONS as another method.
bool is_cors_preflight(const RequestHead& request) noexcept;

}  // namespace remora

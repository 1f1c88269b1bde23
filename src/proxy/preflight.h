// Which requests are CORS preflights. Pure.
#pragma once

#include "http/head.h"

namespace remora {

/// A preflight as browsers send it (Fetch standard, "CORS-preflight fetch"): OPTIONS with one Origin and one
/// Access-Control-Request-Method, without content and without credentials. What carries a credential, or a
/// field that makes apps take OPTIONS for another method, is no preflight.
bool is_cors_preflight(const RequestHead& request) noexcept;

}  // namespace remora

// Whether the response to a request may be a page whose links need a token. Pure.
#pragma once

#include "remora/http_view.h"

namespace remora {

/// False if the client (Sec-Fetch-Dest, Accept) or the name of the file says that something else is loaded:
/// films, style sheets, archives. Such requests keep their Range and Accept-Encoding. A wrong guess only
/// costs links their tokens, or a file its compression.
bool may_ask_for_page(const RequestView& request) noexcept;

}  // namespace remora

// Whether the answer to a request may be a page, in whose links a token is put. Pure.
#pragma once

#include "remora/http_view.h"

namespace remora {

/// False where the client says what it loads (Sec-Fetch-Dest, Accept), or the file's name does: films, style
/// sheets, archives. Such requests keep their Range and Accept-Encoding. A guess that is wrong costs links
/// their tokens, or a file its compression, and no more.
bool may_ask_for_page(const RequestView& request) noexcept;

}  // namespace remora

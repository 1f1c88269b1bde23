// Short bodies of local replies, which remora makes itself: HTML or JSON, chosen by Accept. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace remora {

struct GeneratedReply {
  std::string_view reason, content_type, body;  // `body` is a view of `room` or of `configured`
};

/// `configured`: a body from the configuration, sent unchanged; empty: a body is generated into `room`. JSON
/// only if `accept` asks for JSON and not for HTML; `type`: of a configured body, if it is known.
GeneratedReply make_local_reply(std::uint16_t status, std::string_view accept, std::string_view configured,
                                std::string& room, std::string_view type = {});

}  // namespace remora

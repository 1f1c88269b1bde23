// The short bodies of answers that remora makes itself: HTML or JSON, by Accept. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace remora {

struct Answer {
  std::string_view reason, content_type, body;  // body: a view of `room` or of `configured`
};

std::string_view reason_phrase(std::uint16_t status) noexcept;

/// `configured`: a body from the configuration, sent as it is. `room` holds the made text.
Answer make_answer(std::uint16_t status, std::string_view accept, std::string_view configured,
                   std::string& room);

}  // namespace remora

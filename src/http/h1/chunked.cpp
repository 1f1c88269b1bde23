#include "http/h1/chunked.h"

#include <algorithm>

#include "http/h1/grammar.h"
#include "util/text.h"

namespace remora {

namespace {
bool is_control(char c) noexcept {
  return (static_cast<unsigned char>(c) < ' ' && c != '\t') || c == 0x7f;
}
bool is_blank(char c) noexcept {
  return c == ' ' || c == '\t';
}
}  // namespace

void ChunkDecoder::reset(bool from_backend) noexcept {
  state_ = State::size;
  from_backend_ = from_backend;
  any_digit_ = false;
  digits_ = 0;
  left_ = 0;
  extension_bytes_ = 0;
  trailer_text_.clear();
  trailers_.clear();
}

ChunkDecoder::Step ChunkDecoder::step(std::string_view bytes) {
  std::size_t i = 0;
  const auto bad = [&] {
    state_ = State::bad;
    return Step{Got::bad, i, 0};
  };
  for (; i < bytes.size(); ++i) {
    const char c = bytes[i];
    switch (state_) {
      case State::size:
        if (const int v = hex_value(c); v >= 0) {
          if (++digits_ > 15) return bad();  // 60 bits; counting leading zeros bounds them too
          left_ = left_ << 4 | static_cast<unsigned>(v);
          any_digit_ = true;
        } else if (!any_digit_) {
          return bad();
        } else if (c == '\r') {
          state_ = State::size_lf;
        } else if (c == ';') {
          state_ = State::extension;
          extension_bytes_ = 0;
        } else if (from_backend_ && is_blank(c)) {
          state_ = State::padding;
          extension_bytes_ = 1;
        } else {
          return bad();  // whitespace too, a common smuggling trick
        }
        break;
      case State::padding:
        if (++extension_bytes_ > max_extension_bytes) return bad();
        if (c == '\r')
          state_ = State::size_lf;
        else if (c == ';')
          state_ = State::extension;
        else if (!is_blank(c))
          return bad();
        break;
      case State::extension:
      case State::quoted:
      case State::quoted_pair:
        if (++extension_bytes_ > max_extension_bytes) return bad();
        if (state_ == State::extension && c == '\r') {
          state_ = State::size_lf;
        } else if (is_control(c)) {
          return bad();
        } else if (state_ == State::quoted_pair) {
          state_ = State::quoted;
        } else if (c == '"') {
          state_ = state_ == State::quoted ? State::extension : State::quoted;
        } else if (c == '\\' && state_ == State::quoted) {
          state_ = State::quoted_pair;
        }
        break;
      case State::size_lf:
        if (c != '\n') return bad();
        state_ = left_ == 0 ? State::trailer : State::data;
        break;
      case State::data: {
        const std::size_t n = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size() - i));
        left_ -= n;
        if (left_ == 0) state_ = State::data_cr;
        return {Got::data, i, n};
      }
      case State::data_cr:
        if (c != '\r') return bad();
        state_ = State::data_lf;
        break;
      case State::data_lf:
        if (c != '\n') return bad();
        state_ = State::size;
        any_digit_ = false;
        digits_ = 0;
        break;
      case State::trailer: {
        trailer_text_ += c;
        if (trailer_text_.size() > max_trailer_bytes) return bad();
        if (c != '\n') break;
        const std::size_t n = trailer_text_.size();
        if (n < 2 || trailer_text_[n - 2] != '\r') return bad();
        if (n == 2 || (n >= 4 && trailer_text_.compare(n - 4, 2, "\r\n") == 0)) {
          trailer_text_.resize(n - 2);
          const auto message = from_backend_ ? TrailersOf::response : TrailersOf::request;
          if (!parse_trailers(trailer_text_, trailers_, message)) return bad();
          state_ = State::done;
          return {Got::done, i + 1, 0};
        }
        break;
      }
      case State::done:
        return {Got::done, i, 0};
      case State::bad:
        return bad();
    }
  }
  return {state_ == State::done ? Got::done : state_ == State::bad ? Got::bad : Got::need_more, i, 0};
}

}  // namespace remora

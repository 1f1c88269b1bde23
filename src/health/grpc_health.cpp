#include "health/grpc_health.h"

#include <algorithm>
#include <utility>

#include "http/grpc.h"
#include "util/text.h"

namespace remora {

namespace {

constexpr std::size_t prefix_bytes = 5;  // of a message: compressed or not, length (doc/PROTOCOL-HTTP2.md)

// Protocol Buffers: a field is its number and wire type in a varint, then the value.
enum class Wire : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };
constexpr char service_field = 1 << 3 | static_cast<int>(Wire::bytes);

/// Takes a varint off `from`.
std::optional<std::uint64_t> take_varint(std::string_view& from) noexcept {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64 && !from.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(from.front());
    from.remove_prefix(1);
    value |= static_cast<std::uint64_t>(byte & 0x7fU) << shift;
    if ((byte & 0x80U) == 0) return value;
  }
  return std::nullopt;
}

/// Takes the value of a field that means nothing here off `from`. False: malformed.
bool skip(std::string_view& from, Wire type) noexcept {
  std::uint64_t size = 0;
  switch (type) {
    case Wire::varint:
      return take_varint(from).has_value();
    case Wire::fixed64:
      size = 8;
      break;
    case Wire::fixed32:
      size = 4;
      break;
    case Wire::bytes: {
      const auto length = take_varint(from);
      if (!length) return false;
      size = *length;
      break;
    }
    default:
      return false;
  }
  if (size > from.size()) return false;
  from.remove_prefix(static_cast<std::size_t>(size));
  return true;
}

std::string_view name_of(std::uint64_t serving_status) noexcept {
  constexpr std::string_view names[] = {"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"};
  return serving_status < std::size(names) ? names[serving_status] : "an unknown status";
}

}  // namespace

std::string grpc_health_request(std::string_view service) {
  std::string message;
  if (!service.empty()) {
    message += service_field;
    std::size_t left = service.size();
    for (; left >= 0x80; left >>= 7) message += static_cast<char>((left & 0x7f) | 0x80);
    message += static_cast<char>(left);
    message += service;
  }
  std::string out(1, '\0');  // not compressed
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(message.size() >> shift & 0xff);
  return out + message;
}

std::optional<std::uint64_t> serving_status(std::string_view body) noexcept {
  if (body.size() < prefix_bytes || body.front() != '\0')
    return std::nullopt;  // compressed: nobody asked for it
  std::uint64_t size = 0;
  for (const char c : body.substr(1, prefix_bytes - 1)) size = size << 8 | static_cast<unsigned char>(c);
  body.remove_prefix(prefix_bytes);
  if (size != body.size()) return std::nullopt;  // cut, or several messages
  std::uint64_t status = 0;
  while (!body.empty()) {
    const auto key = take_varint(body);
    if (!key || *key >> 3 == 0) return std::nullopt;
    const auto type = static_cast<Wire>(*key & 7);
    if (*key >> 3 == 1 && type == Wire::varint) {
      const auto value = take_varint(body);
      if (!value) return std::nullopt;
      status = *value;  // of several, the last counts
    } else if (!skip(body, type)) {
      return std::nullopt;
    }
  }
  return status;
}

void GrpcHealthAnswer::look_at(const Fields& fields) {
  for (const auto& [name, value] : fields) {
    if (name == "grpc-status") status_ = value;
    if (name == "grpc-message") message_ = value;
    if (name == "remora-generation") generation_ = parse_decimal(value).value_or(0);
  }
}

void GrpcHealthAnswer::take_head(std::string_view status, const Fields& fields) {
  look_at(fields);
  const auto is_type = [](const auto& f) { return f.first == "content-type"; };
  const auto type = std::find_if(fields.begin(), fields.end(), is_type);
  if (status != "200")
    fail("status " + std::string(status));
  else if (type == fields.end() || !is_grpc_type(type->second))
    fail("no gRPC");
}

void GrpcHealthAnswer::take_data(std::string_view bytes) {
  if (body_.size() + bytes.size() > max_body) return fail("response too large");
  body_ += bytes;
}

void GrpcHealthAnswer::take_trailers(const Fields& fields) {
  look_at(fields);
}

/// A status other than 0 is what went wrong, whatever came before it.
void GrpcHealthAnswer::end(const std::string& why) {
  if (status_.empty()) return fail(why.empty() ? "no gRPC status" : why);
  if (status_ != "0") return fail("gRPC status " + status_ + (message_.empty() ? "" : ": " + message_));
  const auto serving = serving_status(body_);
  if (!serving) return fail("malformed response");
  if (*serving != 1) return fail(std::string(name_of(*serving)));
  verdict_ = ProbeVerdict{"", generation_};
}

void GrpcHealthAnswer::fail(std::string why) {
  constexpr std::size_t longest = 200;
  if (why.size() > longest) why.resize(longest);
  if (!verdict_) verdict_ = ProbeVerdict{std::move(why), generation_};
}

}  // namespace remora

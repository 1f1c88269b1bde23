#include "http/grpc.h"

#include <algorithm>
#include <array>

#include "util/text.h"

namespace remora {

namespace {

using std::chrono::nanoseconds;

constexpr std::string_view grpc_type = "application/grpc";
constexpr std::int64_t max_timeout = 99'999'999;  // eight digits

struct Unit {
  char letter;
  nanoseconds length;
};
/// From the smallest.
constexpr std::array<Unit, 6> units{{{'n', nanoseconds(1)},
                                     {'u', std::chrono::microseconds(1)},
                                     {'m', std::chrono::milliseconds(1)},
                                     {'S', std::chrono::seconds(1)},
                                     {'M', std::chrono::minutes(1)},
                                     {'H', std::chrono::hours(1)}}};

/// 1 to 8 digits and a unit. A time beyond what nanoseconds can count is the longest that they can.
std::optional<nanoseconds> parse_timeout(std::string_view text) noexcept {
  if (text.size() < 2 || text.size() > 9) return std::nullopt;
  const auto unit =
      std::find_if(units.begin(), units.end(), [&](const Unit& u) { return u.letter == text.back(); });
  text.remove_suffix(1);
  const bool digits = std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  const auto count = digits ? parse_decimal(text) : std::nullopt;
  if (unit == units.end() || !count) return std::nullopt;
  const auto n = static_cast<std::int64_t>(*count);
  if (n > nanoseconds::max() / unit->length) return nanoseconds::max();
  return n * unit->length;
}

std::string_view value_of(const Head& head, std::string_view name) noexcept {
  for (const Field& f : head.fields)
    if (f.known == Known::other && iequals(f.name, name)) return f.value;
  return {};
}

bool has_grpc_type(const Head& head) noexcept {
  const Field* const type = head.find(Known::content_type);
  return type != nullptr && is_grpc_type(type->value);
}

}  // namespace

bool is_grpc_type(std::string_view type) noexcept {
  if (!istarts_with(type, grpc_type)) return false;
  type.remove_prefix(grpc_type.size());
  return type.empty() || type.front() == '+' || type.front() == ';' || type.front() == ' ';
}

bool is_grpc_request(const RequestHead& head) noexcept {
  return head.method_text == "POST" && has_grpc_type(head);
}

bool is_grpc_response(const ResponseHead& head) noexcept {
  return has_grpc_type(head);
}

GrpcStatus grpc_status_for(std::uint16_t http_status) noexcept {
  switch (http_status) {
    case 400:
      return GrpcStatus::internal;
    case 401:
      return GrpcStatus::unauthenticated;
    case 403:
      return GrpcStatus::permission_denied;
    case 404:
    case 501:
      return GrpcStatus::unimplemented;
    case 413:
    case 429:
    case 431:
      return GrpcStatus::resource_exhausted;
    case 502:
    case 503:
    case 504:
      return GrpcStatus::unavailable;
    default:
      return GrpcStatus::unknown;
  }
}

std::string_view number_of(GrpcStatus status) noexcept {
  switch (status) {
    case GrpcStatus::unknown:
      break;
    case GrpcStatus::deadline_exceeded:
      return "4";
    case GrpcStatus::permission_denied:
      return "7";
    case GrpcStatus::resource_exhausted:
      return "8";
    case GrpcStatus::unimplemented:
      return "12";
    case GrpcStatus::internal:
      return "13";
    case GrpcStatus::unavailable:
      return "14";
    case GrpcStatus::unauthenticated:
      return "16";
  }
  return "2";
}

bool is_grpc_unavailable(const ResponseHead& head) noexcept {
  return head.status == 200 && head.body.is_empty() && value_of(head, "grpc-status") == "14";
}

GrpcTimeout read_grpc_timeout(const Head& head) noexcept {
  GrpcTimeout out;
  for (const Field& f : head.fields) {
    if (f.known != Known::other || !iequals(f.name, "grpc-timeout")) continue;
    const bool repeated = out.value.has_value();
    out.value = parse_timeout(f.value);
    out.malformed = out.malformed || repeated || !out.value;
  }
  return out;
}

void append_grpc_timeout(nanoseconds rest, std::string& out) {
  rest = std::max(rest, nanoseconds(0));
  const auto fits = [&](const Unit& u) { return rest / u.length <= max_timeout; };
  const auto found = std::find_if(units.begin(), units.end(), fits);
  const Unit& unit = found == units.end() ? units.back() : *found;
  append_decimal(out, static_cast<std::uint64_t>(std::min(rest / unit.length, max_timeout)));
  out += unit.letter;
}

}  // namespace remora

#include <algorithm>

#include "support/h2_client.h"

// What tests expect of a connection: waits that say what came instead.

namespace remora::test::h2 {

using ::testing::AssertionFailure;
using ::testing::AssertionSuccess;

std::string Client::story() const {
  std::string out = closed_ ? "the connection is closed" : "the connection is open";
  if (goaway_) out += ", GOAWAY(" + name_of(*goaway_) + ")";
  for (const auto& [id, s] : streams_) {
    out += "; stream " + std::to_string(id) + ": status " + std::to_string(s.status());
    out += s.ended ? ", ended" : "";
    if (s.reset) out += ", reset(" + name_of(static_cast<Error>(*s.reset)) + ")";
  }
  return out + (violation_.empty() ? "" : "; violation: " + violation_);
}

Client::Check Client::failed(const std::string& wanted) const {
  return AssertionFailure() << "wanted " << wanted << "; " << story().substr(0, 2000);
}

Client::Check Client::ends_with_one_of(std::initializer_list<Error> codes) {
  wait([] { return false; });
  const bool right = closed_ && goaway_ && std::find(codes.begin(), codes.end(), *goaway_) != codes.end();
  return right ? AssertionSuccess() : failed("GOAWAY(" + name_of(*codes.begin()) + ") and the end");
}

Client::Check Client::closes(std::chrono::milliseconds limit) {
  wait([] { return false; }, limit);
  return closed_ ? AssertionSuccess() : failed("the connection's end");
}

Client::Check Client::resets_with_one_of(std::uint32_t id, std::initializer_list<Error> codes) {
  Stream& s = opened(id);
  wait([&] { return s.reset.has_value(); });
  const bool right =
      s.reset && std::find(codes.begin(), codes.end(), static_cast<Error>(*s.reset)) != codes.end();
  return right ? AssertionSuccess() : failed("RST_STREAM(" + name_of(*codes.begin()) + ")");
}

Client::Check Client::resets_or_ends(std::uint32_t id, std::initializer_list<Error> codes) {
  Stream& s = opened(id);
  wait([&] { return s.reset.has_value(); });
  return closed_ ? ends_with_one_of(codes) : resets_with_one_of(id, codes);
}

Client::Check Client::responds(std::uint32_t id, int status) {
  Stream& s = opened(id);
  wait([&] { return s.over(); });
  return s.ended && s.status() == status
             ? AssertionSuccess()
             : failed("status " + std::to_string(status) + " on stream " + std::to_string(id));
}

Client::Check Client::refuses(std::uint32_t id, int status) {
  Stream& s = opened(id);
  wait([&] { return s.over(); });
  const bool reset = s.reset && static_cast<Error>(*s.reset) == Error::protocol_error;
  const bool right = reset || s.status() == status;
  return right ? AssertionSuccess() : failed("RST_STREAM(PROTOCOL_ERROR) or " + std::to_string(status));
}

Client::Check Client::alive() {
  if (!sync()) return failed("a PING's acknowledgment");
  const std::uint32_t id = std::exchange(next_alive_, next_alive_ + 2);
  opened(id);
  send(headers(id, get_block("/alive")));
  return responds(id);
}

}  // namespace remora::test::h2

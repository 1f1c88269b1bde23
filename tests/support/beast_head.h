// Parses a head with Boost.Beast, to compare with our parser's result. For tests and fuzz targets only.
#pragma once

#include <boost/beast/http/basic_parser.hpp>
#include <string>
#include <string_view>

#include "http/h1/head.h"

namespace remora::test {

/// Beast's parser; the results are views of the head.
template <bool request>
class BeastHead final : public boost::beast::http::basic_parser<request> {
 public:
  BeastHead() {
    this->header_limit(~std::uint32_t{0});
    this->body_limit(boost::none);
    this->skip(true);
  }
  bool parse(std::string_view head) {
    boost::beast::error_code ec;
    this->put(boost::asio::const_buffer(head.data(), head.size()), ec);
    return !ec && this->is_header_done();
  }
  std::string_view method, target, reason;
  int status = 0;
  unsigned minor = 0;
  std::vector<Field> fields;

 private:
  using view = boost::beast::string_view;
  using error_code = boost::beast::error_code;
  static std::string_view std_view(view v) { return {v.data(), v.size()}; }
  void on_request_impl(boost::beast::http::verb, view m, view t, int version, error_code&) override {
    method = std_view(m);
    target = std_view(t);
    minor = static_cast<unsigned>(version % 10);
  }
  void on_response_impl(int code, view r, int version, error_code&) override {
    status = code;
    reason = std_view(r);
    minor = static_cast<unsigned>(version % 10);
  }
  void on_field_impl(boost::beast::http::field, view name, view value, error_code&) override {
    fields.push_back({std_view(name), std_view(value)});
  }
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(view, error_code&) override { return 0; }
  void on_chunk_header_impl(std::uint64_t, view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, view, error_code&) override { return 0; }
  void on_finish_impl(error_code&) override {}
};

inline bool same_fields(const std::vector<Field>& a, const std::vector<Field>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i].name != b[i].name || a[i].value != b[i].value) return false;
  return true;
}

/// Beast accepts a request head that we accepted, with the same result.
inline bool beast_agrees(std::string_view head, const RequestHead& ours, std::string_view target_as_sent) {
  BeastHead<true> beast;
  return beast.parse(head) && beast.method == ours.method_text && beast.target == target_as_sent &&
         beast.minor == (ours.version == Version::http10 ? 0 : 1) && same_fields(beast.fields, ours.fields);
}

/// The same for a response head. RFC 9112 4 requires a space behind the status even without a reason; we do
/// not insist on it, but Beast does, so the space is added.
inline bool beast_agrees(std::string_view head, const ResponseHead& ours) {
  std::string text(head);
  if (text.find('\r') == 12) text.insert(12, " ");
  BeastHead<false> beast;
  return beast.parse(text) && beast.status == ours.status && beast.reason == ours.reason &&
         beast.minor == (ours.version == Version::http10 ? 0 : 1) && same_fields(beast.fields, ours.fields);
}

}  // namespace remora::test

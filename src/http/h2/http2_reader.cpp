#include "http/h2/http2_reader.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace remora {

namespace {

std::string_view view(const std::uint8_t* text, std::size_t size) noexcept {
  return {reinterpret_cast<const char*>(text), size};
}

nghttp2_nv pair(std::string_view name, std::string_view value) noexcept {
  // nghttp2 does not write to them.
  return {reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
          NGHTTP2_NV_FLAG_NONE};
}

}  // namespace

struct Http2Reader::Callbacks {
  static int header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                    std::size_t name_size, const std::uint8_t* value, std::size_t value_size, std::uint8_t,
                    void* user) {
    auto& self = *static_cast<Http2Reader*>(user);
    const std::string_view n = view(name, name_size), v = view(value, value_size);
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    self.fields_bytes_ += n.size() + v.size();
    self.head_too_long_ = self.fields_bytes_ > max_fields_bytes;
    if (self.head_too_long_) return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (n == ":status")
      self.status_ = v;
    else if (!n.starts_with(':'))
      self.fields_.emplace_back(n, v);
    return 0;
  }

  static int frame_received(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    auto& self = *static_cast<Http2Reader*>(user);
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    const std::string status = std::exchange(self.status_, {});
    const Http2Response::Fields fields = std::exchange(self.fields_, {});
    if (self.has_head_) {
      self.response_.take_trailers(fields);
    } else if (status.size() == 3 && status[0] > '1') {  // not interim
      self.has_head_ = true;
      self.response_.take_head(status, fields);
    }
    return 0;
  }

  static int data_received(nghttp2_session*, std::uint8_t, std::int32_t, const std::uint8_t* bytes,
                           std::size_t size, void* user) {
    static_cast<Http2Reader*>(user)->response_.take_data(view(bytes, size));
    return 0;
  }

  static int stream_closed(nghttp2_session*, std::int32_t, std::uint32_t code, void* user) {
    auto& self = *static_cast<Http2Reader*>(user);
    self.finish(code == NGHTTP2_NO_ERROR ? "" : "stream closed with error " + std::to_string(code));
    return 0;
  }

  static ssize_t read(nghttp2_session*, std::int32_t, std::uint8_t* to, std::size_t most,
                      std::uint32_t* flags, nghttp2_data_source* source, void*) {
    std::string_view& left = *static_cast<std::string_view*>(source->ptr);
    const std::size_t n = std::min(most, left.size());
    std::memcpy(to, left.data(), n);
    left.remove_prefix(n);
    if (left.empty()) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(n);
  }
};

Http2Reader::Http2Reader(const Http2Request& request, Http2Response& response)
    : response_(response), body_(request.body) {
  nghttp2_session_callbacks* callbacks = nullptr;
  if (nghttp2_session_callbacks_new(&callbacks) != 0) throw std::bad_alloc();
  nghttp2_session_callbacks_set_on_header_callback(callbacks, Callbacks::header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, Callbacks::frame_received);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, Callbacks::data_received);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, Callbacks::stream_closed);
  const int made = nghttp2_session_client_new(&session_, callbacks, this);
  nghttp2_session_callbacks_del(callbacks);
  if (made != 0) throw std::bad_alloc();
  std::vector<nghttp2_nv> head{pair(":method", request.method),
                               pair(":scheme", request.secure ? "https" : "http"),
                               pair(":authority", request.authority), pair(":path", request.target)};
  for (const auto& [name, value] : request.fields) head.push_back(pair(name, value));
  const nghttp2_settings_entry no_push{NGHTTP2_SETTINGS_ENABLE_PUSH, 0};
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, &no_push, 1);
  nghttp2_data_provider data{};
  data.source.ptr = &body_;
  data.read_callback = Callbacks::read;
  nghttp2_submit_request(session_, nullptr, head.data(), head.size(), body_.empty() ? nullptr : &data,
                         nullptr);
  const std::uint8_t* bytes = nullptr;
  for (ssize_t n = 0; (n = nghttp2_session_mem_send(session_, &bytes)) > 0;)
    text_.append(view(bytes, static_cast<std::size_t>(n)));
}

Http2Reader::~Http2Reader() {
  nghttp2_session_del(session_);
}

void Http2Reader::take(std::string_view bytes) {
  if (ended_ || bytes.empty()) return;
  const ssize_t n =
      nghttp2_session_mem_recv(session_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  const std::uint8_t* answer = nullptr;
  while (nghttp2_session_mem_send(session_, &answer) > 0) {
  }  // dropped; GOAWAY among it shows in want_read
  if (n >= 0 && nghttp2_session_want_read(session_) != 0) return;
  finish(head_too_long_ ? "head too long" : "no HTTP/2");
}

void Http2Reader::end() {
  if (has_head_) return finish("connection closed");
  ended_ = true;
}

void Http2Reader::finish(const std::string& why) {
  if (!std::exchange(ended_, true) && !response_.decided()) response_.end(why);
}

}  // namespace remora

#include "http/h2/http2_reader.h"

#include <nghttp2/nghttp2.h>

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
    if (n == ":status")
      self.status_ = v;
    else if (n != "content-length" && !n.starts_with(':'))
      self.head_.append(n).append(": ").append(v).append("\r\n");
    return 0;
  }

  static int frame_received(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    auto& self = *static_cast<Http2Reader*>(user);
    if (frame->hd.type == NGHTTP2_HEADERS) {
      const std::string status = std::exchange(self.status_, {}), fields = std::exchange(self.head_, {});
      if (status.size() == 3 && status[0] > '1')  // not interim, and no trailers
        self.reader_.take("HTTP/1.1 " + status + "\r\n" + fields + "Content-Length: 0\r\n\r\n");
    }
    return 0;
  }

  static int stream_closed(nghttp2_session*, std::int32_t, std::uint32_t code, void* user) {
    auto& self = *static_cast<Http2Reader*>(user);
    self.ended_ = true;
    if (!self.reader_.decided())
      self.reader_.take("stream closed with error " + std::to_string(code) + "\r\n");
    return 0;
  }
};

Http2Reader::Http2Reader(std::string_view target, std::string_view authority, bool secure,
                         const std::vector<std::pair<std::string_view, std::string_view>>& fields,
                         ResponseReader& reader)
    : reader_(reader) {
  nghttp2_session_callbacks* callbacks = nullptr;
  if (nghttp2_session_callbacks_new(&callbacks) != 0) throw std::bad_alloc();
  nghttp2_session_callbacks_set_on_header_callback(callbacks, Callbacks::header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, Callbacks::frame_received);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, Callbacks::stream_closed);
  const int made = nghttp2_session_client_new(&session_, callbacks, this);
  nghttp2_session_callbacks_del(callbacks);
  if (made != 0) throw std::bad_alloc();
  std::vector<nghttp2_nv> head{pair(":method", "GET"), pair(":scheme", secure ? "https" : "http"),
                               pair(":authority", authority), pair(":path", target)};
  for (const auto& [name, value] : fields) head.push_back(pair(name, value));
  const nghttp2_settings_entry no_push{NGHTTP2_SETTINGS_ENABLE_PUSH, 0};
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, &no_push, 1);
  nghttp2_submit_request(session_, nullptr, head.data(), head.size(), nullptr, nullptr);
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
  ended_ = true;
  if (!reader_.decided()) reader_.take("no HTTP/2\r\n");
}

void Http2Reader::end() {
  ended_ = true;
  reader_.end();
}

}  // namespace remora

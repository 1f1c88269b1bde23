// The client's end of an HTTP/2 connection in a test: writes frames by hand, so that wrong ones are possible
// too, and reads what the server sends. Its HPACK is nghttp2's.
#pragma once

#include <nghttp2/nghttp2.h>

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/unix_listener.h"

namespace remora::test {

using Pairs = std::vector<std::pair<std::string, std::string>>;

enum FrameType : std::uint8_t {
  data_frame = 0,
  headers_frame = 1,
  priority_frame = 2,
  rst_stream_frame = 3,
  settings_frame = 4,
  ping_frame = 6,
  goaway_frame = 7,
  window_update_frame = 8,
  continuation_frame = 9,
  priority_update_frame = 16
};
constexpr std::uint8_t end_stream = 1, ack = 1, end_headers = 4, padded_flag = 8;

struct H2Frame {
  std::uint8_t type = 0, flags = 0;
  std::int32_t stream = 0;
  std::string payload;
  Pairs fields;  // of HEADERS
  bool ends() const { return (flags & end_stream) != 0; }
  /// RST_STREAM's code, or GOAWAY's.
  std::uint32_t code() const;
  std::int32_t last_stream() const;
  std::string field(const std::string& name) const {
    for (const auto& [n, v] : fields)
      if (n == name) return v;
    return "(none)";
  }
};

inline std::uint32_t number(std::string_view bytes) {
  std::uint32_t n = 0;
  for (const char c : bytes.substr(0, 4)) n = n << 8 | static_cast<std::uint8_t>(c);
  return n;
}
inline std::string bytes_of(std::uint32_t n) {
  return {static_cast<char>(n >> 24), static_cast<char>(n >> 16), static_cast<char>(n >> 8),
          static_cast<char>(n)};
}
inline std::uint32_t H2Frame::code() const {
  return number(std::string_view(payload).substr(type == goaway_frame ? 4 : 0));
}
inline std::int32_t H2Frame::last_stream() const {
  return static_cast<std::int32_t>(number(payload) & 0x7fffffff);
}

inline std::string frame(std::uint8_t type, std::uint8_t flags, std::int32_t stream,
                         std::string_view payload) {
  std::string out = bytes_of(static_cast<std::uint32_t>(payload.size())).substr(1);
  out += static_cast<char>(type);
  out += static_cast<char>(flags);
  out += bytes_of(static_cast<std::uint32_t>(stream));
  return out += payload;
}

/// The fields of a request, pseudo-header fields first.
inline Pairs request(std::string method, std::string path, Pairs more = {}) {
  Pairs out{{":method", std::move(method)},
            {":scheme", "http"},
            {":authority", "a.test"},
            {":path", std::move(path)}};
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

class H2Peer {
 public:
  explicit H2Peer(Accepted socket) : socket_(std::move(socket)) {
    nghttp2_hd_deflate_new(&deflater_, 4096);
    nghttp2_hd_inflate_new(&inflater_);
  }
  ~H2Peer() {
    nghttp2_hd_deflate_del(deflater_);
    nghttp2_hd_inflate_del(inflater_);
  }
  H2Peer(const H2Peer&) = delete;
  H2Peer& operator=(const H2Peer&) = delete;

  // Sending ----------------------------------------------------------------------------------------
  void raw(std::string_view bytes) { socket_.send(bytes); }
  /// The preface with SETTINGS.
  void greet(const std::vector<std::pair<std::uint16_t, std::uint32_t>>& settings = {}) {
    raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings_of(settings));
  }
  static std::string settings_of(const std::vector<std::pair<std::uint16_t, std::uint32_t>>& settings) {
    std::string payload;
    for (const auto& [id, value] : settings) payload += bytes_of(id).substr(2) + bytes_of(value);
    return frame(settings_frame, 0, 0, payload);
  }
  /// A header block, as HEADERS carries it.
  std::string pack(const Pairs& fields) {
    std::vector<nghttp2_nv> nva;
    for (const auto& [n, v] : fields)
      nva.push_back({reinterpret_cast<std::uint8_t*>(const_cast<char*>(n.data())),
                     reinterpret_cast<std::uint8_t*>(const_cast<char*>(v.data())), n.size(), v.size(), 0});
    std::string out(nghttp2_hd_deflate_bound(deflater_, nva.data(), nva.size()), 0);
    const ssize_t n = nghttp2_hd_deflate_hd(deflater_, reinterpret_cast<std::uint8_t*>(out.data()),
                                            out.size(), nva.data(), nva.size());
    out.resize(static_cast<std::size_t>(n));
    return out;
  }
  std::string headers(std::int32_t stream, const Pairs& fields, bool ends = true) {
    return frame(headers_frame, static_cast<std::uint8_t>(end_headers | (ends ? end_stream : 0)), stream,
                 pack(fields));
  }
  void ask(std::int32_t stream, const Pairs& fields, bool ends = true) { raw(headers(stream, fields, ends)); }
  void get(std::int32_t stream, const std::string& path, Pairs more = {}) {
    ask(stream, request("GET", path, std::move(more)));
  }
  void data(std::int32_t stream, std::string_view bytes, bool ends = false) {
    while (bytes.size() > 16384) {
      raw(frame(data_frame, 0, stream, bytes.substr(0, 16384)));
      bytes.remove_prefix(16384);
    }
    raw(frame(data_frame, ends ? end_stream : 0, stream, bytes));
  }
  void reset(std::int32_t stream, std::uint32_t code = NGHTTP2_CANCEL) {
    raw(frame(rst_stream_frame, 0, stream, bytes_of(code)));
  }
  void open_window(std::int32_t stream, std::uint32_t by) {
    raw(frame(window_update_frame, 0, stream, bytes_of(by)));
  }
  void close() { socket_.close(); }

  // Receiving --------------------------------------------------------------------------------------
  /// As a server: takes the client's preface, which comes first.
  std::string preface() {
    constexpr std::size_t size = 24;
    unread_ += socket_.received();
    const std::string out = unread_.substr(0, size);
    unread_.erase(0, size);
    return out;
  }
  /// The frames received since the last call.
  std::vector<H2Frame> frames() {
    unread_ += socket_.received();
    std::vector<H2Frame> out;
    while (unread_.size() >= 9) {
      const std::size_t size = number(std::string("\0", 1) + unread_.substr(0, 3));
      if (unread_.size() < 9 + size) break;
      H2Frame f;
      f.type = static_cast<std::uint8_t>(unread_[3]);
      f.flags = static_cast<std::uint8_t>(unread_[4]);
      f.stream = static_cast<std::int32_t>(number(std::string_view(unread_).substr(5)));
      f.payload = unread_.substr(9, size);
      unread_.erase(0, 9 + size);
      if (f.type == headers_frame) f.fields = unpack(f.payload);
      if (f.type == data_frame) received_data += f.payload.size();
      out.push_back(std::move(f));
    }
    return out;
  }
  /// The frames of one type among them; the others are dropped.
  std::vector<H2Frame> frames(std::uint8_t type) {
    std::vector<H2Frame> out;
    for (H2Frame& f : frames())
      if (f.type == type) out.push_back(std::move(f));
    return out;
  }
  bool ended() { return socket_.gone(); }
  int descriptor() const { return socket_.descriptor(); }

  std::size_t received_data = 0;

 private:
  Pairs unpack(std::string_view block) {
    Pairs out;
    const auto* at = reinterpret_cast<const std::uint8_t*>(block.data());
    std::size_t left = block.size();
    for (;;) {
      nghttp2_nv nv{};
      int flags = 0;
      const ssize_t n = nghttp2_hd_inflate_hd2(inflater_, &nv, &flags, at, left, 1);
      if (n < 0) break;
      at += n;
      left -= static_cast<std::size_t>(n);
      if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0)
        out.emplace_back(std::string(reinterpret_cast<char*>(nv.name), nv.namelen),
                         std::string(reinterpret_cast<char*>(nv.value), nv.valuelen));
      if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) break;
      if ((flags & NGHTTP2_HD_INFLATE_EMIT) == 0 && left == 0) break;
    }
    nghttp2_hd_inflate_end_headers(inflater_);
    return out;
  }

  Accepted socket_;
  std::string unread_;
  nghttp2_hd_deflater* deflater_ = nullptr;
  nghttp2_hd_inflater* inflater_ = nullptr;
};

}  // namespace remora::test

#include "support/http2_peer.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace remora::test {

namespace {

std::vector<nghttp2_nv> pairs_of(const Http2Peer::Pairs& fields) {
  std::vector<nghttp2_nv> out;
  for (const auto& [name, value] : fields) {
    nghttp2_nv nv{};
    nv.name = reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data()));
    nv.namelen = name.size();
    nv.value = reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data()));
    nv.valuelen = value.size();
    out.push_back(nv);
  }
  return out;
}

Http2Peer& peer_of(void* user) {
  return *static_cast<Http2Peer*>(user);
}

void require(int result, const char* what) {
  if (result >= 0) return;
  std::fprintf(stderr, "%s: %s\n", what, nghttp2_strerror(result));
  std::abort();
}

}  // namespace

struct Http2PeerCallbacks {
  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                       std::size_t name_size, const std::uint8_t* value, std::size_t value_size, std::uint8_t,
                       void* user) {
    Http2Peer::Response& r = peer_of(user).responses_[frame->hd.stream_id];
    const std::string n(reinterpret_cast<const char*>(name), name_size);
    const std::string v(reinterpret_cast<const char*>(value), value_size);
    if (n == ":status") {
      r.status = std::atoi(v.c_str());
      r.fields.clear();
    } else if (r.has_head) {
      r.trailers.emplace_back(n, v);
    } else {
      r.fields.emplace_back(n, v);
    }
    return 0;
  }
  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Http2Peer& peer = peer_of(user);
    Http2Peer::Response& r = peer.responses_[frame->hd.stream_id];
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS:
        if (r.status < 200) r.interims.push_back(r.status);
        r.has_head = r.status >= 200;
        [[fallthrough]];
      case NGHTTP2_DATA:
        if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) r.ended = true;
        break;
      case NGHTTP2_RST_STREAM:
        r.reset = frame->rst_stream.error_code;
        break;
      case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) ++peer.pongs_;
        break;
      case NGHTTP2_SETTINGS:
        for (std::size_t i = 0; i < frame->settings.niv; ++i)
          peer.settings_[frame->settings.iv[i].settings_id] = frame->settings.iv[i].value;
        break;
      default:
        break;
    }
    return 0;
  }
  static int on_data(nghttp2_session* session, std::uint8_t, std::int32_t stream, const std::uint8_t* data,
                     std::size_t size, void* user) {
    Http2Peer& peer = peer_of(user);
    Http2Peer::Response& r = peer.responses_[stream];
    r.received += size;
    if (peer.keep_bodies_) r.body.append(reinterpret_cast<const char*>(data), size);
    if (peer.reads_) nghttp2_session_consume(session, stream, size);
    return 0;
  }
  static int on_close(nghttp2_session*, std::int32_t stream, std::uint32_t code, void* user) {
    Http2Peer::Response& r = peer_of(user).responses_[stream];
    r.closed = true;
    if (code != 0 && !r.reset) r.reset = code;
    return 0;
  }
  static ssize_t read(nghttp2_session* session, std::int32_t stream, std::uint8_t* to, std::size_t room,
                      std::uint32_t* flags, nghttp2_data_source* source, void*) {
    Http2Peer::Outgoing& out = static_cast<Http2Peer*>(source->ptr)->outgoing_[stream];
    const std::size_t n = std::min(room, out.bytes.size());
    std::memcpy(to, out.bytes.data(), n);
    out.bytes.erase(0, n);
    if (n == 0 && !out.last) {
      out.deferred = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    if (out.last && out.bytes.empty()) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (!out.trailers.empty()) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        const auto nva = pairs_of(out.trailers);
        nghttp2_submit_trailer(session, stream, nva.data(), nva.size());
      }
    }
    return static_cast<ssize_t>(n);
  }
};

std::string Http2Peer::Response::field(std::string_view name) const {
  std::string all;
  for (const auto& [n, v] : fields)
    if (n == name) all += (all.empty() ? "" : ", ") + v;
  return all;
}

Http2Peer::Http2Peer(const Options& options) : keep_bodies_(options.keep_bodies) {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, &Http2PeerCallbacks::on_header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, &Http2PeerCallbacks::on_frame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, &Http2PeerCallbacks::on_data);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, &Http2PeerCallbacks::on_close);
  nghttp2_option* option = nullptr;
  nghttp2_option_new(&option);
  nghttp2_option_set_no_auto_window_update(option, 1);
  require(nghttp2_session_client_new2(&session_, callbacks, this, option), "session");
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);
  const nghttp2_settings_entry ours[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
                                         {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options.window}};
  require(nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, ours, 2), "settings");
  require(nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, 64 << 20), "window");
}

Http2Peer::~Http2Peer() {
  nghttp2_session_del(session_);
}

std::int32_t Http2Peer::begin(const std::string& method, const std::string& path, const Pairs& fields,
                              bool whole) {
  Pairs all = {{":method", method}, {":scheme", "http"}, {":authority", authority_}, {":path", path}};
  for (const auto& [name, value] : fields) {
    const auto same = std::find_if(all.begin(), all.end(),
                                   [&](const auto& f) { return f.first == name && name[0] == ':'; });
    if (same != all.end())
      same->second = value;
    else
      all.emplace_back(name, value);
  }
  return begin(all, whole);
}

std::int32_t Http2Peer::begin(const Pairs& fields, bool whole) {
  const auto nva = pairs_of(fields);
  nghttp2_data_provider provider{};
  provider.source.ptr = this;
  provider.read_callback = &Http2PeerCallbacks::read;
  const std::int32_t stream =
      nghttp2_submit_request(session_, nullptr, nva.data(), nva.size(), whole ? nullptr : &provider, nullptr);
  require(stream, "request");
  responses_[stream];
  if (!whole) outgoing_[stream];
  return stream;
}

void Http2Peer::send_data(std::int32_t stream, std::string_view bytes, bool last) {
  Outgoing& out = outgoing_[stream];
  out.bytes.append(bytes);
  out.last = out.last || last;
  if (std::exchange(out.deferred, false)) nghttp2_session_resume_data(session_, stream);
}

void Http2Peer::send_trailers(std::int32_t stream, const Pairs& fields) {
  outgoing_[stream].trailers = fields;
  send_data(stream, {}, true);
}

void Http2Peer::reset(std::int32_t stream, std::uint32_t code) {
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream, code);
}

void Http2Peer::ping() {
  nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
}

std::string Http2Peer::output() {
  std::string all;
  for (;;) {
    const std::uint8_t* bytes = nullptr;
    const ssize_t n = nghttp2_session_mem_send(session_, &bytes);
    if (n <= 0) return all;
    all.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(n));
  }
}

/// nghttp2 reports no GOAWAY after one that left it nothing to do.
void Http2Peer::look_for_goaways(std::string_view bytes) {
  constexpr std::size_t header = 9;
  constexpr char goaway = 7;
  const auto number = [&](std::size_t at, std::size_t size) {
    std::uint32_t n = 0;
    for (std::size_t i = 0; i < size; ++i) n = n << 8 | static_cast<unsigned char>(scanned_[at + i]);
    return n;
  };
  scanned_ += bytes;
  while (scanned_.size() >= header && scanned_.size() >= header + number(0, 3)) {
    if (scanned_[3] == goaway)
      goaways_.push_back({static_cast<std::int32_t>(number(header, 4) & 0x7fffffffU), number(header + 4, 4)});
    scanned_.erase(0, header + number(0, 3));
  }
}

void Http2Peer::feed(std::string_view bytes) {
  look_for_goaways(bytes);
  const ssize_t n =
      nghttp2_session_mem_recv(session_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  if (n < 0 && violation_.empty()) violation_ = nghttp2_strerror(static_cast<int>(n));
}

std::optional<std::uint32_t> Http2Peer::setting(std::int32_t id) const {
  const auto at = settings_.find(id);
  return at == settings_.end() ? std::nullopt : std::optional(at->second);
}

std::int32_t Http2Peer::connection_window() const {
  return nghttp2_session_get_remote_window_size(session_);
}

// Over a socket -------------------------------------------------------------------------------------

bool Http2Client::until(const std::function<bool()>& so, std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  for (;;) {
    const std::string out = output();
    if (!out.empty() && !socket_.send(out)) ended_ = true;
    if (so()) return true;
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (ended_ || left.count() <= 0) return false;
    // What is waited for may happen elsewhere: nothing need arrive here.
    const auto soon = std::min(left, std::chrono::milliseconds(20));
    const auto asked = std::chrono::steady_clock::now();
    if (!socket_.receive_some(soon)) ended_ = std::chrono::steady_clock::now() - asked < soon;
    feed(std::exchange(socket_.buffer(), {}));
  }
}

const Http2Peer::Response& Http2Client::finish(std::int32_t stream) {
  until([&] { return of(stream).closed; });
  return of(stream);
}

const Http2Peer::Response& Http2Client::ask(const std::string& method, const std::string& path,
                                            const Pairs& fields, const std::string& body) {
  const std::int32_t stream = begin(method, path, fields, body.empty());
  if (!body.empty()) send_data(stream, body, true);
  return finish(stream);
}

}  // namespace remora::test

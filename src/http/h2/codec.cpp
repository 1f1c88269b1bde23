#include "http/h2/codec.h"

#include <array>
#include <cstdint>
#include <new>

#include "http/h2/callbacks.h"

namespace remora {

namespace {

/// HPACK's table for response heads. It costs memory as long as the connection lives; the fields that are the
/// same in all responses of a site are about 1 KiB.
constexpr std::size_t response_table = 1024;

const nghttp2_option* make_options(bool server) {
  nghttp2_option* o = nullptr;
  if (nghttp2_option_new(&o) != 0) throw std::bad_alloc();
  nghttp2_option_set_no_auto_window_update(o, 1);
  nghttp2_option_set_no_closed_streams(o, 1);
  nghttp2_option_set_server_fallback_rfc7540_priorities(o, 0);
  nghttp2_option_set_builtin_recv_extension_type(o, NGHTTP2_PRIORITY_UPDATE);
  nghttp2_option_set_max_continuations(o, 8);
  nghttp2_option_set_max_outbound_ack(o, 200);
  nghttp2_option_set_max_send_header_block_length(o, 256 * 1024);
  // FloodGuard counts resets, on our clock. This limit must only not be stricter.
  nghttp2_option_set_stream_reset_rate_limit(o, 10'000, 10'000);
  if (server) nghttp2_option_set_max_deflate_dynamic_table_size(o, response_table);
  return o;
}

const nghttp2_option* options(bool server) {
  static const nghttp2_option* const of_server = make_options(true);
  static const nghttp2_option* const of_client = make_options(false);
  return server ? of_server : of_client;
}

}  // namespace

Http2Codec::Http2Codec(Http2Session& session, Http2End end, const Http2Settings& settings,
                       std::size_t header_bytes) {
  const bool server = end == Http2End::server;
  const auto make = server ? nghttp2_session_server_new3 : nghttp2_session_client_new3;
  nghttp2_mem memory = Http2Callbacks::memory(pages_);
  if (make(&session_, Http2Callbacks::all(), &session, options(server), &memory) != 0) throw std::bad_alloc();
  try {
    announce(end, settings, header_bytes);
  } catch (...) {
    nghttp2_session_del(session_);
    throw;
  }
}

Http2Codec::~Http2Codec() {
  nghttp2_session_del(session_);
}

void Http2Codec::announce(Http2End end, const Http2Settings& settings, std::size_t header_bytes) {
  std::array<nghttp2_settings_entry, 5> entries{{
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, settings.stream_window},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(header_bytes)},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, settings.max_concurrent_streams},
      {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
  }};
  std::size_t count = entries.size();
  if (end == Http2End::client) {
    entries[3] = {NGHTTP2_SETTINGS_ENABLE_PUSH, 0};
    --count;
  }
  if (nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, entries.data(), count) != 0 ||
      nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                            static_cast<std::int32_t>(settings.connection_window)) != 0)
    throw std::bad_alloc();
}

}  // namespace remora

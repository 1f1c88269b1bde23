// nghttp2's callbacks, for the sources of this folder that include nghttp2's header. Not for anybody else.
#pragma once

#include <nghttp2/nghttp2.h>

#include <string_view>

#include "http/h2/session.h"

namespace remora {

/// They record, and resume nobody (session.h). Exceptions end in them, because C code calls.
struct Http2Callbacks {
  static const nghttp2_session_callbacks* all();
  /// What a session of nghttp2 allocates with (memory.h); its largest blocks are in `pages`.
  static nghttp2_mem memory(Http2Pages& pages) noexcept;

  static int begin_headers(nghttp2_session*, const nghttp2_frame*, void* user) noexcept;
  static int header(nghttp2_session*, const nghttp2_frame*, const std::uint8_t* name, std::size_t name_size,
                    const std::uint8_t* value, std::size_t value_size, std::uint8_t, void* user) noexcept;
  static int frame_received(nghttp2_session*, const nghttp2_frame*, void* user) noexcept;
  static int data_received(nghttp2_session*, std::uint8_t, std::int32_t id, const std::uint8_t* bytes,
                           std::size_t size, void* user) noexcept;
  static int stream_closed(nghttp2_session*, std::int32_t id, std::uint32_t code, void* user) noexcept;
  /// The data provider of every body: hands out what is on loan from a stream's send().
  static ssize_t read(nghttp2_session*, std::int32_t, std::uint8_t*, std::size_t most, std::uint32_t* flags,
                      nghttp2_data_source* source, void* user) noexcept;
  static int send_data(nghttp2_session*, nghttp2_frame*, const std::uint8_t* header, std::size_t size,
                       nghttp2_data_source*, void* user) noexcept;
  static int frame_sent(nghttp2_session*, const nghttp2_frame*, void* user) noexcept;

 private:
  static int headers_received(nghttp2_session*, const nghttp2_frame&, Http2Session&);
  static bool take_trailers(Http2Session&, Http2Stream&, HeadBlock);
  static void end_received(Http2Session&, Http2Stream&) noexcept;
};

}  // namespace remora

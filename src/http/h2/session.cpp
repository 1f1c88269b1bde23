#include "http/h2/session.h"

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>

#include "http/h2/callbacks.h"

namespace remora {

namespace {

constexpr auto goaway_delay = std::chrono::seconds(1);

/// HPACK's table for response heads. It costs memory as long as the connection lives; the fields that are the
/// same in all responses of a site are about 1 KiB.
constexpr std::size_t response_table = 2048;

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

/// A posted turn outlives the session if that is destroyed first.
class Http2Session::Posted : public RefCounted<Posted> {
 public:
  Http2Session* session = nullptr;
};

Http2Session::Http2Session(Loop& loop, End end, const Http2Settings& settings, std::size_t header_bytes,
                           std::size_t headers)
    : loop_(loop),
      header_bytes_(header_bytes),
      headers_(headers),
      max_queued_(std::size_t{4} * std::max<std::uint32_t>(settings.max_concurrent_streams, 64)),
      end_(end),
      posted_(new Posted),
      output_(loop.buffers),
      flood_(loop.clock, end == End::server ? NGHTTP2_CLIENT_MAGIC_LEN : 0) {
  const auto make = end == End::server ? nghttp2_session_server_new3 : nghttp2_session_client_new3;
  nghttp2_mem memory = Http2Callbacks::memory(pages_);
  if (make(&session_, Http2Callbacks::all(), this, options(end == End::server), &memory) != 0)
    throw std::bad_alloc();
  posted_->session = this;
  std::array<nghttp2_settings_entry, 5> entries{{
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, settings.stream_window},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(header_bytes)},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, settings.max_concurrent_streams},
      {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
  }};
  std::size_t count = entries.size();
  if (end == End::client) {
    entries[3] = {NGHTTP2_SETTINGS_ENABLE_PUSH, 0};
    --count;
  }
  if (nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, entries.data(), count) != 0 ||
      nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                            static_cast<std::int32_t>(settings.connection_window)) != 0) {
    nghttp2_session_del(session_);
    throw std::bad_alloc();
  }
}

Http2Session::~Http2Session() {
  posted_->session = nullptr;
  nghttp2_session_del(session_);
}

// Transport -----------------------------------------------------------------------------------------

void Http2Session::use(TransportRef transport, EventFlags& wake, unsigned bit) {
  transport_ = std::move(transport);
  wake_ = &wake;
  bit_ = bit;
  transport_->attach(wake, bit);
}

TransportRef Http2Session::release() {
  wake_ = nullptr;
  collector_.reset();  // a parked connection keeps little memory
  if (is_idle()) pages_.discard();
  return std::exchange(transport_, TransportRef());
}

Io Http2Session::receive() {
  if (over_ || !transport_) return Io::failed;
  if (transport_->unread().empty()) {
    const Io io = transport_->fill();
    if (io == Io::blocked) return Io::blocked;
    if (io == Io::failed || transport_->unread().empty()) lose();  // empty: the peer has ended
  }
  if (!over_) {
    const std::string_view bytes = transport_->unread();
    process(bytes);
    transport_->consume(bytes.size());
  }
  // What nghttp2 itself has to say may end the connection: then no stream of these bytes begins.
  if (goaway_due_ || nghttp2_session_want_write(session_) != 0)
    turn();
  else
    wake_marked();
  // After a short receive there is nothing more for now: wait, without asking the kernel first. (TLS: there
  // may be more to decrypt.)
  if (!over_ && !transport_->is_tls() && !transport_->peer_closed()) transport_->arm();
  return over_ ? Io::failed : Io::ready;
}

void Http2Session::process(std::string_view bytes) {
  if (!flood_.feed(bytes)) return flooded(flood_.what());
  const ssize_t n =
      nghttp2_session_mem_recv(session_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  if (n >= 0 && flood_.floods()) return flooded(flood_.what());
  // While the socket is blocked, the frames of streams that are closed again wait in nghttp2.
  if (n >= 0 && socket_blocked_ && nghttp2_session_get_outbound_queue_size(session_) > max_queued_)
    return flooded("requests whose responses are not read");
  if (n >= 0) return;
  if (flood_of_fields_ != nullptr) return flooded(flood_of_fields_);
  if (n == NGHTTP2_ERR_FLOODED || n == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS)
    return flooded("frames beyond nghttp2's limits");
  if (n == NGHTTP2_ERR_BAD_CLIENT_MAGIC) return lose();
  terminate(Http2Error::internal_error);
}

void Http2Session::flooded(const char* what) {
  terminate(Http2Error::enhance_your_calm);
  tell_flood(what);
}

/// With several open streams more will soon be due: see posted_turn().
void Http2Session::flush() {
  if (running_ > 1 && !over_) return flush_soon();
  turn();
}

void Http2Session::flush_soon() noexcept {
  if (in_turn_ || post_pending_) return;
  post_pending_ = post_turn();
  // Without memory the deadline wheel does it, which needs none.
  if (!post_pending_ && shutdown_ != Shutdown::noticed) arm(loop_.wheel, loop_.wheel.now());
}

/// False: no memory.
bool Http2Session::post_turn() noexcept {
  try {
    asio::post(loop_.ctx.get_executor(), [posted = posted_] {
      if (posted->session != nullptr) posted->session->posted_turn();
    });
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

/// While other streams are open, the loop asks the kernel for events once more: their responses may be there
/// already, and then leave in the same write.
void Http2Session::posted_turn() {
  if (running_ > 1 && !std::exchange(polled_, true) && post_turn()) return;
  post_pending_ = polled_ = false;
  turn();
  const bool blocked = send_blocked();
  const bool news = over_ || blocked != std::exchange(told_blocked_, blocked);  // for its deadlines
  if (news && wake_ != nullptr) wake_->set(bit_);  // the owner may destroy the session now
}

// Turns ---------------------------------------------------------------------------------------------

/// Streams are woken in turns only.
struct Http2Session::InTurn {
  bool& flag;
  explicit InTurn(bool& f) : flag(f) { flag = true; }
  ~InTurn() { flag = false; }
};

void Http2Session::wake_marked() {
  if (in_turn_) return;
  const InTurn guard(in_turn_);
  tell_marked();
}

void Http2Session::turn() {
  if (in_turn_) return;
  {
    const InTurn guard(in_turn_);
    tell_marked();
    send_due();
    if (std::exchange(may_resume_, false) && !stalled_.empty()) {
      wake_stalled();
      send_due();
    }
    end_if_over();
    if (over_) tell_marked();
  }
  if (!marked_.empty() || may_resume_) flush_soon();
}

void Http2Session::tell_marked() {
  while (!marked_.empty()) {
    Http2Stream& stream = marked_.front();
    marked_.pop_front();
    if (!stream.done_) tell(stream);
  }
}

// Streams -------------------------------------------------------------------------------------------

void Http2Session::clear() noexcept {
  over_ = true;
  while (!streams_.empty()) drop(streams_.front());
}

void Http2Session::mark(Http2Stream& stream) noexcept {
  auto& hook = static_cast<Http2Hook<MarkedTag>&>(stream);
  if (!hook.is_linked()) marked_.push_back(stream);
}

void Http2Session::consume(std::int32_t id, std::size_t n) noexcept {
  if (n == 0 || over_) return;
  if (nghttp2_session_consume(session_, id, n) != 0) return lose();
  if (nghttp2_session_want_write(session_) != 0) flush_soon();
}

void Http2Session::release_memory(Http2Stream& stream) noexcept {
  consume(stream.id_, stream.queue_.size());
  stream.queue_.clear();
  stream.trailers_.reset();
  static_cast<Http2Hook<StalledTag>&>(stream).unlink();
  static_cast<Http2Hook<MarkedTag>&>(stream).unlink();
}

void Http2Session::reset_stream(std::int32_t id, Http2Error code) noexcept {
  if (over_) return;
  if (nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, static_cast<std::uint32_t>(code)) != 0)
    lose();
  flush_soon();
}

// The end -------------------------------------------------------------------------------------------

void Http2Session::lose() noexcept {
  if (std::exchange(over_, true)) return;
  output_.clear();
  for (Http2Stream& stream : streams_) {
    stream.lost_ = true;
    if (!stream.done_) mark(stream);
  }
  flush_soon();  // tells them, and the owner
}

void Http2Session::end_if_over() noexcept {
  if (over_ || !transport_ || output_.pending() > 0) return;
  if (nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0) lose();
}

void Http2Session::shutdown() {
  if (shutdown_ != Shutdown::none || over_) return;
  shutdown_ = Shutdown::noticed;
  ping_due_ = true;
  if (nghttp2_submit_shutdown_notice(session_) != 0) return lose();
  arm(loop_.wheel, loop_.wheel.now() + goaway_delay);
  flush_soon();
}

void Http2Session::expired() {
  say_goaway();
  flush_soon();
}

/// The second step of shutdown(): the client has heard of the first, or had time to. The frame is made when
/// it can be serialized (pull()): requests that are received before that are served.
void Http2Session::say_goaway() noexcept {
  if (shutdown_ != Shutdown::noticed || over_) return;
  shutdown_ = Shutdown::said;
  goaway_due_ = true;
  disarm();
}

void Http2Session::submit_goaway() noexcept {
  goaway_due_ = false;
  if (nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_),
                            NGHTTP2_NO_ERROR, nullptr, 0) != 0)
    lose();
}

void Http2Session::terminate(Http2Error code) noexcept {
  if (over_) return;
  goaway_due_ = false;
  nghttp2_session_terminate_session(session_, static_cast<std::uint32_t>(code));
  if (transport_ && pull()) write_out();
  lose();
  flush_soon();
}

void Http2Session::look_for_end() noexcept {
  if (over_ || !transport_ || transport_->still_open() || !transport_->unread().empty()) return;
  lose();
  flush_soon();
}

bool Http2Session::is_idle() const noexcept {
  return streams_.empty() && output_.pending() == 0 && !over_ && shutdown_ == Shutdown::none &&
         nghttp2_session_want_write(session_) == 0 && !flood_.mid_head() &&
         (!transport_ || transport_->unread().empty());
}

bool Http2Session::send_blocked() const noexcept {
  return output_.pending() > 0 && transport_ && transport_->send_blocked();
}

}  // namespace remora

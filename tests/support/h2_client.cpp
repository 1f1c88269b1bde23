#include "support/h2_client.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <deque>

namespace remora::test::h2 {

namespace {

std::uint32_t number(std::string_view bytes) {
  std::uint32_t n = 0;
  for (const char c : bytes.substr(0, 4)) n = n << 8 | static_cast<unsigned char>(c);
  return n;
}
constexpr std::uint32_t id_bits = 0x7fffffff;
}  // namespace

std::string value_of(const Fields& fields, std::string_view name) {
  std::string out;
  bool any = false;
  for (const auto& [n, v] : fields) {
    if (n != name) continue;
    out += any ? ", " + v : v;
    any = true;
  }
  return out;
}

int Stream::status() const {
  for (const Fields& head : heads)
    if (const int status = std::atoi(value_of(head, ":status").c_str()); status >= 200) return status;
  return 0;
}

std::string Stream::field(std::string_view name) const {
  for (const Fields& head : heads)
    if (std::atoi(value_of(head, ":status").c_str()) >= 200) return value_of(head, name);
  return "";
}

std::string Stream::trailer(std::string_view name) const {
  const bool some = !heads.empty() && value_of(heads.back(), ":status").empty();
  return some ? value_of(heads.back(), name) : "";
}

// Connection ----------------------------------------------------------------------------------------

struct Client::Inflater {
  Inflater() { nghttp2_hd_inflate_new(&inflater); }
  ~Inflater() { nghttp2_hd_inflate_del(inflater); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  nghttp2_hd_inflater* inflater = nullptr;
  /// Our settings, which apply from their acknowledgment on: the size of the table, and the windows.
  std::deque<Settings> unacknowledged;
};

Client::Client(int port) : wire_(port), inflater_(std::make_unique<Inflater>()) {}
Client::Client(int port, const TlsOptions& tls) : wire_(port, tls), inflater_(std::make_unique<Inflater>()) {}
Client::~Client() = default;

Client::Check Client::start(const Settings& ours) {
  inflater_->unacknowledged.push_back(ours);
  send(std::string(preface) + settings(ours));
  if (wait([this] { return has_settings_ && settings_acks_ > 0; })) return ::testing::AssertionSuccess();
  return failed("SETTINGS and their acknowledgment");
}

void Client::apply(const Settings& ours) {
  for (const auto& [key, value] : ours) {
    if (key == Setting::header_table_size) nghttp2_hd_inflate_change_table_size(inflater_->inflater, value);
    if (key != Setting::initial_window_size) continue;
    for (auto& [id, stream] : streams_) stream.receive_window += std::int64_t{value} - our_initial_window_;
    our_initial_window_ = value;
  }
}

Client::Check Client::change(const Settings& ours) {
  const int before = settings_acks_;
  inflater_->unacknowledged.push_back(ours);
  send(settings(ours));
  if (wait([&] { return settings_acks_ > before; })) return ::testing::AssertionSuccess();
  return failed("an acknowledgment of SETTINGS");
}

bool Client::send(std::string_view bytes, std::chrono::milliseconds limit) {
  out_ += bytes;
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!out_.empty()) {
    const Wire::Io written = wire_.write(out_);
    if (written == Wire::Io::ended) {
      poll();  // what came before the end, GOAWAY above all
      closed_ = true;
      out_.clear();
      return false;
    }
    if (written == Wire::Io::done) continue;
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    if (left <= 0ms || closed_) return false;
    wire_.wait(true, std::min(left, 100ms));
    if (reads && wire_.read(in_) == Wire::Io::ended) closed_ = true;
    parse();
  }
  return true;
}

/// Sends what is due, and receives once. False: nothing came.
bool Client::pump(std::chrono::milliseconds limit) {
  if (closed_) return false;
  if (!out_.empty()) wire_.write(out_);  // what does not fit goes next time
  if (!wire_.wait(!out_.empty(), limit)) return false;
  const Wire::Io received = wire_.read(in_);
  if (received == Wire::Io::ended) closed_ = true;
  parse();
  return received == Wire::Io::done;
}

void Client::poll() {
  while (pump(0ms)) {
  }
}

bool Client::wait(const std::function<bool()>& is_true, std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!is_true()) {
    if (closed_ || std::chrono::steady_clock::now() >= end) return false;
    pump(50ms);
  }
  if (!out_.empty()) wire_.write(out_);
  return true;
}

bool Client::sync() {
  const std::string payload = "sync" + u32(static_cast<std::uint32_t>(++syncs_));
  send(ping(payload));
  return wait([&] { return std::find(pongs_.begin(), pongs_.end(), payload) != pongs_.end(); });
}

bool Client::send_data(std::uint32_t id, std::string_view bytes, unsigned flags) {
  send_window_ -= static_cast<std::int64_t>(bytes.size());
  opened(id).send_window -= static_cast<std::int64_t>(bytes.size());
  return send(data(id, bytes, flags));
}

void Client::give_window(std::uint32_t id, std::uint32_t increment) {
  (id == 0 ? receive_window_ : opened(id).receive_window) += increment;
  send(window_update(id, increment));
}

bool Client::send_body(std::uint32_t id, std::string_view bytes) {
  Stream& s = opened(id);
  do {
    if (!wait([&] { return s.over() || bytes.empty() || std::min(send_window_, s.send_window) > 0; }))
      return false;
    if (s.reset) return false;
    const auto window =
        static_cast<std::size_t>(std::max<std::int64_t>(0, std::min(send_window_, s.send_window)));
    const std::string_view part = bytes.substr(0, std::min(window, max_frame_payload));
    bytes.remove_prefix(part.size());
    if (!send_data(id, part, bytes.empty() ? end_stream : 0)) return false;
  } while (!bytes.empty());
  return true;
}

std::uint32_t Client::get(std::string_view path, const Fields& more) {
  return ask(request(path, more));
}

std::uint32_t Client::ask(const Fields& fields) {
  const std::uint32_t id = next_stream();
  opened(id);
  send(headers(id, block(fields)));
  return id;
}

std::optional<std::uint32_t> Client::setting(Setting key) const {
  const auto found = settings_.find(key);
  return found == settings_.end() ? std::nullopt : std::optional(found->second);
}

// Frames --------------------------------------------------------------------------------------------

void Client::blame(const std::string& what) {
  if (violation_.empty()) violation_ = what;
}

Stream& Client::opened(std::uint32_t id) {
  const auto [at, is_new] = streams_.try_emplace(id);
  if (is_new) {
    at->second.receive_window = our_initial_window_;
    at->second.send_window = setting(Setting::initial_window_size).value_or(65535) + granted_[id];
  }
  return at->second;
}

void Client::parse() {
  std::size_t at = 0;
  while (in_.size() - at >= 9) {
    const std::string_view head = std::string_view(in_).substr(at, 9);
    const std::size_t length = number(head) >> 8;
    if (length > max_frame_payload) {
      blame("a frame of " + std::to_string(length) + " bytes");
      closed_ = true;
      return;
    }
    if (in_.size() - at - 9 < length) break;
    const std::string payload = in_.substr(at + 9, length);
    const auto type = static_cast<Type>(head[3]);
    const auto flags = static_cast<unsigned char>(head[4]);
    const std::uint32_t id = number(head.substr(5)) & id_bits;
    at += 9 + length;
    if (!has_settings_ && (type != Type::settings || (flags & ack) != 0))
      blame("SETTINGS did not come first");
    if (open_stream_ != 0 && (type != Type::continuation || id != open_stream_))
      blame("a head was interrupted");
    on_frame(type, flags, id, payload);
  }
  in_.erase(0, at);
}

void Client::on_frame(Type type, unsigned flags, std::uint32_t id, std::string_view payload) {
  switch (type) {
    case Type::data:
      return on_data(flags, id, payload);
    case Type::headers:
    case Type::continuation:
      return on_head(flags, id, payload);
    case Type::rst_stream:
      opened(id).reset = number(payload);
      return;
    case Type::settings:
      return on_settings(flags, payload);
    case Type::ping:
      if ((flags & ack) != 0)
        pongs_.emplace_back(payload);
      else
        out_ += ping(payload, ack);
      return;
    case Type::goaway:
      if (goaway_ && (number(payload) & id_bits) > goaway_last_) blame("GOAWAY's last stream grew");
      goaway_last_ = number(payload) & id_bits;
      goaway_ = static_cast<Error>(number(payload.substr(4)));
      ++goaways_;
      return;
    case Type::window_update:
      return on_window_update(id, number(payload) & id_bits);
    default:
      blame("a frame of type " + std::to_string(static_cast<int>(type)));
  }
}

void Client::on_data(unsigned flags, std::uint32_t id, std::string_view payload) {
  Stream& s = opened(id);
  const auto size = static_cast<std::int64_t>(payload.size());
  if (s.heads.empty()) blame("DATA before the head");
  if (s.ended) blame("DATA after the end");
  s.receive_window -= size;
  receive_window_ -= size;
  if (size > 0 && (s.receive_window < 0 || receive_window_ < 0)) blame("DATA beyond the window");
  std::string_view content = payload;
  if ((flags & padded) != 0)
    content = content.substr(1, content.size() - 1 - static_cast<unsigned char>(payload[0]));
  s.body += content;
  s.ended = s.ended || (flags & end_stream) != 0;
  if (size > 0) data_order_.push_back(id);
  if (!updates_windows || size == 0) return;
  receive_window_ += size;
  out_ += window_update(0, static_cast<std::uint32_t>(size));
  if (s.ended) return;
  s.receive_window += size;
  out_ += window_update(id, static_cast<std::uint32_t>(size));
}

void Client::on_head(unsigned flags, std::uint32_t id, std::string_view payload) {
  if (open_stream_ == 0) open_ends_ = (flags & end_stream) != 0;
  if ((flags & padded) != 0)
    payload = payload.substr(1, payload.size() - 1 - static_cast<unsigned char>(payload[0]));
  if ((flags & with_priority) != 0 && open_stream_ == 0) payload.remove_prefix(5);
  open_block_ += payload;
  open_stream_ = id;
  if ((flags & end_headers) == 0) return;
  open_stream_ = 0;
  decode(id, std::exchange(open_block_, {}), open_ends_);
}

void Client::decode(std::uint32_t id, std::string_view block, bool ends) {
  Stream& s = opened(id);
  if (s.ended) blame("HEADERS after the end");
  Fields fields;
  const auto* at = reinterpret_cast<const std::uint8_t*>(block.data());
  std::size_t left = block.size();
  for (;;) {
    nghttp2_nv field;
    int done = 0;
    const ssize_t n = nghttp2_hd_inflate_hd2(inflater_->inflater, &field, &done, at, left, 1);
    if (n < 0) return blame("a header block that cannot be decoded");
    at += n;
    left -= static_cast<std::size_t>(n);
    if ((done & NGHTTP2_HD_INFLATE_EMIT) != 0)
      fields.emplace_back(std::string(reinterpret_cast<const char*>(field.name), field.namelen),
                          std::string(reinterpret_cast<const char*>(field.value), field.valuelen));
    if ((done & NGHTTP2_HD_INFLATE_FINAL) != 0) break;
  }
  nghttp2_hd_inflate_end_headers(inflater_->inflater);
  for (const auto& [name, value] : fields) {
    const bool upper = std::any_of(name.begin(), name.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
    if (upper) blame("the field name " + name);
    for (const char* forbidden :
         {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"})
      if (name == forbidden) blame("the field " + name);
  }
  s.heads.push_back(std::move(fields));
  s.ended = s.ended || ends;
}

void Client::on_settings(unsigned flags, std::string_view payload) {
  if ((flags & ack) != 0) {
    ++settings_acks_;
    auto& waiting = inflater_->unacknowledged;
    if (waiting.empty()) return;  // they were sent as bytes
    apply(waiting.front());
    waiting.pop_front();
    return;
  }
  for (; payload.size() >= 6; payload.remove_prefix(6)) {
    const auto key = static_cast<Setting>(number(payload) >> 16);
    const std::uint32_t value = number(payload.substr(2));
    if (key == Setting::enable_push && value != 0) blame("ENABLE_PUSH from a server");
    if (key == Setting::initial_window_size)
      for (auto& [id, s] : streams_)
        s.send_window += std::int64_t{value} - setting(Setting::initial_window_size).value_or(65535);
    settings_[key] = value;
  }
  has_settings_ = true;
  if (acks_settings) out_ += settings_ack();
}

void Client::on_window_update(std::uint32_t id, std::uint32_t increment) {
  if (increment == 0) blame("WINDOW_UPDATE of 0");
  granted_[id] += increment;
  if (id == 0) {
    send_window_ += increment;
  } else if (const auto found = streams_.find(id); found != streams_.end()) {
    found->second.send_window += increment;
  }
}

}  // namespace remora::test::h2

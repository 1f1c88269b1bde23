#include "support/fake_streams.h"

#include <algorithm>
#include <stdexcept>

#include "http/h1/grammar.h"
#include "util/text.h"

namespace remora::test {

std::optional<std::string> field(const Fields& fields, std::string_view name) {
  const auto at =
      std::find_if(fields.begin(), fields.end(), [&](const auto& f) { return iequals(f.first, name); });
  return at == fields.end() ? std::nullopt : std::optional(at->second);
}

OwnedHead owned(const OutHead& head) {
  OwnedHead out;
  out.method = head.method;
  out.target = head.target;
  out.reason = head.reason;
  out.tunnel = head.tunnel;
  out.status = head.status;
  out.body = head.body;
  out.close = head.close;
  for (const Field& f : head.fields) out.fields.emplace_back(f.name, f.value);
  return out;
}

// Client --------------------------------------------------------------------------------------------

void FakeClient::begin(std::string body, bool whole) {
  body_ = std::move(body);
  whole_ = whole;
  half_closed_ = send_blocked_ = sending_ended_ = tunnel_ = has_head_ = closes_ = false;
  failure_ = {};
  trailer_texts_.clear();
  trailers_.clear();
  delivered_ = {};
}

void FakeClient::arrive(std::string_view more, bool whole) {
  body_ += more;
  whole_ = whole;
  wake();
}

void FakeClient::add_trailer(std::string name, std::string value) {
  trailer_texts_.emplace_back(std::move(name), std::move(value));
  trailers_.clear();
  for (const auto& [n, v] : trailer_texts_) trailers_.push_back({n, v, Known::other});
}

void FakeClient::open_window(std::size_t bytes) {
  window_ = bytes;
  send_blocked_ = false;
  wake();
}

void FakeClient::reset(bool unnoticed) {
  if (unnoticed) {
    reset_unnoticed_ = true;
    return;
  }
  gone_ = true;
  wake();
}

void FakeClient::half_close() {
  half_closed_ = true;
  wake();
}

void FakeClient::fail(StreamFailure why) {
  failure_ = why;
  wake();
}

void FakeClient::attach(EventFlags& wake, unsigned bit) noexcept {
  wake_ = &wake;
  bit_ = bit;
}

Io FakeClient::fill() {
  if (faults_->hits()) {
    gone_ = true;
    failure_ = {StreamFailure::Kind::reset, 0, "reset"};
  }
  if (gone_ && failure_.kind == StreamFailure::Kind::none)
    failure_ = {StreamFailure::Kind::reset, 0, "reset"};
  if (failure_.kind != StreamFailure::Kind::none) return Io::failed;
  if (!body_.empty() || whole_ || (tunnel_ && half_closed_)) return Io::ready;
  if (!half_closed_) return Io::blocked;
  failure_ = {StreamFailure::Kind::ended, 0, "closed"};
  return Io::failed;
}

Body FakeClient::body() {
  run_ = asio::const_buffer(body_.data(), std::min(body_.size(), piece_));
  const bool last = run_.size() == body_.size() && (whole_ || (tunnel_ && half_closed_));
  return {{&run_, body_.empty() ? 0U : 1U}, last};
}

void FakeClient::consume(std::size_t n) {
  if (n > body_.size()) throw std::logic_error("consumed more than there is");
  body_.erase(0, n);
}

const std::vector<Field>* FakeClient::trailers() const noexcept {
  return whole_ && !trailers_.empty() ? &trailers_ : nullptr;
}

WriteResult FakeClient::send(Body body, const std::vector<Field>* trailers) {
  if (!open_) return {0, false, Io::failed};
  if (faults_->hits()) gone_ = true;
  if (gone_) return {0, false, Io::failed};
  WriteResult out;
  for (const auto& run : body.runs) {
    const std::size_t n = std::min(run.size(), window_);
    delivered_.body.append(static_cast<const char*>(run.data()), n);
    out.bytes += n;
    window_ -= window_ == ~std::size_t{0} ? 0 : n;
  }
  send_blocked_ = out.bytes < body.size();
  if (send_blocked_) out.io = Io::blocked;
  out.finished = body.last && !send_blocked_;
  if (!out.finished) return out;
  delivered_.complete = true;
  if (trailers != nullptr)
    for (const Field& f : *trailers) delivered_.trailers.emplace_back(f.name, f.value);
  return out;
}

void FakeClient::abort() noexcept {
  delivered_.aborted = true;
  open_ = false;
}

void FakeClient::put_head(const OutHead& head) {
  if (std::exchange(has_head_, true)) throw std::logic_error("a second head for one response");
  delivered_.head = owned(head);
  closes_ = head.close || (delimits_by_closing_ && head.body.kind == BodyLength::Kind::unknown);
}

Io FakeClient::flush() {
  if (faults_->hits()) gone_ = true;
  if (gone_) return Io::failed;
  return window_ == 0 ? Io::blocked : Io::ready;
}

// Backend -------------------------------------------------------------------------------------------

void FakeBackend::connect(BackendScript script, const std::string& backend, std::vector<SentRequest>& into) {
  script_ = std::move(script);
  if (script_.head.empty()) {
    script_.head = "200 OK\r\nServer: " + backend + "\r\n";
    if (script_.trailers.empty())
      script_.head += "Content-Length: " + std::to_string(script_.body.size()) + "\r\n";
    if (!script_.trailers.empty()) script_.head += "Transfer-Encoding: chunked\r\n";
  }
  sent_ = &into;
  sent_->push_back({backend, {}, {}, false, script_.idle || script_.reserved});
  interims_read_ = body_read_ = 0;
  has_connection_ = open_ = true;
  began_ = request_sent_ = head_read_ = went_ = broken_ = send_blocked_ = tunnel_ = sending_ended_ = false;
  raw_last_ = false;
  broken_ = script_.dead;
  failure_ = {};
  trailers_.clear();
  for (const auto& [name, value] : script_.trailers) trailers_.push_back({name, value, known_field(name)});
}

void FakeBackend::go() {
  went_ = true;
  send_blocked_ = false;
  script_.window = ~std::size_t{0};
  wake();
}

void FakeBackend::send_interim(std::string head) {
  script_.interims.push_back(std::move(head));
  wake();
}

void FakeBackend::reset() {
  broken_ = true;
  wake();
}

void FakeBackend::send_raw(std::string_view bytes, bool last) {
  script_.body += bytes;
  raw_last_ = last;
  wake();
}

void FakeBackend::attach(EventFlags& wake, unsigned bit) noexcept {
  wake_ = &wake;
  bit_ = bit;
}

Io FakeBackend::fail(StreamFailure::Kind kind) noexcept {
  broken_ = true;
  failure_ = {kind, 502, "scripted"};
  return Io::failed;
}

Io FakeBackend::fill() {
  if (broken_ || faults_->hits()) return fail(StreamFailure::Kind::reset);
  if (tunnel_) return body_read_ < script_.body.size() || raw_last_ ? Io::ready : Io::blocked;
  if (body_read_ >= script_.breaks_after) return fail(StreamFailure::Kind::reset);
  if (body_read_ >= script_.stalls_after && !went_) return Io::blocked;
  return Io::ready;
}

Body FakeBackend::body() {
  std::size_t end = std::min(script_.body.size(), script_.breaks_after);
  if (!went_) end = std::min(end, script_.stalls_after);
  if (end - body_read_ > script_.piece) end = body_read_ + script_.piece;
  run_ = asio::const_buffer(script_.body.data() + body_read_, end - body_read_);
  const bool last = tunnel_ ? raw_last_ && end == script_.body.size()
                            : end == script_.body.size() && end < script_.breaks_after;
  return {{&run_, run_.size() == 0 ? 0U : 1U}, last};
}

void FakeBackend::consume(std::size_t n) {
  body_read_ += n;
  if (body_read_ > script_.body.size()) throw std::logic_error("consumed more than there is");
}

const std::vector<Field>* FakeBackend::trailers() const noexcept {
  const bool stalls = script_.stalls_after < script_.body.size() && !went_;
  return trailers_.empty() || stalls ? nullptr : &trailers_;
}

WriteResult FakeBackend::send(Body body, const std::vector<Field>* trailers) {
  if (!has_connection_) throw std::logic_error("sent without a connection");
  if (broken_ || faults_->hits())
    return static_cast<void>(fail(StreamFailure::Kind::reset)), WriteResult{0, false, Io::failed};
  SentRequest& to = sent_->back();
  WriteResult out;
  began_ = true;
  for (const auto& run : body.runs) {
    if (tunnel_) break;
    const std::size_t room = std::min(script_.window, script_.resets_after) -
                             std::min(to.body.size(), std::min(script_.window, script_.resets_after));
    const std::size_t n = std::min(run.size(), room);
    to.body.append(static_cast<const char*>(run.data()), n);
    out.bytes += n;
  }
  if (tunnel_) {
    for (const auto& run : body.runs) to.body.append(static_cast<const char*>(run.data()), run.size());
    return {body.size(), body.last, Io::ready};
  }
  if (out.bytes < body.size() && to.body.size() >= script_.resets_after) {
    out.io = Io::failed;
    return out;
  }
  send_blocked_ = out.bytes < body.size();
  if (send_blocked_) out.io = Io::blocked;
  out.finished = body.last && !send_blocked_;
  request_sent_ = to.complete = out.finished;
  if (out.finished && trailers != nullptr)
    for (const Field& f : *trailers) to.head.fields.emplace_back("trailer " + std::string(f.name), f.value);
  return out;
}

void FakeBackend::use(TransportRef, bool) {
  throw std::logic_error("a fake stream was given a socket");
}

TransportRef FakeBackend::release() {
  has_connection_ = false;
  return {};
}

bool FakeBackend::responds() const noexcept {
  switch (script_.when) {
    case BackendScript::When::at_once:
      return began_;
    case BackendScript::When::after_request:
      return request_sent_ || went_;
    case BackendScript::When::on_go:
      return went_;
    case BackendScript::When::never:
      break;
  }
  return false;
}

Io FakeBackend::read_head(ResponseHead& head, Method asked) {
  if (broken_ || faults_->hits()) return fail(StreamFailure::Kind::reset);
  const bool interim = interims_read_ < script_.interims.size();
  if (!interim && !responds()) return Io::blocked;
  if (!interim && script_.fails == BackendScript::Fails::closes) return fail(StreamFailure::Kind::ended);
  if (!interim && script_.fails == BackendScript::Fails::refuses) return fail(StreamFailure::Kind::refused);
  if (!interim && script_.fails == BackendScript::Fails::requires_http1)
    return fail(StreamFailure::Kind::http1_required);
  if (!interim && script_.fails == BackendScript::Fails::malformed)
    return fail(StreamFailure::Kind::malformed);
  head_text_ = "HTTP/1.1 " + (interim ? script_.interims[interims_read_++] : script_.head) + "\r\n";
  const Parsed parsed = parse_response_head(head_text_, asked, head, message_);
  if (parsed.status != Parsed::Status::ok)
    throw std::logic_error(std::string("a script's head: ") + parsed.why);
  if (head.status >= 200) head_read_ = true;
  if (asked == Method::head) {
    script_.body.clear();
    script_.breaks_after = ~std::size_t{0};
  }
  return Io::ready;
}

bool FakeBackend::reusable() const noexcept {
  return has_connection_ && open_ && !broken_ && !tunnel_ && head_read_ && request_sent_ &&
         script_.keep_alive && body_read_ == script_.body.size() &&
         script_.breaks_after > script_.body.size();
}

// Connector -----------------------------------------------------------------------------------------

namespace {

class FakeConnect final : public PendingConnect {
 public:
  FakeConnect(BackendScript script, std::string name, Clock::Steady deadline, FakeBackend& into,
              std::vector<SentRequest>& requests, bool fails)
      : script_(std::move(script)),
        name_(std::move(name)),
        deadline_(deadline),
        into_(into),
        requests_(requests),
        fails_(fails) {}

  Io step(Clock::Steady now) override {
    if (fails_) return Io::failed;
    switch (script_.connect) {
      case BackendScript::Connect::accepts:
        into_.connect(script_, name_, requests_);
        return Io::ready;
      case BackendScript::Connect::silent:
        timed_out_ = true;
        return now < deadline_ ? Io::blocked : Io::failed;
      case BackendScript::Connect::unreachable:
        timed_out_ = true;
        return Io::failed;
      case BackendScript::Connect::refuses:
        break;
    }
    return Io::failed;
  }
  Clock::Steady deadline() const noexcept override { return deadline_; }
  bool timed_out() const noexcept override { return timed_out_; }

 private:
  const BackendScript script_;
  const std::string name_;
  const Clock::Steady deadline_;
  FakeBackend& into_;
  std::vector<SentRequest>& requests_;
  const bool fails_;
  bool timed_out_ = false;
};

}  // namespace

void FakeConnector::reserve(const std::string& pool, const Backend& backend, bool leg_due) {
  reserved_pool_ = pool;
  reserved_ = {&backend, leg_due};
  has_reserved_ = true;
}

const BackendScript* FakeConnector::next(const std::string& backend) const {
  const auto scripts = scripts_.find(backend);
  if (scripts != scripts_.end() && !scripts->second.empty()) return &scripts->second.front();
  const auto always = always_.find(backend);
  return always == always_.end() ? nullptr : &always->second;
}

BackendScript FakeConnector::take_script(const std::string& backend) {
  connected.push_back(backend);
  const BackendScript* const found = next(backend);
  BackendScript out = found == nullptr ? BackendScript{} : *found;
  const auto scripts = scripts_.find(backend);
  if (scripts != scripts_.end() && !scripts->second.empty()) scripts->second.pop_front();
  return out;
}

Connector::Reserved FakeConnector::reserved_in(std::string_view pool) const noexcept {
  return has_reserved_ && pool == reserved_pool_ ? reserved_ : Reserved{};
}

Connector::TakenReserved FakeConnector::take_reserved(const Target& to, BackendStream& into, Clock::Steady) {
  if (to.pool.config.name != reserved_pool_) return {};
  TakenReserved out;
  out.leg_due = std::exchange(reserved_.leg_due, false);
  const BackendScript* const script = next(to.member.backend->id);
  if (reserved_.backend != to.member.backend.get() || script == nullptr || !script->reserved) return out;
  out.taken = true;
  dynamic_cast<FakeBackend&>(*into).connect(take_script(to.member.backend->id), to.member.backend->id,
                                            requests);
  return out;
}

bool FakeConnector::take_idle(const Target& to, bool, BackendStream& into, Clock::Steady) {
  const BackendScript* const script = next(to.member.backend->id);
  if (script == nullptr || !script->idle) return false;
  dynamic_cast<FakeBackend&>(*into).connect(take_script(to.member.backend->id), to.member.backend->id,
                                            requests);
  return true;
}

std::unique_ptr<PendingConnect> FakeConnector::connect(const Target& to, Clock::Steady began,
                                                       std::chrono::nanoseconds timeout, EventFlags&,
                                                       BackendStream& into) {
  const std::string& name = to.member.backend->id;
  needs.push_back(to.needs);
  BackendScript script = take_script(name);
  script.idle = false;
  return std::make_unique<FakeConnect>(std::move(script), name, began + timeout,
                                       dynamic_cast<FakeBackend&>(*into), requests, faults_->hits());
}

void FakeConnector::keep(const Target& to, BackendStream& from, const Keep& how, Clock::Steady) {
  static_cast<void>(from.release());
  kept.push_back(to.member.backend->id);
  if (!how.reserved) return;
  kept_reserved.push_back(to.member.backend->id);
  reserve(to.pool.config.name, *to.member.backend, how.leg_due);
}

}  // namespace remora::test

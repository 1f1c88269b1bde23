#include "http/h1/body.h"

#include <algorithm>
#include <boost/container/static_vector.hpp>
#include <charconv>
#include <limits>

#include "http/trailers.h"
#include "util/text.h"

namespace remora {

using Kind = Framing::Kind;

// BodyReader ----------------------------------------------------------------------------------------

void BodyReader::start(Framing framing, std::optional<std::uint64_t> limit, bool from_backend) {
  framing_ = framing;
  limit_ = limit;
  left_ = framing.length;
  seen_ = 0;
  run_count_ = 0;
  decoded_ = 0;
  ended_ = framing.kind == Kind::none || (framing.kind == Kind::length && framing.length == 0);
  chunks_.reset(from_backend);
}

Io BodyReader::fill(Transport& stream, StreamFailure& failure) {
  for (;;) {
    if (run_count_ > 0 || ended_) return Io::ready;
    if (!decode(stream, failure)) return Io::failed;
    if (run_count_ > 0 || ended_) return Io::ready;
    if (stream.peer_closed()) {
      if (framing_.kind == Kind::until_close) {
        ended_ = true;
        return Io::ready;
      }
      failure = {StreamFailure::Kind::ended, 400, "the body was cut short"};
      return Io::failed;
    }
    stream.distrust();
    const Io io = stream.fill();
    if (io == Io::failed) failure = {StreamFailure::Kind::reset, 0, "the connection broke in the body"};
    if (io != Io::ready) return io;
  }
}

bool BodyReader::decode(Transport& stream, StreamFailure& failure) {
  if (framing_.kind == Kind::chunked) return decode_chunks(stream, failure);
  std::size_t n = stream.unread().size() - decoded_;
  if (framing_.kind == Kind::length) {
    n = static_cast<std::size_t>(std::min<std::uint64_t>(n, left_));
    left_ -= n;
    if (left_ == 0) ended_ = true;
  }
  if (n > 0) push(0, n);
  return true;
}

bool BodyReader::decode_chunks(Transport& stream, StreamFailure& failure) {
  while (run_count_ < max_runs && !ended_) {
    const std::string_view rest = stream.unread().substr(decoded_);
    const ChunkDecoder::Step step = chunks_.step(rest);
    switch (step.got) {
      case ChunkDecoder::Got::bad:
        if (run_count_ > 0) return true;  // deliver the valid bytes first; the decoder stays bad
        failure = {StreamFailure::Kind::malformed, 400, "malformed chunked coding"};
        return false;
      case ChunkDecoder::Got::data:
        seen_ += step.size;
        if (limit_ && seen_ > *limit_) {
          failure = {StreamFailure::Kind::too_large, 413, "body over the limit"};
          return false;
        }
        push(step.skip, step.size);
        break;
      case ChunkDecoder::Got::done:
        ended_ = true;
        [[fallthrough]];
      case ChunkDecoder::Got::need_more:
        if (run_count_ == 0)
          stream.consume(step.skip);
        else
          decoded_ += step.skip;
        return true;
    }
  }
  return true;
}

void BodyReader::push(std::size_t skip, std::size_t size) noexcept {
  runs_[run_count_++] = {skip, size};
  decoded_ += skip + size;
}

bool BodyReader::lacks_bytes(const Transport& stream) const {
  if (ended_ || framing_.kind == Kind::until_close) return false;
  std::string_view rest = stream.unread().substr(decoded_);
  if (framing_.kind == Kind::length) return rest.size() < left_;
  ChunkDecoder ahead = chunks_;
  for (;;) {
    const ChunkDecoder::Step step = ahead.step(rest);
    if (step.got != ChunkDecoder::Got::data) return step.got == ChunkDecoder::Got::need_more;
    rest.remove_prefix(step.skip + step.size);
  }
}

Body BodyReader::body(Transport& stream) {
  const char* at = stream.unread().data();
  for (std::size_t i = 0; i < run_count_; ++i) {
    at += runs_[i].skip;
    views_[i] = asio::const_buffer(at, runs_[i].size);
    at += runs_[i].size;
  }
  return {{views_.data(), run_count_}, ended_};
}

void BodyReader::consume(Transport& stream, std::size_t n) {
  std::size_t gone = 0;
  while (n > 0 && gone < run_count_) {
    Run& run = runs_[gone];
    const std::size_t k = std::min(n, run.size);
    stream.consume(run.skip + k);
    decoded_ -= run.skip + k;
    run.skip = 0;
    run.size -= k;
    n -= k;
    if (run.size == 0) ++gone;
  }
  std::copy(runs_.begin() + static_cast<std::ptrdiff_t>(gone),
            runs_.begin() + static_cast<std::ptrdiff_t>(run_count_), runs_.begin());
  run_count_ -= gone;
  if (run_count_ == 0) {
    stream.consume(decoded_);  // the framing behind the last run
    decoded_ = 0;
  }
}

std::uint64_t BodyReader::raw_left(const Transport& stream) const noexcept {
  return run_count_ > 0 || decoded_ > 0 || !stream.can_splice_from() ? 0 : raw_behind(stream);
}

std::uint64_t BodyReader::raw_behind(const Transport& stream) const noexcept {
  if (ended_ || !stream.can_splice_behind()) return 0;
  if (framing_.kind == Kind::until_close) return std::numeric_limits<std::uint64_t>::max();
  return framing_.kind == Kind::length ? left_ : 0;
}

void BodyReader::skip_raw(std::uint64_t n) noexcept {
  if (framing_.kind != Kind::length) return;
  left_ -= n;
  ended_ = left_ == 0;
}

// BodyWriter ----------------------------------------------------------------------------------------

void BodyWriter::start(Kind kind, bool closes, std::string_view trailers) {
  kind_ = kind;
  closes_ = closes;
  announced_.assign(trailers);  // copied: the head they point into is gone by the end of the body
  chunk_left_ = 0;
  end_staged_ = false;
  finished_ = false;
}

void BodyWriter::reset() noexcept {
  staged_.clear();
  staged_at_ = 0;
  began_ = false;
  start(Kind::none);
}

WriteResult BodyWriter::send(Transport& stream, Body body, const std::vector<Field>* trailers,
                             StreamFailure& failure) {
  WriteResult taken;
  std::size_t payload = end_staged_ ? 0 : body.size();
  tail_.clear();
  if (kind_ == Kind::chunked && !end_staged_) {
    if (chunk_left_ == 0 && payload > 0) {
      char size[16];
      staged_.append(
          {size, static_cast<std::size_t>(std::to_chars(size, size + sizeof size, payload, 16).ptr - size)});
      staged_ += "\r\n";
      chunk_left_ = payload;
    }
    payload = static_cast<std::size_t>(std::min<std::uint64_t>(payload, chunk_left_));
    if (payload > 0 && payload == chunk_left_) tail_ += "\r\n";
    if (body.last && payload == body.size()) {
      tail_ += "0\r\n";
      if (trailers != nullptr)
        for (const Field& f : *trailers)
          if (may_be_trailer(f, announced_)) tail_.append(f.name).append(": ").append(f.value).append("\r\n");
      tail_ += "\r\n";
    }
  }
  const std::size_t staged = staged_.size() - staged_at_;
  boost::container::static_vector<asio::const_buffer, 20> runs;
  if (staged > 0) runs.emplace_back(staged_.data() + staged_at_, staged);
  std::size_t left = payload;
  for (const auto& r : body.runs) {
    if (left == 0) break;
    runs.emplace_back(r.data(), std::min(left, r.size()));
    left -= runs.back().size();
  }
  if (!tail_.empty()) runs.emplace_back(tail_.data(), tail_.size());

  const Transport::WriteResult sent =
      stream.send(runs, body.more || (closes_ && body.last && payload == body.size()));
  if (sent.bytes > 0) began_ = true;  // also before a failure: the first TLS record may have arrived
  if (sent.io == Io::failed) {
    failure = {StreamFailure::Kind::reset, 0, "the connection broke while sending"};
    taken.io = Io::failed;
    return taken;
  }
  taken.io = sent.io;
  std::size_t n = sent.bytes;
  const std::size_t from_staged = std::min(n, staged);
  staged_at_ += from_staged;
  n -= from_staged;
  if (staged_at_ == staged_.size()) {
    staged_.clear();
    staged_at_ = 0;
  }
  taken.bytes = std::min(n, payload);
  n -= taken.bytes;
  if (kind_ == Kind::chunked) chunk_left_ -= taken.bytes;
  const bool took_all = from_staged == staged && taken.bytes == payload;
  if (took_all && !tail_.empty()) {
    staged_.append(std::string_view(tail_.data(), tail_.size())
                       .substr(n));  // the rest of the tail must be sent before anything else
  }
  if (body.last && !end_staged_ && took_all && payload == body.size() &&
      (kind_ != Kind::chunked || !tail_.empty()))
    end_staged_ = true;
  taken.finished = finished_ = end_staged_ && staged_at_ == staged_.size();
  return taken;
}

}  // namespace remora

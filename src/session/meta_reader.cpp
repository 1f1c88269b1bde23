#include "session/store_reply.h"
#include "util/text.h"

namespace remora {

namespace {

/// Memcached's meta protocol: one line; after `VA <size>`, that many bytes and a line end follow.
class MetaReader final : public ReplyReader {
 public:
  void feed(std::string_view bytes) override {
    if (broken_) return;
    if (at_ > 0) {
      buffer_.erase(0, at_);
      at_ = 0;
    }
    buffer_.append(bytes);
    if (buffer_.size() > max_bytes) broken_ = true;
  }

  std::optional<Reply> next() override {
    if (broken_) return std::nullopt;
    const std::string_view rest = std::string_view(buffer_).substr(at_);
    const std::size_t end = rest.find("\r\n");
    if (end == std::string_view::npos) {
      if (rest.size() > max_line) broken_ = true;
      return std::nullopt;
    }
    if (end > max_line || end < 2) {
      broken_ = true;
      return std::nullopt;
    }
    Reply reply;
    reply.text = rest.substr(0, end);
    reply.kind = Reply::Kind::status;
    const bool error = reply.text == "ERROR" || reply.text.rfind("CLIENT_ERROR", 0) == 0 ||
                       reply.text.rfind("SERVER_ERROR", 0) == 0;
    if (error) reply.kind = Reply::Kind::error;
    std::size_t used = end + 2;
    if (reply.text.rfind("VA ", 0) == 0) {
      const std::string_view after = std::string_view(reply.text).substr(3);
      const auto size = parse_decimal(after.substr(0, after.find(' ')));
      if (!size || *size > max_bytes) {
        broken_ = true;
        return std::nullopt;
      }
      if (rest.size() < used + *size + 2) return std::nullopt;
      if (rest.substr(used + *size, 2) != "\r\n") {
        broken_ = true;
        return std::nullopt;
      }
      Reply value;
      value.kind = Reply::Kind::text;
      value.text = rest.substr(used, *size);
      reply.list.push_back(std::move(value));
      used += *size + 2;
    }
    at_ += used;
    return reply;
  }
  bool broken() const noexcept override { return broken_; }

 private:
  static constexpr std::size_t max_line = 2048;  // Memcached's own limit for command lines
  std::string buffer_;
  std::size_t at_ = 0;
  bool broken_ = false;
};

}  // namespace

std::unique_ptr<ReplyReader> make_meta_reader() {
  return std::make_unique<MetaReader>();
}

}  // namespace remora

#include <hiredis/hiredis.h>

#include "session/store_reply.h"
#include "util/text.h"

namespace remora {

namespace {

/// hiredis parses; these functions build the objects. A task's object is appended to its parent's list.
Reply* place(const redisReadTask* task) {
  if (task->parent == nullptr) return new Reply;
  auto& list = static_cast<Reply*>(task->parent->obj)->list;
  // Never reallocate: tasks keep pointers into the list. create_array reserved the announced count.
  if (list.capacity() == list.size()) return nullptr;
  return &list.emplace_back();
}

void* create_string(const redisReadTask* task, char* text, std::size_t size) {
  Reply* const r = place(task);
  if (r == nullptr) return nullptr;
  r->kind = task->type == REDIS_REPLY_ERROR    ? Reply::Kind::error
            : task->type == REDIS_REPLY_STATUS ? Reply::Kind::status
                                               : Reply::Kind::text;
  r->text.assign(text, size);
  return r;
}

template <class Count>  // int in hiredis 0.14, size_t since 1.0
void* create_array(const redisReadTask* task, Count count) {
  if (static_cast<std::uint64_t>(count) > ReplyReader::max_elements) return nullptr;
  Reply* const r = place(task);
  if (r == nullptr) return nullptr;
  r->kind = Reply::Kind::list;
  r->list.reserve(static_cast<std::size_t>(count));  // bounded by max_elements
  return r;
}

void* create_integer(const redisReadTask* task, long long value) {
  Reply* const r = place(task);
  if (r == nullptr) return nullptr;
  r->kind = Reply::Kind::number;
  r->number = value;
  return r;
}

void* create_nil(const redisReadTask* task) {
  return place(task);
}

void free_object(void* object) {
  delete static_cast<Reply*>(object);  // only called for root objects
}

/// RESP 3 has doubles and booleans, which are never asked for. hiredis reads them since 1.0, and without
/// these functions returns pointers to no object. Null: the reader breaks.
template <class Functions>
void refuse_resp3(Functions& made) {
  if constexpr (requires { made.createDouble; }) {
    made.createDouble = [](const redisReadTask*, double, char*, std::size_t) -> void* { return nullptr; };
    made.createBool = [](const redisReadTask*, int) -> void* { return nullptr; };
  }
}

redisReplyObjectFunctions* functions() {
  static redisReplyObjectFunctions f = [] {
    redisReplyObjectFunctions made{};
    made.createString = create_string;
    made.createArray = create_array;
    made.createInteger = create_integer;
    made.createNil = create_nil;
    made.freeObject = free_object;
    refuse_resp3(made);
    return made;
  }();
  return &f;
}

class RespReader final : public ReplyReader {
 public:
  RespReader() : reader_(redisReaderCreateWithFunctions(functions())) {}
  ~RespReader() override { redisReaderFree(reader_); }
  RespReader(const RespReader&) = delete;
  RespReader& operator=(const RespReader&) = delete;

  void feed(std::string_view bytes) override {
    if (broken_) return;
    unread_ += bytes.size();
    if (unread_ > max_bytes || redisReaderFeed(reader_, bytes.data(), bytes.size()) != REDIS_OK)
      broken_ = true;
  }
  std::optional<Reply> next() override {
    if (broken_) return std::nullopt;
    void* object = nullptr;
    if (redisReaderGetReply(reader_, &object) != REDIS_OK) {
      broken_ = true;
      return std::nullopt;
    }
    if (object == nullptr) {
      broken_ = line_is_too_long();
      return std::nullopt;
    }
    const std::unique_ptr<Reply> reply(static_cast<Reply*>(object));
    unread_ = reader_->len - reader_->pos;
    return std::move(*reply);
  }
  bool broken() const noexcept override { return broken_; }

 private:
  /// hiredis searches a line for its end from the line's beginning whenever more bytes arrive: without a
  /// bound, a line that trickles in costs its length squared. RESP lines are short; only values with an
  /// announced length may be long.
  bool line_is_too_long() const noexcept {
    constexpr std::size_t max_line = 4096;
    const std::string_view pending(reader_->buf + reader_->pos, reader_->len - reader_->pos);
    return pending.size() > max_line && pending.substr(0, max_line).find("\r\n") == std::string_view::npos;
  }

  redisReader* reader_;
  std::size_t unread_ = 0;
  bool broken_ = false;
};

}  // namespace

std::unique_ptr<ReplyReader> make_resp_reader() {
  return std::make_unique<RespReader>();
}

void append_resp(std::string& out, std::initializer_list<std::string_view> parts) {
  out += '*';
  append_decimal(out, parts.size());
  out += "\r\n";
  for (const std::string_view part : parts) {
    out += '$';
    append_decimal(out, part.size());
    out.append("\r\n").append(part).append("\r\n");
  }
}

}  // namespace remora

#include "server/log.h"

#include <fcntl.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <mutex>
#include <stdexcept>

#include "util/escape.h"
#include "util/unique_fd.h"

namespace remora {

namespace {

/// Writes lines to a descriptor, one at a time.
class DescriptorSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit DescriptorSink(std::string output) : output_(std::move(output)) {
    if (!open_output())
      throw std::runtime_error("log.output '" + output_ + "' cannot be opened: " + std::strerror(errno));
  }
  bool reopen() {
    const std::lock_guard lock(mutex_);
    return open_output();
  }

 private:
  /// On failure, an output that is open already stays.
  bool open_output() {
    if (output_ == "stdout" || output_ == "stderr") {
      fd_ = output_ == "stdout" ? STDOUT_FILENO : STDERR_FILENO;
      return true;
    }
    UniqueFd fresh(::open(output_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640));
    if (!fresh) return false;
    file_ = std::move(fresh);
    fd_ = file_.get();
    return true;
  }
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    if (::write(fd_, line.data(), line.size()) < 0) return;  // a full disk must not stop the service
  }
  void flush_() override {}

  const std::string output_;
  UniqueFd file_;  // empty for stdout and stderr
  int fd_ = -1;
};

/// Escapes the message, which may quote backends, stores, name servers and files: it becomes one line without
/// terminal control sequences. In JSON, the content of a string.
class Message final : public spdlog::custom_flag_formatter {
 public:
  explicit Message(bool json) : json_(json) {}
  void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& out) override {
    std::string text;
    (json_ ? append_json_printable : append_printable)(text,
                                                       {message.payload.data(), message.payload.size()});
    out.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<spdlog::custom_flag_formatter> clone() const override {
    return std::make_unique<Message>(json_);
  }

 private:
  const bool json_;
};

std::shared_ptr<DescriptorSink>& sink() {
  static std::shared_ptr<DescriptorSink> instance;
  return instance;
}

spdlog::level::level_enum level_of(config::LogLevel level) {
  constexpr spdlog::level::level_enum levels[] = {spdlog::level::trace, spdlog::level::debug,
                                                  spdlog::level::info, spdlog::level::warn,
                                                  spdlog::level::err};
  return levels[static_cast<std::size_t>(level)];
}

}  // namespace

void set_up_log(const config::Log& log) {
  sink() = std::make_shared<DescriptorSink>(log.output);
  auto logger = std::make_shared<spdlog::logger>("remora", sink());
  logger->set_level(level_of(log.level));
  const bool json = log.format == config::LogFormat::json;
  auto formatter = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
  formatter->add_flag<Message>('*', json).set_pattern(
      json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","message":"%*"})"
           : "%Y-%m-%dT%H:%M:%S.%eZ %-5l %*");
  logger->set_formatter(std::move(formatter));
  spdlog::set_default_logger(std::move(logger));
}

bool refresh_log(const config::Log& log) {
  spdlog::default_logger_raw()->set_level(level_of(log.level));
  return sink() == nullptr || sink()->reopen();
}

}  // namespace remora

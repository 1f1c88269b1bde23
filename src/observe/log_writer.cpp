#include "observe/log_writer.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <new>
#include <system_error>

namespace remora {

namespace {
int open_output(const std::string& output) {
  if (output == "stdout") return STDOUT_FILENO;
  if (output == "stderr") return STDERR_FILENO;
  return ::open(output.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
}
}  // namespace

LogWriter::LogWriter(std::string output) : output_(std::move(output)), fd_(open_output(output_)) {
  if (fd_ < 0) throw std::system_error(errno, std::system_category(), "log file '" + output_ + "'");
  thread_ = std::thread([this] { run(); });
}

LogWriter::~LogWriter() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  filled_.notify_one();
  thread_.join();
  if (fd_ > STDERR_FILENO) ::close(fd_);
}

void LogWriter::hand_over(std::string& lines) {
  if (lines.empty()) return;
  {
    const std::lock_guard lock(mutex_);
    if (queued_.size() + lines.size() > max_queued_bytes)
      dropped_.fetch_add(static_cast<std::uint64_t>(std::count(lines.begin(), lines.end(), '\n')),
                         std::memory_order_relaxed);
    else
      append(lines);
  }
  lines.clear();
  filled_.notify_one();
}

/// REQUIRES: mutex_ is held.
void LogWriter::append(const std::string& lines) {
  try {
    queued_ += lines;
  } catch (const std::bad_alloc&) {
    dropped_.fetch_add(static_cast<std::uint64_t>(std::count(lines.begin(), lines.end(), '\n')),
                       std::memory_order_relaxed);
  }
}

bool LogWriter::reopen() {
  if (output_ == "stdout" || output_ == "stderr") return true;
  const int fresh = open_output(output_);
  if (fresh < 0) return false;
  const std::lock_guard lock(mutex_);
  // Keep the descriptor number: the writer thread may be in a write to it.
  const bool ok = ::dup3(fresh, fd_, O_CLOEXEC) >= 0;
  ::close(fresh);
  return ok;
}

void LogWriter::run() {
  std::string text;
  std::uint64_t told = 0;
  std::unique_lock lock(mutex_);
  for (;;) {
    filled_.wait(lock, [this] { return stop_ || !queued_.empty(); });
    text.swap(queued_);
    const bool last = stop_ && text.empty();
    lock.unlock();
    if (const std::uint64_t lost = dropped(); lost != told) {
      char line[96];  // on the stack: the process may be out of memory
      const int n =
          std::snprintf(line, sizeof line, "remora: %llu log lines dropped, the output was too slow\n",
                        static_cast<unsigned long long>(lost - told));
      write_all({line, static_cast<std::size_t>(n)});
      told = lost;
    }
    write_all(text);
    text.clear();
    lock.lock();
    if (last) return;
  }
}

void LogWriter::write_all(std::string_view text) {
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = ::write(fd_, text.data() + done, text.size() - done);
    if (n >= 0) {
      done += static_cast<std::size_t>(n);
    } else if (errno == EAGAIN) {  // a terminal or pipe that another process made non-blocking
      pollfd p{fd_, POLLOUT, 0};
      ::poll(&p, 1, 1000);
    } else if (errno != EINTR) {
      return;  // a closed pipe or a full disk: drop the lines and keep serving
    }
  }
}

}  // namespace remora

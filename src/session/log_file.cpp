#include "session/log_file.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace remora {

namespace {

constexpr std::size_t block_size = 1024 * 1024;

std::string why(const std::string& path) {
  return path + ": " + std::strerror(errno);
}

bool write_all(int fd, std::string_view bytes) noexcept {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) errno = ENOSPC;
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

/// O_NONBLOCK: a pipe in place of the file is no reason to wait. Regular files ignore it.
constexpr int safely = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;

bool is_regular(int fd, struct stat& info) noexcept {
  if (::fstat(fd, &info) != 0) return false;
  if (S_ISREG(info.st_mode)) return true;
  errno = EINVAL;
  return false;
}

}  // namespace

LogFile::LogFile(std::string folder) : folder_(std::move(folder)), path_(folder_ + "/sessions.log") {}

LogFile::Lock LogFile::lock(std::string& problem) {
  const std::string name = folder_ + "/sessions.lock";
  if (::mkdir(folder_.c_str(), 0700) != 0 && errno != EEXIST) {
    problem = why(folder_);
    return Lock::failed;
  }
  UniqueFd fd(::open(name.c_str(), O_RDWR | O_CREAT | safely, 0600));
  if (!fd) {
    problem = why(name);
    return Lock::failed;
  }
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return Lock::in_use;
    problem = why(name);
    return Lock::failed;
  }
  lock_ = std::move(fd);
  return Lock::taken;
}

void LogFile::unlock() noexcept {
  log_.reset();
  lock_.reset();
}

std::string LogFile::open() {
  UniqueFd fd(::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | safely, 0600));
  struct stat info{};
  if (!fd || !is_regular(fd.get(), info)) return why(path_);
  size_ = static_cast<std::uint64_t>(info.st_size);
  log_ = std::move(fd);
  return "";
}

std::string LogFile::read(const std::function<bool(std::string_view& rest)>& f) {
  std::string buffer;
  std::uint64_t at = 0;
  for (;;) {
    const std::size_t before = buffer.size();
    buffer.resize(before + block_size);
    const ssize_t n = ::pread(log_.get(), buffer.data() + before, block_size, static_cast<off_t>(at));
    if (n < 0 && errno != EINTR) return why(path_);
    buffer.resize(before + static_cast<std::size_t>(n > 0 ? n : 0));
    if (n < 0) continue;
    if (n == 0) return "";
    at += static_cast<std::uint64_t>(n);
    std::string_view rest = buffer;
    if (!f(rest)) return "";
    buffer.erase(0, buffer.size() - rest.size());
  }
}

std::string LogFile::cut(std::uint64_t size) {
  if (::ftruncate(log_.get(), static_cast<off_t>(size)) != 0) return why(path_);
  size_ = size;
  return "";
}

std::string LogFile::append(std::string_view bytes) {
  if (write_all(log_.get(), bytes)) {
    size_ += bytes.size();
    return "";
  }
  std::string problem = why(path_);
  static_cast<void>(::ftruncate(log_.get(), static_cast<off_t>(size_)));
  return problem;
}

std::string LogFile::replace(const std::function<void(const Append& append)>& write) {
  const std::string draft = path_ + ".new";
  ::unlink(draft.c_str());  // of a process that was killed while it wrote
  UniqueFd fd(::open(draft.c_str(), O_RDWR | O_CREAT | O_EXCL | O_APPEND | safely, 0600));
  if (!fd) return why(draft);
  std::string problem;
  std::uint64_t size = 0;
  write([&](std::string_view bytes) {
    if (!problem.empty()) return false;
    if (!write_all(fd.get(), bytes)) problem = why(draft);
    size += bytes.size();
    return problem.empty();
  });
  // Otherwise a crash of the machine could leave the new name with nothing behind it.
  if (problem.empty() && ::fdatasync(fd.get()) != 0) problem = why(draft);
  if (problem.empty() && ::rename(draft.c_str(), path_.c_str()) != 0) problem = why(path_);
  if (!problem.empty()) {
    ::unlink(draft.c_str());
    return problem;
  }
  log_ = std::move(fd);
  size_ = size;
  return "";
}

std::string LogFile::sync() noexcept {
  return ::fdatasync(log_.get()) == 0 ? "" : why(path_);
}

}  // namespace remora

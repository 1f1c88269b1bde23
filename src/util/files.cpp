#include "util/files.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "util/text.h"
#include "util/unique_fd.h"

namespace remora {

namespace {

std::string draft_name(const std::string& path) {
  std::uint8_t bytes[8] = {};
  if (::getrandom(bytes, sizeof bytes, 0) != sizeof bytes) return "";
  std::string out = path + ".";
  append_hex(out, bytes, sizeof bytes);
  return out;
}

bool write_all(int fd, std::string_view content) {
  while (!content.empty()) {
    const ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    content.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

/// Writes the draft and syncs it; returns its name. Empty on failure, with errno set.
std::string write_draft(const std::string& path, std::string_view content) {
  const std::string draft = draft_name(path);
  if (draft.empty()) return "";
  const UniqueFd file(::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return "";
  if (write_all(file.get(), content) && ::fsync(file.get()) == 0) return draft;
  const int error = errno;
  ::unlink(draft.c_str());
  errno = error;
  return "";
}

/// Makes the new name survive a crash. Errors are ignored: some file systems do not support this.
void sync_folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const UniqueFd opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (opened) static_cast<void>(::fsync(opened.get()));
}

std::string why(const std::string& path, int error) {
  return path + ": " + std::strerror(error);
}

std::string octal(mode_t mode) {
  char text[8];
  std::snprintf(text, sizeof text, "%04o", static_cast<unsigned>(mode & 07777));
  return text;
}

bool is_foreign(const struct stat& info) {
  return info.st_uid != ::geteuid() && info.st_uid != 0;
}

std::string foreign(const std::string& path, const struct stat& info) {
  return path + " belongs to another user (uid " + std::to_string(info.st_uid) +
         "), who can change it: chown it to the user that remora runs as";
}

}  // namespace

std::string replace_file(const std::string& path, std::string_view content) {
  const std::string draft = write_draft(path, content);
  if (draft.empty()) return why(path, errno);
  if (::rename(draft.c_str(), path.c_str()) == 0) {
    sync_folder_of(path);
    return "";
  }
  const int error = errno;
  ::unlink(draft.c_str());
  return why(path, error);
}

std::string create_file(const std::string& path, std::string_view content) {
  const std::string draft = write_draft(path, content);
  if (draft.empty()) return why(path, errno);
  const int error = ::link(draft.c_str(), path.c_str()) == 0 || errno == EEXIST ? 0 : errno;
  ::unlink(draft.c_str());
  if (error != 0) return why(path, error);
  sync_folder_of(path);
  return "";
}

std::string read_file(const std::string& path, std::size_t max_bytes, std::string& out, bool& missing) {
  out.clear();
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  missing = !file && errno == ENOENT;
  if (!file) return why(path, errno);
  struct stat info{};
  std::string problem;
  if (::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) problem = path + ": is no regular file";
  for (char block[16 * 1024]; problem.empty();) {
    const ssize_t n = ::read(file.get(), block, sizeof block);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) problem = why(path, errno);
    if (n <= 0) break;
    out.append(block, static_cast<std::size_t>(n));
    if (out.size() > max_bytes) problem = path + ": is too large";
  }
  return problem;
}

std::string exposed_file(const std::string& path, Privacy wanted) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return "";
  if (is_foreign(info)) return foreign(path, info);
  const mode_t read = wanted == Privacy::owner ? S_IRGRP | S_IROTH : S_IROTH;
  const bool changed = (info.st_mode & (S_IWGRP | S_IWOTH)) != 0;
  if ((info.st_mode & read) == 0 && !changed) return "";
  return path + (changed ? " can be changed" : " can be read") + " by others (mode " + octal(info.st_mode) +
         "): chmod 600 " + path;
}

std::string exposed_folder(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) return "";
  if (is_foreign(info)) return foreign(path, info);
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) == 0) return "";
  return path + " can be written by others (mode " + octal(info.st_mode) +
         "), who could replace what is kept in it: chmod 700 " + path;
}

}  // namespace remora

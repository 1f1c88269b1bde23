// The file of the log of sessions: one process has it at a time, records are appended whole or not at all,
// and it is replaced atomically. Mode 0600.
//
// The lock is on a file of its own beside the log, because replacing the log gives it another inode. It ends
// with the process, however that ends. Nothing is synced to disk unless sync() is called: what is written
// survives the process in any case, and only the machine can lose it.
//
// Threading: one thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "util/unique_fd.h"

namespace remora {

class LogFile {
 public:
  /// `folder`: made if missing (0700).
  explicit LogFile(std::string folder);
  enum class Lock : std::uint8_t { taken, in_use, failed };
  /// Takes the lock. `failed`: `problem` says why.
  Lock lock(std::string& problem);
  void unlock() noexcept;
  bool locked() const noexcept { return bool(lock_); }

  // The functions below require the lock, and return the error, empty on success.

  /// Opens the log, creating it if missing.
  std::string open();
  /// Calls `f(rest)` with what follows the part that it took, until the file ends or it returns false. It
  /// takes from the front of `rest`.
  std::string read(const std::function<bool(std::string_view& rest)>& f);
  /// Cuts the file to `size` bytes.
  std::string cut(std::uint64_t size);
  /// Appends all of `bytes`; on failure nothing of them stays.
  std::string append(std::string_view bytes);
  /// Replaces the log by what `write` gives to the function that it is called with, which returns false once
  /// writing has failed. On failure the log is unchanged.
  using Append = std::function<bool(std::string_view bytes)>;
  std::string replace(const std::function<void(const Append& append)>& write);
  std::string sync() noexcept;
  std::uint64_t size() const noexcept { return size_; }
  const std::string& path() const noexcept { return path_; }

 private:
  const std::string folder_, path_;
  UniqueFd lock_, log_;
  std::uint64_t size_ = 0;
};

}  // namespace remora

// The hosts file, and change detection for the system's name-resolution files.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace remora {

/// All addresses of a name, from every line and of both families, as the system's resolver reads the file
/// (hosts(5)). Names are case-insensitive. Pure.
std::vector<std::string> find_in_hosts(std::string_view text, std::string_view name);

/// `localhost` and its subdomains: always this machine, whatever DNS says (RFC 6761 6.3).
bool is_localhost(std::string_view name) noexcept;

/// Identifies a version of a file's contents.
struct FileStamp {
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = -1;  // -1: the file does not exist
  std::int64_t modified_ns = 0;
  bool operator==(const FileStamp&) const = default;
};
FileStamp stamp_of(const std::string& path) noexcept;

/// The system's resolver files.
struct NameFiles {
  std::string resolv_conf = "/etc/resolv.conf", hosts = "/etc/hosts";
};

/// A hosts file, re-read when it changes. Threading: one thread.
class HostsFile {
 public:
  explicit HostsFile(std::string path) : path_(std::move(path)) {}
  std::vector<std::string> find(std::string_view name);

 private:
  const std::string path_;
  FileStamp stamp_;
  std::string text_;
};

}  // namespace remora

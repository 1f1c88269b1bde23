// The hosts file, and when the system's files about names change.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace remora {

/// The addresses of a name, of all its lines and both families, as the system's resolver reads the file
/// (hosts(5)). Names know no case. Pure.
std::vector<std::string> find_in_hosts(std::string_view text, std::string_view name);

/// `localhost` and what ends with it: this machine, whatever a name server says (RFC 6761 6.3).
bool is_localhost(std::string_view name) noexcept;

/// Tells one content of a file from the next.
struct FileStamp {
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = -1;  // there is none
  std::int64_t modified_ns = 0;
  bool operator==(const FileStamp&) const = default;
};
FileStamp stamp_of(const std::string& path) noexcept;

/// Where the system says how names become addresses.
struct NameFiles {
  std::string resolv_conf = "/etc/resolv.conf", hosts = "/etc/hosts";
};

/// A hosts file, read again when it changed. Threading: one thread.
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

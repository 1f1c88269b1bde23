// Which instance a command is for when nobody says: the one that runs here, else the file of the package.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

namespace remora {

/// The addresses of REMORA_ADMIN, separated by commas or blanks.
std::vector<std::string> split_addresses(std::string_view text);

/// The configuration file that a command line of `remora run` names; empty: it is none. `folder`: where it
/// was started.
std::filesystem::path file_of_command_line(const std::vector<std::string>& words,
                                           const std::filesystem::path& folder);

/// Who asks.
struct Caller {
  uid_t uid = ::geteuid();
  gid_t gid = ::getegid();
};

/// A process can call itself anything, so only those of root and of the caller are looked at.
bool is_trusted_owner(uid_t owner, const Caller&) noexcept;
/// What a file says is believed if root or the caller wrote it: it belongs to one of them, and nobody outside
/// root's and the caller's group may write to it.
bool is_trusted_file(const struct stat&, const Caller&) noexcept;

struct RunningFile {
  std::filesystem::path path;
  bool trusted = true;  // false: somebody else may have written it
};

/// The files of the remoras that run in this network namespace as root or as the caller, each once, in order
/// of their processes. In a container whose first process is remora: that one's alone.
std::vector<RunningFile> running_files(const std::filesystem::path& proc = "/proc", const Caller& = {});

/// Where a command's token may come from; empty: not there.
struct TokenSources {
  std::string flag, environment, file;  // --token-file, REMORA_ADMIN_TOKEN, the file that named the address
  bool address_given = false;           // --admin, --config or REMORA_ADMIN
};

/// The token to send. One that the caller gave goes only to an address that the caller gave: whoever listens
/// at any other may not be the one that it is for. Throws std::runtime_error when that leaves none.
std::string choose_token(const TokenSources&);

}  // namespace remora

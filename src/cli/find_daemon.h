// Finds the instance for a command without an address: the one that runs here, else the packaged file.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

namespace remora {

/// Splits the addresses in REMORA_ADMIN, separated by commas or white space.
std::vector<std::string> split_addresses(std::string_view text);

/// The configuration file named by a `remora run` command line; empty if it is no such command line.
/// `folder`: the working directory of that process.
std::filesystem::path file_of_command_line(const std::vector<std::string>& words,
                                           const std::filesystem::path& folder);

/// The user running the command.
struct Caller {
  uid_t uid = ::geteuid();
  gid_t gid = ::getegid();
};

/// Only processes of root and of the caller are considered: a process can use any name.
bool is_trusted_owner(uid_t owner, const Caller&) noexcept;
/// A file is trusted if only root or the caller can have written it: one of them owns it, and nobody outside
/// root's and the caller's group may write to it.
bool is_trusted_file(const struct stat&, const Caller&) noexcept;

struct RunningFile {
  std::filesystem::path path;
  bool trusted = true;  // false: another user may have written it
};

/// The files of the remoras that run in this network namespace as root or as the caller, without duplicates,
/// ordered by process ID. In a container whose first process is remora, only that one's file.
std::vector<RunningFile> running_files(const std::filesystem::path& proc = "/proc", const Caller& = {});

/// Possible sources of a command's token; empty: not available.
struct TokenSources {
  std::string flag, environment, file;  // --token-file, REMORA_ADMIN_TOKEN, the file with the address
  bool address_given = false;           // --admin, --config or REMORA_ADMIN
};

/// Chooses the token to send. A token from the caller is sent only to an address from the caller, because any
/// other address may belong to someone else. Throws std::runtime_error if that leaves no token.
std::string choose_token(const TokenSources&);

}  // namespace remora

// Which instance a command is for when nobody says: the one that runs here, else the file of the package.
#pragma once

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

/// The files of the remoras that run in this network namespace and can be looked at by this user, each once,
/// in order of their processes. In a container whose first process is remora: that one's alone.
std::vector<std::filesystem::path> running_files(const std::filesystem::path& proc = "/proc");

}  // namespace remora

#include "cli/find_daemon.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <utility>

#include "util/text.h"

namespace remora {

namespace fs = std::filesystem;

std::vector<std::string> split_addresses(std::string_view text) {
  std::vector<std::string> out;
  constexpr std::string_view between = ", \t\n";
  for (std::size_t at = text.find_first_not_of(between); at != std::string_view::npos;) {
    const std::size_t end = text.find_first_of(between, at);
    out.emplace_back(text.substr(at, end - at));
    at = text.find_first_not_of(between, end);
  }
  return out;
}

fs::path file_of_command_line(const std::vector<std::string>& words, const fs::path& folder) {
  if (words.empty() || fs::path(words.front()).filename() != "remora") return {};
  bool run = false;
  std::string file;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "run") run = true;
    if ((word == "-c" || word == "--config") && i + 1 < words.size())
      file = words[++i];
    else if (word.starts_with("--config="))
      file = word.substr(9);
    else if (word.starts_with("-c") && word.size() > 2)
      file = word.substr(word[2] == '=' ? 3 : 2);
  }
  if (!run || file.empty()) return {};
  return (folder / file).lexically_normal();
}

namespace {

std::vector<std::string> command_line(const fs::path& process) {
  std::ifstream in(process / "cmdline", std::ios::binary);
  std::vector<std::string> words;
  for (std::string word; std::getline(in, word, '\0');) words.push_back(word);
  return words;
}

}  // namespace

bool is_trusted_owner(uid_t owner, const Caller& caller) noexcept {
  return owner == 0 || owner == caller.uid;
}

bool is_trusted_file(const struct stat& file, const Caller& caller) noexcept {
  if (!is_trusted_owner(file.st_uid, caller) || (file.st_mode & S_IWOTH) != 0) return false;
  return (file.st_mode & S_IWGRP) == 0 || file.st_gid == 0 || file.st_gid == caller.gid;
}

std::vector<RunningFile> running_files(const fs::path& proc, const Caller& caller) {
  std::error_code ec;
  const fs::path here = fs::read_symlink(proc / "self/ns/net", ec);
  std::vector<std::pair<std::uint64_t, fs::path>> found;
  for (fs::directory_iterator it(proc, ec), end; !ec && it != end; it.increment(ec)) {
    const auto pid = parse_decimal(it->path().filename().string());
    struct stat process{};
    if (!pid || ::stat(it->path().c_str(), &process) != 0) continue;
    if (!is_trusted_owner(process.st_uid, caller)) continue;
    const auto words = command_line(it->path());
    if (words.empty()) continue;
    std::error_code unreadable;  // the process has ended, or has more privileges than the caller
    const fs::path folder = fs::read_symlink(it->path() / "cwd", unreadable);
    const fs::path there = fs::read_symlink(it->path() / "ns/net", unreadable);
    if (unreadable || there != here) continue;
    if (fs::path file = file_of_command_line(words, folder); !file.empty())
      found.emplace_back(*pid, std::move(file));
  }
  std::sort(found.begin(), found.end());
  std::vector<RunningFile> out;
  for (auto& [pid, file] : found) {
    if (std::none_of(out.begin(), out.end(), [&](const RunningFile& f) { return f.path == file; })) {
      struct stat status{};
      const bool exists = ::stat(file.c_str(), &status) == 0;  // nothing is read from a missing file
      out.push_back({file, !exists || is_trusted_file(status, caller)});
    }
    if (pid == 1) break;
  }
  return out;
}

std::string choose_token(const TokenSources& from) {
  const std::string& given = from.flag.empty() ? from.environment : from.flag;
  if (from.address_given) return given.empty() ? from.file : given;
  if (given.empty() || (from.flag.empty() && !from.file.empty())) return from.file;
  throw std::runtime_error((from.flag.empty() ? "REMORA_ADMIN_TOKEN" : "the token of --token-file") +
                           std::string(" is sent only to an address that you name: --admin ADDRESS, "
                                       "--config FILE or REMORA_ADMIN"));
}

}  // namespace remora

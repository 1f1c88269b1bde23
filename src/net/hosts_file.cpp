#include "net/hosts_file.h"

#include <sys/stat.h>

#include <algorithm>

#include "net/address.h"
#include "util/files.h"
#include "util/text.h"

namespace remora {

namespace {

constexpr std::size_t max_bytes = 16U << 20;  // block lists are long
constexpr std::size_t max_addresses = 64;

std::string_view next_word(std::string_view& line) {
  constexpr std::string_view blanks = " \t\r\f\v";
  const auto begin = line.find_first_not_of(blanks);
  if (begin == std::string_view::npos) return line = {};
  line.remove_prefix(begin);
  const std::string_view word = line.substr(0, line.find_first_of(blanks));
  line.remove_prefix(word.size());
  return word;
}

std::string_view without_dot(std::string_view name) {
  return name.ends_with('.') ? name.substr(0, name.size() - 1) : name;
}

}  // namespace

std::vector<std::string> find_in_hosts(std::string_view text, std::string_view name) {
  name = without_dot(name);
  std::vector<std::string> out;
  while (!text.empty() && out.size() < max_addresses) {
    const auto end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line = line.substr(0, line.find('#'));
    const std::string_view address = next_word(line);
    bool named = false;
    for (std::string_view word = next_word(line); !word.empty() && !named; word = next_word(line))
      named = iequals(without_dot(word), name);
    if (!named || !parse_ip(address)) continue;
    if (std::find(out.begin(), out.end(), address) == out.end()) out.emplace_back(address);
  }
  return out;
}

bool is_localhost(std::string_view name) noexcept {
  constexpr std::string_view word = "localhost";
  name = without_dot(name);
  if (name.size() < word.size() || !iequals(name.substr(name.size() - word.size()), word)) return false;
  return name.size() == word.size() || name[name.size() - word.size() - 1] == '.';
}

FileStamp stamp_of(const std::string& path) noexcept {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return {};
  return {info.st_dev, info.st_ino, info.st_size,
          std::int64_t{info.st_mtim.tv_sec} * 1000000000 + info.st_mtim.tv_nsec};
}

std::vector<std::string> HostsFile::find(std::string_view name) {
  if (const FileStamp now = stamp_of(path_); !(now == stamp_)) {
    bool missing = false;
    std::string text;
    // An unreadable file is tried again at the next lookup; until then the previous contents stay in use.
    const std::string problem = read_file(path_, max_bytes, text, missing);
    if (problem.empty() || missing) {
      text_ = std::move(text);
      stamp_ = now;
    }
  }
  return find_in_hosts(text_, name);
}

}  // namespace remora

#include "server/wishes.h"

#include <sys/stat.h>

#include <boost/json.hpp>
#include <cerrno>
#include <cstring>

#include "admin/api.h"
#include "util/files.h"

namespace remora {

namespace json = boost::json;
using std::chrono::milliseconds;

namespace {
constexpr std::size_t most_file_bytes = 4 * 1024 * 1024;

std::int64_t to_ms(Clock::Wall t) {
  return std::chrono::duration_cast<milliseconds>(t.time_since_epoch()).count();
}
}  // namespace

const Wish* Wishes::find(const std::string& pool, const std::string& backend) const {
  const auto it = wishes_.find({pool, backend});
  return it == wishes_.end() ? nullptr : &it->second;
}

std::string Wishes::set(const std::string& pool, const std::string& backend, const Wish& wish) {
  if (wish.admin == wish.file && !wish.deadline)
    wishes_.erase({pool, backend});  // the file says the same
  else
    wishes_[{pool, backend}] = wish;
  return save();
}

void Wishes::follow(const config::Config& config) {
  const std::size_t before = wishes_.size();
  std::erase_if(wishes_, [&](const auto& entry) {
    for (const config::Pool& pool : config.pools) {
      if (pool.name != entry.first.first) continue;
      bool discovers = false;
      for (const config::Backend& b : pool.backends) {
        if (b.id == entry.first.second) return b.admin != entry.second.file;
        discovers = discovers || b.discovery;
      }
      return !discovers;  // an address may come back with the next answer
    }
    return true;
  });
  if (wishes_.size() != before) save();
}

std::optional<Clock::Wall> Wishes::next_deadline(Clock::Wall now) const {
  std::optional<Clock::Wall> next;
  for (const auto& [name, wish] : wishes_)
    if (wish.deadline && *wish.deadline > now && (!next || *wish.deadline < *next)) next = wish.deadline;
  return next;
}

std::string Wishes::to_text() const {
  json::array list;
  for (const auto& [name, wish] : wishes_) {
    json::object one{{"pool", name.first},
                     {"backend", name.second},
                     {"admin", to_string(wish.admin)},
                     {"file", to_string(wish.file)}};
    if (wish.deadline) one["deadline_ms"] = to_ms(*wish.deadline);
    list.push_back(std::move(one));
  }
  return json::serialize(list) + "\n";
}

bool Wishes::from_text(const std::string& text) {
  boost::system::error_code ec;
  const json::value parsed = json::parse(text, ec);
  if (ec || !parsed.is_array()) return false;
  std::map<std::pair<std::string, std::string>, Wish> read;
  for (const json::value& item : parsed.get_array()) {
    if (!item.is_object()) return false;
    const json::object& o = item.get_object();
    const auto said = [&](const char* key) -> std::string {
      const json::value* v = o.if_contains(key);
      return v != nullptr && v->is_string() ? std::string(v->get_string()) : std::string();
    };
    const auto admin = parse_admin_wish(said("admin")), file = parse_admin_wish(said("file"));
    if (!admin || !file || said("pool").empty() || said("backend").empty()) return false;
    Wish wish{*admin, std::nullopt, *file};
    if (const json::value* v = o.if_contains("deadline_ms")) {
      if (!v->is_int64()) return false;
      wish.deadline = Clock::Wall(milliseconds(v->get_int64()));
    }
    read[{said("pool"), said("backend")}] = wish;
  }
  wishes_ = std::move(read);
  return true;
}

void Wishes::load(std::string& trouble) {
  if (folder_.empty()) return;
  std::string text;
  bool missing = false;
  const std::string why = read_file(path(), most_file_bytes, text, missing);
  if (missing) return;
  if (!why.empty())
    trouble = why + "; the operators' wishes in it are not in force";
  else if (!from_text(text))
    trouble =
        path() +
        " cannot be understood; the operators' wishes in it are not in force (remove it, or set them again)";
}

std::string Wishes::save() const {
  if (folder_.empty()) return "";
  if (::mkdir(folder_.c_str(), 0700) != 0 && errno != EEXIST) return folder_ + ": " + std::strerror(errno);
  return replace_file(path(), to_text());
}

}  // namespace remora

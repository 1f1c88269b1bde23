#include "server/admin_overrides.h"

#include <sys/stat.h>

#include <boost/json.hpp>
#include <cerrno>
#include <cstring>

#include "admin/api.h"
#include "util/files.h"
#include "util/json_members.h"

namespace remora {

namespace json = boost::json;
using std::chrono::milliseconds;

namespace {
constexpr std::size_t max_file_bytes = 4 * 1024 * 1024;

std::int64_t to_ms(Clock::Wall t) {
  return std::chrono::duration_cast<milliseconds>(t.time_since_epoch()).count();
}
}  // namespace

const AdminOverride* AdminOverrides::find(const std::string& pool, const std::string& backend) const {
  const auto it = overrides_.find({pool, backend});
  return it == overrides_.end() ? nullptr : &it->second;
}

std::string AdminOverrides::set(const std::string& pool, const std::string& backend,
                                const AdminOverride& wanted) {
  if (wanted.admin == wanted.file && !wanted.deadline)
    overrides_.erase({pool, backend});  // the file says the same
  else
    overrides_[{pool, backend}] = wanted;
  return save();
}

void AdminOverrides::follow(const config::Config& config) {
  const std::size_t before = overrides_.size();
  std::erase_if(overrides_, [&](const auto& entry) {
    for (const config::Pool& pool : config.pools) {
      if (pool.name != entry.first.first) continue;
      bool discovers = false;
      for (const config::Backend& b : pool.backends) {
        if (b.id == entry.first.second) return b.admin != entry.second.file;
        discovers = discovers || b.discovery;
      }
      return !discovers;  // the address may reappear in the next DNS answer
    }
    return true;
  });
  if (overrides_.size() != before) save();
}

std::optional<Clock::Wall> AdminOverrides::next_deadline(Clock::Wall now) const {
  std::optional<Clock::Wall> next;
  for (const auto& [name, wanted] : overrides_)
    if (wanted.deadline && *wanted.deadline > now && (!next || *wanted.deadline < *next))
      next = wanted.deadline;
  return next;
}

std::string AdminOverrides::to_text() const {
  json::array list;
  for (const auto& [name, wanted] : overrides_) {
    json::object one{{"pool", name.first},
                     {"backend", name.second},
                     {"admin", to_string(wanted.admin)},
                     {"file", to_string(wanted.file)}};
    if (wanted.deadline) one["deadline_ms"] = to_ms(*wanted.deadline);
    list.push_back(std::move(one));
  }
  return json::serialize(list) + "\n";
}

bool AdminOverrides::from_text(const std::string& text) {
  boost::system::error_code ec;
  const json::value parsed = json::parse(text, ec);
  if (ec || !parsed.is_array()) return false;
  std::map<std::pair<std::string, std::string>, AdminOverride> read;
  for (const json::value& item : parsed.get_array()) {
    if (!item.is_object()) return false;
    const json::object& o = item.get_object();
    const auto admin = parse_admin_state(json_text(o, "admin")),
               file = parse_admin_state(json_text(o, "file"));
    const std::string pool = json_text(o, "pool"), backend = json_text(o, "backend");
    if (!admin || !file || pool.empty() || backend.empty()) return false;
    AdminOverride wanted{*admin, std::nullopt, *file};
    if (const json::value* v = o.if_contains("deadline_ms")) {
      if (!v->is_int64()) return false;
      wanted.deadline = Clock::Wall(milliseconds(v->get_int64()));
    }
    read[{pool, backend}] = wanted;
  }
  overrides_ = std::move(read);
  return true;
}

void AdminOverrides::load(std::string& error) {
  if (folder_.empty()) return;
  std::string text;
  bool missing = false;
  const std::string why = read_file(path(), max_file_bytes, text, missing);
  if (missing) return;
  if (!why.empty())
    error = why + "; the administrative states in it were not applied";
  else if (!from_text(text))
    error = path() +
            " cannot be understood; the administrative states in it were not applied (remove it, or set them "
            "again)";
}

std::string AdminOverrides::save() const {
  if (folder_.empty()) return "";
  if (::mkdir(folder_.c_str(), 0700) != 0 && errno != EEXIST) return folder_ + ": " + std::strerror(errno);
  return replace_file(path(), to_text());
}

}  // namespace remora

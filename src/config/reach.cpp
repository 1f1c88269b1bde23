#include "config/reach.h"

#include <fstream>
#include <iterator>

#include "config/merge.h"
#include "config/sections.h"

namespace remora::config {

namespace {

/// Turns a listening address into one to connect to.
Address reachable(Address a) {
  if (a.kind == Address::Kind::tcp && a.host == "0.0.0.0") a.host = "127.0.0.1";
  if (a.kind == Address::Kind::tcp && a.host == "::") a.host = "::1";
  return a;
}

void read_into(const YAML::Node& document, const std::string& name, Reach& out) {
  // Ignore all other mistakes in the file.
  Diagnostics errors(name), ignored(name);
  out.admin = Admin().bind;
  if (const YAML::Node admin = document["admin"]) {
    const YAML::Node node = admin.IsMap() ? admin["bind"] : admin;
    const Value bind{node, "admin", admin.Mark(), &errors};
    if (node && is_off(bind))
      out.admin.reset();
    else if (node && !node.IsNull())
      read_address(bind, *out.admin);
    if (admin.IsMap() && admin["token"])
      read_secret({admin["token"], "admin.token", admin.Mark(), &ignored}, out.token);
  }
  if (!errors.empty()) {
    out.admin.reset();
    out.error = errors.lines().front();
    return;
  }
  if (out.admin) out.admin = reachable(*out.admin);
  const YAML::Node list = document["listeners"];
  if (!list) return;
  const Value listeners{list, "listeners", list.Mark(), &ignored};
  for_each_item(listeners, true, [&](const Value& item) {
    Address bind;
    if (item.is_map()) {
      if (const YAML::Node node = item.node["bind"])
        read_address({node, "bind", node.Mark(), &ignored}, bind);
    } else {
      read_address(item, bind);
    }
    if (!bind.host.empty() && (bind.kind == Address::Kind::unix_path || bind.port != 0))
      out.listeners.push_back(reachable(bind));
  });
}

}  // namespace

Reach reach_of(std::string_view text, const std::string& name) {
  Reach out;
  try {
    YAML::Node document = YAML::Load(std::string(text));
    Diagnostics ignored(name);
    resolve_merges(document, ignored);
    if (!document.IsMap())
      out.error = name + ": is no configuration file of remora";
    else
      read_into(document, name, out);
  } catch (const YAML::Exception& e) {
    out.error = name + ": " + e.what();
  }
  return out;
}

Reach load_reach(const std::filesystem::path& file) {
  constexpr std::streamsize max_bytes = 4 * 1024 * 1024;
  std::error_code ec;
  std::ifstream in(file, std::ios::binary);
  if (!in.is_open() || !std::filesystem::is_regular_file(file, ec)) {
    Reach out;
    out.error = file.string() + ": cannot be read";
    return out;
  }
  std::string text(static_cast<std::size_t>(max_bytes), '\0');
  in.read(text.data(), max_bytes);
  text.resize(static_cast<std::size_t>(in.gcount()));
  return reach_of(text, file.string());
}

}  // namespace remora::config

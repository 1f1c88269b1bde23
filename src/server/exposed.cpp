#include "server/exposed.h"

#include <algorithm>

#include "util/files.h"

namespace remora {

namespace {
/// Private key files of certificates, and the {file: F} secrets that the loader recorded.
std::vector<std::string> key_files(const config::Config& config) {
  std::vector<std::string> out = config.secret_files;
  const auto add = [&](const std::string& path) {
    if (!path.empty() && std::find(out.begin(), out.end(), path) == out.end()) out.push_back(path);
  };
  for (const config::Listener& l : config.listeners)
    if (l.tls)
      for (const config::Certificate& c : l.tls->certificates) add(c.key);
  for (const config::Pool& p : config.pools)
    if (p.tls) add(p.tls->key);
  if (config.store.tls) add(config.store.tls->key);
  return out;
}
}  // namespace

std::vector<std::string> exposed_secrets(const config::Config& config) {
  std::vector<std::string> out;
  const auto add = [&](const char* key, std::string sentence) {
    if (!sentence.empty()) out.push_back(key + std::move(sentence));
  };
  if (!config.state_dir.empty()) {
    add("state_dir: ", exposed_folder(config.state_dir));
    for (const char* name : {"/token.key", "/wishes.json", "/sessions.log"})
      add("state_dir: ", exposed_file(config.state_dir + name, Privacy::owner));
  }
  for (const std::string& path : key_files(config))
    add("a secret's file: ", exposed_file(path, Privacy::group));
  return out;
}

}  // namespace remora

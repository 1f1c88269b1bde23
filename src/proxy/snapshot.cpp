#include "proxy/snapshot.h"

#include "affinity/url_token.h"

namespace remora {

std::string_view routed_path(const Snapshot& snapshot, std::string_view path, TextArena& arena) {
  if (path.find(';') == std::string_view::npos) return path;
  for (const UrlSecret& secret : snapshot.url_secrets)
    if (secret.style == config::UrlStyle::path)
      path = without_url_parameter(path, secret.style, secret.name, arena);
  return path;
}

std::string_view masked_url(const Snapshot& snapshot, std::string_view url, TextArena& arena) {
  return mask_url_parameters(url, snapshot.url_secrets, arena);
}

}  // namespace remora

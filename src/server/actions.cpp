// What operators ask for over the admin API.

#include <spdlog/spdlog.h>

#include "server/server.h"

namespace remora {

std::optional<Clock::Wall> Server::deadline(const std::string& pool, const std::string& backend) const {
  const AdminOverride* const wanted = overrides_.find(pool, backend);
  return wanted != nullptr ? wanted->deadline : std::nullopt;
}

std::string Server::set_admin(const std::string& pool, const std::string& backend, config::AdminWish admin,
                              std::optional<std::chrono::milliseconds> deadline) {
  if (child_) return "an upgrade is under way; ask again in a moment";
  AdminOverride wanted;
  wanted.admin = admin;
  if (deadline) wanted.deadline = clock_.wall_now() + *deadline;
  const PoolView* view = nullptr;
  for (const auto& p : builder_.last()->pools)
    if (p->config.name == pool) view = p.get();
  if (view == nullptr) return "there is no pool '" + pool + "'";
  const Backend* found = nullptr;
  for (std::size_t i = 0; i < view->snapshot->members.size(); ++i) {
    if (view->snapshot->members[i].backend->id != backend) continue;
    found = view->snapshot->members[i].backend.get();
    wanted.file = view->config.backends[i].admin;
  }
  if (found == nullptr) return "pool " + pool + " has no backend '" + backend + "'";
  const std::string trouble = overrides_.set(pool, backend, wanted);
  if (!trouble.empty())
    spdlog::error("the wish holds, but not beyond this process: it cannot be written to state_dir: {}",
                  trouble);
  if (deadline)
    spdlog::info("backend {}/{}: the operator wants {}, for at most {} s", pool, backend, to_string(admin),
                 std::chrono::duration_cast<std::chrono::seconds>(*deadline).count());
  else
    spdlog::info("backend {}/{}: the operator wants {}", pool, backend, to_string(admin));
  boost::json::object what{{"admin", to_string(admin)}};
  if (wanted.deadline) what["deadline"] = time_text(*wanted.deadline);
  announce(*found, std::move(what));
  republish();
  return "";
}

}  // namespace remora

// Administrative states (drain, maint, ready) set by operators over the API, which override the file. Kept
// across reloads, and in `state_dir` across restarts.
//
// The newest statement wins: an override lasts until the next one, or until the file changes what it says
// about that backend.
// Threading: control thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "remora/clock.h"
#include "remora/config.h"

namespace remora {

struct AdminOverride {
  config::AdminState admin = config::AdminState::ready;
  std::optional<Clock::Wall> deadline;                  // of a drain: when its sessions must move
  config::AdminState file = config::AdminState::ready;  // the file's setting when this was set
};

class AdminOverrides {
 public:
  /// `folder`: the state directory; empty: overrides are lost when the process ends.
  explicit AdminOverrides(std::string folder) : folder_(std::move(folder)) {}
  /// Ignores a file that cannot be read or parsed, and reports it in `error`.
  void load(std::string& error);

  const AdminOverride* find(const std::string& pool, const std::string& backend) const;
  /// Returns why it could not be saved. Empty if it was saved, or if there is no state directory.
  std::string set(const std::string& pool, const std::string& backend, const AdminOverride& wanted);
  /// Drops overrides that the file has replaced. `config`: the newly active configuration.
  void follow(const config::Config& config);

  /// The first deadline after `now`.
  std::optional<Clock::Wall> next_deadline(Clock::Wall now) const;

  std::string to_text() const;
  /// Returns false and changes nothing if the text was not written by to_text().
  bool from_text(const std::string& text);

 private:
  std::string save() const;
  // The file name predates the class, and files of earlier versions must stay readable.
  std::string path() const { return folder_ + "/wishes.json"; }
  const std::string folder_;
  std::map<std::pair<std::string, std::string>, AdminOverride> overrides_;
};

}  // namespace remora

// Administrative state (drain, maint, ready) that operators set over the API, on top of the file. Kept across
// reloads, and in `state_dir` across restarts.
//
// An override stands until the next one, or until the file says something else about that backend than it did
// when the override was made: the newest statement counts.
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
  std::optional<Clock::Wall> deadline;                  // of a drain: afterwards its sessions move
  config::AdminState file = config::AdminState::ready;  // what the file said when this was set
};

class AdminOverrides {
 public:
  /// `folder`: the state directory; empty: nothing outlives the process.
  explicit AdminOverrides(std::string folder) : folder_(std::move(folder)) {}
  /// A file that cannot be read or parsed is reported in `error` and ignored.
  void load(std::string& error);

  const AdminOverride* find(const std::string& pool, const std::string& backend) const;
  /// Returns why it could not be saved; empty: it was, or there is no state directory.
  std::string set(const std::string& pool, const std::string& backend, const AdminOverride& wanted);
  /// Drops the overrides that the file has overtaken. `config`: the active one from now on.
  void follow(const config::Config& config);

  /// The next deadline after `now`.
  std::optional<Clock::Wall> next_deadline(Clock::Wall now) const;

  std::string to_text() const;
  /// False: the text is not what to_text() writes; nothing has changed.
  bool from_text(const std::string& text);

 private:
  std::string save() const;
  // The name is older than the class: files of earlier versions are read.
  std::string path() const { return folder_ + "/wishes.json"; }
  const std::string folder_;
  std::map<std::pair<std::string, std::string>, AdminOverride> overrides_;
};

}  // namespace remora

// What operators want of backends beyond the file: drain, maint, ready. Kept across reloads, and in
// `state_dir` across restarts.
//
// A wish stands until another one, or until the file says something else about that backend than it did when
// the wish was made: the newest statement counts.
// Threading: control thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "remora/clock.h"
#include "remora/config.h"

namespace remora {

struct Wish {
  config::AdminWish admin = config::AdminWish::ready;
  std::optional<Clock::Wall> deadline;                // of a drain: afterwards its sessions move
  config::AdminWish file = config::AdminWish::ready;  // what the file said when the wish was made
};

class Wishes {
 public:
  /// `folder`: of the state; empty: nothing outlives the process. A file that cannot be read or understood is
  /// said in `trouble` and ignored.
  explicit Wishes(std::string folder) : folder_(std::move(folder)) {}
  void load(std::string& trouble);

  const Wish* find(const std::string& pool, const std::string& backend) const;
  /// Returns why it could not be kept on disk; empty: it was, or there is no disk.
  std::string set(const std::string& pool, const std::string& backend, const Wish& wish);
  /// Drops the wishes that the file has overtaken. `config`: as in force from now on.
  void follow(const config::Config& config);

  /// The next deadline after `now`.
  std::optional<Clock::Wall> next_deadline(Clock::Wall now) const;

  std::string to_text() const;
  /// False: not what to_text makes.
  bool from_text(const std::string& text);

 private:
  std::string save() const;
  std::string path() const { return folder_ + "/wishes.json"; }
  const std::string folder_;
  std::map<std::pair<std::string, std::string>, Wish> wishes_;
};

}  // namespace remora

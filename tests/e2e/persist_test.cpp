// Persisted memory: a lone instance that is killed is followed by one that knows its sessions.

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "store_app.h"

namespace remora::test {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

class Persisted : public ::testing::Test {
 protected:
  Persisted() : folder_(make_folder()) {}
  ~Persisted() override { fs::remove_all(folder_); }
  /// The configuration, with a folder for its state.
  std::string with_state(std::string yaml) const {
    return yaml.replace(yaml.find("state_dir: none"), 15, "state_dir: " + folder_);
  }
  /// Kills it once `records` changes of sessions are in the log, and waits until it has ended.
  static void kill(std::unique_ptr<Remora>& remora, double records) {
    kill_at(remora, "remora_session_log_records_total{result=\"written\"}", records);
  }
  static void kill_at(std::unique_ptr<Remora>& remora, const std::string& metric, double value) {
    EXPECT_TRUE(eventually([&] { return remora->metric(metric) >= value; })) << remora->log();
    remora->signal(SIGKILL);
    remora.reset();
  }
  std::string log_bytes() const {
    std::ifstream in(folder_ + "/sessions.log", std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  const std::string folder_;
};

TEST_F(Persisted, OfAThousandLearnedSessionsWithStatesNoneMovesAndNoStateIsLostByKill) {
  App a("a"), b("b");
  const std::string yaml = with_state(config({a.address(), b.address()}, "", learned_state));
  auto remora = std::make_unique<Remora>(yaml);
  std::vector<Browser> users(1000);
  std::vector<std::string> homes;
  {
    Socket line = remora->connect();
    for (std::size_t i = 0; i < users.size(); ++i) {
      users[i].get(line, "/login");
      homes.push_back(users[i].get(line, "/set?cart-" + std::to_string(i)).body.substr(0, 1));
    }
  }
  // For each: its binding, the record of its login, that of its cart.
  kill(remora, 3000);

  const auto began = std::chrono::steady_clock::now();
  remora = std::make_unique<Remora>(yaml);
  EXPECT_EQ(users[0].get(*remora).status, 200);
  std::printf("answers %lld ms after its start\n",
              static_cast<long long>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                         std::chrono::steady_clock::now() - began)
                                         .count()));
  int moved = 0, lost = 0;
  Socket line = remora->connect();
  for (std::size_t i = 0; i < users.size(); ++i)
    moved += users[i].get(line, "/").body != homes[i] + ":cart-" + std::to_string(i) ? 1 : 0;
  EXPECT_EQ(moved, 0);
  // The states are what this instance has restored: the other server gets them.
  remora->wish(a.address(), "maint");
  for (std::size_t i = 0; i < users.size(); ++i)
    lost += users[i].get(line, "/").body != "b:cart-" + std::to_string(i) ? 1 : 0;
  EXPECT_EQ(lost, 0);

  for (const char* secret : {"cart-", "user of"}) EXPECT_EQ(log_bytes().find(secret), std::string::npos);
}

TEST_F(Persisted, WhatMovedAndWhatEndedStaysSo) {
  Site site(3);
  const std::string yaml = with_state(with_admin(site.config("affinity: cookie\n")));
  auto remora = std::make_unique<Remora>(yaml);
  Browser moved = begin_at(remora->port(), "a"), ended = begin_at(remora->port(), "b");
  const Browser old_of_moved = moved, old_of_ended = ended;
  remora->wish("a", "drain");
  remora->wish("a", "maint");
  const std::string home = moved.get(*remora).field("X-Backend");
  ASSERT_NE(home, "a");
  ended.get(*remora, "/control/end");
  remora->wish("a", "ready");
  kill(remora, 2);
  remora = std::make_unique<Remora>(yaml);
  Browser again = old_of_moved;
  const Reply stays = again.get(*remora);
  EXPECT_EQ(stays.field("X-Backend"), home) << "by a token of before the move";
  EXPECT_EQ(announced(stays).epoch, 2);
  Browser revived = old_of_ended;
  EXPECT_NE(announced(revived.get(*remora)).reason, "sticky");
}

TEST_F(Persisted, TheLogGoesFromTheOldProcessToTheNewInAHotRestart) {
  Site site(4);
  const std::string yaml =
      with_state(with_admin(site.config("affinity: {kind: app_cookie, name: SID, on_unknown: reject}\n")));
  auto remora = std::make_unique<Remora>(yaml);
  std::vector<std::pair<Browser, std::string>> sessions;
  for (int i = 0; i < 10; ++i) sessions.push_back(begin(remora->port(), "/login"));
  Socket old = remora->connect();
  Browser idle;
  idle.get(old, "/");
  ASSERT_TRUE(remora->upgrade());
  for (int i = 0; i < 10; ++i) sessions.push_back(begin(remora->port(), "/login"));
  Browser late;  // begun by the old process
  const std::string home = late.get(old, "/login").field("X-Backend");
  sessions.emplace_back(late, home);
  old.close();
  EXPECT_TRUE(remora->former_ended());
  ASSERT_TRUE(eventually([&] { return late.get(*remora).status == 200; }));
  constexpr double record_bytes =
      109;  // what the new process has found in memory it writes, but as no change
  kill_at(remora, "remora_session_log_bytes", 21 * record_bytes);
  remora = std::make_unique<Remora>(yaml);
  for (auto& [browser, where] : sessions) EXPECT_EQ(browser.get(*remora).field("X-Backend"), where);
}

TEST_F(Persisted, ASecondInstanceSaysThatTheLogIsTakenAndServes) {
  Site site(2);
  const std::string yaml = with_state(with_admin(site.config("affinity: {kind: app_cookie, name: SID}\n")));
  const Remora first(yaml), second(yaml);
  EXPECT_TRUE(second.wait_for_log(folder_ + "/sessions.log is in use by another instance"));
  EXPECT_EQ(first.metric("remora_session_log_open"), 1);
  EXPECT_EQ(second.metric("remora_session_log_open"), 0);
  EXPECT_EQ(begin(second.port(), "/login").first.get(second).status, 200);
}

TEST_F(Persisted, OffKeepsNothing) {
  Site site(2);
  const std::string yaml = with_state(
      with_admin(site.config("affinity: {kind: app_cookie, name: SID}\n", "store: {persist: off}\n")));
  std::ofstream(folder_ + "/sessions.log") << "of a time when it was on";
  const Remora remora(yaml);
  begin(remora.port(), "/login");
  EXPECT_FALSE(fs::exists(folder_ + "/sessions.log"));
}

TEST_F(Persisted, ALogThatCannotBeWrittenIsSaidAndServingGoesOn) {
  Site site(2);
  fs::create_directory(folder_ + "/sessions.log");
  const std::string yaml = with_state(with_admin(site.config("affinity: {kind: app_cookie, name: SID}\n")));
  const Remora remora(yaml);
  EXPECT_EQ(remora.metric("remora_session_log_open"), 0);
  EXPECT_EQ(begin(remora.port(), "/login").first.get(remora).status, 200);
}

// Without `keys` the learned ids are named by a key that is made in the same folder.
TEST_F(Persisted, NeedsNoKeysInTheFile) {
  Site site(4);
  std::string yaml =
      with_state(with_admin(site.config("affinity: {kind: header, name: Sid, learn: true}\n")));
  yaml.erase(yaml.find("keys: "), yaml.find('\n', yaml.find("keys: ")) - yaml.find("keys: ") + 1);
  auto remora = std::make_unique<Remora>(yaml);
  std::vector<std::pair<Browser, std::string>> sessions;
  for (int i = 0; i < 20; ++i) {
    sessions.push_back(begin(remora->port(), "/login"));
    sessions.back().first.cookies.clear();
  }
  kill(remora, 20);
  remora = std::make_unique<Remora>(yaml);
  for (auto& [browser, home] : sessions) {
    const Reply r = browser.get(*remora);
    EXPECT_EQ(r.field("X-Backend"), home);
    EXPECT_EQ(announced(r).reason, "sticky");
  }
}

}  // namespace
}  // namespace remora::test

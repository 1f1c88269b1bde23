// Another configuration: what needs a restart, and which listeners open, stay and retire.

#include "server/reload.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <stdexcept>

#include "server/fakes.h"
#include "server/listener.h"
#include "server/listeners.h"

namespace remora {
namespace {

using namespace test;

TEST(RestartRequired, ForNothingThatIsTheSame) {
  const config::Config c = config_with({});
  EXPECT_TRUE(restart_required_for(c, c, "f").empty());
}

TEST(RestartRequired, ForWhatIsMadeAtTheStart) {
  const std::vector<std::pair<const char*, std::function<void(config::Config&)>>> cases = {
      {"workers", [](auto& c) { c.workers = 3; }},
      {"state_dir", [](auto& c) { c.state_dir = "/other"; }},
      {"store", [](auto& c) { c.store.capacity += 1; }},
      {"session_api", [](auto& c) { c.session_api = config::SessionApi{}; }},
      {"dns.servers", [](auto& c) { c.dns_servers = {"127.0.0.1"}; }},
      {"log", [](auto& c) { c.log.output = "/other"; }},
  };
  const config::Config active = config_with({});
  for (const auto& [key, change] : cases) {
    config::Config fresh = active;
    change(fresh);
    const auto lines = restart_required_for(active, fresh, "remora.yaml");
    ASSERT_EQ(lines.size(), 1u) << key;
    EXPECT_EQ(lines[0].find("remora.yaml: " + std::string(key) + ":"), 0u) << lines[0];
  }
}

TEST(RestartRequired, ForNeitherPoolsNorListenersNorTimeouts) {
  const config::Config active = config_with({});
  config::Config fresh = config_with({backend_at("a", "127.0.0.1")});
  fresh.listeners.emplace_back();
  fresh.shutdown_grace += std::chrono::seconds(1);
  fresh.log.level = config::Log{}.level;
  EXPECT_TRUE(restart_required_for(active, fresh, "f").empty());
}

class ListenersTest : public ::testing::Test {
 protected:
  Listeners::Hooks hooks() {
    Listeners::Hooks h;
    h.inherited = [this](const config::Listener&) { return std::exchange(inherited, {}); };
    h.serve = [this](std::size_t, UniqueFd socket, std::size_t slot) {
      served.push_back(slot);
      sockets.push_back(std::move(socket));
    };
    h.retire = [this](std::size_t slot) { retired.push_back(slot); };
    return h;
  }
  static config::Listener on_port(std::uint16_t port) {
    config::Listener l;
    l.bind = {config::Address::Kind::tcp, "127.0.0.1", port};
    l.name = l.bind.text();
    return l;
  }
  /// As a reload does.
  void use(std::vector<config::Listener> all) {
    config::Config c = config_with({});
    c.listeners = std::move(all);
    const auto built = build(builder, c);
    auto opened = listeners.open_new(*built);
    builder.commit(built);
    listeners.listen(std::move(opened));
    listeners.retire_gone(*built);
  }
  SnapshotBuilder builder{2};
  std::vector<UniqueFd> inherited, sockets;
  std::vector<std::size_t> served, retired;
  Listeners listeners{builder, 2, hooks()};
};

TEST_F(ListenersTest, EachWorkerGetsADescriptor) {
  use({on_port(0)});
  ASSERT_EQ(listeners.open().size(), 1u);
  EXPECT_EQ(listeners.open()[0].fds.size(), 2u);
  EXPECT_EQ(served, (std::vector<std::size_t>{0, 0}));
}

TEST_F(ListenersTest, OneThatTheNextFileHasTooStaysOpen) {
  use({on_port(0)});
  const std::vector<int> fds = listeners.open()[0].fds;
  use({on_port(0), on_port(0)});
  ASSERT_EQ(listeners.open().size(), 2u);
  EXPECT_EQ(listeners.open()[0].fds, fds);
  EXPECT_TRUE(retired.empty());
}

TEST_F(ListenersTest, OneThatTheNextFileLacksRetires) {
  use({on_port(0), on_port(0)});
  use({on_port(0)});
  EXPECT_EQ(retired, std::vector<std::size_t>{1});
  EXPECT_EQ(listeners.open().size(), 1u);
}

TEST_F(ListenersTest, WhatWasInheritedIsNotOpened) {
  inherited = open_listener(on_port(0), 1);
  const int fd = inherited.front().get();
  use({on_port(0)});
  EXPECT_EQ(listeners.open()[0].fds, std::vector<int>{fd});
}

TEST_F(ListenersTest, WhenOneCannotBeOpenedNothingChanges) {
  use({on_port(0)});
  const auto other = open_listener(on_port(0), 1);
  const std::string text = bound_address(other.front().get(), on_port(0).bind);
  const auto taken = static_cast<std::uint16_t>(std::stoi(text.substr(text.rfind(':') + 1)));
  EXPECT_THROW(use({on_port(0), on_port(0), on_port(taken)}), std::runtime_error);
  EXPECT_EQ(listeners.open().size(), 1u);
  EXPECT_EQ(served.size(), 2u);
}

}  // namespace
}  // namespace remora

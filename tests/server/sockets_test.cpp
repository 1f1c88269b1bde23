// Listening sockets, opened or inherited, when descriptors run out half way: one clear error, and nothing
// stays open.

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <filesystem>

#include "server/fakes.h"
#include "server/inherited_state.h"
#include "server/listener.h"
#include "support/descriptors.h"
#include "support/remora.h"

namespace remora {
namespace {

using namespace test;

config::Listener on(config::Address bind) {
  config::Listener l;
  l.bind = std::move(bind);
  l.name = l.bind.text();
  return l;
}

const config::Listener on_tcp = on({config::Address::Kind::tcp, "127.0.0.1", 0});

TEST(OpenListener, LeavesNothingOpenWhenDescriptorsRunOut) {
  const int before = open_descriptors();
  for (int spare = 0; spare < 8; ++spare) {
    const DescriptorLimit limit(spare);
    EXPECT_THROW(open_listener(on_tcp, 8, true), std::runtime_error) << spare;
    EXPECT_EQ(open_descriptors(), before) << spare;
  }
  const DescriptorLimit limit(8);
  EXPECT_EQ(open_listener(on_tcp, 8, true).size(), 8u);
  EXPECT_EQ(open_descriptors(), before);
}

/// Each worker's descriptor of a Unix socket is a duplicate, and duplicating can fail.
TEST(OpenListener, AUnixSocketNeedsADescriptorForEachWorker) {
  const std::filesystem::path folder = make_folder();
  const config::Listener listener = on({config::Address::Kind::unix_path, (folder / "socket").string(), 0});
  const int before = open_descriptors();
  for (int spare = 0; spare < 4; ++spare) {
    std::filesystem::remove(folder / "socket");
    const DescriptorLimit limit(spare);
    EXPECT_THROW(open_listener(listener, 4), std::runtime_error) << spare;
    EXPECT_EQ(open_descriptors(), before) << spare;
  }
  std::filesystem::remove(folder / "socket");
  for (const UniqueFd& fd : open_listener(listener, 4)) EXPECT_TRUE(fd);
  std::filesystem::remove_all(folder);
}

class Inherited : public ::testing::Test {
 protected:
  /// What a process gets that inherits these sockets under this address.
  void inherit(std::vector<UniqueFd> sockets, std::string_view address) {
    int pair[2] = {-1, -1};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    old_process = UniqueFd(pair[0]);
    std::vector<int> fds;
    for (const UniqueFd& s : sockets) fds.push_back(s.get());
    ASSERT_TRUE(send_message(old_process.get(), 'l', address, fds));
    ASSERT_TRUE(send_message(old_process.get(), 'e', ""));
    ::setenv(channel_variable, std::to_string(pair[1]).c_str(), 1);
    inherited = InheritedState::receive(memory, clock);
    ASSERT_TRUE(inherited);
  }
  HandClock clock;
  SessionMemory memory{16};
  UniqueFd old_process;
  std::unique_ptr<InheritedState> inherited;
};

TEST_F(Inherited, OneSocketIsSharedByTheWorkers) {
  inherit(open_listener(on_tcp, 1, true), on_tcp.bind.text());
  EXPECT_TRUE(inherited->from_process());
  const auto sockets = inherited->take_listener(on_tcp.bind, 4);
  EXPECT_EQ(sockets.size(), 4u);
  for (const UniqueFd& s : sockets) EXPECT_TRUE(s);
  EXPECT_TRUE(inherited->take_listener(on_tcp.bind, 4).empty()) << "taken already";
}

TEST_F(Inherited, ASocketThatCannotBeSharedIsAnError) {
  inherit(open_listener(on_tcp, 1, true), on_tcp.bind.text());
  const int before = open_descriptors();
  const DescriptorLimit limit(2);
  EXPECT_THROW(inherited->take_listener(on_tcp.bind, 4), std::runtime_error);
  EXPECT_EQ(open_descriptors(), before - 1) << "the inherited one is closed as well";
}

TEST_F(Inherited, WhatNobodyTakesIsClosed) {
  const int before = open_descriptors();
  inherit(open_listener(on_tcp, 3, true), on_tcp.bind.text());
  EXPECT_EQ(open_descriptors(), before + 5);
  inherited->close_unused();
  EXPECT_EQ(open_descriptors(), before + 2) << "both ends of the channel stay";
  inherited.reset();
  EXPECT_EQ(open_descriptors(), before + 1);
}

}  // namespace
}  // namespace remora

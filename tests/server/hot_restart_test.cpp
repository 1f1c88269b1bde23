// Hot restart: what travels between two processes, and what becomes of one that does not come up. The
// children are real processes; their limits are the test's.

#include "server/hot_restart.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "server/fakes.h"
#include "server/restart_state.h"
#include "support/remora.h"

namespace remora {
namespace {

using namespace test;
using std::chrono::milliseconds, std::chrono::seconds;

class Channel : public ::testing::Test {
 protected:
  Channel() {
    int pair[2] = {-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    here = UniqueFd(pair[0]);
    there = UniqueFd(pair[1]);
  }
  bool send(char kind, std::string_view text, std::span<const int> fds = {}) {
    return send_message(here.get(), kind, text, fds);
  }
  Received receive(milliseconds limit = milliseconds(0)) { return receive_message(there.get(), got, limit); }
  UniqueFd here, there;
  Message got;
};

TEST_F(Channel, CarriesShortAndLongTexts) {
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{5}, std::size_t{32 * 1024}, std::size_t{3000000}}) {
    const std::string text(size, 'x');
    ASSERT_TRUE(send('s', text));
    ASSERT_EQ(receive(), Received::message);
    EXPECT_EQ(got.kind, 's');
    EXPECT_EQ(got.text.size(), size);
    EXPECT_TRUE(got.text == text);
    EXPECT_TRUE(got.fds.empty()) << "the memory file is closed";
  }
}

TEST_F(Channel, CarriesDescriptors) {
  int pipe[2];
  ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  const UniqueFd out(pipe[0]), in(pipe[1]);
  ASSERT_TRUE(send('l', "127.0.0.1:80", pipe));
  ASSERT_EQ(receive(), Received::message);
  ASSERT_EQ(got.fds.size(), 2u);
  EXPECT_EQ(::write(got.fds[1].get(), "x", 1), 1);
  char c = 0;
  EXPECT_EQ(::read(out.get(), &c, 1), 1);
}

TEST_F(Channel, SilenceIsNeitherAMessageNorTheEnd) {
  EXPECT_EQ(receive(), Received::nothing);
  EXPECT_EQ(receive(milliseconds(1)), Received::nothing);
}

TEST_F(Channel, TheEndAndInvalidMessagesAreFailures) {
  ASSERT_EQ(::send(here.get(), "x", 1, 0), 1);
  EXPECT_EQ(receive(), Received::failed) << "too short";
  ASSERT_EQ(::send(here.get(), "sf", 2, 0), 2);
  EXPECT_EQ(receive(), Received::failed) << "a file is announced, and none comes";
  here.reset();
  EXPECT_EQ(receive(), Received::failed);
  EXPECT_FALSE(send_message(there.get(), 's', "x"));
}

TEST_F(Channel, DescriptorsOfAnInvalidMessageAreClosed) {
  int pipe[2];
  ASSERT_EQ(::pipe2(pipe, O_CLOEXEC | O_NONBLOCK), 0);
  const UniqueFd out(pipe[0]);
  UniqueFd in(pipe[1]);
  char short_text = 'l';
  iovec run{&short_text, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr packet{};
  packet.msg_iov = &run;
  packet.msg_iovlen = 1;
  packet.msg_control = control;
  packet.msg_controllen = sizeof control;
  cmsghdr* const c = CMSG_FIRSTHDR(&packet);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(c), &pipe[1], sizeof(int));
  ASSERT_EQ(::sendmsg(here.get(), &packet, 0), 1);
  in.reset();
  EXPECT_EQ(receive(), Received::failed);
  EXPECT_EQ(::read(out.get(), &short_text, 1), 0) << "no write end is left open";
}

std::atomic<int> signals_handled{0};

/// Signals interrupt poll(2) whatever SA_RESTART says. That was taken for the end of the wait, so that a
/// process gave up on what the old one was still sending.
TEST_F(Channel, SignalsDoNotEndAWait) {
  struct sigaction action{}, before{};
  action.sa_handler = [](int) { ++signals_handled; };
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  Received result = Received::nothing;
  std::thread receiver([&] { result = receive(std::chrono::seconds(30)); });
  for (int i = 1; i <= 50; ++i) {
    ::pthread_kill(receiver.native_handle(), SIGUSR1);
    for (int spins = 0; signals_handled < i && spins < 10'000'000; ++spins) std::this_thread::yield();
    EXPECT_GE(signals_handled, i);
  }
  EXPECT_TRUE(send('e', ""));
  receiver.join();
  ::sigaction(SIGUSR1, &before, nullptr);
  EXPECT_EQ(result, Received::message);
}

class HotRestartTest : public ::testing::Test {
 protected:
  void make(std::vector<std::string> arguments) {
    HotRestart::Hooks hooks;
    hooks.serving = [this] { return serving; };
    hooks.handover = [] {
      HotRestart::Handover h;
      h.state = "{}";
      return h;
    };
    hooks.serves = [this](pid_t) {
      ++handed_over;
      serving = false;
    };
    restart = std::make_unique<HotRestart>(clock, memory, std::move(arguments),
                                           std::make_unique<HandAlarm>(alarm), std::move(hooks));
  }
  /// Lets the child get there; polls as the loop would, but without moving the clock.
  bool poll_until(const std::function<bool()>& done) {
    return eventually([&] {
      if (alarm.at) std::exchange(alarm, {}).ring();
      return done();
    });
  }
  HandClock clock;
  AlarmSetting alarm;
  SessionMemory memory{16};
  bool serving = true;
  int handed_over = 0;
  std::unique_ptr<HotRestart> restart;
};

TEST_F(HotRestartTest, IsRefusedWhileStoppingAndWithoutArguments) {
  make({"/bin/false"});
  serving = false;
  restart->start();
  EXPECT_FALSE(restart->under_way());
  serving = true;
  make({});
  restart->start();
  EXPECT_FALSE(restart->under_way());
}

TEST_F(HotRestartTest, AChildThatEndsChangesNothing) {
  make({"/bin/false"});
  restart->start();
  EXPECT_TRUE(poll_until([&] { return !restart->under_way(); }));
  EXPECT_EQ(handed_over, 0);
  EXPECT_FALSE(alarm.at);
}

TEST_F(HotRestartTest, AChildThatIsNotReadyInTimeIsKilled) {
  make({"/bin/sleep", "1000"});
  restart->start();
  ASSERT_TRUE(restart->under_way());
  clock.advance(seconds(59));
  ring(alarm, clock);
  EXPECT_TRUE(restart->under_way());
  clock.advance(seconds(1));
  ring(alarm, clock);
  EXPECT_FALSE(restart->under_way());
  EXPECT_EQ(handed_over, 0);
}

/// Whatever flags a descriptor has at that moment: another thread may be accepting it.
TEST_F(HotRestartTest, AChildInheritsNoDescriptorButItsChannel) {
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  const UniqueFd out(pipe[0]);
  UniqueFd in(pipe[1]);
  make({"/bin/sleep", "1000"});
  restart->start();
  ASSERT_TRUE(restart->under_way());
  in.reset();
  pollfd ended{out.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&ended, 1, 10000), 1) << "the write end is still open in the child";
  clock.advance(seconds(60));
  ring(alarm, clock);
  EXPECT_FALSE(restart->under_way());
}

TEST_F(HotRestartTest, AChildThatServesIsHandedOverToOnce) {
  make({"/bin/bash", "-c", "printf ri >&$REMORA_SUCCESSION_FD; exec sleep 0.1"});
  restart->start();
  EXPECT_TRUE(poll_until([&] { return handed_over > 0; }));
  EXPECT_TRUE(restart->under_way());
  ring(alarm, clock);
  EXPECT_EQ(handed_over, 1);
  restart->stop();
  EXPECT_FALSE(restart->under_way());
  EXPECT_FALSE(alarm.at);
}

/// A process's parts that its state is of.
struct Process {
  HandClock clock;
  HandNames names;
  AlarmSetting dns_alarm, status_alarm;
  Loop loop;
  EventHub events{loop.ctx.get_executor()};
  SnapshotBuilder builder{1};
  BackendStatus status{{loop, clock, builder, events},
                       "",
                       std::make_unique<HandAlarm>(status_alarm),
                       {[] {}, [](const std::shared_ptr<Backend>&) {}, [] {}}};
  Discovery discovery{{clock, names, builder, events},
                      std::make_unique<HandAlarm>(dns_alarm),
                      {[] {}, [] {}, [](const std::shared_ptr<Backend>&) {}}};
  void begin(const config::Config& config) {
    activate(builder, config);
    status.begin();
  }
};

TEST(RestartState, TheNextProcessKnowsWhatThisOneKnew) {
  const config::Config config = config_with({backend_at("a", "127.0.0.1"), backend_at("b", "127.0.0.1", 81)});
  Process before, after;
  before.begin(config);
  before.status.set_admin("app", "a", config::AdminState::drain, std::nullopt);
  before.builder.find_backend("app", "b")->note_generation(7);
  const auto kept = adopt_restart_state(restart_state(before.builder, before.status, before.discovery),
                                        after.builder, after.status, after.discovery);
  EXPECT_EQ(kept.size(), 2u);
  after.begin(config);
  EXPECT_EQ(after.builder.index_key(), before.builder.index_key());
  EXPECT_EQ(after.builder.pool_numbers(), before.builder.pool_numbers());
  EXPECT_EQ(after.builder.last()->pools[0]->snapshot->members[0].admin, Admin::drain);
  EXPECT_EQ(after.builder.find_backend("app", "b")->generation.load(), 7u);
}

TEST(RestartState, WhatMakesNoSenseIsLeftOut) {
  for (const char* text :
       {"", "x", "[]", "{}", R"({"backends":[1,{}],"pool_numbers":[],"wishes":1,"discovered":2})"}) {
    Process process;
    adopt_restart_state(text, process.builder, process.status, process.discovery);
    process.begin(config_with({backend_at("a", "127.0.0.1")}));
    EXPECT_EQ(process.builder.last()->pools[0]->snapshot->members[0].admin, Admin::ready) << text;
  }
}

}  // namespace
}  // namespace remora

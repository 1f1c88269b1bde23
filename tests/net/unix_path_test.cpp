// A unix socket's path before it is bound: only what a dead process left is removed.

#include "net/unix_path.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "support/remora.h"

namespace remora {
namespace {

namespace fs = std::filesystem;

struct UnixPath : testing::Test {
  const fs::path folder = test::make_folder();
  const std::string path = folder / "socket";
  ~UnixPath() override { fs::remove_all(folder); }
  int listen(int type, int backlog) const {
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    std::strcpy(to.sun_path, path.c_str());
    const int fd = ::socket(AF_UNIX, type, 0);
    EXPECT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    if (type == SOCK_STREAM) {
      EXPECT_EQ(::listen(fd, backlog), 0);
    }
    return fd;
  }
};

TEST_F(UnixPath, AFreeOneStaysFree) {
  EXPECT_EQ(make_room_for_socket(path), "");
}

TEST_F(UnixPath, ADeadSocketGoes) {
  ::close(listen(SOCK_STREAM, 1));
  EXPECT_EQ(make_room_for_socket(path), "");
  EXPECT_FALSE(fs::exists(path));
}

TEST_F(UnixPath, ALivingServersSocketStays) {
  const int fd = listen(SOCK_STREAM, 0);
  for (int i = 0; i < 4; ++i) EXPECT_NE(make_room_for_socket(path), "");  // also with a full queue
  EXPECT_TRUE(fs::is_socket(path));
  ::close(fd);
}

TEST_F(UnixPath, ASocketOfAnotherKindStays) {
  const int fd = listen(SOCK_DGRAM, 0);
  EXPECT_NE(make_room_for_socket(path), "");
  EXPECT_TRUE(fs::is_socket(path));
  ::close(fd);
}

TEST_F(UnixPath, WhatIsNoSocketIsNeverRemoved) {
  std::ofstream(folder / "file") << "somebody's";
  fs::create_symlink(folder / "file", folder / "link");
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  for (const char* name : {"file", "link", "pipe", "."}) {
    EXPECT_NE(make_room_for_socket(folder / name), "") << name;
    remove_socket(folder / name);
    EXPECT_TRUE(fs::exists(folder / name)) << name;
  }
}

}  // namespace
}  // namespace remora

// What remora leaves alone on the machine it runs on, and what it says of secrets that lie open.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "support/site.h"

namespace remora::test {
namespace {

namespace fs = std::filesystem;

struct Folder {
  const fs::path path = make_folder();
  ~Folder() { fs::remove_all(path); }
  std::string at(const std::string& name) const { return path / name; }
};

std::string content(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string config(const Site& site, const std::string& top) {
  std::string text = site.config("affinity: cookie\nsession: {state: on}\n", top);
  return text.erase(text.find("admin: off\n"), 11);
}

/// `remora run` that is expected to refuse.
Ran refused(const std::string& yaml) {
  const Folder folder;
  std::ofstream(folder.at("c.yaml")) << yaml;
  return run_binary({"run", "-c", folder.at("c.yaml")});
}

int health(const std::string& path) {
  return run_binary({"healthcheck", "--admin", "unix:" + path}).code;
}

TEST(UnixSockets, AFileInTheWayIsLeftAloneAndSaid) {
  Site site(1);
  const Folder folder;
  std::ofstream(folder.at("s")) << "somebody's";
  fs::create_symlink(folder.at("s"), folder.at("l"));
  for (const char* name : {"s", "l"})
    for (const std::string& key : {std::string("admin: "), std::string("admin: off\nsession_api: ")}) {
      const Ran ran = refused(config(site, key + "unix:" + folder.at(name) + "\n"));
      EXPECT_EQ(ran.code, 1) << ran.output;
      EXPECT_NE(ran.output.find(folder.at(name)), std::string::npos) << ran.output;
    }
  EXPECT_EQ(content(folder.at("s")), "somebody's");
  EXPECT_TRUE(fs::is_symlink(folder.at("l")));
}

TEST(UnixSockets, ALivingServersPlaceIsNotTakenADeadOnesIs) {
  Site site(1);
  const Folder folder;
  const std::string admin = folder.at("admin"), api = folder.at("api");
  const std::string top = "admin: unix:" + admin + "\nsession_api: unix:" + api + "\n";
  {
    Remora first(config(site, top));
    for (const std::string& key : {"admin: unix:" + admin, "admin: off\nsession_api: unix:" + api}) {
      const Ran second = refused(config(site, key + "\n"));
      EXPECT_EQ(second.code, 1) << second.output;
      EXPECT_NE(second.output.find("in use"), std::string::npos) << second.output;
    }
    EXPECT_EQ(health(admin), 0);
    ASSERT_TRUE(first.upgrade());  // its successor may
    EXPECT_TRUE(first.former_ended());
    EXPECT_EQ(health(admin), 0);
    EXPECT_GE(Socket::connect_unix(api).fd(), 0);
    first.signal(SIGKILL);
  }
  ASSERT_TRUE(fs::is_socket(admin));
  Remora next(config(site, top));
  EXPECT_EQ(health(admin), 0);
}

TEST(Secrets, ThatLieOpenAreSaidAtTheStartAndByCheck) {
  Site site(1);
  const Folder folder;
  std::ofstream(folder.at("token")) << "0123456789abcdef\n";
  std::string text =
      config(site, "admin: {bind: \"127.0.0.1:0\", token: {file: " + folder.at("token") + "}}\n");
  text.replace(text.find("state_dir: none"), 15, "state_dir: " + folder.at("state"));
  text.erase(text.find("keys: "), text.find('\n', text.find("keys: ")) - text.find("keys: ") + 1);
  std::ofstream(folder.at("c.yaml")) << text;
  const auto check = [&] { return run_binary({"check", "-c", folder.at("c.yaml")}); };

  ::chmod(folder.at("token").c_str(), 0600);
  {
    Remora closed(text);
    EXPECT_EQ(closed.log().find(folder.at("token")), std::string::npos);
  }
  EXPECT_EQ(check().output.find(folder.at("token")), std::string::npos);

  ::chmod(folder.at("token").c_str(), 0644);
  ::chmod(folder.at("state").c_str(), 0777);
  ::chmod(folder.at("state/token.key").c_str(), 0666);
  Remora open(text);
  for (const char* name : {"token", "state", "state/token.key"})
    EXPECT_NE(open.log().find(folder.at(name)), std::string::npos) << open.log();
  const Ran checked = check();
  EXPECT_EQ(checked.code, 0);  // said, not refused
  for (const char* name : {"token", "state", "state/token.key"})
    EXPECT_NE(checked.output.find(folder.at(name)), std::string::npos) << checked.output;
}

TEST(StateDir, APipeInPlaceOfAFileIsSaidAndNotWaitedFor) {
  Site site(1);
  const Folder folder;
  ASSERT_EQ(::mkfifo(folder.at("token.key").c_str(), 0600), 0);
  std::string text = config(site, "admin: off\n");
  text.replace(text.find("state_dir: none"), 15, "state_dir: " + folder.path.string());
  text.erase(text.find("keys: "), text.find('\n', text.find("keys: ")) - text.find("keys: ") + 1);
  const Ran ran = refused(text);
  EXPECT_EQ(ran.code, 1) << ran.output;
  EXPECT_NE(ran.output.find(folder.at("token.key")), std::string::npos) << ran.output;
}

TEST(StateDir, WishesAreNotWrittenThroughALink) {
  Site site(2);
  const Folder folder;
  std::ofstream(folder.at("victim")) << "[]\n";
  fs::create_directory(folder.at("state"));
  fs::create_symlink(folder.at("victim"), folder.at("state/wishes.json"));
  std::string text = config(site, "admin: 127.0.0.1:0\n");
  text.replace(text.find("state_dir: none"), 15, "state_dir: " + folder.at("state"));
  Remora remora(text);
  remora.wish("a", "drain");
  EXPECT_EQ(content(folder.at("victim")), "[]\n");
  EXPECT_NE(content(folder.at("state/wishes.json")).find("drain"), std::string::npos);
}

/// A page of somebody else, in the browser of somebody who may steer.
TEST(Admin, ABrowserOnAForeignPageChangesNothing) {
  Site site(1);
  Remora remora(with_admin(site.config("affinity: cookie\n")));
  const std::string path = "/api/v1/pools/app/backends/a", body = "{\"admin\":\"maint\"}";
  EXPECT_EQ(remora.api("PATCH", path, body, "Origin: http://evil.test\r\n").status, 403);
  EXPECT_EQ(remora.api("PATCH", path, body, "Origin: null\r\n").status, 403);
  EXPECT_EQ(remora.api("PATCH", path, body, "Sec-Fetch-Site: cross-site\r\n").status, 403);
  EXPECT_EQ(
      remora.api("PATCH", path, body, "Origin: http://localhost\r\nSec-Fetch-Site: same-origin\r\n").status,
      200);
  EXPECT_EQ(remora.api("PATCH", path, body).status, 200);
  const auto plain = [&](const std::string& head) {
    return ask(remora.admin_port(), head + "Connection: close\r\n\r\n").status;
  };
  EXPECT_EQ(plain("GET /api/v1/pools HTTP/1.1\r\nHost: localhost\r\nHost: evil.test\r\n"), 403);
  EXPECT_EQ(plain("GET /api/v1/pools HTTP/1.1\r\nHost: [::1].evil.test\r\n"), 403);
  EXPECT_EQ(plain("GET /api/v1/pools HTTP/1.1\r\nHost:\r\n"), 403);
  EXPECT_EQ(plain("GET /api/v1/pools HTTP/1.1\r\n"), 403);
  EXPECT_EQ(plain("GET http://evil.test/api/v1/pools HTTP/1.1\r\nHost: localhost\r\n"), 400);
}

}  // namespace
}  // namespace remora::test

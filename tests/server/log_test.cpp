// Messages quote what others say: backends, stores, name servers. Each is one line, and JSON stays JSON.

#include "server/log.h"

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <filesystem>
#include <fstream>

namespace remora {
namespace {

std::string logged(config::LogFormat format, std::string_view message) {
  const std::string file = testing::TempDir() + "remora-log-test." + std::to_string(::getpid());
  config::Log log;
  log.output = file;
  log.format = format;
  set_up_log(log);
  spdlog::warn("{}", message);
  std::ifstream in(file);
  std::string text((std::istreambuf_iterator<char>(in)), {});
  std::filesystem::remove(file);
  return text;
}

TEST(Log, AMessageIsOneLineWhateverItQuotes) {
  constexpr std::string_view said = "-ERR x\r\n2026-01-01T00:00:00.000Z error forged \"\\ \x1b[31m\x9b\xff";
  for (const auto format : {config::LogFormat::text, config::LogFormat::json}) {
    const std::string text = logged(format, said);
    ASSERT_FALSE(text.empty());
    EXPECT_EQ(text.find('\n'), text.size() - 1);
    for (const char c : text.substr(0, text.size() - 1)) EXPECT_TRUE(c >= ' ' && c < 0x7f) << text;
  }
}

}  // namespace
}  // namespace remora

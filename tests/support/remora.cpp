#include "support/remora.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

namespace remora::test {

namespace {
std::string read_file(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

pid_t spawn(const std::vector<std::string>& arguments, const std::string& output,
            const std::vector<std::string>& environment) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  const int fd = ::open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
  ::dup2(fd, 1);
  ::dup2(fd, 2);
  for (const auto& e : environment) ::putenv(const_cast<char*>(e.c_str()));
  std::vector<char*> argv{const_cast<char*>("remora")};
  for (const auto& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  ::execv(binary().c_str(), argv.data());
  ::_exit(127);
}
}  // namespace

std::string binary() {
  const char* path = std::getenv("REMORA_BINARY");
  return path != nullptr ? path : REMORA_BINARY_PATH;
}

bool sanitized() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return true;
#elif defined(__has_feature)
  return __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
  return false;
#endif
}

namespace {
constexpr int still_running = -1000;

/// The exit code, -signal, or still_running.
int wait_for(pid_t pid, std::chrono::milliseconds limit) {
  for (auto left = limit;; left -= 10ms) {
    int status = 0;
    if (::waitpid(pid, &status, WNOHANG) == pid)
      return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    if (left <= 0ms) return still_running;
    ::usleep(10000);
  }
}

/// Ends it gently, so that a sanitizer can say at the end what it found; 0 too when it had to be killed.
int end_process(pid_t pid) {
  for (int i = 0; i < 2; ++i) {  // the second SIGTERM means: at once
    ::kill(pid, SIGTERM);
    if (const int code = wait_for(pid, 3s); code != still_running) return code;
  }
  if (sanitized())  // looks for leaks, which takes its time
    if (const int code = wait_for(pid, 20s); code != still_running) return code;
  ::kill(pid, SIGKILL);
  wait_for(pid, 3s);
  return 0;
}
}  // namespace

std::string make_folder() {
  char path[] = "/tmp/remora-test-XXXXXX";
  if (::mkdtemp(path) == nullptr) std::abort();
  return path;
}

Remora::Remora(const std::string& yaml, const std::vector<std::string>& environment)
    : folder_(make_folder()) {
  rewrite(yaml);
  pid_ = spawn({"run", "-c", folder_ + "/remora.yaml"}, folder_ + "/log", environment);
  // Ready when the last line of the start was written: each listener, then admin, if any.
  std::size_t wanted = 0;
  for (std::size_t at = yaml.find("127.0.0.1:0"); at != std::string::npos;
       at = yaml.find("127.0.0.1:0", at + 1))
    ++wanted;
  for (std::size_t at = yaml.find("listen-marker"); at != std::string::npos;
       at = yaml.find("listen-marker", at + 1))
    ++wanted;
  for (int i = 0; i < 1000; ++i) {
    std::istringstream lines(log());
    ports_.clear();
    std::size_t seen = 0;
    for (std::string line; std::getline(lines, line);) {
      const auto port = [&] { return std::atoi(line.c_str() + line.rfind(':') + 1); };
      if (line.find("listening on ") != std::string::npos) ports_.push_back(port()), ++seen;
      if (line.find("admin on ") != std::string::npos) admin_port_ = port(), ++seen;
    }
    if (seen >= wanted) return;
    if (wait_exit(0ms) != still_running) {
      ADD_FAILURE() << "remora did not start:\n" << log();
      ports_.assign(8, 1);
      return;
    }
    ::usleep(10000);
  }
  ADD_FAILURE() << "remora is not ready:\n" << log();
}

/// How it ends counts in each test: a leak or a race is told by the exit code alone, and a crash by the
/// signal.
Remora::~Remora() {
  // -SIGTERM: it came before the handler was there or when it had gone, in a test that ends at once.
  for (const pid_t old : former_)
    if (const int code = end_process(old); code != 0 && code != -SIGTERM)
      ADD_FAILURE() << "the process that handed over ended with " << code;
  if (pid_ > 0)
    if (const int code = end_process(pid_); code != 0 && code != -SIGTERM && !killed_)
      ADD_FAILURE() << "remora ended with " << code;
  if (::testing::Test::HasFailure()) std::cerr << "remora's log:\n" << log();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

int Remora::wait_exit(std::chrono::milliseconds limit) {
  if (pid_ < 0) return 0;
  const int code = wait_for(pid_, limit);
  if (code != still_running) pid_ = -1;
  return code;
}

bool Remora::upgrade() {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);  // the new process becomes ours when the old one ends
  constexpr std::string_view said = " serves; finishing";
  const int before = count_in_log(said);
  signal(SIGUSR2);
  if (!wait_for_log(said, before + 1)) return false;
  const std::string text = log();
  const auto at = text.rfind(said);
  former_.push_back(pid_);
  pid_ = static_cast<pid_t>(std::atol(text.c_str() + text.rfind(' ', at - 1) + 1));
  return pid_ > 0;
}

bool Remora::former_ended(std::chrono::milliseconds limit) {
  return eventually(
      [&] {
        std::erase_if(former_, [](pid_t pid) {
          const int code = wait_for(pid, 0ms);
          if (code != 0 && code != still_running)
            ADD_FAILURE() << "the process that handed over ended with " << code;
          return code != still_running;
        });
        return former_.empty();
      },
      limit);
}

int Remora::count_in_log(std::string_view text) const {
  const std::string all = log();
  int n = 0;
  for (std::size_t at = all.find(text); at != std::string::npos; at = all.find(text, at + 1)) ++n;
  return n;
}

bool Remora::wait_for_log(std::string_view text, int times) const {
  return eventually([&] { return count_in_log(text) >= times; });
}

bool Remora::reload(const std::string& yaml) const {
  const int fine = count_in_log("reloaded /"), refused = count_in_log("reload refused");
  rewrite(yaml);
  signal(SIGHUP);
  eventually([&] { return count_in_log("reloaded /") > fine || count_in_log("reload refused") > refused; });
  return count_in_log("reloaded /") > fine;
}

std::vector<int> Remora::opened_ports() const {
  std::vector<int> ports;
  std::istringstream lines(log());
  for (std::string line; std::getline(lines, line);)
    if (const auto at = line.find(" listening on ");
        at != std::string::npos && line.find("no longer") == std::string::npos)
      ports.push_back(std::atoi(line.c_str() + line.rfind(':') + 1));
  return ports;
}

Ran Remora::command(std::vector<std::string> words) const {
  words.push_back("--admin");
  words.push_back("127.0.0.1:" + std::to_string(admin_port_));
  return run_binary(words);
}

Reply Remora::api(const std::string& method, const std::string& target, const std::string& body,
                  const std::string& fields) const {
  std::string request =
      method + " " + target + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + fields;
  if (method != "GET" && fields.find("Content-Type") == std::string::npos)
    request += "Content-Type: application/json\r\n";
  if (method != "GET") request += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  return test::ask(admin_port_, request + "\r\n" + body);
}

void Remora::wish(const std::string& backend, const std::string& wanted) const {
  const Reply r = api("PATCH", "/api/v1/pools/app/backends/" + backend, R"({"admin":")" + wanted + "\"}");
  ASSERT_EQ(r.status, 200) << r.body;
}

bool eventually(const std::function<bool()>& is_true, std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!is_true()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    ::usleep(10000);
  }
  return true;
}

std::string with_admin(std::string config) {
  const auto at = config.find("admin: off");
  return config.replace(at, 10, "admin: 127.0.0.1:0");
}

int Remora::stop() {
  signal(SIGTERM);
  const int code = wait_exit(patience);
  if (code != 0) ADD_FAILURE() << "remora ended with " << code << "\n" << log();
  return code;
}

void Remora::signal(int number) const {
  killed_ = killed_ || number == SIGKILL;
  if (pid_ > 0) ::kill(pid_, number);
}
std::string Remora::log() const {
  return read_file(folder_ + "/log");
}

bool Remora::wait_for_log(std::string_view text) const {
  for (int i = 0; i < 1000; ++i) {
    if (log().find(text) != std::string::npos) return true;
    ::usleep(10000);
  }
  return false;
}

void Remora::rewrite(const std::string& yaml) const {
  std::ofstream(folder_ + "/remora.yaml") << yaml;
}

std::size_t Remora::resident() const {
  std::istringstream in(read_file("/proc/" + std::to_string(pid_) + "/statm"));
  std::size_t size = 0, resident = 0;
  in >> size >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

Ran run_binary(const std::vector<std::string>& arguments) {
  const std::string folder = make_folder();
  const pid_t pid = spawn(arguments, folder + "/out", {});
  int status = 0;
  ::waitpid(pid, &status, 0);
  Ran ran{WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), read_file(folder + "/out")};
  std::filesystem::remove_all(folder);
  return ran;
}

std::string simple_config(const std::vector<std::string>& backends, const std::string& pool,
                          const std::string& listener, const std::string& top) {
  std::string text = "state_dir: none\nkeys: [{env: REMORA_TEST_KEY}]\nadmin: off\nworkers: 2\n" + top;
  text += "listeners:\n  - bind: 127.0.0.1:0\n";
  std::istringstream listener_lines(listener);
  for (std::string line; std::getline(listener_lines, line);) text += "    " + line + "\n";
  text += "pools:\n  app:\n    backends: [";
  for (std::size_t i = 0; i < backends.size(); ++i) text += (i > 0 ? ", " : "") + backends[i];
  text += "]\n";
  std::istringstream pool_lines(pool);
  for (std::string line; std::getline(pool_lines, line);) text += "    " + line + "\n";
  return text;
}

}  // namespace remora::test

#include "support/remora.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>

#include "support/events.h"

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

/// Ends a process with SIGTERM, so that a sanitizer can report. Returns still_running if it had to be killed.
int end_process(pid_t pid) {
  for (int i = 0; i < 2; ++i) {  // a second SIGTERM means: stop at once
    ::kill(pid, SIGTERM);
    if (const int code = wait_for(pid, within(3s)); code != still_running) return code;
  }
  if (sanitized())  // the leak check takes time
    if (const int code = wait_for(pid, 20s); code != still_running) return code;
  ::kill(pid, SIGKILL);
  wait_for(pid, 3s);
  return still_running;
}

/// Reports a failure that tests/launch.py does not retry.
void fail_for_good(const std::string& what, int code) {
  const std::string why =
      code == still_running ? what + "nothing: it had to be killed" : what + std::to_string(code);
  ::testing::Test::RecordProperty("never_repeat", why);
  ADD_FAILURE() << why;
}

/// Ports of the process's listening TCP sockets, in the order of their descriptors.
std::vector<int> ports_of(pid_t pid) {
  std::map<std::string, int> by_inode;
  const std::string proc = "/proc/" + std::to_string(pid);
  for (const char* table : {"/net/tcp", "/net/tcp6"}) {
    std::istringstream lines(read_file(proc + table));
    std::string line;
    std::getline(lines, line);  // column names
    while (std::getline(lines, line)) {
      std::istringstream words(line);
      std::string number, local, remote, state, queues, timer, retries, user, timeouts, inode;
      words >> number >> local >> remote >> state >> queues >> timer >> retries >> user >> timeouts >> inode;
      constexpr std::string_view listening = "0A";
      if (state == listening) by_inode[inode] = std::stoi(local.substr(local.rfind(':') + 1), nullptr, 16);
    }
  }
  std::map<int, int> by_descriptor;
  std::error_code ec;
  for (const auto& entry : std::filesystem::directory_iterator(proc + "/fd", ec)) {
    const std::string target = std::filesystem::read_symlink(entry.path(), ec).string();
    if (ec || target.rfind("socket:[", 0) != 0) continue;
    const auto found = by_inode.find(target.substr(8, target.size() - 9));
    if (found != by_inode.end()) by_descriptor[std::stoi(entry.path().filename())] = found->second;
  }
  std::vector<int> ports;  // without duplicates: every worker has a socket of each listener
  for (const auto& [descriptor, port] : by_descriptor)
    if (std::find(ports.begin(), ports.end(), port) == ports.end()) ports.push_back(port);
  return ports;
}
}  // namespace

std::string make_folder() {
  char path[] = "/tmp/remora-test-XXXXXX";
  if (::mkdtemp(path) == nullptr) std::abort();
  return path;
}

Remora::Remora(const std::string& yaml, const std::vector<std::string>& environment)
    : folder_(make_folder()), notify_(std::make_unique<NotifySocket>(folder_ + "/notify")) {
  rewrite(yaml);
  std::vector<std::string> variables = environment;
  variables.push_back("NOTIFY_SOCKET=" + folder_ + "/notify");
  pid_ = spawn({"run", "-c", folder_ + "/remora.yaml"}, folder_ + "/log", variables);
  if (await_ready()) {
    find_ports(yaml);
  } else {
    ADD_FAILURE() << (pid_ < 0 ? "remora did not start:\n" : "remora is not ready:\n") << log();
    ports_.assign(8, 1);
  }
}

/// False: the process has ended, or was not ready in time.
bool Remora::await_ready() {
  bool ready = false;
  eventually([&] {
    ready = !notify_->receive_with("READY=1", 10ms).empty();
    return ready || wait_exit(0ms) != still_running;
  });
  return ready;
}

/// Assigns the open ports, in the order in which they were opened.
void Remora::find_ports(const std::string& yaml) {
  ports_ = listening_ports();
  const auto has = [&](const std::string& key) {
    const auto at = ("\n" + yaml).find("\n" + key);  // the added line feed shifts positions by one
    if (at == std::string::npos) return false;
    const std::string line = yaml.substr(at, yaml.find('\n', at) - at);
    return line.find("127.0.0.1:") != std::string::npos;
  };
  if (has("session_api: ") && !ports_.empty()) ports_.pop_back();
  if (!has("admin: ") || ports_.empty()) return;
  admin_port_ = ports_.back();
  ports_.pop_back();
}

/// The exit status counts in every test, and the failure is never retried: only the status reveals a leak or
/// a race, and only the signal a crash.
void Remora::end(pid_t pid, const char* what) {
  const int code = end_process(pid);
  // -SIGTERM: the signal came before the handler was installed or after it was removed, in a test that ends
  // at once.
  if (code != 0 && code != -SIGTERM) fail_for_good(what, code);
}

Remora::~Remora() {
  for (const pid_t old : former_) end(old, "the process that handed over ended with ");
  if (pid_ > 0 && killed_) end_process(pid_);
  if (pid_ > 0 && !killed_) end(pid_, "remora ended with ");
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
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);  // the new process becomes our child when the old one ends
  signal(SIGUSR2);
  const std::string said = notify_->receive_with("READY=1\nMAINPID=", patience);
  if (said.empty()) return false;
  former_.push_back(std::exchange(pid_, static_cast<pid_t>(std::atol(said.c_str() + said.rfind('=') + 1))));
  // The new process is ready before the old one has closed its sockets.
  return pid_ > 0 && eventually([&] { return ports_of(former_.back()).empty(); });
}

bool Remora::former_ended(std::chrono::milliseconds limit) {
  return eventually(
      [&] {
        std::erase_if(former_, [](pid_t pid) {
          const int code = wait_for(pid, 0ms);
          if (code != 0 && code != still_running)
            fail_for_good("the process that handed over ended with ", code);
          return code != still_running;
        });
        return former_.empty();
      },
      limit);
}

void Remora::hang_up() const {
  notify_->forget();
  signal(SIGHUP);
  if (notify_->receive_with("RELOADING=1", patience).empty() ||
      notify_->receive_with("READY=1", patience).empty())
    ADD_FAILURE() << "remora did not reload";
}

bool Remora::reload(const std::string& yaml) const {
  rewrite(yaml);
  Events events(*this);
  hang_up();
  return events.next("reload").find("\"config_hash\"") != std::string::npos;
}

std::vector<int> Remora::listening_ports() const {
  return ports_of(pid_);
}

Socket Remora::connect_admin() const {
  return admin_port_ > 0 ? Socket::connect(admin_port_) : Socket::connect_unix(folder_ + "/admin");
}

std::string Remora::backend(const std::string& id, const std::string& member, const std::string& pool) const {
  const std::string body = api("GET", "/api/v1/pools/" + pool + "/backends/" + id).body;
  const std::string key = "\"" + member + "\":";
  const auto at = body.find(key);
  if (at == std::string::npos) return "";
  const auto from = at + key.size();
  // A string ends with its quote, any other value with a separator.
  const auto to = body[from] == '"' ? body.find('"', from + 1) + 1 : body.find_first_of(",}", from);
  return body.substr(from, to - from);
}

double Remora::metric(const std::string& line) const {
  const std::string all = api("GET", "/metrics").body;
  const auto at = all.find("\n" + line + " ");
  return at == std::string::npos ? -1 : std::stod(all.substr(at + line.size() + 2));
}

bool Remora::backend_is(const std::string& id, const std::string& member, const std::string& value,
                        const std::string& pool) const {
  return eventually([&] { return backend(id, member, pool) == value; });
}

bool Remora::goes(const std::string& id, const std::string& health, const std::string& pool) const {
  return backend_is(id, "health", '"' + health + '"', pool);
}

Ran Remora::command(std::vector<std::string> words) const {
  words.push_back("--admin");
  words.push_back(admin_port_ > 0 ? "127.0.0.1:" + std::to_string(admin_port_)
                                  : "unix:" + folder_ + "/admin");
  return run_binary(words);
}

Reply Remora::api(const std::string& method, const std::string& target, const std::string& body,
                  const std::string& fields) const {
  std::string request =
      method + " " + target + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + fields;
  if (method != "GET" && fields.find("Content-Type") == std::string::npos)
    request += "Content-Type: application/json\r\n";
  if (method != "GET") request += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  Socket socket = connect_admin();
  socket.send(request + "\r\n" + body);
  return socket.receive_reply();
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
  if (code != 0) fail_for_good("remora ended with ", code);
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
  return eventually([&] { return log().find(text) != std::string::npos; });
}

void Remora::rewrite(const std::string& yaml) const {
  constexpr std::string_view off = "admin: off\n";
  std::string text = yaml;
  if (const auto at = text.find(off); at != std::string::npos)
    text.replace(at, off.size(), "admin: unix:" + folder_ + "/admin\n");
  std::ofstream(folder_ + "/remora.yaml") << text;
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

#include "server/child_process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace remora {

ChildProcess::ChildProcess(const std::vector<std::string>& arguments, SessionMemory& memory) : feed_(memory) {
  int pair[2] = {-1, -1};
  if (arguments.empty() || ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
    throw std::runtime_error(std::string("no channel to a new process: ") + std::strerror(errno));
  channel_ = UniqueFd(pair[0]);
  const UniqueFd theirs(pair[1]);
  const timeval limit{5, 0};  // a process that does not read must not block this one
  ::setsockopt(channel_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  std::vector<char*> argv;
  for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  const std::string number = std::to_string(theirs.get());
  // Allocate everything before the fork: the process has threads, so only async-signal-safe calls are allowed
  // between fork and exec.
  std::vector<std::string> environment;
  for (char** e = environ; *e != nullptr; ++e)
    if (std::strncmp(*e, channel_variable, std::strlen(channel_variable)) != 0 &&
        std::strncmp(*e, "LISTEN_", 7) != 0)
      environment.emplace_back(*e);
  std::string assignment = channel_variable;
  assignment.append("=").append(number);
  environment.push_back(std::move(assignment));
  std::vector<char*> envp;
  for (std::string& e : environment) envp.push_back(e.data());
  envp.push_back(nullptr);
  pid_ = ::fork();
  if (pid_ == 0) {
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    // A socket that another thread is just accepting may not be close-on-exec yet: it would stay open in the
    // new process, and its client would wait for an end that never comes.
    ::close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
    ::fcntl(theirs.get(), F_SETFD, 0);
    ::execve(argv[0], argv.data(), envp.data());
    ::_exit(127);
  }
  if (pid_ < 0) throw std::runtime_error(std::string("no new process: ") + std::strerror(errno));
}

bool ChildProcess::send_sessions() {
  return send('t', feed_.everything());
}

bool ChildProcess::send_changes() {
  const std::string changes = feed_.take_changes();
  return changes.empty() || send('c', changes);
}

ChildProcess::State ChildProcess::poll() {
  if (ready_) return State::serving;
  Message answer;
  if (receive_message(channel_.get(), answer, std::chrono::milliseconds(0)) == Received::message &&
      answer.kind == 'r') {
    ready_ = true;
    return State::serving;
  }
  int status = 0;
  if (pid_ > 0 && ::waitpid(pid_, &status, WNOHANG) == pid_) {
    pid_ = -1;
    return State::failed;
  }
  return pid_ > 0 ? State::starting : State::failed;
}

}  // namespace remora

// A small app server to try remora with: it counts the visits of each session, in its own memory only.
//
//   remora-demo-app NAME HOST:PORT
//
// `/` shows the count, `/healthz` is for probes, `/slow?ms=N` answers late. When remora moves a session here
// from a dead server, the `Remora-Session` field says so, and the page tells that its count began anew.

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>

namespace {

std::mutex mutex;
std::map<std::string, unsigned> visits;  // by session id; guarded by mutex

std::string field(const std::string& head, const std::string& name) {
  for (std::size_t at = head.find("\r\n"); at != std::string::npos && at + 2 < head.size();
       at = head.find("\r\n", at + 2)) {
    const std::size_t begin = at + 2;
    if (head.size() - begin <= name.size() || head[begin + name.size()] != ':') continue;
    if (::strncasecmp(head.c_str() + begin, name.c_str(), name.size()) != 0) continue;
    const std::size_t value = head.find_first_not_of(' ', begin + name.size() + 1);
    return head.substr(value, head.find("\r\n", value) - value);
  }
  return "";
}

std::string cookie(const std::string& cookies, const std::string& name) {
  const std::size_t at = cookies.find(name + "=");
  if (at == std::string::npos) return "";
  const std::size_t begin = at + name.size() + 1;
  return cookies.substr(begin, cookies.find(';', begin) - begin);
}

std::string new_id() {
  std::random_device random;
  char text[33];
  std::snprintf(text, sizeof text, "%08x%08x%08x%08x", random(), random(), random(), random());
  return text;
}

std::string page(const std::string& server, const std::string& head, std::string& set_cookie) {
  std::string id = cookie(field(head, "Cookie"), "sid");
  const bool fresh = id.size() != 32;
  if (fresh) {
    id = new_id();
    set_cookie = "Set-Cookie: sid=" + id + "; Path=/; HttpOnly\r\n";
  }
  unsigned count = 0;
  {
    const std::lock_guard lock(mutex);
    if (visits.size() > 100000) visits.clear();
    count = ++visits[id];
  }
  std::string note;
  const std::string session = field(head, "Remora-Session");
  if (session.find("reason=failover") != std::string::npos)
    note = "Your session was moved here because its server died; this server's memory knows nothing of it.";
  return "<!doctype html><meta charset=utf-8><title>" + server +
         "</title><body style='font:18px sans-serif;margin:3em'><h1>" + server +
         "</h1><p>Visits of your session that this server remembers: <b>" + std::to_string(count) +
         "</b></p><p>" + note + "</p><p><code>Remora-Session: " + session + "</code></p>\n";
}

void serve(int fd, const std::string& server) {
  std::string input;
  for (;;) {
    std::size_t end = 0;
    while ((end = input.find("\r\n\r\n")) == std::string::npos && input.size() < 65536) {
      char block[4096];
      const ssize_t n = ::recv(fd, block, sizeof block, 0);
      if (n <= 0) return;
      input.append(block, static_cast<std::size_t>(n));
    }
    if (end == std::string::npos) return;
    const std::string head = input.substr(0, end + 2);
    const std::size_t length =
        static_cast<std::size_t>(std::strtoul(field(head, "Content-Length").c_str(), nullptr, 10));
    if (length > 1024 * 1024 || !field(head, "Transfer-Encoding").empty()) return;
    input.erase(0, end + 4);
    while (input.size() < length) {
      char block[4096];
      const ssize_t n = ::recv(fd, block, sizeof block, 0);
      if (n <= 0) return;
      input.append(block, static_cast<std::size_t>(n));
    }
    input.erase(0, length);
    const std::string target =
        head.substr(head.find(' ') + 1, head.find(' ', head.find(' ') + 1) - head.find(' ') - 1);
    std::string set_cookie, body;
    if (target == "/healthz") {
      body = "ok\n";
    } else {
      if (target.rfind("/slow?ms=", 0) == 0)
        std::this_thread::sleep_for(
            std::chrono::milliseconds(std::min(60000L, std::strtol(target.c_str() + 9, nullptr, 10))));
      body = page(server, head, set_cookie);
    }
    const std::string reply =
        "HTTP/1.1 200 OK\r\nServer: demo\r\nContent-Type: text/html; charset=utf-8\r\nCache-Control: "
        "no-store\r\n" +
        set_cookie + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
        (head.rfind("HEAD ", 0) == 0 ? "" : body);
    if (::send(fd, reply.data(), reply.size(), MSG_NOSIGNAL) < 0) return;
  }
}

int listen_on(const char* address) {
  const std::string text = address;
  const std::size_t colon = text.rfind(':');
  addrinfo hints{}, *list = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  if (colon == std::string::npos ||
      ::getaddrinfo(text.substr(0, colon).c_str(), text.c_str() + colon + 1, &hints, &list) != 0)
    return -1;
  const int fd = ::socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const bool fine = ::bind(fd, list->ai_addr, list->ai_addrlen) == 0 && ::listen(fd, 128) == 0;
  ::freeaddrinfo(list);
  return fine ? fd : -1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s NAME HOST:PORT\n", argv[0]);
    return 2;
  }
  std::signal(SIGTERM, [](int) { ::_exit(0); });  // as PID 1 of a container nothing else would end it
  const int listening = listen_on(argv[2]);
  if (listening < 0) {
    std::fprintf(stderr, "%s: cannot listen on %s: %s\n", argv[1], argv[2], std::strerror(errno));
    return 1;
  }
  for (;;) {
    const int fd = ::accept(listening, nullptr, nullptr);
    if (fd < 0) {
      ::usleep(100000);
      continue;
    }
    std::thread([fd, server = std::string(argv[1])] {
      serve(fd, server);
      ::close(fd);
    }).detach();
  }
}

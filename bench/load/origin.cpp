// An origin that is cheap enough not to be the limit: one epoll loop a thread, canned answers, no parsing
// beyond the end of the head and Content-Length.
//
//   origin PORT[,PORT...] THREADS
//
//   GET /N          N bytes of body (default 128), Content-Length
//   GET /headers/N  the same, with 12 more fields in the head
//   GET /login/N    the same, with Set-Cookie: SID=N
//   GET /echo       101, then every byte comes back
//   GET /chunked/N  the same, in chunks of 4096
//   GET /delay/MS   128 bytes after MS milliseconds
//   POST anything   reads the body, answers 128 bytes

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace {

struct Client {
  std::string in, out;
  std::size_t sent = 0;
  std::size_t skip = 0;  // body bytes of the request still to come
  std::string answer;    // to send when they have come
  bool echoes = false;
};

/// What an app framework and a CDN add.
const char* const more_fields =
    "Server: app/2.4\r\nCache-Control: private, no-cache, no-store, must-revalidate\r\nPragma: no-cache\r\n"
    "ETag: \"33a64df551425fcc55e4d42a148795d9f25f89d4\"\r\nVary: Accept-Encoding, Cookie\r\n"
    "Last-Modified: Wed, 21 Oct 2025 07:28:00 GMT\r\nX-Frame-Options: DENY\r\nX-Content-Type-Options: "
    "nosniff\r\n"
    "Strict-Transport-Security: max-age=31536000; includeSubDomains\r\nReferrer-Policy: same-origin\r\n"
    "Content-Security-Policy: default-src 'self'; img-src 'self' data:; frame-ancestors 'none'\r\n"
    "Permissions-Policy: geolocation=(), microphone=()\r\n";

std::string respond(const std::string& head) {
  const std::size_t space = head.find(' ');
  const std::string target = head.substr(space + 1, head.find(' ', space + 1) - space - 1);
  const bool chunked = target.rfind("/chunked/", 0) == 0;
  const bool headers = target.rfind("/headers/", 0) == 0;
  const bool login = target.rfind("/login/", 0) == 0;
  const char* number = target.c_str() + (chunked || headers ? 9 : 1);
  if (target.rfind("/delay/", 0) == 0) {
    ::usleep(static_cast<useconds_t>(std::strtoul(target.c_str() + 7, nullptr, 10) * 1000));
    number = "";
  }
  const std::size_t n = *number >= '0' && *number <= '9'
                            ? std::min<std::size_t>(std::strtoul(number, nullptr, 10), 64U << 20)
                            : 128;
  std::string out = "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: text/plain\r\n";
  if (chunked) {
    out += "Transfer-Encoding: chunked\r\n\r\n";
    for (std::size_t left = n; left > 0;) {
      const std::size_t k = std::min<std::size_t>(left, 4096);
      char size[16];
      out.append(size, static_cast<std::size_t>(std::snprintf(size, sizeof size, "%zx\r\n", k)));
      out.append(k, 'x').append("\r\n");
      left -= k;
    }
    return out + "0\r\n\r\n";
  }
  if (login) out += "Set-Cookie: SID=" + target.substr(7) + "\r\n";
  if (headers) out += more_fields;
  out += "Content-Length: " + std::to_string(n) + "\r\n\r\n";
  return head.rfind("HEAD ", 0) == 0 ? out : out.append(n, 'x');
}

std::size_t content_length(const std::string& head) {
  const char* at = ::strcasestr(head.c_str(), "\r\ncontent-length:");
  return at == nullptr ? 0 : std::strtoul(at + 17, nullptr, 10);
}

/// False: the connection is over.
bool advance(int fd, Client& c) {
  for (;;) {
    if (c.echoes) {
      c.out += c.in;
      c.in.clear();
      break;
    }
    if (c.skip > 0) {
      const std::size_t k = std::min(c.skip, c.in.size());
      c.in.erase(0, k);
      c.skip -= k;
      if (c.skip > 0) break;
      c.out += c.answer;
    }
    const std::size_t end = c.in.find("\r\n\r\n");
    if (end == std::string::npos) break;
    const std::string head = c.in.substr(0, end + 2);
    c.in.erase(0, end + 4);
    c.skip = content_length(head);
    c.echoes = head.rfind("GET /echo ", 0) == 0;
    if (c.echoes) {
      c.out +=
          "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
          "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
      continue;
    }
    if (c.skip > 0)
      c.answer = respond("POST x");
    else
      c.out += respond(head);
  }
  while (c.sent < c.out.size()) {
    const ssize_t n = ::send(fd, c.out.data() + c.sent, c.out.size() - c.sent, MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN;
    c.sent += static_cast<std::size_t>(n);
  }
  c.out.clear();
  c.sent = 0;
  return true;
}

void run(const std::vector<int>& ports) {
  const int poll = ::epoll_create1(EPOLL_CLOEXEC);
  std::unordered_map<int, Client> clients;
  std::vector<bool> listening;  // by descriptor
  for (const int port : ports) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || ::listen(fd, 4096) != 0) {
      std::perror("origin: listen");
      std::exit(1);
    }
    epoll_event e{};
    e.events = EPOLLIN;
    e.data.fd = fd;
    ::epoll_ctl(poll, EPOLL_CTL_ADD, fd, &e);
    listening.resize(static_cast<std::size_t>(fd) + 1);
    listening[static_cast<std::size_t>(fd)] = true;
  }
  epoll_event events[256];
  static thread_local char block[256 * 1024];
  for (;;) {
    const int n = ::epoll_wait(poll, events, 256, -1);
    for (int i = 0; i < n; ++i) {
      const int fd = events[i].data.fd;
      if (static_cast<std::size_t>(fd) < listening.size() && listening[static_cast<std::size_t>(fd)]) {
        const int accepted = ::accept4(fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted < 0) continue;
        epoll_event e{};
        e.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
        e.data.fd = accepted;
        clients[accepted];
        ::epoll_ctl(poll, EPOLL_CTL_ADD, accepted, &e);
        continue;
      }
      Client& c = clients[fd];
      bool open = true;
      for (;;) {
        const ssize_t got = ::recv(fd, block, sizeof block, 0);
        if (got > 0) {
          c.in.append(block, static_cast<std::size_t>(got));
          if (static_cast<std::size_t>(got) < sizeof block) break;
          continue;
        }
        open = got < 0 && errno == EAGAIN;
        break;
      }
      if (!open || !advance(fd, c)) {
        clients.erase(fd);
        ::close(fd);
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s PORT[,PORT...] THREADS\n", argv[0]);
    return 2;
  }
  std::signal(SIGPIPE, SIG_IGN);
  std::vector<int> ports;
  for (char* at = argv[1]; *at != '\0';) {
    ports.push_back(static_cast<int>(std::strtol(at, &at, 10)));
    if (*at == ',') ++at;
  }
  std::vector<std::thread> threads;
  for (long i = std::strtol(argv[2], nullptr, 10); i > 0; --i) threads.emplace_back(run, ports);
  for (auto& t : threads) t.join();
}

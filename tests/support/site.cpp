#include "support/site.h"

#include <gtest/gtest.h>

namespace remora::test {

namespace {
std::string target_of(const std::string& head) {
  const auto from = head.find(' ') + 1;
  return head.substr(from, head.find(' ', from) - from);
}
}  // namespace

Site::Site(std::size_t backends) {
  for (std::size_t i = 0; i < backends; ++i) {
    const std::string name(1, static_cast<char>('a' + i));
    Backend& b = backends_[name];
    b.generation = std::make_shared<std::atomic<long>>(0);
    b.origin = std::make_unique<Origin>(script(name, b.generation));
    b.port = b.origin->port();
  }
}

Origin::Script Site::script(const std::string& name, std::shared_ptr<std::atomic<long>> generation) const {
  return answering([name, generation, ids = ids_](const std::string& head, const std::string&) {
    const std::string target = target_of(head);
    std::string fields = "X-Backend: " + name + "\r\nX-Session: " + field_of(head, "Remora-Session") +
                         "\r\nX-Cookie: " + field_of(head, "Cookie") + "\r\nX-Target: " + target +
                         "\r\nX-Referer: " + field_of(head, "Referer") + "\r\n";
    if (*generation != 0) fields += "Remora-Generation: " + std::to_string(*generation) + "\r\n";
    if (target.rfind("/login", 0) == 0) {
      const std::string id = name + std::to_string(++*ids);
      fields += "Set-Cookie: SID=" + id + "; Path=/; HttpOnly\r\nSid: " + id + "\r\n";
    }
    if (target.rfind("/logout", 0) == 0) fields += "Set-Cookie: SID=; Max-Age=0; Path=/\r\n";
    if (target.rfind("/control/", 0) == 0) fields += "Remora-Session-Control: " + target.substr(9) + "\r\n";
    if (target.rfind("/public", 0) == 0) fields += "Cache-Control: public, max-age=60\r\n";
    if (target.rfind("/redirect/", 0) == 0) {
      const int left = std::stoi(target.substr(10));
      const std::string to = left > 0 ? "/redirect/" + std::to_string(left - 1) : "/end";
      return "HTTP/1.1 302 Found\r\nLocation: " + to + "\r\nContent-Length: 0\r\n" + fields + "\r\n";
    }
    if (target.rfind("/page", 0) == 0) {
      std::string page = "<!doctype html><title>links</title>";
      for (int i = 0; i < 100; ++i)
        page += "<p><a href=\"/link/" + std::to_string(i) + "?x=1&amp;y=2\">link</a>\n";
      return ok(page, fields + "Content-Type: text/html; charset=utf-8\r\nETag: \"1\"\r\n");
    }
    return ok(name, fields);
  });
}

std::string Site::config(const std::string& pool, const std::string& top, const std::string& listener) const {
  std::vector<std::string> list;
  for (const auto& [name, b] : backends_)
    list.push_back("{id: " + name + ", address: 127.0.0.1:" + std::to_string(b.port) + "}");
  return simple_config(list, pool, listener, top);
}

void Site::stop(const std::string& name) {
  backends_.at(name).origin.reset();
}

void Site::start(const std::string& name) {
  Backend& b = backends_.at(name);
  b.origin = std::make_unique<Origin>(script(name, b.generation), b.port);
}

void Site::set_generation(const std::string& name, long generation) {
  *backends_.at(name).generation = generation;
}

std::string Browser::request(const std::string& target) const {
  std::string fields = more;
  std::string line;
  for (const auto& [name, value] : cookies) line += (line.empty() ? "" : "; ") + name + "=" + value;
  if (!line.empty()) fields += "Cookie: " + line + "\r\n";
  if (!sid.empty()) fields += "Sid: " + sid + "\r\n";
  return test::get(target, fields);
}

void Browser::take(const Reply& reply) {
  // Line by line, because Set-Cookie values cannot be joined.
  for (std::size_t at = 0; at < reply.head.size();) {
    const auto end = reply.head.find("\r\n", at);
    const std::string line = reply.head.substr(at, end - at);
    at = end + 2;
    if (line.rfind("Set-Cookie: ", 0) != 0) continue;
    const auto eq = line.find('='), stop = line.find(';');
    const std::string name = line.substr(12, eq - 12), value = line.substr(eq + 1, stop - eq - 1);
    if (line.find("Max-Age=0") != std::string::npos)
      cookies.erase(name);
    else
      cookies[name] = value;
  }
  if (!reply.field("Sid").empty()) sid = reply.field("Sid");
}

Reply Browser::get(int port, const std::string& target) {
  Socket socket = Socket::connect(port);
  return get(socket, target);
}

Reply Browser::get(Socket& socket, const std::string& target) {
  socket.send(request(target));
  Reply reply = socket.receive_reply();
  take(reply);
  return reply;
}

Reply Browser::ask(const Remora& via, const std::string& fields) {
  const std::string before = std::exchange(more, more + fields);
  Reply reply = get(via);
  more = before;
  return reply;
}

std::pair<Browser, std::string> begin(int port, const std::string& target) {
  Browser browser;
  const std::string home = browser.get(port, target).field("X-Backend");
  return {browser, home};
}

Browser begin_at(int port, const std::string& backend, const std::string& target) {
  Browser found;
  const auto is_there = [&] {
    auto [browser, home] = begin(port, target);
    found = browser;
    return home == backend;
  };
  if (!eventually(is_there)) ADD_FAILURE() << "no session begins on " << backend;
  return found;
}

Announced announced(const Reply& reply) {
  const std::string value = reply.field("X-Session");
  Announced a;
  const auto epoch = value.find(";epoch="), reason = value.find(";reason=");
  if (epoch == std::string::npos || reason == std::string::npos) return a;
  a.id = value.substr(0, epoch);
  a.epoch = std::stoi(value.substr(epoch + 7));
  a.reason = value.substr(reason + 8);
  return a;
}

}  // namespace remora::test

#include "support/h2_site.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cstdlib>

namespace remora::test::h2 {

// Backend -------------------------------------------------------------------------------------------

namespace {
std::string chunk(std::string_view bytes) {
  char size[20];
  std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
  return size + std::string(bytes) + "\r\n";
}

/// RFC 6455 4.2.2
std::string accept_of(const std::string& key) {
  const std::string text = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  unsigned char digest[SHA_DIGEST_LENGTH], out[64];
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  const int n = EVP_EncodeBlock(out, digest, SHA_DIGEST_LENGTH);
  return {reinterpret_cast<const char*>(out), static_cast<std::size_t>(n)};
}

bool starts(const std::string& s, std::string_view with) {
  return s.compare(0, with.size(), with) == 0;
}
}  // namespace

Backend::Backend() {
  origin_ = std::make_unique<Origin>([this](Socket& s) { serve(s); });
}

Backend::~Backend() {
  release();
  origin_->stop();
}

std::vector<Backend::Request> Backend::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

std::string Backend::lines() const {
  std::string out;
  for (const Request& r : requests()) out += r.line().substr(0, r.line().rfind(' ')) + "\n";
  return out;
}

bool Backend::received(std::size_t wanted) const {
  return eventually([&] { return requests().size() >= wanted; });
}

void Backend::forget() {
  const std::lock_guard lock(mutex_);
  requests_.clear();
  open_ = false;
}

void Backend::release() {
  const std::lock_guard lock(mutex_);
  open_ = true;
  released_.notify_all();
}

void Backend::hold() {
  std::unique_lock lock(mutex_);
  released_.wait_for(lock, patience, [this] { return open_; });
}

bool Backend::read_body(Socket& s, Request& r) {
  if (field_of(r.head, "Transfer-Encoding").empty()) {
    const std::size_t length = std::strtoul(r.field("Content-Length").c_str(), nullptr, 10);
    r.body = s.receive_exactly(length);
    return r.body.size() == length;
  }
  for (;;) {
    const std::string line = s.receive_until("\r\n");
    const std::size_t size = std::strtoul(line.c_str(), nullptr, 16);
    if (line.empty()) return false;
    if (size == 0) break;
    r.body += s.receive_exactly(size + 2).substr(0, size);
  }
  for (std::string line; line != "\r\n"; r.trailers += line) {
    line = s.receive_until("\r\n");
    if (line.empty()) return false;
  }
  return true;
}

void Backend::serve(Socket& s) {
  for (;;) {
    Request r;
    r.head = s.receive_head();
    if (r.head.empty()) return;
    const std::string path = r.line().substr(std::min(r.line().find(' ') + 1, r.line().size()));
    const bool reads = !starts(path, "/early") && !starts(path, "/deaf") && !starts(path, "/ws");
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(r);  // also if its body never comes
    }
    if (reads) {
      if (!read_body(s, r)) return;
      const std::lock_guard lock(mutex_);
      for (Request& known : requests_)
        if (known.head == r.head) known = r;
    }
    respond(s, r);
    if (!reads || s.fd() < 0) return;
  }
}

void Backend::respond(Socket& s, const Request& r) {
  const std::string path = r.line().substr(r.line().find(' ') + 1);
  const auto count = [&](std::string_view before) {
    return std::strtoul(path.c_str() + before.size(), nullptr, 10);
  };
  if (starts(path, "/bytes/")) {
    s.send(ok(std::string(count("/bytes/"), 'x')));
  } else if (starts(path, "/stream/")) {
    s.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
           chunk(std::string(count("/stream/"), 'x')) + "0\r\n\r\n");
  } else if (starts(path, "/hold")) {
    hold();
    s.send(ok("released"));
  } else if (starts(path, "/early")) {
    s.send(ok("early", "Connection: close\r\n"));
  } else if (starts(path, "/deaf")) {
    hold();
  } else if (starts(path, "/status/")) {
    s.send("HTTP/1.1 " + std::to_string(count("/status/")) + " Word\r\n\r\n");
  } else if (starts(path, "/hints")) {
    s.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok());
  } else if (starts(path, "/trailers")) {
    s.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" + chunk("ok") +
           "0\r\nX-Sum: 1\r\n\r\n");
  } else if (starts(path, "/fields")) {
    s.send(ok("ok",
              "Connection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nProxy-Connection: "
              "keep-alive\r\n"
              "X-Mixed-Case: Kept\r\n"));
  } else if (starts(path, "/ws")) {
    s.send(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "
        "websocket\r\nSec-WebSocket-Accept: " +
        accept_of(r.field("Sec-WebSocket-Key")) + "\r\n\r\n");
    while (!s.buffer().empty() || s.receive_some()) s.send(std::exchange(s.buffer(), {}));
  } else {
    s.send(r.line().rfind("HEAD ", 0) == 0 ? ok("").replace(ok("").find("0\r"), 1, "2") : ok());
  }
}

// Tests ---------------------------------------------------------------------------------------------

std::string h2_config(const Backend& backend, const std::string& listener) {
  return simple_config({backend.address()}, "", "h2c: on\n" + listener);
}

Fields replaced(Fields fields, std::string_view name, const Fields& by) {
  const auto at = std::find_if(fields.begin(), fields.end(), [&](const auto& f) { return f.first == name; });
  if (at == fields.end()) std::abort();
  const auto after = fields.erase(at);
  fields.insert(after, by.begin(), by.end());
  return fields;
}

std::unique_ptr<Backend> Http2::backend_;
std::unique_ptr<Remora> Http2::remora_;

void Http2::SetUpTestSuite() {
  backend_ = std::make_unique<Backend>();
  remora_ = std::make_unique<Remora>(h2_config(*backend_));
}

void Http2::TearDownTestSuite() {
  backend_->release();
  remora_.reset();
  backend_.reset();
}

int Http2::port() {
  return remora_->port();
}

void Http2::SetUp() {
  backend_->forget();
  ASSERT_TRUE(client.start());
}

void Http2::TearDown() {
  backend_->release();
  EXPECT_EQ(client.violation(), "");
  Client other(port());
  EXPECT_TRUE(other.start());
  EXPECT_TRUE(other.alive());
  EXPECT_EQ(other.violation(), "");
  if (HasFailure()) std::cerr << "remora's log:\n" << remora_->log();
}

Client::Check Http2::only_forwarded(const std::string& lines) {
  Client other(port());
  if (const auto started = other.start(); !started) return started;
  if (const auto alive = client.closed() ? other.alive() : client.alive(); !alive) return alive;
  const std::string seen = backend_->lines();
  if (seen == lines + "GET /alive\n") return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "the backend received:\n" << seen;
}

}  // namespace remora::test::h2

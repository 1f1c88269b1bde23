// The same messages by HTTP/1.1 and by HTTP/2: what the backend and the client get must not depend on the
// version that the client speaks, but for Via and what concerns the connection alone. The messages are made
// from a fixed seed.

#include <gtest/gtest.h>

#include <algorithm>
#include <mutex>
#include <random>
#include <set>

#include "support/http2_peer.h"
#include "support/remora.h"

namespace remora::test {
namespace {

using Pairs = Http2Peer::Pairs;

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

/// A message as it arrived, in a form that may be compared.
struct Message {
  std::string start;             // method and target, or status
  std::set<std::string> fields;  // "name: value", and how often if more than once
  std::string body, trailers;
  bool complete = true;
};

bool operator==(const Message& a, const Message& b) {
  return a.start == b.start && a.fields == b.fields && a.body == b.body && a.trailers == b.trailers &&
         a.complete == b.complete;
}
void PrintTo(const Message& m, std::ostream* out) {
  *out << m.start << (m.complete ? "" : " (cut short)") << "\n";
  for (const std::string& f : m.fields) *out << f << "\n";
  *out << m.body.size() << " bytes: " << m.body.substr(0, 60) << "\n" << m.trailers;
}

/// Concerns the connection, differs by the version, or is random.
bool is_left_out(const std::string& name) {
  static const std::set<std::string> names{"connection",   "keep-alive", "transfer-encoding", "date", "te",
                                           "x-request-id", "host"};
  return names.contains(name);
}

void add_field(Message& m, const std::string& name, std::string value) {
  if (is_left_out(name)) return;
  if (name == "via") value.erase(0, value.find(' '));  // without the version
  if (name == "remora-session") value = "(some)";
  if (name == "set-cookie" && value.starts_with("remora-"))
    value = value.substr(0, value.find('=')) + value.substr(std::min(value.find(';'), value.size()));
  std::string line = name + ": " + value;
  while (!m.fields.insert(line).second) line += " (again)";
}

/// Fields of an HTTP/1 head or of trailers.
void add_lines(Message& m, const std::string& head) {
  for (std::size_t at = head.find("\r\n") + 2, end = 0; (end = head.find("\r\n", at)) != std::string::npos;
       at = end + 2) {
    const std::size_t colon = head.find(": ", at);
    if (colon < end)
      add_field(m, lower(head.substr(at, colon - at)), head.substr(colon + 2, end - colon - 2));
  }
}

std::string chunked(const std::string& body, std::size_t piece, const Pairs& trailers) {
  std::string out;
  for (std::size_t at = 0; at < body.size(); at += piece) {
    const std::string part = body.substr(at, piece);
    char size[20];
    std::snprintf(size, sizeof size, "%zx\r\n", part.size());
    out += size + part + "\r\n";
  }
  out += "0\r\n";
  for (const auto& [name, value] : trailers) out.append(name).append(": ").append(value).append("\r\n");
  return out + "\r\n";
}

/// One request, and what its backend does with it.
struct Case {
  std::string method, path;
  Pairs fields;
  std::vector<std::string> crumbs;  // of the Cookie field
  std::string body;
  bool has_body = false, sends_length = true;
  Pairs trailers;
  std::string answer;   // of the backend
  bool closes = false;  // then

  std::string as_http1() const {
    std::string out = method + " " + path + " HTTP/1.1\r\nHost: app.test\r\n";
    for (const auto& [name, value] : fields) out.append(name).append(": ").append(value).append("\r\n");
    std::string cookie;
    for (const std::string& c : crumbs) cookie += (cookie.empty() ? "" : "; ") + c;
    if (!crumbs.empty()) out += "cookie: " + cookie + "\r\n";
    if (!has_body) return out + "\r\n";
    if (sends_length) return out + "content-length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    return out + "transfer-encoding: chunked\r\n\r\n" + chunked(body, 7000, trailers);
  }
  Pairs http2_fields() const {
    Pairs out = fields;
    for (const std::string& c : crumbs) out.emplace_back("cookie", c);
    if (has_body && sends_length) out.emplace_back("content-length", std::to_string(body.size()));
    return out;
  }
};

/// The backend of the current case: answers as told, and keeps what it got.
class Stage {
 public:
  std::string address() const { return origin_.address(); }
  /// Answers like this from now on, and forgets what came.
  void set(const Case& c) {
    const std::lock_guard lock(mutex_);
    answer_ = c.answer;
    closes_ = c.closes;
    received_.clear();
  }
  /// The request of the last attempt; empty: nothing came. How often it is tried depends on the connections
  /// that are idle when it comes.
  std::vector<Message> received() {
    const std::lock_guard lock(mutex_);
    if (received_.size() > 1) received_.erase(received_.begin(), received_.end() - 1);
    return received_;
  }

 private:
  void serve(Socket& s) {
    for (;;) {
      const std::string head = s.receive_head();
      if (head.empty()) return;
      Message m;
      m.start = head.substr(0, head.find(" HTTP/"));
      add_lines(m, head);
      // receive_reply() reads a body, framed like that of a response.
      s.buffer().insert(0, "HTTP/1.1 200 OK" + head.substr(head.find("\r\n")));
      const bool has_body =
          !field_of(head, "Content-Length").empty() || !field_of(head, "Transfer-Encoding").empty();
      const Reply read = s.receive_reply(!has_body);
      m.body = read.body;
      m.trailers = lower(read.trailers);
      m.complete = read.complete;
      std::string answer;
      {
        const std::lock_guard lock(mutex_);
        received_.push_back(m);
        answer = answer_;
      }
      s.send(answer);
      if (closes_) return;
    }
  }

  std::mutex mutex_;
  std::string answer_;             // guarded by mutex_
  std::vector<Message> received_;  // guarded by mutex_
  std::atomic<bool> closes_{false};
  Origin origin_{[this](Socket& s) { serve(s); }};
};

/// What a client got: the interim responses, then the response.
struct Got {
  std::vector<int> interims;
  Message response;
};

Got by_http1(int port, const Case& c) {
  Got got;
  Socket s = Socket::connect(port);
  std::thread sender([&] { s.send(c.as_http1()); });
  Reply r;
  for (r = s.receive_reply(c.method == "HEAD"); r.status >= 100 && r.status < 200;
       r = s.receive_reply(c.method == "HEAD"))
    got.interims.push_back(r.status);
  sender.join();
  got.response.start = std::to_string(r.status);
  add_lines(got.response, r.head);
  got.response.body = r.body;
  got.response.trailers = lower(r.trailers);
  got.response.complete = r.complete;
  return got;
}

Got by_http2(Http2Client& client, const Case& c) {
  Got got;
  const std::int32_t stream = client.begin(c.method, c.path, c.http2_fields(), !c.has_body);
  if (c.has_body) {
    if (c.trailers.empty()) {
      client.send_data(stream, c.body, true);
    } else {
      client.send_data(stream, c.body, false);
      client.send_trailers(stream, c.trailers);
    }
  }
  const Http2Peer::Response& r = client.finish(stream);
  got.interims = r.interims;
  got.response.start = std::to_string(r.status);
  for (const auto& [name, value] : r.fields) add_field(got.response, name, value);
  got.response.body = r.body;
  for (const auto& [name, value] : r.trailers) got.response.trailers += name + ": " + value + "\r\n";
  got.response.complete = r.ended;
  return got;
}

class Generator {
 public:
  Case next() {
    Case c;
    c.method =
        one_of({"GET", "GET", "GET", "POST", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "PURGE"});
    c.path = one_of({"/cookie", "/app", "/header", "/ip", "/plain"}) + path();
    add_fields(c);
    const bool may_have_body = c.method == "POST" || c.method == "PUT" || c.method == "PATCH";
    c.has_body = may_have_body;
    if (may_have_body) {
      c.body = body();
      c.sends_length = chance(2);
      if (!c.sends_length && chance(2)) {
        c.fields.emplace_back("trailer", "x-sum");
        c.trailers = {{"x-sum", "12"}};
      }
    }
    answer(c);
    return c;
  }

 private:
  std::size_t below(std::size_t n) { return random_() % n; }
  bool chance(std::size_t one_in) { return below(one_in) == 0; }
  std::string one_of(std::initializer_list<const char*> words) {
    return *std::next(words.begin(), static_cast<std::ptrdiff_t>(below(words.size())));
  }
  std::string path() {
    std::string out;
    for (std::size_t n = below(4); n > 0; --n)
      out +=
          one_of({"/", "/a", "/b.html", "/%41", "/%zz", "/..", "/.", "//", "/a;x=1", "/\xc3\xa9", "/a%2fb"});
    for (std::size_t n = below(3), i = n; i > 0; --i)
      out += (i == n ? "?" : "&") + one_of({"a=1", "b", "c=%20", "=", "d=a/b?c", "%zz=1"});
    return out;
  }
  void add_fields(Case& c) {
    for (std::size_t n = below(5); n > 0; --n)
      c.fields.emplace_back(
          one_of({"accept", "x-a", "x-b", "x_odd", "user-agent", "x-forwarded-for", "forwarded", "via",
                  "referer", "accept-encoding", "authorization", "cache-control", "remora-session",
                  "x-tenant", "x-request-id", "max-forwards", "range"}),
          one_of({"1", "a, b", "text/html;q=0.5", "\xc3\xa9", "\"quoted, text\"", "", "bytes=0-1",
                  "Basic YTpi", "10.0.0.1"}));
    for (std::size_t n = chance(2) ? below(5) : 0; n > 0; --n)
      c.crumbs.push_back(
          one_of({"a=1", "b=2", "JSESSIONID=0123456789abcdef", "remora-cookie=forged", "c=\"x\"", "d"}));
    if (chance(20)) c.fields.emplace_back("expect", "magic");
    if (chance(20)) c.fields.emplace_back("x-long", std::string(40'000, 'l'));
  }
  std::string body() {
    static const std::size_t sizes[] = {0,     1,     100,   16383, 16384,  16385,
                                        32768, 65535, 65536, 98304, 262144, 262145};
    return bytes(sizes[below(std::size(sizes))]);
  }
  std::string bytes(std::size_t n) {
    std::string out(n, 0);
    for (char& c : out) c = static_cast<char>('a' + random_() % 26);
    return out;
  }
  void answer(Case& c) {
    if (chance(25)) {
      c.closes = true;
      c.answer =
          one_of({"", "HTTP/1.1 200\r\n", "nonsense\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
                  "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "HTTP/1.1 700 No\r\n\r\n"});
      return;
    }
    if (chance(8)) c.answer = "HTTP/1.1 103 Early Hints\r\nLink: </style>\r\n\r\n";
    const std::string status =
        one_of({"200 OK", "200 OK", "200 OK", "201 Created", "204 No Content", "205 Reset Content",
                "304 Not Modified", "302 Found", "404 Not Found", "500 Oops"});
    c.answer += "HTTP/1.1 " + status + "\r\n";
    for (std::size_t n = below(5); n > 0; --n)
      c.answer += one_of({"X-One: 1\r\n", "X-One: 2\r\n", "Set-Cookie: a=1; Path=/\r\n",
                          "Set-Cookie: JSESSIONID=fedcba; Path=/\r\n", "Vary: Cookie\r\n",
                          "Connection: X-Hop\r\nX-Hop: 1\r\n", "Keep-Alive: timeout=5\r\n",
                          "Content-Type: text/html\r\n", "Location: http://app.test/x\r\n", "ETag: \"1\"\r\n",
                          "Cache-Control: public, max-age=9\r\n", "Proxy-Authenticate: Basic\r\n",
                          "Via: 1.1 inner\r\n"});
    const bool empty = status[0] == '3' || status.starts_with("204") || status.starts_with("205");
    const std::string text = empty && status != "302 Found" ? "" : body();
    if (c.method == "HEAD") {
      c.answer += chance(2) ? "\r\n" : "Content-Length: 17\r\n\r\n";
    } else if (status.starts_with("204") || status.starts_with("304")) {
      c.answer += "\r\n";
    } else if (chance(3)) {
      const bool trails = chance(2);
      c.answer += trails ? "Trailer: X-Check\r\n" : "";
      c.answer += "Transfer-Encoding: chunked\r\n\r\n" +
                  chunked(text, 9000, trails ? Pairs{{"X-Check", "7"}} : Pairs{});
    } else if (chance(4)) {
      c.closes = true;
      c.answer += "Connection: close\r\n\r\n" + text;
    } else {
      c.answer += "Content-Length: " + std::to_string(text.size()) + "\r\n\r\n" + text;
    }
  }

  std::mt19937 random_{20260101};
};

std::string config(const Stage& stage) {
  std::string pools, routes = "routes:\n";
  for (const auto& [name, affinity] : Pairs{{"cookie", "{kind: cookie, name: remora-cookie}"},
                                            {"app", "{kind: app_cookie, name: JSESSIONID}"},
                                            {"header", "{kind: header, name: X-Tenant, carry: nothing}"},
                                            {"ip", "{kind: ip_hash}"},
                                            {"plain", "off"}}) {
    pools += "  " + name + ":\n    backends: [" + stage.address() + "]\n    health: {eject: off}\n";
    if (affinity != "off") pools += "    affinity: " + affinity + "\n";
    routes += "  - {path: /" + name + ", pool: " + name + "}\n";
  }
  return "state_dir: none\nkeys: [{env: REMORA_TEST_KEY}]\nadmin: off\nworkers: 1\nlog: {access: off}\n"
         "listeners:\n  - bind: 127.0.0.1:0\n    h2c: on\npools:\n" +
         pools + routes;
}

TEST(Differential, ABackendAndAClientGetTheSameByBothVersions) {
  Stage stage;
  const Remora remora(config(stage));
  Http2Client client(remora.port());
  Generator generator;
  int served = 0, refused = 0, broken = 0;
  for (int i = 0; i < 800 && !HasFailure(); ++i) {
    const Case c = generator.next();
    stage.set(c);
    const Got one = by_http1(remora.port(), c);
    const std::vector<Message> received_by_one = stage.received();
    stage.set(c);
    const Got two = by_http2(client, c);
    const std::vector<Message> received_by_two = stage.received();
    SCOPED_TRACE("case " + std::to_string(i) + ":\n" + c.as_http1().substr(0, 1000) + "\nanswered by\n" +
                 c.answer.substr(0, 300));
    EXPECT_EQ(one.response, two.response);
    EXPECT_EQ(one.interims, two.interims);
    EXPECT_EQ(received_by_one, received_by_two);
    EXPECT_FALSE(client.ended());
    const int status = std::atoi(one.response.start.c_str());
    ++(received_by_one.empty() ? refused : status >= 502 ? broken : served);
  }
  // The cases are of all kinds.
  EXPECT_GT(served, 200);
  EXPECT_GT(refused, 20);
  EXPECT_GT(broken, 3);
}

}  // namespace
}  // namespace remora::test

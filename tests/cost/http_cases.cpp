// Heads, targets, chunks, routes.

#include "cost/cost.h"
#include "http/h1/chunked.h"
#include "http/h1/head.h"
#include "http/h1/write.h"
#include "http/target.h"
#include "net/http_response.h"
#include "net/proxy_protocol.h"
#include "proxy/route.h"

namespace remora::test {

namespace {

constexpr std::size_t all = ~std::size_t{0};

/// Limits that limit nothing: what is measured is the work, not how early it is refused.
config::ListenerLimits no_limits() {
  config::ListenerLimits limits;
  limits.header_bytes = limits.target_bytes = 1U << 30;
  limits.headers = 1U << 30;
  return limits;
}

using Work = std::function<void()>;
using Text = std::function<std::string(std::size_t)>;

/// A request's head that comes in pieces of that size.
std::function<Work(std::size_t)> request(Text text, std::size_t piece = all) {
  return [text = std::move(text), piece](std::size_t n) -> Work {
    return [head = text(n), piece] {
      const config::ListenerLimits limits = no_limits();
      HeadScanner scanner;
      RequestHead out;
      Http1Message message;
      for (std::size_t at = std::min(piece, head.size());; at = std::min(at + piece, head.size())) {
        keep(read_request_head(scanner, std::string_view(head).substr(0, at), limits, out, message));
        if (at == head.size()) return;
      }
    };
  };
}

std::function<Work(std::size_t)> response(Text text, std::size_t piece = all) {
  return [text = std::move(text), piece](std::size_t n) -> Work {
    return [head = text(n), piece] {
      HeadScanner scanner;
      ResponseHead out;
      Http1Message message;
      for (std::size_t at = std::min(piece, head.size());; at = std::min(at + piece, head.size())) {
        keep(read_response_head(scanner, std::string_view(head).substr(0, at), Method::get, out, message));
        if (at == head.size()) return;
      }
    };
  };
}

std::string head_with(const std::string& fields) {
  return "GET /a HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n";
}

std::function<Work(std::size_t)> path(const std::string& piece) {
  return [piece](std::size_t n) -> Work {
    return [path = "/" + times(n, piece)] {
      std::string out;
      normalize_path(path, out);
      keep(out);
    };
  };
}

std::function<Work(std::size_t)> chunks(const std::string& chunk, const std::string& end, std::size_t piece) {
  return [=](std::size_t n) -> Work {
    return [text = times(n, chunk) + "0\r\n" + end + "\r\n", piece] {
      ChunkDecoder decoder;
      for (std::size_t at = 0; at < text.size();) {
        const auto step = decoder.step(std::string_view(text).substr(at, piece));
        at += step.skip + (step.got == ChunkDecoder::Got::data ? step.size : 0);
        if (step.got == ChunkDecoder::Got::bad || step.got == ChunkDecoder::Got::done) return;
      }
    };
  };
}

std::function<Work(std::size_t)> trailers(std::size_t piece) {
  return [piece](std::size_t n) -> Work { return chunks("1\r\na\r\n", times(n, "X: y\r\n"), piece)(1); };
}

std::function<Work(std::size_t)> proxy_line(std::string_view begin, std::size_t piece) {
  return [begin = std::string(begin), piece](std::size_t n) -> Work {
    return [text = begin + std::string(n, '\1'), piece] {
      for (std::size_t at = piece; at < text.size() + piece; at += piece)
        keep(parse_proxy_line(std::string_view(text).substr(0, std::min(at, text.size()))));
    };
  };
}

/// A key server's response that comes in pieces of that size.
std::function<Work(std::size_t)> fetched(Text text, std::size_t piece) {
  return [text = std::move(text), piece](std::size_t n) -> Work {
    return [response = text(n), piece] {
      HttpResponseReader reader(1U << 30);
      for (std::size_t at = 0; at < response.size(); at += piece)
        reader.take(std::string_view(response).substr(at, piece));
      keep(reader.decided());
    };
  };
}

Work route_of(std::size_t n) {
  std::vector<config::Route> routes(4);
  for (std::size_t i = 0; i < routes.size(); ++i) {
    routes[i].path = times(i + 1, "/aa");
    routes[i].pool = "app";
  }
  routes.back().headers.push_back({"X-Last", "1"});
  std::vector<Field> fields(n, Field{"X-Other", "1", Known::other});
  auto router = std::make_shared<Router>(routes, std::vector<std::string>{"app"});
  return [=, target = times(n, "/aa")] { keep(router->match("h", target, "GET", fields)); };
}

}  // namespace

void add_http_cases(std::vector<CostCase>& to) {
  const auto fields = [](std::size_t n) { return head_with(times(n, "X-Field: y\r\n")); };
  const auto long_field = [](std::size_t n) { return head_with("X: " + times(n, "y ,;=") + "\r\n"); };
  const auto long_target = [](std::size_t n) {
    return "GET /" + times(n, "a/%61?") + " HTTP/1.1\r\nHost: h\r\n\r\n";
  };
  to.push_back({"HeadOfManyFields", 1000, request(fields)});
  to.push_back({"HeadOfManyFieldsByteByByte", 250, request(fields, 1)});
  to.push_back({"HeadOfManyFieldsByTheKilobyte", 2000, request(fields, 1024)});
  to.push_back({"HeadWithALongField", 3000, request(long_field)});
  to.push_back({"HeadWithALongFieldByteByByte", 1000, request(long_field, 1)});
  to.push_back({"HeadWithALongFieldByTheKilobyte", 3000, request(long_field, 1024)});
  to.push_back({"HeadWithALongTarget", 2000, request(long_target)});
  to.push_back({"HeadWithALongTargetByteByByte", 500, request(long_target, 1)});
  to.push_back({"EmptyLinesBeforeAHeadByteByByte", 500,
                request([](std::size_t n) { return times(n, "\r\n") + head_with(""); }, 1)});
  to.push_back(
      {"HeadThatNeverEndsByteByByte", 2000, request([](std::size_t n) { return std::string(n, 'a'); }, 1)});
  to.push_back({"HeadWithManyLengths", 1000,
                request([](std::size_t n) { return head_with(times(n, "Content-Length: 5\r\n")); })});
  to.push_back({"HeadWithALengthList", 2000, request([](std::size_t n) {
                  return head_with("Content-Length: 5" + times(n, ", 5") + "\r\n");
                })});
  to.push_back({"HeadWithManyCodings", 1000, request([](std::size_t n) {
                  return head_with(times(n, "Transfer-Encoding: a\r\n") + "Transfer-Encoding: chunked\r\n");
                })});
  to.push_back({"HeadWithACodingList", 2000, request([](std::size_t n) {
                  return head_with("Transfer-Encoding: " + times(n, "a,") + "chunked\r\n");
                })});
  to.push_back({"HeadWithAConnectionList", 2000, request([](std::size_t n) {
                  return head_with("Connection: " + times(n, "a,,") + "close\r\n");
                })});
  to.push_back({"HeadWithManyConnectionFields", 1000,
                request([](std::size_t n) { return head_with(times(n, "Connection: upgrade, a\r\n")); })});
  to.push_back(
      {"HeadWithManyHosts", 1000, request([](std::size_t n) { return head_with(times(n, "Host: h\r\n")); })});
  to.push_back({"HeadWithALongHost", 3000, request([](std::size_t n) {
                  return "GET / HTTP/1.1\r\nHost: " + times(n, "a.") + "a\r\n\r\n";
                })});
  to.push_back({"HeadWithManyExpectations", 1000,
                request([](std::size_t n) { return head_with(times(n, "Expect: 100-continue\r\n")); })});
  const auto answer = [](const std::string& f) {
    return [f](std::size_t n) { return "HTTP/1.1 200 OK\r\n" + times(n, f) + "\r\n"; };
  };
  to.push_back({"ResponseOfManyFields", 1000, response(answer("X: y\r\n"))});
  to.push_back({"ResponseOfManyFieldsByteByByte", 250, response(answer("X: y\r\n"), 1)});
  to.push_back({"ResponseWithManyLengths", 1000, response(answer("Content-Length: 5\r\n"))});
  to.push_back({"ResponseWithManyCodings", 1000, response(answer("Transfer-Encoding: chunked\r\n"))});
  to.push_back({"PathOfDots", 3000, path("./")});
  to.push_back({"PathUpAndDown", 3000, path("a/../")});
  to.push_back({"PathUp", 3000, path("../")});
  to.push_back({"PathDownThenUp", 1500,
                [](std::size_t n) -> Work { return path(times(n, "a/") + times(n, "../"))(1); }});
  to.push_back({"PathOfEscapes", 3000, path("%61%2f%2e")});
  to.push_back({"PathOfSlashes", 5000, path("/")});
  to.push_back({"PathOfParameters", 3000, path(";a=b;")});
  to.push_back({"ManySmallChunks", 3000, chunks("1\r\na\r\n", "", all)});
  to.push_back({"ManySmallChunksByteByByte", 1000, chunks("1\r\na\r\n", "", 1)});
  to.push_back({"ChunkExtensions", 2000, chunks("1;a=\"b\\\"c\"\r\na\r\n", "", 100)});
  to.push_back({"ManyTrailers", 600, trailers(all)});
  to.push_back({"ManyTrailersByteByByte", 600, trailers(1)});
  to.push_back({"ProxyLineThatNeverEnds", 50, proxy_line("PROXY TCP4 1.2.3.4 5.6.7.8 1 ", 1)});
  to.push_back({"BinaryProxyLineByteByByte", 900,
                proxy_line(std::string_view("\r\n\r\n\0\r\nQUIT\n\x21\x11\x07\xd0", 16), 1)});
  const std::string begin = "HTTP/1.1 200 OK\r\n";
  const auto one_field = [=](std::size_t n) { return begin + "X: " + std::string(n, 'y'); };
  const auto one_line = [=](std::size_t n) {
    return begin + "Transfer-Encoding: chunked\r\n\r\n1;" + std::string(n, 'y');
  };
  const auto many_chunks = [=](std::size_t n) {
    return begin + "Transfer-Encoding: chunked\r\n\r\n" + times(n, "1;a=b\r\nx\r\n") + "0\r\n\r\n";
  };
  to.push_back({"FetchedFieldByteByByte", 4000, fetched(one_field, 1)});
  to.push_back({"FetchedChunkLineByteByByte", 4000, fetched(one_line, 1)});
  to.push_back({"FetchedChunksByteByByte", 1000, fetched(many_chunks, 1)});
  to.push_back({"FetchedChunksByTheKilobyte", 1000, fetched(many_chunks, 1024)});
  to.push_back({"RouteOfALongPathAndManyFields", 1000, route_of});
}

}  // namespace remora::test

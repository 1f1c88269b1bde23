// Heads on their way: hop-by-hop fields, Forwarded, cookies, log lines.

#include "cost/cost.h"
#include "http/h1/head.h"
#include "http/h1/write.h"
#include "net/address.h"
#include "observe/access_log.h"
#include "proxy/edits.h"
#include "proxy/snapshot.h"

namespace remora::test {

namespace {

using Work = std::function<void()>;
using Text = std::function<std::string(std::size_t)>;

config::ListenerLimits no_limits() {
  config::ListenerLimits limits;
  limits.header_bytes = limits.target_bytes = 1U << 30;
  limits.headers = 1U << 30;
  return limits;
}

/// What stands around an edit.
struct Around {
  std::string text;
  RequestHead request;
  ResponseHead response;
  Arrival arrival;
  PoolView pool;
  RouteView route;
  Member member;
  TextArena arena;
  RequestEdits edits{arena};
  ResponseEdits answer_edits{arena};
  PassedVerifiers passed;
  std::vector<std::string> claim_headers{"X-User", "X-Scope"};
  OutHead out;
  OutText bytes;
};

std::function<Work(std::size_t)> request(Text fields) {
  return [fields = std::move(fields)](std::size_t n) -> Work {
    auto a = std::make_shared<Around>();
    a->text = "GET /a HTTP/1.1\r\nHost: h\r\n" + fields(n) + "\r\n";
    a->edits.drop_cookie("ours");
    a->member.backend = std::make_shared<Backend>("app", "a");
    a->route.config.request_headers.remove = {"X-Gone"};
    if (parse_request_head(a->text, no_limits(), a->request).status != Parsed::Status::ok)
      return [a] { keep(parse_request_head(a->text, no_limits(), a->request)); };
    return [a] {
      a->arena.clear();
      a->bytes.clear();
      edit_request({a->request,
                    a->arrival,
                    a->pool,
                    a->route,
                    a->member,
                    a->edits,
                    {},
                    {},
                    "X-Request-Id",
                    "0123",
                    false,
                    a->claim_headers,
                    a->passed},
                   a->arena, a->out);
      write_request_line(a->out, a->bytes);
      write_fields(a->out, a->bytes);
    };
  };
}

std::function<Work(std::size_t)> response(Text fields) {
  return [fields = std::move(fields)](std::size_t n) -> Work {
    auto a = std::make_shared<Around>();
    a->text = "HTTP/1.1 200 OK\r\n" + fields(n) + "\r\n";
    if (parse_response_head(a->text, Method::get, a->response).status != Parsed::Status::ok)
      return [a] { keep(parse_response_head(a->text, Method::get, a->response)); };
    return [a] {
      a->bytes.clear();
      edit_response({a->response, a->route, a->answer_edits, {}, false}, a->out);
      write_status_line(a->out, a->bytes);
      write_fields(a->out, a->bytes);
    };
  };
}

std::function<Work(std::size_t)> arrival(Known known, Text value, bool one_field = true) {
  return [known, value = std::move(value), one_field](std::size_t n) -> Work {
    auto text = std::make_shared<std::string>(value(one_field ? n : 1));
    std::vector<Field> fields(one_field ? 1 : n, Field{"X", *text, known});
    config::Cidr block;
    const auto base = *parse_ip("10.0.0.0");
    std::copy(std::begin(base.bytes), std::end(base.bytes), block.bytes);
    block.bits = 96 + 8;
    return [text, fields, block] {
      Arrival a;
      a.peer = a.client = *parse_ip("10.0.0.9");
      resolve_arrival(fields, {&block, 1}, a);
      keep(a);
    };
  };
}

std::function<Work(std::size_t)> line(bool json, const std::string& piece) {
  return [json, piece](std::size_t n) -> Work {
    return [json, text = times(n, piece)] {
      AccessEntry e;
      e.method = "GET";
      e.target = e.referer = e.user_agent = e.host = text;
      std::string out;
      if (json)
        format_json(e, out);
      else
        format_combined(e, "01/Jan/2026:00:00:00 +0000", out);
      keep(out);
    };
  };
}

std::function<Work(std::size_t)> masked(const std::string& begin, const std::string& piece) {
  return [begin, piece](std::size_t n) -> Work {
    auto snapshot = std::make_shared<Snapshot>();
    snapshot->url_secrets = {{config::UrlStyle::path, "jsessionid"},
                             {config::UrlStyle::query, "rsid"},
                             {config::UrlStyle::path, "rsid"},
                             {config::UrlStyle::query, "access_token"}};
    auto arena = std::make_shared<TextArena>();
    return [=, url = begin + times(n, piece)] {
      arena->clear();
      keep(masked_url(*snapshot, url, *arena));
      keep(routed_path(*snapshot, url, url, *arena));
    };
  };
}

}  // namespace

void add_edit_cases(std::vector<CostCase>& to) {
  // As many options as fields: each field must not walk the whole list.
  const auto list = [](const std::string& option, const std::string& field) {
    return
        [=](std::size_t n) { return "Connection: close" + times(n, option) + "\r\n" + times(n / 4, field); };
  };
  to.push_back({"RequestWithAnEmptyConnectionList", 400, request(list(",", "X-Field: y\r\n"))});
  to.push_back({"RequestWithAConnectionListOfOneName", 400, request(list(",a", "X-Field: y\r\n"))});
  to.push_back({"RequestWithAConnectionListOfItsFields", 400, request([](std::size_t n) {
                  std::string names = "Connection: close", fields;
                  for (std::size_t i = 0; i < n; ++i) {
                    names += ", x" + std::to_string(1000 + i);
                    fields += "x" + std::to_string(1000 + i) + ": y\r\n";
                  }
                  return names + "\r\n" + fields;
                })});
  to.push_back({"RequestWithManyConnectionFields", 400,
                request([](std::size_t n) { return times(n, "Connection: a\r\nX-Field: y\r\n"); })});
  to.push_back({"ResponseWithAnEmptyConnectionList", 300, response(list(",", "X-Field: y\r\n"))});
  to.push_back({"ResponseWithManyConnectionFields", 45,
                response([](std::size_t n) { return times(n, "Connection: a\r\nX-Field: y\r\n"); })});
  to.push_back(
      {"EditedRequestOfManyFields", 1000, request([](std::size_t n) { return times(n, "X-Field: y\r\n"); })});
  to.push_back({"RequestOfForbiddenFields", 1000, request([](std::size_t n) {
                  return times(n, "Remora-Session: a\r\nX_User: b\r\nX-Forwarded-For: c\r\n");
                })});
  to.push_back({"RequestWithALongForwardedFor", 3000, request([](std::size_t n) {
                  return "X-Forwarded-For: a" + times(n, ", 1.2.3.4") + "\r\n";
                })});
  to.push_back({"RequestWithOurCookieManyTimes", 1000,
                request([](std::size_t n) { return "Cookie: a=b" + times(n, "; ours=x") + "\r\n"; })});
  to.push_back({"RequestWithManyOtherCookies", 1000,
                request([](std::size_t n) { return "Cookie: ours=x" + times(n, "; a=b") + "\r\n"; })});
  to.push_back({"RequestWithManyCookieFields", 2000,
                request([](std::size_t n) { return times(n, "Cookie: ours=x; a=b\r\n"); })});
  to.push_back(
      {"RequestWithManyTe", 500, request([](std::size_t n) { return times(n, "TE: trailers, a\r\n"); })});
  to.push_back(
      {"RequestWithManyVia", 1000, request([](std::size_t n) { return times(n, "Via: 1.1 a\r\n"); })});
  to.push_back({"EditedResponseOfManyFields", 45,
                response([](std::size_t n) { return times(n, "Set-Cookie: a=b\r\nVia: 1.1 a\r\n"); })});
  to.push_back({"ResponseWithALongCacheControl", 2000, response([](std::size_t n) {
                  return "Cache-Control: a" + times(n, ", public=\"a,b\"") + "\r\n";
                })});

  to.push_back({"ForwardedForOfTrustedHops", 1000, arrival(Known::x_forwarded_for, [](std::size_t n) {
                  return "10.1.1.1" + times(n, ", 10.0.0.1");
                })});
  to.push_back({"ForwardedForOfNothing", 3000,
                arrival(Known::x_forwarded_for, [](std::size_t n) { return times(n, ","); })});
  to.push_back({"ForwardedForOfWhiteSpace", 3000, arrival(Known::x_forwarded_for, [](std::size_t n) {
                  return "10.0.0.1" + times(n, " ,\t") + "10.0.0.1";
                })});
  to.push_back({"ForwardedForInManyFields", 500,
                arrival(Known::x_forwarded_for, [](std::size_t) { return "10.0.0.1, 10.0.0.2"; }, false)});
  to.push_back({"ForwardedOfTrustedHops", 1000, arrival(Known::forwarded, [](std::size_t n) {
                  return "for=10.1.1.1" + times(n, ", for=\"10.0.0.1:99\";proto=https;by=_a");
                })});
  to.push_back({"ForwardedOfQuotes", 2000, arrival(Known::forwarded, [](std::size_t n) {
                  return "for=10.0.0.1" + times(n, ", for=\"\\\",");
                })});
  to.push_back({"ForwardedInManyFields", 500,
                arrival(Known::forwarded, [](std::size_t) { return "for=10.0.0.1;proto=http"; }, false)});
  to.push_back({"ForwardedProtoInManyFields", 500,
                arrival(Known::x_forwarded_proto, [](std::size_t) { return "https, http"; }, false)});

  for (const bool json : {false, true}) {
    const std::string format = json ? "Json" : "Combined";
    to.push_back({"LogLineOfPlainText" + format, 2000, line(json, "abc/")});
    to.push_back({"LogLineOfEscapes" + format, 2000, line(json, "\"\\\x01\xff")});
  }
  to.push_back({"MaskedPathOfTokens", 300, masked("/", ";jsessionid=")});
  to.push_back({"MaskedPathOfOtherParameters", 300, masked("/", ";a=b/")});
  to.push_back({"MaskedQueryOfTokens", 300, masked("/?", "&rsid=")});
  to.push_back({"MaskedQueryOfLongTokens", 300, masked("/?", "&rsid=0123456789abcdef")});
  to.push_back({"MaskedQueryOfOtherParameters", 300, masked("/?", "&a=b&access_toke=c")});
  to.push_back({"MaskedNearlyTokens", 300, masked("/", ";jsessionidjsessionid;rsi?rsid")});
}

}  // namespace remora::test

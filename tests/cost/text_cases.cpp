// JSON, tokens, key sets, what stores say.

#include "auth/jwt.h"
#include "auth/strict_json.h"
#include "auth/verifier.h"
#include "cost/cost.h"
#include "session/store_reply.h"
#include "util/text.h"

namespace remora::test {

namespace {

using Work = std::function<void()>;
using Text = std::function<std::string(std::size_t)>;

std::function<Work(std::size_t)> json(Text text) {
  return [text = std::move(text)](std::size_t n) -> Work {
    return [json = text(n)] { keep(parse_strict_object(json)); };
  };
}

std::function<Work(std::size_t)> token(Text text) {
  return [text = std::move(text)](std::size_t n) -> Work {
    return [token = text(n)] { keep(verify_jws(token, {JwtAlgorithm::hs256}, {})); };
  };
}

std::function<Work(std::size_t)> found(config::Jwt::Carrier carrier, const char* name, Known known,
                                       Text text) {
  return [=](std::size_t n) -> Work {
    config::Jwt rules;
    rules.from = {{carrier, "t"}};
    return [=, text = text(n)] {
      const Field field{name, text, known};
      keep(find_token({&field, 1}, text, rules));
    };
  };
}

std::function<Work(std::size_t)> replies(std::unique_ptr<ReplyReader> (*make)(), Text text,
                                         std::size_t piece) {
  return [=](std::size_t n) -> Work {
    return [=, bytes = text(n)] {
      const auto reader = make();
      for (std::size_t at = 0; at < bytes.size() && !reader->broken(); at += piece) {
        reader->feed(std::string_view(bytes).substr(at, piece));
        while (const auto reply = reader->next()) keep(*reply);
      }
    };
  };
}

std::string b64(const std::string& s) {
  std::string out;
  base64url_append(out, reinterpret_cast<const std::uint8_t*>(s.data()), s.size());
  return out;
}

}  // namespace

void add_text_cases(std::vector<CostCase>& to) {
  const auto many_names = [](std::size_t n) {
    std::string out = "{\"a\":1";
    for (std::size_t i = 0; i < n; ++i) out += ",\"n" + std::to_string(100000 + i) + "\":1";
    return out + "}";
  };
  to.push_back({"JsonOfManyNames", 300, json(many_names)});
  to.push_back({"JsonOfOneNameTwice", 300,
                json([](std::size_t n) { return "{\"a\":1" + times(n, ",\"a\":1") + "}"; })});
  to.push_back({"JsonOfALongText", 3000,
                json([](std::size_t n) { return "{\"a\":\"" + times(n, "\\u0061") + "\"}"; })});
  to.push_back(
      {"JsonOfALongList", 1000, json([](std::size_t n) { return "{\"a\":[1" + times(n, ",{}") + "]}"; })});
  to.push_back({"JsonOfDepth", 1000, json([](std::size_t n) { return "{\"a\":" + times(n, "["); })});
  to.push_back(
      {"JsonOfALongNumber", 3000, json([](std::size_t n) { return "{\"a\":" + times(n, "1") + "}"; })});
  to.push_back({"JsonOfSpaces", 3000, json([](std::size_t n) { return "{" + times(n, " \n") + "}"; })});

  to.push_back({"TokenOfDots", 3000, token([](std::size_t n) { return times(n, "."); })});
  to.push_back({"TokenOfText", 3000, token([](std::size_t n) { return times(n, "abc.def"); })});
  to.push_back({"TokenWithALongHeader", 300, token([](std::size_t n) {
                  return b64("{\"alg\":\"HS256\",\"x\":\"" + times(n, "abcdefgh") + "\"}") + ".e30.AAAA";
                })});
  to.push_back({"TokenWithALongPayload", 1000, token([](std::size_t n) {
                  return b64("{\"alg\":\"HS256\"}") + "." + b64(times(n, "abcdefgh")) + ".AAAA";
                })});
  using Carrier = config::Jwt::Carrier;
  to.push_back({"QueryOfTokens", 1000,
                found(Carrier::query, "X", Known::other, [](std::size_t n) { return times(n, "&t=a"); })});
  to.push_back({"QueryOfOthers", 1000,
                found(Carrier::query, "X", Known::other, [](std::size_t n) { return times(n, "&u=a"); })});
  to.push_back({"CookiesOfTokens", 1000, found(Carrier::cookie, "Cookie", Known::cookie, [](std::size_t n) {
                  return times(n, "t=a; ");
                })});
  to.push_back(
      {"KeySetOfManyKeys", 50, [](std::size_t n) -> Work {
         const std::string key =
             R"({"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0i"})";
         return [text = "{\"keys\":[" + key + times(n, "," + key) + "]}"] {
           std::string why;
           keep(parse_jwks(text, why));
         };
       }});
  to.push_back({"KeySetOfOtherKeys", 300, [](std::size_t n) -> Work {
                  return [text = "{\"keys\":[{}" + times(n, ",{\"kty\":\"x\"}") + "]}"] {
                    std::string why;
                    keep(parse_jwks(text, why));
                  };
                }});

  const auto bulk = [](std::size_t n) {
    return "$" + std::to_string(n) + "\r\n" + std::string(n, 'a') + "\r\n";
  };
  const auto value = [](std::size_t n) {
    return "VA " + std::to_string(n) + "\r\n" + std::string(n, 'a') + "\r\n";
  };
  for (const std::size_t piece : {std::size_t{1}, std::size_t{1000}}) {
    const std::string cut = piece == 1 ? "ByteByByte" : "ByTheKilobyte";
    const std::size_t n = piece == 1 ? 2000 : 20000;
    to.push_back({"RedisText" + cut, n, replies(make_resp_reader, bulk, piece)});
    to.push_back({"RedisManyReplies" + cut, n / 20,
                  replies(make_resp_reader, [](std::size_t k) { return times(k, "+OK\r\n"); }, piece)});
    to.push_back(
        {"RedisList" + cut, n / 20,
         replies(
             make_resp_reader,
             [](std::size_t k) { return "*" + std::to_string(k) + "\r\n" + times(k, "$1\r\na\r\n"); },
             piece)});
    to.push_back({"RedisLineThatNeverEnds" + cut, std::max<std::size_t>(n, 5000),  // its length is bounded
                  replies(make_resp_reader, [](std::size_t k) { return "+" + times(k, "a"); }, piece)});
    to.push_back({"MemcachedValue" + cut, n, replies(make_meta_reader, value, piece)});
    to.push_back({"MemcachedManyReplies" + cut, n / 20,
                  replies(make_meta_reader, [](std::size_t k) { return times(k, "HD\r\n"); }, piece)});
    to.push_back({"MemcachedLineThatNeverEnds" + cut, n,
                  replies(make_meta_reader, [](std::size_t k) { return "VA " + times(k, "1"); }, piece)});
  }
  to.push_back({"PercentDecoding", 3000, [](std::size_t n) -> Work {
                  return [text = times(n, "%41%zz")] { keep(percent_decoded(text)); };
                }});
  to.push_back({"Base64Decoding", 3000, [](std::size_t n) -> Work {
                  return [text = times(n, "QUFB")] { keep(base64_decode(text)); };
                }});
}

}  // namespace remora::test

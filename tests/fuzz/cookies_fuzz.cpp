// Cookie fields of requests and Set-Cookie lines of responses, through every kind that reads them: no crash,
// and nothing of ours reaches the app.

#include <cstdlib>

#include "affinity/seal.h"
#include "support/affinity.h"
#include "util/cookies.h"

using namespace remora;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto kinds = [] {
    const auto pool = test::pool_with(
        "[{kind: cookie, name: c}, app_cookie, {kind: app_cookie, name: S, carry: token, route_separator: "
        "'.'}]");
    return make_affinity(pool, std::make_shared<KeyRing>(std::vector<std::string>{std::string(32, 'k')}),
                         std::make_shared<SessionNamer>("i", "app"));
  }();
  static CryptoScratch scratch;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto cut = std::min(text.find('\n'), text.size());
  const Field asked{"Cookie", text.substr(0, cut), Known::cookie};
  const Field answered{"Set-Cookie", text.substr(std::min(cut + 1, text.size())), Known::set_cookie};
  RequestView request;
  request.target = "/";
  request.host = "h";
  request.fields = {&asked, 1};
  ResponseView response;
  response.status = 200;
  response.fields = {&answered, 1};
  TextArena arena;
  RequestEdits hidden(arena);
  ResponseEdits edits(arena);
  for (const auto& kind : kinds) {
    const Hint hint = kind->identify(request, scratch, {});
    if (std::holds_alternative<Opened>(hint)) std::abort();  // nobody can guess a token
    kind->conceal(request, hidden);
    kind->learn(request, response, scratch);
    Served served;
    served.begun = true;
    kind->mark(request, served, response, scratch, {}, edits);
  }
  std::string rest;
  append_cookies_without(asked.value, hidden.dropped_cookies(), rest);
  for_each_cookie(rest, [&](const CookiePair& pair) {
    for (const std::string_view ours : hidden.dropped_cookies())
      if (pair.name == ours || (pair.whole == ours && !pair.name.empty())) std::abort();
    return true;
  });
  return 0;
}

#include "net/fetch.h"

#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <utility>

#include "net/http_response.h"
#include "util/text.h"

namespace remora {

std::optional<FetchUrl> parse_fetch_url(std::string_view text) {
  const auto parsed = boost::urls::parse_uri({text.data(), text.size()});
  if (!parsed) return std::nullopt;
  const boost::urls::url_view& u = *parsed;
  FetchUrl out;
  out.secure = u.scheme() == "https";
  if ((!out.secure && u.scheme() != "http") || u.has_userinfo() || u.has_fragment()) return std::nullopt;
  out.host = u.host_address();
  if (out.host.empty()) return std::nullopt;
  out.server_name = out.host;
  out.port = out.secure ? 443 : 80;
  if (u.has_port()) {
    const auto port = parse_decimal(std::string(u.port()));
    if (!port || *port == 0 || *port > 65535) return std::nullopt;
    out.port = static_cast<std::uint16_t>(*port);
  }
  out.authority = u.encoded_host_and_port();
  out.path = u.encoded_path();
  if (out.path.empty()) out.path = "/";
  if (u.has_query()) out.path.append("?").append(std::string(u.encoded_query()));
  return out;
}

namespace {

Fetched failed(std::string why) {
  Fetched f;
  f.error = std::move(why);
  return f;
}

Fetched judge(HttpResponseReader& response) {
  if (!response.error().empty()) return failed(response.error());
  if (const unsigned status = response.status(); status != 200) {
    const bool redirects = status >= 300 && status < 400 && !response.location().empty();
    return failed("status " + std::to_string(status) +
                  (redirects ? " (redirects are not followed: configure the final URL)" : ""));
  }
  Fetched out;
  out.body = response.take_body();
  return out;
}

/// Fetches from one address. Errors are returned in `Fetched::error`.
Task<Fetched> fetch_from(Loop& loop, std::shared_ptr<EventFlags> wake, OneShotRequest request,
                         std::size_t max_bytes) {
  HttpResponseReader response(max_bytes);
  const std::string error = co_await one_shot_request(loop, *wake, std::move(request), &response);
  if (!error.empty()) co_return failed(error);
  co_return judge(response);
}

}  // namespace

Task<Fetched> fetch(Loop& loop, std::shared_ptr<EventFlags> wake, FetchUrl url,
                    std::vector<Endpoint> endpoints, std::shared_ptr<const ClientTls> tls,
                    std::chrono::milliseconds limit, std::size_t max_bytes) {
  const Clock::Steady deadline = loop.clock.steady_now() + limit;
  Fetched fetched = failed("the name has no address");
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    OneShotRequest request;
    request.endpoint = endpoints[i];
    request.tls = tls;
    request.server_name = url.server_name;
    request.text = request_text("GET", url.path, url.authority,
                                {{"User-Agent", "remora"}, {"Accept", "application/json"}});
    request.max_bytes = max_bytes + 64 * 1024;
    // Divide the remaining time, so that an address that does not respond leaves time for the others (in the
    // spirit of RFC 8305).
    const Clock::Steady now = loop.clock.steady_now();
    const auto rest = deadline - now;
    if (rest.count() <= 0) break;
    request.connect_by = now + rest / static_cast<int>(endpoints.size() - i);
    request.answer_by = i + 1 == endpoints.size() ? deadline : now + rest * 3 / 4;
    fetched = co_await fetch_from(loop, wake, std::move(request), max_bytes);
    if (fetched.error.empty() || fetched.error == request_stopped) break;
  }
  co_return fetched;
}

}  // namespace remora

// Affinity by remora's own sealed token in a header, for clients without cookies: an issued kind. A response
// tells the token in the field, and the client's later requests bring it back in the field of the same name.
//
// No app sees the field: requests lose it here, in whatever spelling, and responses lose the backend's own
// one (token_fields in pool/pool_view.h).

#include <algorithm>

#include "affinity/kinds.h"
#include "affinity/seal.h"
#include "util/field_name.h"
#include "util/text.h"

namespace remora {

namespace {

struct HeaderTokenSettings final : AffinitySettings {
  std::string name;
};

/// Whether HTTP, a proxy or remora gives the field a meaning of its own. Taking such a field off would break
/// requests.
bool has_a_meaning(std::string_view name) noexcept {
  static constexpr std::string_view names[] = {"age",
                                               "allow",
                                               "authorization",
                                               "connection",
                                               "cookie",
                                               "cookie2",
                                               "date",
                                               "dnt",
                                               "etag",
                                               "expect",
                                               "expires",
                                               "forwarded",
                                               "from",
                                               "host",
                                               "http2-settings",
                                               "keep-alive",
                                               "last-modified",
                                               "link",
                                               "location",
                                               "origin",
                                               "pragma",
                                               "priority",
                                               "range",
                                               "referer",
                                               "refresh",
                                               "retry-after",
                                               "server",
                                               "set-cookie",
                                               "set-cookie2",
                                               "te",
                                               "trailer",
                                               "upgrade",
                                               "transfer-encoding",
                                               "user-agent",
                                               "vary",
                                               "via",
                                               "cache-control",
                                               "warning",
                                               "www-authenticate",
                                               "traceparent",
                                               "tracestate",
                                               "baggage",
                                               "x-real-ip",
                                               "x-client-ip",
                                               "x-request-id",
                                               "x-host",
                                               "x-requested-with",
                                               "max-forwards"};
  static constexpr std::string_view beginnings[] = {"accept",
                                                    "access-control-",
                                                    "authentication-",
                                                    "client-cert",
                                                    "content-",
                                                    "cross-origin-",
                                                    "grpc-",
                                                    "if-",
                                                    "proxy",
                                                    "remora-",
                                                    "sec-",
                                                    "x-client-cert",
                                                    "x-csrf-",
                                                    "x-forwarded",
                                                    "x-http-method",
                                                    "x-original-",
                                                    "x-rewrite-url"};
  const auto is = [&](std::string_view other) { return iequals(name, other); };
  const auto begins = [&](std::string_view other) { return istarts_with(name, other); };
  return std::any_of(std::begin(names), std::end(names), is) ||
         std::any_of(std::begin(beginnings), std::end(beginnings), begins);
}

std::shared_ptr<const AffinitySettings> read(Settings& settings, std::string_view) {
  auto out = std::make_shared<HeaderTokenSettings>();
  out->name = settings.text("name").value_or("X-Session-Token");
  const bool plain =
      std::all_of(out->name.begin(), out->name.end(), [](char c) { return is_alphanumeric(c) || c == '-'; });
  if (!plain || out->name.find_first_not_of('-') == std::string::npos)
    settings.bad("name", "'" + out->name + "' is no name for this header (letters, digits and '-')");
  else if (has_a_meaning(out->name))
    settings.bad("name", "'" + out->name + "' has a meaning of its own: no app would get it any more");
  out->seals = true;
  out->token_field = out->name;
  return out;
}

class HeaderTokenAffinity final : public Affinity {
 public:
  HeaderTokenAffinity(const AffinityInput& in, const HeaderTokenSettings& settings)
      : name_(settings.name),
        session_(in.pool.session),
        sealer_(in.keys, in.pool.name, "header_token", to_lower(settings.name)) {}

  std::string_view name() const noexcept override { return "header_token"; }
  Family family() const noexcept override { return Family::issued; }
  /// Browsers hold back cookies only.
  bool may_be_kept_back() const noexcept override { return false; }

  Hint identify(const RequestView& request, CryptoScratch& scratch, Clock::Wall now) const override {
    const Sent sent = find(request);
    if (sent.fields > 1) return NoHint{Cause::malformed};
    if (sent.value.empty()) return NoHint{};
    const auto outcome = sealer_.open(sent.value, scratch);
    if (outcome.cause != Cause::none) return NoHint{outcome.cause};
    return judge_opened(outcome.binding, outcome.old_key, session_, now);
  }

  void conceal(const RequestView& request, RequestEdits& edits) const override {
    for (std::size_t i = 0; i < request.fields.size(); ++i)
      if (same_to_apps(request.fields[i].name, name_)) edits.drop_field(i);
  }

  void mark(const RequestView& request, const Served& served, const ResponseView& response,
            CryptoScratch& scratch, Clock::Wall now, ResponseEdits& edits) const override {
    // In a list with `cookie`: a client that keeps cookies needs no token in a header, unless it has one.
    if (served.came_by_cookie && find(request).fields == 0) return;
    const bool should = served.begun || served.refresh || needs_refresh(served.binding, session_, now);
    // As with cookies: shared caches would give the token to other users.
    if (!served.changed && (!should || response.shared_cacheable)) return;
    Binding b = served.binding;
    b.last_seen = now;
    const TokenText token = sealer_.sealed(b, scratch);
    tell(edits.arena.join(std::string_view(token.data(), token.size())), edits);
  }

  /// An empty value: the client is to forget its token.
  void clear(const RequestView&, ResponseEdits& edits) const override { tell({}, edits); }

 private:
  struct Sent {
    std::string_view value;
    std::size_t fields = 0;
  };
  Sent find(const RequestView& request) const noexcept {
    Sent sent;
    for (const Field& f : request.fields)
      if (iequals(f.name, name_)) {
        sent.value = f.value;
        ++sent.fields;
      }
    return sent;
  }

  void tell(std::string_view value, ResponseEdits& edits) const {
    edits.make_private = true;
    edits.add(name_, value, Known::remora);  // which HPACK's table never holds (http/h2/submit.cpp)
  }

  const std::string name_;
  const config::Session session_;
  const TokenSealer sealer_;
};

std::shared_ptr<const Affinity> make(const AffinityInput& in) {
  return std::make_shared<HeaderTokenAffinity>(in, static_cast<const HeaderTokenSettings&>(in.settings));
}

}  // namespace

extern const AffinityKind header_token_affinity{"header_token", read, make};

}  // namespace remora

// Affinity by the app's own session id, in a cookie, a path parameter or a query parameter: learned.
//
// `carry: store` looks the id up in the session store, by a MAC. `carry: token` needs no store: a companion
// cookie (NAME-r), sealed to the app's id, says where the session lives. `route_separator` also honours an id
// that names its server (Tomcat's jvmRoute).

#include <charconv>

#include "affinity/kinds.h"
#include "affinity/seal.h"
#include "affinity/url_token.h"
#include "net/address.h"
#include "remora/pool_snapshot.h"
#include "util/cookies.h"
#include "util/text.h"

namespace remora {

namespace {

using config::UrlStyle;

/// The app's id in one Set-Cookie line.
struct SetCookie {
  bool ours = false, cleared = false;
  std::string_view id;
};

SetCookie read_set_cookie(std::string_view line, std::string_view name) noexcept {
  SetCookie out;
  const auto end = line.find(';');
  const auto pair = trim(line.substr(0, end));
  const auto eq = pair.find('=');
  if (eq == std::string_view::npos || trim(pair.substr(0, eq)) != name) return out;
  out.ours = true;
  out.id = trim(pair.substr(eq + 1));
  if (out.id.size() >= 2 && out.id.front() == '"' && out.id.back() == '"')
    out.id = out.id.substr(1, out.id.size() - 2);
  out.cleared = out.id.empty();
  std::string_view rest = end == std::string_view::npos ? std::string_view() : line.substr(end + 1);
  std::optional<bool> by_max_age;  // counts more than Expires (RFC 6265 5.3)
  bool by_expires = false;
  while (!rest.empty()) {
    const auto stop = rest.find(';');
    const auto attribute = trim(rest.substr(0, stop));
    const auto value = trim(attribute.substr(std::min(attribute.find('=') + 1, attribute.size())));
    if (istarts_with(attribute, "max-age=")) {  // RFC 6265 5.2.2: zero or less expires at once
      long long seconds = 1;
      std::from_chars(value.data(), value.data() + value.size(), seconds);
      by_max_age = seconds <= 0;
    } else if (istarts_with(attribute, "expires=")) {
      // The dates that frameworks write to clear a cookie lie at the epoch's beginning.
      by_expires =
          value.find("1970") != std::string_view::npos || value.find("-70 ") != std::string_view::npos;
    }
    if (stop == std::string_view::npos) break;
    rest.remove_prefix(stop + 1);
  }
  out.cleared = out.cleared || by_max_age.value_or(by_expires);
  return out;
}

struct AppCookieSettings final : AffinitySettings {
  std::string name;
  std::string path_parameter, query_parameter;  // empty: none
  std::string route_separator;                  // empty: ids name no backend
  bool reject_unknown = false;
  CookieAttributes companion;  // carry: token
};

std::shared_ptr<const AffinitySettings> read(Settings& settings, std::string_view) {
  auto out = std::make_shared<AppCookieSettings>();
  out->name = read_token_name(settings, "name", "JSESSIONID");
  // JSESSIONID and jsessionid are two names of one thing (Jakarta Servlet 7.1.3).
  out->path_parameter =
      read_parameter_name(settings, "path_parameter", out->name == "JSESSIONID" ? "jsessionid" : "");
  out->query_parameter = read_parameter_name(settings, "query_parameter", "");
  out->route_separator = settings.text("route_separator").value_or("");
  if (out->route_separator.size() > 1) settings.bad("route_separator", "must be one character: \".\", say");
  Carry carry = Carry::store;
  settings.choice("carry", carry, {{"store", Carry::store}, {"token", Carry::token}});
  out->reject_unknown = read_reject_unknown(settings);
  out->tells_apart = out->name;
  if (carry == Carry::token) {  // the companion's attributes; of the app's own cookie only the app decides
    out->own_cookie = out->name + "-r";
    out->companion = read_cookie_attributes(settings, out->own_cookie);
    out->seals = true;
  }
  if (!out->path_parameter.empty()) out->url_secrets.push_back({UrlStyle::path, out->path_parameter});
  if (!out->query_parameter.empty()) out->url_secrets.push_back({UrlStyle::query, out->query_parameter});
  return out;
}

class AppCookieAffinity final : public Affinity {
 public:
  AppCookieAffinity(const AffinityInput& in, const AppCookieSettings& settings)
      : settings_(settings),
        session_(in.pool.session),
        namer_(in.namer),
        companion_(settings.own_cookie, settings.companion) {
    if (settings.seals) sealer_.emplace(in.keys, in.pool.name, "app_cookie", companion_.name());
  }

  std::string_view name() const noexcept override { return "app_cookie"; }
  Family family() const noexcept override { return Family::learned; }

  Hint identify(const RequestView& request, CryptoScratch& scratch, Clock::Wall now) const override {
    const std::string_view id = id_of(request);
    if (id.empty()) return NoHint{};
    Lookup lookup;
    lookup.key = namer_->name(id, scratch);
    lookup.reject_unknown = settings_.reject_unknown;
    lookup.route = route_of(id);
    if (!sealer_) return lookup;
    lookup.stored = false;
    Opened best;
    bool any = false;
    int looked_at = 0;
    for (const Field& field : request.fields) {
      if (field.known != Known::cookie) continue;
      for_each_cookie(field.value, [&](const CookiePair& pair) {
        if (pair.name != companion_.name()) return true;
        if (++looked_at > most_companions) return false;
        const auto outcome = sealer_->open(pair.value, scratch, id);
        if (outcome.cause != Cause::none) {
          lookup.cause = outcome.cause;
          return true;
        }
        const Hint judged = judge_opened(outcome.binding, outcome.old_key, session_, now);
        if (const auto* opened = std::get_if<Opened>(&judged)) {
          if (!any || opened->binding.epoch > best.binding.epoch) best = *opened;
          any = true;
        } else {
          lookup.cause = std::get<NoHint>(judged).cause;
        }
        return true;
      });
    }
    if (!any) return lookup;
    best.aging = companion_.wants_renewal(best.binding, now);
    best.ending = companion_.needs_renewal(best.binding, now);
    return best;
  }

  void conceal(const RequestView&, RequestEdits& edits) const override {
    if (sealer_) edits.drop_cookie(companion_.name());
  }

  Learned learn(const RequestView& request, const ResponseView& response,
                CryptoScratch& scratch) const override {
    const Answer answer = read(request, response);
    Learned learned;
    learned.forgotten = answer.cleared;
    if (!answer.id.empty() && !sealer_) learned.key = namer_->name(answer.id, scratch);
    return learned;
  }

  void mark(const RequestView& request, const Served& served, const ResponseView& response,
            CryptoScratch& scratch, Clock::Wall now, ResponseEdits& edits) const override {
    if (!sealer_) return;
    const Answer answer = read(request, response);
    if (answer.cleared) return clear(request, edits);
    const std::string_view asked = id_of(request);
    const std::string_view id = answer.id.empty() ? asked : answer.id;
    // Without an id there is nothing to be a companion of; an id that only the client claims earns none.
    if (id.empty() || (answer.id.empty() && served.begun)) return;
    const bool must = served.changed || served.begun || id != asked;
    const bool should =
        served.refresh || needs_refresh(served.binding, session_, now) || companion_.renewed_by(response);
    if (!must && (!should || response.shared_cacheable)) return;
    edits.make_private = true;
    Binding b = served.binding;
    b.last_seen = now;
    companion_.begin(edits.lines);
    sealer_->seal(b, scratch, edits.lines, id);
    companion_.end(request, edits.lines);
  }

  void clear(const RequestView& request, ResponseEdits& edits) const override {
    if (!sealer_) return;
    edits.make_private = true;
    companion_.clear(request, edits.lines);
  }

 private:
  static constexpr int most_companions = 8;
  struct Answer {
    std::string_view id;
    bool cleared = false;
  };

  /// Cookie, then path parameter, then query parameter; empty ids are no ids.
  std::string_view id_of(const RequestView& request) const noexcept {
    std::string_view id;
    for (const Field& field : request.fields) {
      if (field.known != Known::cookie || !id.empty()) continue;
      for_each_cookie(field.value, [&](const CookiePair& pair) {
        if (pair.name == settings_.name && !pair.value.empty()) id = pair.value;
        return id.empty();
      });
    }
    if (id.empty()) id = id_in_url(request.target, UrlForm::target);
    return id;
  }
  std::string_view id_in_url(std::string_view url, UrlForm form) const noexcept {
    std::string_view id;
    if (!settings_.path_parameter.empty())
      id = find_url_parameter(url, UrlStyle::path, settings_.path_parameter, form).value;
    if (id.empty() && !settings_.query_parameter.empty())
      id = find_url_parameter(url, UrlStyle::query, settings_.query_parameter, form).value;
    return id;
  }

  /// The id that the response gives: by Set-Cookie (the last one counts), or on the URL of a redirect.
  Answer read(const RequestView& request, const ResponseView& response) const noexcept {
    Answer answer;
    for (const Field& f : response.fields) {
      if (f.known != Known::set_cookie) continue;
      const SetCookie set = read_set_cookie(f.value, settings_.name);
      if (!set.ours) continue;
      answer.cleared = set.cleared;
      answer.id = set.cleared ? std::string_view() : set.id;
    }
    if (!answer.id.empty() || answer.cleared || settings_.path_parameter.empty()) return answer;
    // A redirect to ourselves only: another site's id is not ours to learn.
    for (const Field& f : response.fields)
      if (f.known == Known::location &&
          classify_reference(trim(f.value), {request.secure, request.host}).kind ==
              UrlReference::Kind::same_origin)
        answer.id = id_in_url(trim(f.value), UrlForm::reference);
    return answer;
  }

  std::uint64_t route_of(std::string_view id) const noexcept {
    if (settings_.route_separator.empty()) return 0;
    const auto at = id.rfind(settings_.route_separator);
    if (at == std::string_view::npos) return 0;
    return backend_hash(id.substr(at + settings_.route_separator.size()));
  }

  const AppCookieSettings settings_;
  const config::Session session_;
  const std::shared_ptr<const SessionNamer> namer_;
  const CookieWriter companion_;
  std::optional<TokenSealer> sealer_;  // carry: token
};

std::shared_ptr<const Affinity> make(const AffinityInput& in) {
  return std::make_shared<AppCookieAffinity>(in, static_cast<const AppCookieSettings&>(in.settings));
}

}  // namespace

extern const AffinityKind app_cookie_affinity{"app_cookie", read, make};

}  // namespace remora

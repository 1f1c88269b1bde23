// Affinity by the app's own session id, in a cookie, a path parameter or a query parameter: a learned kind.
//
// `carry: store` looks up the id in the session store, by a MAC. `carry: token` needs no store: a companion
// cookie (NAME-r), sealed to the app's id, says where the session lives. `route_separator` also honors ids
// that name their server (Tomcat's jvmRoute).

#include <algorithm>

#include "affinity/cookie_names.h"
#include "affinity/kinds.h"
#include "affinity/seal.h"
#include "affinity/set_cookie.h"
#include "affinity/url_token.h"
#include "net/address.h"
#include "remora/pool_snapshot.h"
#include "util/cookies.h"
#include "util/text.h"

namespace remora {

namespace {

using config::UrlStyle;

struct AppCookieSettings final : AffinitySettings {
  std::string name;
  std::string path_parameter, query_parameter;  // empty: none
  std::string route_separator;                  // empty: ids name no backend
  bool reject_unknown = false;
  CookieAttributes companion;  // with `carry: token`
};

std::shared_ptr<const AffinitySettings> read(Settings& settings, std::string_view) {
  auto out = std::make_shared<AppCookieSettings>();
  out->name = read_token_name(settings, "name", "JSESSIONID");
  // JSESSIONID and jsessionid are two names for the same id (Jakarta Servlet 7.1.3).
  out->path_parameter =
      read_parameter_name(settings, "path_parameter", out->name == "JSESSIONID" ? "jsessionid" : "");
  out->query_parameter = read_parameter_name(settings, "query_parameter", "");
  out->route_separator = settings.text("route_separator").value_or("");
  if (out->route_separator.size() > 1) settings.bad("route_separator", "must be one character: \".\", say");
  Carry carry = Carry::store;
  settings.choice("carry", carry, {{"store", Carry::store}, {"token", Carry::token}});
  out->rejects_unknown = out->reject_unknown = read_reject_unknown(settings);
  out->tells_apart = out->name;
  if (carry == Carry::token) {  // attributes of the companion; the app's own cookie is the app's business
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
      : settings_(settings), session_(in.pool.session), namer_(in.namer) {
    if (!settings.seals) return;
    names_.emplace(settings.own_cookie, in.keys);
    for (std::size_t i = 0; i < CookieNames::most; ++i)
      companions_.emplace_back((*names_)[i], settings.companion);
    sealer_.emplace(in.keys, in.pool.name, "app_cookie", settings.own_cookie);
  }

  std::string_view name() const noexcept override { return "app_cookie"; }
  Family family() const noexcept override { return Family::learned; }

  Hint identify(const RequestView& request, CryptoScratch& scratch, Clock::Wall now) const override {
    const Ids ids = ids_of(request);
    if (ids.count == 0) return NoHint{};
    if (sealer_) {
      Companion found = companion_of(ids, request, scratch, now);
      if (found.any) {
        found.best.aging = companions_[0].wants_renewal(found.best.binding, now);
        found.best.ending = companions_[0].needs_renewal(found.best.binding, now);
        return found.best;
      }
      Lookup lookup = lookup_of(ids.of[0], scratch);
      for (std::size_t i = 1; i < ids.count && lookup.route == 0; ++i)
        if (route_of(ids.of[i]) != 0) lookup = lookup_of(ids.of[i], scratch);
      lookup.stored = false;
      if (found.cause != Cause::none) lookup.cause = found.cause;
      return lookup;
    }
    if (ids.count == 1) return lookup_of(ids.of[0], scratch);
    Several several;
    for (std::size_t i = 0; i < ids.count; ++i) several.of[several.count++] = lookup_of(ids.of[i], scratch);
    return several;
  }

  void conceal(const RequestView& request, RequestEdits& edits) const override {
    if (names_) names_->conceal(request, edits);
  }

  ObservedId learn(const RequestView& request, const ResponseView& response,
                   CryptoScratch& scratch) const override {
    const CookieOutcome answer = read(request, response);
    ObservedId learned;
    learned.forgotten = answer.cleared;
    if (!answer.id.empty() && !sealer_) learned.key = namer_->name(answer.id, scratch);
    return learned;
  }

  bool reads_events() const noexcept override { return !sealer_ && !settings_.query_parameter.empty(); }
  std::optional<SessionKey> learn_event(std::string_view data, CryptoScratch& scratch) const override {
    const std::string_view id = id_in_query(data, UrlForm::reference);
    if (id.empty() || !reads_events()) return std::nullopt;
    return namer_->name(id, scratch);
  }

  void mark(const RequestView& request, const Served& served, const ResponseView& response,
            CryptoScratch& scratch, Clock::Wall now, ResponseEdits& edits) const override {
    if (!sealer_) return;
    const CookieOutcome answer = read(request, response);
    if (answer.cleared) return clear(request, edits);
    const std::string_view asked = asked_id(request, scratch, now);
    const std::string_view id = answer.id.empty() ? asked : answer.id;
    // No companion without an id, nor for an id that only the client claims.
    if (id.empty() || (answer.id.empty() && served.begun)) return;
    const bool must = served.changed || served.begun || id != asked || names_->displaced(request, response);
    const bool should =
        served.refresh || needs_refresh(served.binding, session_, now) || companions_[0].renewed_by(response);
    if (!must && (!should || response.shared_cacheable)) return;
    edits.make_private = true;
    Binding b = served.binding;
    b.last_seen = now;
    const TokenText token = sealer_->sealed(b, scratch, id);
    companions_[names_->for_response(request, response)].set(request, {token.data(), token.size()}, edits);
  }

  void clear(const RequestView& request, ResponseEdits& edits) const override {
    if (!sealer_) return;
    edits.make_private = true;
    companions_[names_->own(request)].clear(request, edits);
  }

 private:
  static constexpr int max_tries = 16;  // limit for companions with ids: each try costs a decryption

  /// The different ids of a request, in order of precedence when nothing else decides.
  struct Ids {
    std::array<std::string_view, Several::most> of;
    std::size_t count = 0;
    void add(std::string_view id) noexcept {
      if (id.empty() || count == of.size()) return;
      if (std::find(of.begin(), of.begin() + static_cast<std::ptrdiff_t>(count), id) ==
          of.begin() + static_cast<std::ptrdiff_t>(count))
        of[count++] = id;
    }
  };

  /// Cookies in their order, then the path parameter, then the query parameter. Empty ids do not count. A
  /// browser may send several cookies of one name, and their order means nothing (RFC 6265 4.2.2).
  Ids ids_of(const RequestView& request) const noexcept {
    Ids ids;
    for (const Field& field : request.fields) {
      if (field.known != Known::cookie) continue;
      for_each_cookie(field.value, [&](const CookiePair& pair) {
        if (pair.name == settings_.name) ids.add(pair.value);
        return true;
      });
    }
    ids.add(id_in_path(request.target, UrlForm::target));
    ids.add(id_in_query(request.target, UrlForm::target));
    return ids;
  }
  std::string_view id_in_path(std::string_view url, UrlForm form) const noexcept {
    if (settings_.path_parameter.empty() || url.find(';') == std::string_view::npos) return {};
    return find_url_parameter(url, UrlStyle::path, settings_.path_parameter, form).value;
  }
  std::string_view id_in_query(std::string_view url, UrlForm form) const noexcept {
    if (settings_.query_parameter.empty() || url.find('?') == std::string_view::npos) return {};
    return find_url_parameter(url, UrlStyle::query, settings_.query_parameter, form).value;
  }

  Lookup lookup_of(std::string_view id, CryptoScratch& scratch) const {
    Lookup lookup;
    lookup.key = namer_->name(id, scratch);
    lookup.reject_unknown = settings_.reject_unknown;
    lookup.route = route_of(id);
    return lookup;
  }

  /// With `carry: token`: the best companion of any of the ids, a living one if there is one.
  struct Companion {
    Opened best;
    std::string_view id;
    bool any = false;
    Cause cause = Cause::none;  // why a companion was not accepted
  };
  Companion companion_of(const Ids& ids, const RequestView& request, CryptoScratch& scratch,
                         Clock::Wall now) const {
    Companion found;
    std::size_t best_place = 0;
    int tries = 0;
    const auto better = [&](const Opened& a, std::size_t place) {
      if (!found.any || place != best_place) return !found.any || place > best_place;
      const bool lives = a.expired == Cause::none, best_lives = found.best.expired == Cause::none;
      if (lives != best_lives) return lives;
      if (a.binding.epoch != found.best.binding.epoch) return a.binding.epoch > found.best.binding.epoch;
      return a.binding.last_seen > found.best.binding.last_seen;
    };
    for (const Field& field : request.fields) {
      if (field.known != Known::cookie) continue;
      for_each_cookie(field.value, [&](const CookiePair& pair) {
        const std::size_t place = names_->place_of(pair.name);
        if (place == CookieNames::most) return true;
        for (std::size_t i = 0; i < ids.count; ++i) {
          if (++tries > max_tries) return false;
          const auto outcome = sealer_->open(pair.value, scratch, ids.of[i]);
          if (outcome.cause != Cause::none) {
            found.cause = outcome.cause;
            continue;
          }
          const Hint judged = judge_opened(outcome.binding, outcome.old_key, session_, now);
          if (const auto* opened = std::get_if<Opened>(&judged)) {
            if (better(*opened, place)) {
              found.best = *opened;
              found.id = ids.of[i];
              best_place = place;
            }
            found.any = true;
          } else {
            found.cause = std::get<NoHint>(judged).cause;
          }
          break;  // a companion belongs to one id only
        }
        return true;
      });
    }
    return found;
  }

  /// The id by which this request was recognized.
  std::string_view asked_id(const RequestView& request, CryptoScratch& scratch, Clock::Wall now) const {
    const Ids ids = ids_of(request);
    if (ids.count < 2) return ids.count == 0 ? std::string_view() : ids.of[0];
    const Companion found = companion_of(ids, request, scratch, now);
    return found.any ? found.id : ids.of[0];
  }

  /// The id that the response gives: in Set-Cookie, or in the URL of a redirect.
  CookieOutcome read(const RequestView& request, const ResponseView& response) const noexcept {
    CookieOutcome answer = cookie_outcome(response.fields, settings_.name, request.path, response.now);
    if (!answer.id.empty() || answer.cleared || settings_.path_parameter.empty()) return answer;
    // Only in redirects to our own origin: another site's id is not ours to learn.
    for (const Field& f : response.fields) {
      if (f.known != Known::location) continue;
      const std::string_view url = trim(f.value);
      if (classify_reference(url, {request.secure, request.host}).kind != UrlReference::Kind::same_origin)
        continue;
      answer.id = id_in_path(url, UrlForm::reference);
      if (answer.id.empty()) answer.id = id_in_query(url, UrlForm::reference);
    }
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
  // Only with `carry: token`.
  std::optional<CookieNames> names_;
  std::vector<CookieWriter> companions_;
  std::optional<TokenSealer> sealer_;
};

std::shared_ptr<const Affinity> make(const AffinityInput& in) {
  return std::make_shared<AppCookieAffinity>(in, static_cast<const AppCookieSettings&>(in.settings));
}

}  // namespace

extern const AffinityKind app_cookie_affinity{"app_cookie", read, make};

}  // namespace remora

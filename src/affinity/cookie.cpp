// Affinity by remora's own sealed cookie (RFC 6265): an issued kind. It needs no store, because any replica
// with the same keys can open the cookie.

#include <algorithm>

#include "affinity/cookie_names.h"
#include "affinity/kinds.h"
#include "affinity/seal.h"
#include "util/cookies.h"

namespace remora {

namespace {

struct CookieSettings final : AffinitySettings {
  std::string name;
  CookieAttributes attributes;
};

std::shared_ptr<const AffinitySettings> read(Settings& settings, std::string_view pool) {
  auto out = std::make_shared<CookieSettings>();
  out->name = read_token_name(settings, "name", "remora-" + std::string(pool));
  out->attributes = read_cookie_attributes(settings, out->name);
  out->seals = true;
  out->own_cookie = out->name;
  out->cookie_is_session = true;
  return out;
}

class CookieAffinity final : public Affinity {
 public:
  CookieAffinity(const AffinityInput& in, const CookieSettings& settings)
      : session_(in.pool.session),
        names_(settings.name, in.keys),
        kept_back_(settings.attributes.same_site != SameSite::none),
        sealer_(in.keys, in.pool.name, "cookie", settings.name) {
    for (std::size_t i = 0; i < CookieNames::most; ++i) cookies_.emplace_back(names_[i], settings.attributes);
  }

  std::string_view name() const noexcept override { return "cookie"; }
  Family family() const noexcept override { return Family::issued; }
  bool may_be_kept_back() const noexcept override { return kept_back_; }

  Hint identify(const RequestView& request, CryptoScratch& scratch, Clock::Wall now) const override {
    NoHint none;
    Opened first;  // nearly always the only token
    std::size_t first_place = 0;
    bool any = false;
    std::optional<Found> found;
    int looked_at = 0;
    for (const Field& field : request.fields) {
      if (field.known != Known::cookie) continue;
      for_each_cookie(field.value, [&](const CookiePair& pair) {
        const std::size_t place = names_.place_of(pair.name);
        if (place == CookieNames::most) return true;
        if (++looked_at > max_cookies) return false;
        const auto outcome = sealer_.open(pair.value, scratch);
        if (outcome.cause != Cause::none) {
          none.cause = outcome.cause;
          return true;
        }
        const Hint judged = judge_opened(outcome.binding, outcome.old_key, session_, now);
        const auto* opened = std::get_if<Opened>(&judged);
        if (opened == nullptr) {
          none = std::get<NoHint>(judged);
        } else if (!std::exchange(any, true)) {
          first = *opened;
          first_place = place;
        } else {
          if (!found) found.emplace().add(first, first_place);
          found->add(*opened, place);
        }
        return true;
      });
    }
    if (!any) return none;
    if (!found) {
      judge_age(first, now);
      return first;
    }
    for (std::size_t i = 0; i < found->count; ++i) judge_age(found->of[i], now);
    if (found->count == 1) return found->of[0];
    Several several;
    for (std::size_t i = 0; i < found->count; ++i) several.of[several.count++] = found->of[i];
    return several;
  }

  void conceal(const RequestView& request, RequestEdits& edits) const override {
    names_.conceal(request, edits);
  }

  void mark(const RequestView& request, const Served& served, const ResponseView& response,
            CryptoScratch& scratch, Clock::Wall now, ResponseEdits& edits) const override {
    // The backend's own cookie of this name replaces ours at the client.
    const bool must = served.changed || (!served.begun && names_.displaced(request, response));
    const bool should = served.begun || served.refresh || needs_refresh(served.binding, session_, now) ||
                        cookies_[0].renewed_by(response);
    // A cookie on a response that shared caches keep would be given to other users (azure-docs 60794).
    if (!must && (!should || response.shared_cacheable)) return;
    edits.make_private = true;
    Binding b = served.binding;
    b.last_seen = now;
    const TokenText token = sealer_.sealed(b, scratch);
    cookies_[names_.for_response(request, response)].set(request, {token.data(), token.size()}, edits);
  }

  void clear(const RequestView& request, ResponseEdits& edits) const override {
    edits.make_private = true;
    cookies_[names_.own(request)].clear(request, edits);
  }

 private:
  void judge_age(Opened& opened, Clock::Wall now) const noexcept {
    opened.aging = cookies_[0].wants_renewal(opened.binding, now);
    opened.ending = cookies_[0].needs_renewal(opened.binding, now);
  }

  static constexpr int max_cookies = 8;  // limit: opening one costs a decryption

  /// Several tokens, best first: living ones before expired ones, then the highest epoch, then the latest
  /// stamp. Tokens of other sessions follow, in case this session has ended.
  struct Found {
    std::array<Opened, Several::most> of;
    std::size_t count = 0, place = 0;

    static bool better(const Opened& a, const Opened& b) noexcept {
      const bool lives = a.expired == Cause::none, other_lives = b.expired == Cause::none;
      if (lives != other_lives) return lives;
      if (a.binding.epoch != b.binding.epoch) return a.binding.epoch > b.binding.epoch;
      return a.binding.last_seen > b.binding.last_seen;
    }
    void add(const Opened& a, std::size_t at) noexcept {
      if (count > 0 && at < place) return;  // earlier names belong to a proxy behind us
      if (count > 0 && at > place) count = 0;
      place = at;
      for (std::size_t i = 0; i < count; ++i)
        if (of[i].binding.id == a.binding.id) {  // the same session twice
          if (!better(a, of[i])) return;
          std::copy(of.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                    of.begin() + static_cast<std::ptrdiff_t>(count),
                    of.begin() + static_cast<std::ptrdiff_t>(i));
          --count;
          break;
        }
      std::size_t to = count;
      while (to > 0 && better(a, of[to - 1])) --to;
      if (to == of.size()) return;
      if (count < of.size()) ++count;
      for (std::size_t i = count - 1; i > to; --i) of[i] = of[i - 1];
      of[to] = a;
    }
  };

  const config::Session session_;
  const CookieNames names_;
  const bool kept_back_;
  std::vector<CookieWriter> cookies_;
  const TokenSealer sealer_;
};

std::shared_ptr<const Affinity> make(const AffinityInput& in) {
  return std::make_shared<CookieAffinity>(in, static_cast<const CookieSettings&>(in.settings));
}

}  // namespace

extern const AffinityKind cookie_affinity{"cookie", read, make};

}  // namespace remora

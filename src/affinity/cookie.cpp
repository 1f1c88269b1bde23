// Affinity by remora's own sealed cookie (RFC 6265): issued, so it needs no store and any replica with the
// same keys understands it.

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
        cookie_(settings.name, settings.attributes),
        sealer_(in.keys, in.pool.name, "cookie", cookie_.name()) {}

  std::string_view name() const noexcept override { return "cookie"; }
  Family family() const noexcept override { return Family::issued; }

  Hint identify(const RequestView& request, CryptoScratch& scratch, Clock::Wall now) const override {
    // Of several cookies with our name the living one with the highest epoch counts, then the latest stamp.
    NoHint none;
    Opened best;
    bool any = false;
    int looked_at = 0;
    const auto better = [&](const Opened& a) {
      const bool lives = a.expired == Cause::none, best_lives = best.expired == Cause::none;
      if (!any || lives != best_lives) return !any || lives;
      if (a.binding.epoch != best.binding.epoch) return a.binding.epoch > best.binding.epoch;
      return a.binding.last_seen > best.binding.last_seen;
    };
    for (const Field& field : request.fields) {
      if (field.known != Known::cookie) continue;
      for_each_cookie(field.value, [&](const CookiePair& pair) {
        if (pair.name != cookie_.name()) return true;
        if (++looked_at > most_cookies) return false;
        const auto outcome = sealer_.open(pair.value, scratch);
        if (outcome.cause != Cause::none) {
          none.cause = outcome.cause;
          return true;
        }
        const Hint judged = judge_opened(outcome.binding, outcome.old_key, session_, now);
        if (const auto* opened = std::get_if<Opened>(&judged)) {
          if (better(*opened)) best = *opened;
          any = true;
        } else {
          none = std::get<NoHint>(judged);
        }
        return true;
      });
    }
    if (!any) return none;
    best.aging = cookie_.wants_renewal(best.binding, now);
    best.ending = cookie_.needs_renewal(best.binding, now);
    return best;
  }

  void conceal(const RequestView&, RequestEdits& edits) const override { edits.drop_cookie(cookie_.name()); }

  void mark(const RequestView& request, const Served& served, const ResponseView& response,
            CryptoScratch& scratch, Clock::Wall now, ResponseEdits& edits) const override {
    const bool must = served.changed;
    const bool should = served.begun || served.refresh || needs_refresh(served.binding, session_, now) ||
                        cookie_.renewed_by(response);
    // A cookie on a response that shared caches keep would be given to other users (azure-docs 60794).
    if (!must && (!should || response.shared_cacheable)) return;
    edits.make_private = true;
    Binding b = served.binding;
    b.last_seen = now;
    cookie_.begin(edits.lines);
    sealer_.seal(b, scratch, edits.lines);
    cookie_.end(request, edits.lines);
  }

  void clear(const RequestView& request, ResponseEdits& edits) const override {
    edits.make_private = true;
    cookie_.clear(request, edits.lines);
  }

 private:
  static constexpr int most_cookies = 8;  // opening one costs a decryption

  const config::Session session_;
  const CookieWriter cookie_;
  const TokenSealer sealer_;
};

std::shared_ptr<const Affinity> make(const AffinityInput& in) {
  return std::make_shared<CookieAffinity>(in, static_cast<const CookieSettings&>(in.settings));
}

}  // namespace

extern const AffinityKind cookie_affinity{"cookie", read, make};

}  // namespace remora

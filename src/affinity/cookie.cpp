// Affinity by remora's own sealed cookie (RFC 6265): issued, so it needs no store and any replica with the
// same keys understands it.

#include "affinity/kinds.h"
#include "affinity/seal.h"
#include "util/cookies.h"

namespace remora {

namespace {

using config::SameSite;
using config::Secure;

class CookieAffinity final : public Affinity {
 public:
  explicit CookieAffinity(const AffinityInput& in)
      : config_(in.pool.affinity.cookie),
        session_(in.pool.session),
        sealer_(in.keys, in.pool.name, "cookie", config_.name) {
    attributes_ = "; Path=" + config_.path;
    if (!config_.domain.empty()) attributes_ += "; Domain=" + config_.domain;
    if (config_.http_only) attributes_ += "; HttpOnly";
    if (config_.same_site == SameSite::lax) attributes_ += "; SameSite=Lax";
    if (config_.same_site == SameSite::strict) attributes_ += "; SameSite=Strict";
    if (config_.same_site == SameSite::none) attributes_ += "; SameSite=None";
    if (config_.partitioned) attributes_ += "; Partitioned";
    if (config_.max_age) max_age_ = "; Max-Age=" + std::to_string(config_.max_age->count());
  }

  Hint identify(const RequestView& request, CryptoScratch& scratch, Clock::Wall now) const override {
    // Of several cookies with our name, the valid one with the highest epoch counts, then the latest stamp.
    NoHint none;
    Opened best;
    bool any = false;
    int looked_at = 0;
    for (const Field& field : request.fields) {
      if (field.known != Known::cookie) continue;
      for_each_cookie(field.value, [&](const CookiePair& pair) {
        if (pair.name != config_.name) return true;
        if (++looked_at > most_cookies) return false;
        const auto outcome = sealer_.open(pair.value, scratch);
        const Binding& b = outcome.binding;
        const Cause cause = outcome.cause != Cause::none ? outcome.cause : judge_lifetime(b, session_, now);
        if (cause != Cause::none) {
          none.cause = cause;
        } else if (!any || b.epoch > best.binding.epoch ||
                   (b.epoch == best.binding.epoch && b.last_seen > best.binding.last_seen)) {
          best = Opened{b, outcome.old_key};
          any = true;
        }
        return true;
      });
    }
    if (any) return best;
    return none;
  }

  void conceal(RequestEdits& edits) const override { edits.drop_cookie = config_.name; }
  bool issues() const noexcept override { return true; }

  void mark(const RequestView& request, const Served& served, const ResponseView& response,
            CryptoScratch& scratch, Clock::Wall now, ResponseEdits& edits) const override {
    const bool must = served.moved;
    const bool should = served.begun || served.old_key || needs_refresh(served.binding, session_, now);
    // A cookie on a response that shared caches keep would be given to other users (azure-docs 60794).
    if (!must && (!should || response.shared_cacheable)) return;
    if (response.shared_cacheable) edits.make_private = true;
    Binding b = served.binding;
    b.last_seen = now;
    edits.lines.append("Set-Cookie: ").append(config_.name).append("=");
    sealer_.seal(b, scratch, edits.lines);
    edits.lines.append(attributes_).append(max_age_);
    finish(request, edits);
  }

  void clear(const RequestView& request, ResponseEdits& edits) const override {
    edits.lines.append("Set-Cookie: ")
        .append(config_.name)
        .append("=")
        .append(attributes_)
        .append("; Max-Age=0");
    finish(request, edits);
  }

 private:
  static constexpr int most_cookies = 8;  // opening one costs a decryption

  void finish(const RequestView& request, ResponseEdits& edits) const {
    if (config_.secure == Secure::on || (config_.secure == Secure::auto_ && request.secure))
      edits.lines.append("; Secure");
    edits.lines.append("\r\n");
  }

  const config::CookieAffinity config_;
  const config::Session session_;
  const TokenSealer sealer_;
  std::string attributes_, max_age_;
};

}  // namespace

std::shared_ptr<const Affinity> make_cookie_affinity(const AffinityInput& in) {
  return std::make_shared<CookieAffinity>(in);
}

}  // namespace remora

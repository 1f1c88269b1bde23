// Tokens of the other pools in a request: a browser sends a cookie to every pool behind its host, and a URL
// may carry another pool's token. No backend may see them: it could use them at the pool that they are good
// for.
//
// Only what has the name and the form of a token is taken off, so that an app's own cookie of that name
// stays. Threading: immutable once made.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "remora/affinity_kind.h"

namespace remora {

class ForeignTokens {
 public:
  ForeignTokens() = default;
  /// What requests that `pools[own]` serves may carry of all the others.
  /// `keys`: what they cannot open is another proxy's, and stays; null: what has the form of a token goes.
  ForeignTokens(std::span<const config::Pool> pools, std::size_t own,
                std::shared_ptr<const KeyRing> keys = nullptr);

  /// Called after the kinds of the serving pool, whose edits it adds to.
  void conceal(const RequestView& request, RequestEdits& edits) const {
    if (!cookies_.empty()) conceal_cookies(request, edits);
    if (!parameters_.empty()) conceal_parameters(request, edits);
  }

 private:
  void conceal_cookies(const RequestView& request, RequestEdits& edits) const;
  void conceal_parameters(const RequestView& request, RequestEdits& edits) const;

  std::vector<std::string> cookies_;  // sorted
  std::shared_ptr<const KeyRing> keys_;
  std::vector<UrlSecret> parameters_;
};

}  // namespace remora

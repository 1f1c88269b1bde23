// Hides the tokens of other pools in a request. A browser sends a cookie to every pool behind its host, as an
// app's client may send its header, and a URL may carry another pool's token. No backend may see them,
// because it could use them at the pool that they are valid for.
//
// Only values with the name and the form of a token are removed, so that an app's own cookie of that name
// stays.
// Threading: immutable once made.
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
  /// Covers the tokens of all pools except `pools[own]`, which serves the request. `keys`: a cookie or header
  /// that they cannot open belongs to another proxy and stays; null: every value with the form of a token is
  /// removed.
  ForeignTokens(std::span<const config::Pool> pools, std::size_t own,
                std::shared_ptr<const KeyRing> keys = nullptr);

  /// Call it after the kinds of the serving pool; it adds to their edits.
  void conceal(const RequestView& request, RequestEdits& edits) const {
    if (!cookies_.empty()) conceal_cookies(request, edits);
    if (!parameters_.empty()) conceal_parameters(request, edits);
    if (!fields_.empty()) conceal_fields(request, edits);
  }

 private:
  void conceal_cookies(const RequestView& request, RequestEdits& edits) const;
  void conceal_parameters(const RequestView& request, RequestEdits& edits) const;
  void conceal_fields(const RequestView& request, RequestEdits& edits) const;
  /// A token that is not certainly another proxy's.
  bool may_be_ours(std::string_view value) const noexcept;

  std::vector<std::string> cookies_;  // sorted
  std::shared_ptr<const KeyRing> keys_;
  std::vector<UrlSecret> parameters_;
  std::vector<std::string> fields_;
};

}  // namespace remora

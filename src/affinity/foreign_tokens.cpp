#include "affinity/foreign_tokens.h"

#include <algorithm>

#include "affinity/cookie_names.h"
#include "affinity/seal.h"
#include "affinity/url_token.h"
#include "util/cookies.h"
#include "util/field_name.h"

namespace remora {

ForeignTokens::ForeignTokens(std::span<const config::Pool> pools, std::size_t own,
                             std::shared_ptr<const KeyRing> keys)
    : keys_(std::move(keys)) {
  for (std::size_t i = 0; i < pools.size(); ++i) {
    if (i == own) continue;
    for (const config::Affinity& a : pools[i].affinity) {
      if (!a.settings->own_cookie.empty()) {
        const CookieNames names(a.settings->own_cookie, nullptr);
        for (std::size_t n = 0; n < CookieNames::most; ++n) cookies_.push_back(names[n]);
      }
      if (!a.settings->token_field.empty()) fields_.push_back(a.settings->token_field);
      for (const UrlSecret& p : a.settings->own_parameters)
        if (std::find(parameters_.begin(), parameters_.end(), p) == parameters_.end())
          parameters_.push_back(p);
    }
  }
  std::sort(cookies_.begin(), cookies_.end());
  cookies_.erase(std::unique(cookies_.begin(), cookies_.end()), cookies_.end());
}

bool ForeignTokens::may_be_ours(std::string_view value) const noexcept {
  if (value.size() != token_text_size || !has_token_form(value)) return false;
  return keys_ == nullptr || keys_->could_open(value);
}

void ForeignTokens::conceal_fields(const RequestView& request, RequestEdits& edits) const {
  for (std::size_t i = 0; i < request.fields.size(); ++i) {
    const Field& f = request.fields[i];
    if (!may_be_ours(f.value)) continue;
    for (const std::string& name : fields_)
      if (same_to_apps(f.name, name)) edits.drop_field(i);
  }
}

void ForeignTokens::conceal_cookies(const RequestView& request, RequestEdits& edits) const {
  for (const Field& field : request.fields) {
    if (field.known != Known::cookie || field.value.size() <= token_text_size) continue;
    for_each_cookie(field.value, [&](const CookiePair& pair) {
      if (!may_be_ours(pair.value)) return true;
      if (std::binary_search(cookies_.begin(), cookies_.end(), pair.name)) edits.drop_cookie(pair.whole);
      return true;
    });
  }
}

void ForeignTokens::conceal_parameters(const RequestView& request, RequestEdits& edits) const {
  const std::string_view target = edits.target.empty() ? request.target : edits.target;
  if (target.size() > token_text_size)
    if (const auto clean = without_url_tokens(target, parameters_, edits.arena);
        clean.size() != target.size())
      edits.target = clean;
  for (std::size_t i = 0; i < request.fields.size(); ++i) {
    if (request.fields[i].known != Known::referer) continue;
    const std::string_view url = edited(edits.fields, i, request.fields[i]).value;
    if (url.size() <= token_text_size) continue;
    const auto clean = without_url_tokens(url, parameters_, edits.arena);
    if (clean.size() != url.size()) edits.edit_field(i, clean);
  }
}

}  // namespace remora

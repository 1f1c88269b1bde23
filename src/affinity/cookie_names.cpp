#include "affinity/cookie_names.h"

#include "util/cookies.h"
#include "util/text.h"

namespace remora {

CookieNames::CookieNames(const std::string& name, std::shared_ptr<const KeyRing> keys)
    : keys_(std::move(keys)) {
  names_[0] = name;
  for (std::size_t i = 1; i < most; ++i) names_[i] = name + "~" + std::to_string(i + 1);
}

std::size_t CookieNames::place_of(std::string_view name) const noexcept {
  const std::string& base = names_[0];
  if (name.size() < base.size() || name.substr(0, base.size()) != base) return most;
  for (std::size_t i = 0; i < most; ++i)
    if (name == names_[i]) return i;
  return most;
}

bool CookieNames::is_anothers(std::string_view value) const noexcept {
  return has_token_form(value) && !keys_->could_open(value);
}

CookieNames::Seen CookieNames::look(const RequestView& request) const noexcept {
  Seen seen;
  for (const Field& field : request.fields) {
    if (field.known != Known::cookie) continue;
    for_each_cookie(field.value, [&](const CookiePair& pair) {
      const std::size_t place = place_of(pair.name);
      if (place == most) return true;
      if (keys_->could_open(pair.value))
        seen.ours[place] = true;
      else if (has_token_form(pair.value))
        seen.others[place] = true;
      return true;
    });
  }
  return seen;
}

std::size_t CookieNames::choose(const Seen& seen) noexcept {
  for (std::size_t i = most; i > 0; --i)
    if (seen.ours[i - 1]) return i - 1;
  for (std::size_t i = 0; i < most; ++i)
    if (!seen.others[i]) return i;
  return most - 1;
}

std::size_t CookieNames::own(const RequestView& request) const noexcept {
  return choose(look(request));
}

std::size_t CookieNames::for_response(const RequestView& request,
                                      const ResponseView& response) const noexcept {
  const Seen seen = look(request);
  std::size_t place = choose(seen);
  bool taken[most] = {};
  for (const Field& f : response.fields) {
    if (f.known != Known::set_cookie) continue;
    const std::size_t at = place_of(trim(f.value.substr(0, f.value.find('='))));
    if (at != most) taken[at] = true;
  }
  while (place + 1 < most && (taken[place] || (seen.others[place] && !seen.ours[place]))) ++place;
  return place;
}

bool CookieNames::displaced(const RequestView& request, const ResponseView& response) const noexcept {
  for (const Field& f : response.fields)
    if (f.known == Known::set_cookie && place_of(trim(f.value.substr(0, f.value.find('=')))) != most)
      return for_response(request, response) != own(request);
  return false;
}

void CookieNames::conceal(const RequestView& request, RequestEdits& edits) const {
  const Seen seen = look(request);
  const std::size_t place = choose(seen);
  if (!seen.others[place]) return edits.drop_cookie(names_[place]);
  // There are cookies of one name for several paths or domains: hide only ours.
  for (const Field& field : request.fields) {
    if (field.known != Known::cookie) continue;
    for_each_cookie(field.value, [&](const CookiePair& pair) {
      if (pair.name == names_[place] && !is_anothers(pair.value)) edits.drop_cookie(pair.whole);
      return true;
    });
  }
}

}  // namespace remora

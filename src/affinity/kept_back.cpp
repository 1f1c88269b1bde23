#include "affinity/kept_back.h"

#include <algorithm>

#include "util/text.h"

namespace remora {

namespace {

/// The host of an authority, without port.
std::string_view host_of(std::string_view authority) noexcept {
  if (!authority.empty() && authority.front() == '[')
    return authority.substr(0, std::min(authority.find(']'), authority.size() - 1) + 1);
  authority = authority.substr(0, authority.find(':'));
  if (!authority.empty() && authority.back() == '.') authority.remove_suffix(1);
  return authority;
}

/// The last two labels of a name, or a whole address.
std::string_view family_of(std::string_view host) noexcept {
  const auto last = host.rfind('.');
  if (last == std::string_view::npos || last == 0) return host;
  if (host.back() >= '0' && host.back() <= '9') return host;  // no host name ends in a digit (RFC 3696 2)
  const auto before = host.rfind('.', last - 1);
  return before == std::string_view::npos ? host : host.substr(before + 1);
}

/// Without a list of public suffixes, this takes some foreign sites for ours (a.co.uk, b.co.uk), but none of
/// ours for foreign. For the foreign sites that it misses, nothing is protected.
bool is_foreign(std::string_view origin, std::string_view host) noexcept {
  const auto scheme = origin.find("://");
  if (scheme == std::string_view::npos) return true;  // "null": a sandbox, or a redirect across sites
  origin.remove_prefix(scheme + 3);
  origin = origin.substr(0, origin.find_first_of("/?#\\"));     // a Referer has a path
  if (origin.find('@') != std::string_view::npos) return true;  // browsers send no user information
  const std::string_view from = family_of(host_of(origin));
  return !iequals(from, family_of(host_of(host)));
}

}  // namespace

bool posted_by_another_site(const RequestView& request) noexcept {
  switch (request.method) {
    case Method::get:
    case Method::head:
    case Method::options:
    case Method::trace:
      return false;
    default:
      break;
  }
  const Field* origin = nullptr;
  bool says_site = false;
  for (const Field& f : request.fields) {
    if (f.known != Known::other) continue;
    if (iequals(f.name, "sec-fetch-site")) {
      if (iequals(trim(f.value), "cross-site")) return true;
      says_site = true;
    } else if (iequals(f.name, "origin")) {
      origin = &f;
    }
  }
  return !says_site && origin != nullptr && is_foreign(trim(origin->value), request.host);
}

bool may_be_led_by_another(const RequestView& request) noexcept {
  if (request.preflight) return true;
  bool says_site = false, says_origin = false, foreign_origin = false, foreign_referer = false;
  for (const Field& f : request.fields) {
    if (f.known == Known::referer) {
      const std::string_view page = trim(f.value);
      foreign_referer = foreign_referer || (!page.empty() && is_foreign(page, request.host));
    } else if (f.known != Known::other) {
      continue;
    } else if (iequals(f.name, "sec-fetch-site")) {
      if (!iequals(trim(f.value), "same-origin")) return true;
      says_site = true;
    } else if (iequals(f.name, "origin")) {
      foreign_origin = foreign_origin || is_foreign(trim(f.value), request.host);
      says_origin = true;
    }
  }
  if (says_site) return false;
  return says_origin ? foreign_origin : foreign_referer;
}

}  // namespace remora

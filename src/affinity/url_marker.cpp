#include "affinity/url_marker.h"

#include "affinity/refresh_url.h"

#include <utility>

namespace remora {

using config::UrlStyle;
using Form = UrlReference::Form;

UrlMarker::UrlMarker(const RequestView& request, std::string_view document, UrlStyle style,
                     std::string_view name, std::string token)
    : secure_(request.secure),
      host_(request.host),
      document_(document),
      base_path_(document.substr(0, document.find('?'))),
      scope_(request.scope),
      style_(style),
      name_(name),
      token_(std::move(token)) {}

std::optional<UrlMarker::Edit> UrlMarker::edit(std::string_view reference) {
  const UrlReference r = classify_reference(reference, {secure_, host_});
  if (r.kind == UrlReference::Kind::elsewhere || r.form == Form::same_document) return std::nullopt;
  const bool absolute = r.form == Form::absolute;
  if ((!absolute && !relative_is_ours_) || !leads_here(r)) return std::nullopt;
  Edit e;
  if (const UrlParameter old = find_url_parameter(reference, style_, name_)) {
    e = {static_cast<std::size_t>(old.value.data() - reference.data()), old.value.size(), token_};
  } else if (style_ == UrlStyle::path && r.form == Form::query_only) {
    if (!may_write(base_path_)) return std::nullopt;
    e.text = base_path_ + ";" + name_ + "=" + token_;  // only the document's path can carry it
  } else {
    const UrlPlace place = place_for_parameter(reference, style_);
    e.at = place.at;
    // "http://h" has no path yet. ".." with a parameter appended would no longer mean the parent.
    const bool needs_slash =
        (absolute && r.path == "/" && reference[place.at - 1] != '/') || ends_in_dots(r.path);
    if (style_ == UrlStyle::path && needs_slash) e.text = "/";
    e.text.append(place.separator).append(name_).append("=").append(token_);
  }
  marked_relative_ = marked_relative_ || !absolute;
  return e;
}

std::optional<UrlMarker::Edit> UrlMarker::edit_refresh(std::string_view content) {
  const auto url = find_refresh_url(content);
  if (!url) return std::nullopt;
  const bool marked_before = marked_relative_;
  std::optional<Edit> e;
  if (url->size > 0) {
    e = edit(content.substr(url->at, url->size));
    if (e) e->at += url->at;
  } else if (relative_is_ours_) {
    if (const auto target = own_target())
      e = Edit{url->time_end, content.size() - url->time_end, ";url=" + *target};
  }
  marked_relative_ = marked_before;  // a refresh is resolved where it stands: a later base does not count
  // A quote in the document's own path would end the URL early.
  if (e && url->size > 0 && url->quote != 0 && e->text.find(url->quote) != std::string::npos)
    return std::nullopt;
  return e;
}

bool UrlMarker::append(std::string_view reference, std::string& out) {
  const auto e = edit(reference);
  if (!e) {
    out.append(reference);
    return false;
  }
  out.append(reference.substr(0, e->at)).append(e->text).append(reference.substr(e->at + e->erase));
  return true;
}

bool UrlMarker::rebase(std::string_view reference, bool certain) {
  if (base_is_certain_) return true;
  base_is_certain_ = certain;
  const UrlReference r = classify_reference(reference, {secure_, host_});
  if (r.kind == UrlReference::Kind::elsewhere) {
    relative_is_ours_ = marked_relative_;
    return !marked_relative_;
  }
  if (std::exchange(rebased_, true)) return true;
  if (r.form == Form::absolute || r.form == Form::rooted)
    base_path_ = r.path;
  else if (r.form == Form::relative)
    base_path_.replace(base_path_.rfind('/') + 1, std::string::npos, r.path);
  directory_.reset();
  base_leads_here_.reset();
  return true;
}

bool UrlMarker::leaves(std::string_view reference) const noexcept {
  const UrlReference r = classify_reference(reference, {secure_, host_});
  return r.kind == UrlReference::Kind::elsewhere || (!relative_is_ours_ && r.form != Form::absolute);
}

/// A path that begins with `//` is read as a host when used as a reference. For the server that received it,
/// `//evil.example/..;/login` is a path; for a browser that reads it in a page or a Location, it is another
/// origin.
bool UrlMarker::may_write(std::string_view own_path) noexcept {
  if (own_path.empty() || own_path.front() != '/' || begins_with_host(own_path)) return false;
  if (own_path.size() <= short_path) return true;
  long_paths_ += own_path.size();
  return long_paths_ <= max_long_paths;
}

std::optional<std::string> UrlMarker::own_target() {
  if (!may_write(document_)) return std::nullopt;
  std::string out = document_;
  const UrlPlace place = place_for_parameter(out, style_);
  out.insert(place.at, std::string(place.separator) + name_ + "=" + token_);
  marked_relative_ = true;
  return out;
}

// Does it lead to the pool that serves the document? ------------------------------------------------

bool UrlMarker::leads_here(const UrlReference& r) {
  if (scope_ == nullptr) return true;
  switch (r.form) {
    case Form::relative:
      return relative_leads_here(r.path);
    case Form::query_only:
      if (!base_leads_here_) base_leads_here_ = scope_->leads_here(base_path_);
      return *base_leads_here_;
    default:
      return scope_->leads_here(r.path);
  }
}

void UrlMarker::learn_directory() {
  directory_ = scope_->as_routed(std::string_view(base_path_).substr(0, base_path_.rfind('/') + 1));
  directory_leads_here_.reset();
  ends_.clear();
  for (std::size_t i = 0; i < directory_->size(); ++i)
    if ((*directory_)[i] == '/') ends_.push_back(i + 1);
}

/// Its cost depends on the length of the reference, not on that of the document's path: the directory is
/// normalized once, and skipped where routes do not look.
bool UrlMarker::relative_leads_here(std::string_view path) {
  if (!directory_) learn_directory();
  std::size_t kept = ends_.size();  // segments of the directory that no `..` has removed
  std::string rest;
  while (!path.empty()) {
    const auto slash = path.find('/');
    const std::string_view segment = path.substr(0, slash);
    const int up = dots(segment);
    if (up == 0) {
      rest.append(path.substr(0, slash == std::string_view::npos ? slash : slash + 1));
    } else if (up == 2 && !rest.empty()) {
      rest.pop_back();  // its slash
      rest.resize(rest.rfind('/') + 1);
    } else if (up == 2 && kept > 1) {
      --kept;
    }
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
  }
  const std::size_t length = kept == 0 ? directory_->size() : ends_[kept - 1];
  if (length <= scope_->deciding_bytes())
    return scope_->leads_here(std::string(*directory_, 0, length).append(rest));
  if (!directory_leads_here_) directory_leads_here_ = scope_->leads_here(*directory_);
  return *directory_leads_here_;
}

}  // namespace remora

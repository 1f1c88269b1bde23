#include "affinity/page_request.h"

#include <algorithm>
#include <array>

#include "util/text.h"

namespace remora {

namespace {

/// Destinations (Fetch standard 2.2.5) that show no page. `empty` is not among them: a script's fetch may put
/// HTML on its page.
constexpr std::array<std::string_view, 19> no_pages{
    "audio",        "audioworklet", "dictionary", "font",          "image",        "json",  "manifest",
    "paintworklet", "report",       "script",     "serviceworker", "sharedworker", "style", "text",
    "track",        "webidentity",  "video",      "worker",        "xslt"};

/// Extensions of files that are no pages. Media, documents and archives are requested in ranges.
constexpr std::array<std::string_view, 92> extensions{
    "7z",   "aac",  "ai",   "aif",  "apk",  "appx",  "avi",  "avif", "bin",  "bmp", "br",  "bz2",
    "cab",  "csv",  "css",  "cur",  "deb",  "dmg",   "doc",  "docx", "ear",  "eot", "eps", "epub",
    "exe",  "f4v",  "flac", "flv",  "gif",  "glb",   "gz",   "heic", "ico",  "img", "ipa", "iso",
    "jar",  "jpeg", "jpg",  "js",   "json", "m3u8",  "m4a",  "m4s",  "m4v",  "map", "mid", "mjs",
    "mkv",  "mov",  "mp3",  "mp4",  "mpd",  "mpeg",  "mpg",  "msi",  "odp",  "ods", "odt", "oga",
    "ogg",  "ogv",  "opus", "otf",  "pdf",  "pkg",   "png",  "ppt",  "pptx", "ps",  "rar", "rpm",
    "rtf",  "svg",  "swf",  "tar",  "tgz",  "tif",   "tiff", "ts",   "ttf",  "txt", "vtt", "war",
    "wasm", "wav",  "webm", "webp", "woff", "woff2", "xlsx", "zip"};

bool named_as_file(std::string_view target) noexcept {
  std::string_view path = target.substr(0, target.find('?'));
  path.remove_prefix(path.rfind('/') + 1);  // npos + 1 is 0
  path = path.substr(0, path.find(';'));
  const auto dot = path.rfind('.');
  if (dot == std::string_view::npos || path.size() - dot > 6) return false;
  const std::string_view extension = path.substr(dot + 1);
  return std::any_of(extensions.begin(), extensions.end(),
                     [&](std::string_view e) { return iequals(e, extension); });
}

/// False for `Accept: image/*`, for example. Without the field, a client accepts everything.
bool accepts_html(std::string_view accept) noexcept {
  bool yes = false;
  for_each_token(accept, [&](std::string_view range) {
    const auto type = trim(range.substr(0, range.find(';')));
    yes = iequals(type, "text/html") || iequals(type, "text/*") || type == "*/*" || type == "*" ||
          iequals(type, "application/xhtml+xml");
    return !yes;
  });
  return yes;
}

}  // namespace

bool may_ask_for_page(const RequestView& request) noexcept {
  bool accept = false, html = false;
  for (const Field& f : request.fields) {
    if (f.known == Known::accept) {
      accept = true;
      html = html || accepts_html(f.value);
    }
    if (f.name.size() == 14 && iequals(f.name, "sec-fetch-dest") &&
        std::any_of(no_pages.begin(), no_pages.end(),
                    [&](std::string_view d) { return iequals(d, f.value); }))
      return false;
  }
  return (!accept || html) && !named_as_file(request.target);
}

}  // namespace remora

// Affinity by remora's own sealed token in URLs, for clients without cookies: an issued kind.
//
// The token is removed from the request target and Referer before the backend sees them, and put on those
// URLs of the response that lead back to the same origin and pool.

#include "affinity/html_rewriter.h"
#include "affinity/kinds.h"
#include "affinity/page_request.h"
#include "affinity/seal.h"
#include "util/directives.h"
#include "util/text.h"

namespace remora {

namespace {

struct UrlRewriteSettings final : AffinitySettings {
  config::UrlStyle style = config::UrlStyle::path;
  std::string name;
  bool location = true, html = false;  // what is rewritten
};

std::shared_ptr<const AffinitySettings> read(Settings& settings, std::string_view) {
  auto out = std::make_shared<UrlRewriteSettings>();
  settings.choice("style", out->style,
                  {{"path", config::UrlStyle::path}, {"query", config::UrlStyle::query}});
  out->name = read_parameter_name(settings, "name", "rsid");
  if (out->name.empty()) settings.bad("name", "needs the name of a URL parameter");
  if (const auto rewrite = settings.texts("rewrite")) {
    out->location = out->html = false;
    for (const std::string& word : *rewrite) {
      out->location = out->location || word == "location";
      out->html = out->html || word == "html";
      if (word != "location" && word != "html")
        settings.bad("rewrite", "'" + word + "' is none of location | html");
    }
    if (rewrite->empty()) settings.bad("rewrite", "needs location, html or both: else no URL gets a token");
  }
  out->seals = true;
  out->url_secrets = out->own_parameters = {{out->style, out->name}};
  return out;
}

class UrlRewriteAffinity final : public Affinity {
 public:
  UrlRewriteAffinity(const AffinityInput& in, const UrlRewriteSettings& settings)
      : settings_(settings),
        session_(in.pool.session),
        sealer_(in.keys, in.pool.name, "url_rewrite", settings_.name) {}

  std::string_view name() const noexcept override { return "url_rewrite"; }
  Family family() const noexcept override { return Family::issued; }
  bool is_in_urls() const noexcept override { return true; }

  Hint identify(const RequestView& request, CryptoScratch& scratch, Clock::Wall now) const override {
    const UrlParameter p =
        find_url_parameter(request.target, settings_.style, settings_.name, UrlForm::target);
    if (!p) return NoHint{};
    const auto outcome = sealer_.open(p.value, scratch);
    if (outcome.cause != Cause::none) return NoHint{outcome.cause};
    return judge_opened(outcome.binding, outcome.old_key, session_, now);
  }

  void conceal(const RequestView& request, RequestEdits& edits) const override {
    const auto bare = [&](std::string_view url) {
      return without_url_parameter(url, settings_.style, settings_.name, edits.arena);
    };
    const std::string_view target = edits.target.empty() ? request.target : edits.target;
    if (const auto clean = bare(target); clean.size() != target.size()) edits.target = clean;
    for (std::size_t i = 0; i < request.fields.size(); ++i) {
      const Field& f = request.fields[i];
      if (f.known != Known::referer) continue;
      if (const auto clean = bare(f.value); clean.size() != f.value.size()) edits.edit_field(i, clean);
    }
    edits.identity_coding = edits.identity_coding || (settings_.html && may_ask_for_page(request));
  }

  void mark(const RequestView& request, const Served& served, const ResponseView& response,
            CryptoScratch& scratch, Clock::Wall now, ResponseEdits& edits) const override {
    if (served.came_by_cookie) return;  // URLs stay clean then
    const bool html = settings_.html && rewritable_page(request, response);
    if (!html && !has_links(response)) return;
    const std::string_view document =
        without_url_parameter(request.target, settings_.style, settings_.name, edits.arena);
    UrlMarker marker(request, document, settings_.style, settings_.name,
                     token_for(request, served, scratch, now));
    bool marked = html;
    if (settings_.location)
      for (std::size_t i = 0; i < response.fields.size(); ++i)
        marked = mark_field(marker, response.fields[i], i, edits) || marked;
    if (!marked) return;
    edits.make_private = true;
    keep_referrer_inside(response, edits);
    if (!html) return;
    edits.other_body = true;
    for (std::size_t i = 0; i < response.fields.size(); ++i) {  // pages differ by client: weak ETags
      const Field& f = response.fields[i];
      if (iequals(f.name, "etag") && !istarts_with(f.value, "w/"))
        edits.fields.push_back({i, edits.arena.join("W/", f.value)});
    }
    marker.begin_document();
    if (response.has_body) edits.body = std::make_unique<HtmlRewriter>(std::move(marker));
  }

 private:
  static bool carries_links(Known k) noexcept {
    return k == Known::location || k == Known::content_location || k == Known::refresh || k == Known::link;
  }
  bool has_links(const ResponseView& response) const noexcept {
    if (!settings_.location) return false;
    for (const Field& f : response.fields)
      if (carries_links(f.known)) return true;
    return false;
  }

  static bool forbids_changes(std::string_view cache_control) noexcept {
    bool forbids = false;
    for_each_directive(cache_control,
                       [&](const Directive& d) { forbids = forbids || iequals(d.name, "no-transform"); });
    return forbids;
  }

  /// An HTML page that is complete, not compressed, in an encoding based on ASCII, and may be changed (RFC
  /// 9110 7.7).
  static bool rewritable_page(const RequestView& request, const ResponseView& response) noexcept {
    if (response.status == 206 || response.status == 304 || request.method == Method::connect) return false;
    bool html = false;
    for (const Field& f : response.fields) {
      if (f.known == Known::content_encoding && !iequals(f.value, "identity")) return false;
      if (f.known == Known::cache_control && forbids_changes(f.value)) return false;
      if (f.known != Known::content_type) continue;
      html = iequals(trim(f.value.substr(0, f.value.find(';'))), "text/html");
      for (std::size_t at = 0; at + 6 <= f.value.size(); ++at)
        if (iequals(f.value.substr(at, 6), "utf-16") || iequals(f.value.substr(at, 6), "utf-32"))
          return false;
    }
    return html;
  }

  /// The client's own token while it is up to date, so that its URLs stay the same; else a new one.
  std::string token_for(const RequestView& request, const Served& served, CryptoScratch& scratch,
                        Clock::Wall now) const {
    const UrlParameter p =
        find_url_parameter(request.target, settings_.style, settings_.name, UrlForm::target);
    const bool fresh =
        served.begun || served.changed || served.refresh || needs_refresh(served.binding, session_, now);
    if (p && !fresh) return std::string(p.value);
    Binding b = served.binding;
    b.last_seen = now;
    std::string token;
    sealer_.seal(b, scratch, token);
    return token;
  }

  static bool mark_field(UrlMarker& marker, const Field& f, std::size_t index, ResponseEdits& edits) {
    if (!carries_links(f.known)) return false;
    std::string value;
    bool marked = false;
    if (f.known == Known::link) {
      marked = mark_link(marker, f.value, value);
    } else {
      const std::string_view text = trim(f.value);
      const auto edit = f.known == Known::refresh ? marker.edit_refresh(text) : marker.edit(text);
      if (edit)
        value.append(text.substr(0, edit->at)).append(edit->text).append(text.substr(edit->at + edit->erase));
      marked = edit.has_value();
    }
    if (marked) edits.fields.push_back({index, edits.arena.join(value)});
    return marked;
  }

  /// Link: <URL>; rel=next, <URL>... (RFC 8288 3). A '<' inside a quoted parameter begins no URL.
  static bool mark_link(UrlMarker& marker, std::string_view field, std::string& out) {
    bool marked = false, quoted = false, more = true;  // more: there may be another '>'
    for (std::size_t i = 0; i < field.size(); ++i) {
      const char c = field[i];
      out += c;
      if (quoted && c == '\\' && i + 1 < field.size()) {
        out += field[++i];
      } else if (c == '"') {
        quoted = !quoted;
      } else if (c == '<' && !quoted && more) {
        const auto close = field.find('>', i);
        more = close != std::string_view::npos;
        if (!more) continue;
        marked = marker.append(field.substr(i + 1, close - i - 1), out) || marked;
        i = close - 1;
      }
    }
    return marked;
  }

  const UrlRewriteSettings settings_;
  const config::Session session_;
  const TokenSealer sealer_;
};

std::shared_ptr<const Affinity> make(const AffinityInput& in) {
  return std::make_shared<UrlRewriteAffinity>(in, static_cast<const UrlRewriteSettings&>(in.settings));
}

}  // namespace

extern const AffinityKind url_rewrite_affinity{"url_rewrite", read, make};

}  // namespace remora

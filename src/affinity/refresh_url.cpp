#include "affinity/refresh_url.h"

#include "affinity/html_text.h"

namespace remora {

namespace {

class Reader {
 public:
  explicit Reader(std::string_view text) noexcept : text_(text) {}
  std::size_t at() const noexcept { return at_; }
  bool ended() const noexcept { return at_ == text_.size(); }
  char next() const noexcept { return ended() ? '\0' : lower(text_[at_]); }
  bool take(char c) noexcept {
    const bool here = !ended() && next() == c;
    at_ += here ? 1 : 0;
    return here;
  }
  template <class Is>
  void skip(Is is) noexcept {
    while (!ended() && is(text_[at_])) ++at_;
  }
  void skip_spaces() noexcept { skip(html_space); }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

bool digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

/// Where the URL begins: behind `url =`. An incomplete `url =` is part of the URL.
std::size_t skip_name(Reader& in) noexcept {
  const std::size_t begin = in.at();
  if (!in.take('u') || !in.take('r') || !in.take('l')) return begin;
  in.skip_spaces();
  if (!in.take('=')) return begin;
  in.skip_spaces();
  return in.at();
}

}  // namespace

std::optional<RefreshUrl> find_refresh_url(std::string_view content) noexcept {
  Reader in(content);
  in.skip_spaces();
  const std::size_t time = in.at();
  in.skip(digit);
  if (in.at() == time && in.next() != '.') return std::nullopt;
  in.skip([](char c) { return digit(c) || c == '.'; });

  RefreshUrl out;
  out.time_end = in.at();
  if (!in.ended() && in.next() != ';' && in.next() != ',' && !html_space(in.next())) return std::nullopt;
  in.skip_spaces();
  if (!in.take(';')) in.take(',');
  in.skip_spaces();

  std::string_view url = content.substr(skip_name(in));
  if (!url.empty() && (url.front() == '"' || url.front() == '\'')) {
    out.quote = url.front();
    url.remove_prefix(1);
    url = url.substr(0, url.find(out.quote));
  }
  const std::string_view bare = html_trim(url);
  out.at = static_cast<std::size_t>(bare.data() - content.data());
  out.size = bare.size();
  return out;
}

}  // namespace remora

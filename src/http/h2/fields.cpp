#include "http/h2/fields.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "http/h1/grammar.h"
#include "util/text.h"

namespace remora {

namespace {

constexpr std::size_t field_overhead = 32;  // RFC 9113 10.5.1
constexpr std::size_t bomb_factor = 4;

bool is_odd(std::string_view name) noexcept {
  return !std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || (c >= 'A' && c <= 'Z');
  });
}

Pseudo pseudo_of(std::string_view name) noexcept {
  if (name == ":method") return Pseudo::method;
  if (name == ":scheme") return Pseudo::scheme;
  if (name == ":authority") return Pseudo::authority;
  if (name == ":path") return Pseudo::path;
  if (name == ":protocol") return Pseudo::protocol;
  if (name == ":status") return Pseudo::status;
  return Pseudo::count_;
}

}  // namespace

// HeadBlock -----------------------------------------------------------------------------------------

const HeadBlock::Prefix& HeadBlock::prefix() const noexcept {
  static const Prefix none;
  return block_ ? *reinterpret_cast<const Prefix*>(block_.data()) : none;
}

const HeadBlock::Entry* HeadBlock::entries() const noexcept {
  return reinterpret_cast<const Entry*>(block_.data() + sizeof(Prefix));
}

std::string_view HeadBlock::pseudo(Pseudo which) const noexcept {
  const Prefix& at = prefix();
  const auto i = static_cast<std::size_t>(which);
  if (at.pseudo_size[i] == 0) return {};
  return {block_.data() + sizeof(Prefix) + at.fields * sizeof(Entry) + at.pseudo_at[i], at.pseudo_size[i]};
}

StreamPriority HeadBlock::priority() const noexcept {
  return prefix().priority;
}

void HeadBlock::read(std::vector<Field>& out) const {
  out.clear();
  const Prefix& at = prefix();
  if (at.fields == 0) return;
  const char* text = block_.data() + sizeof(Prefix) + at.fields * sizeof(Entry) + at.text;
  for (const Entry *e = entries(), *end = e + at.fields; e != end; ++e) {
    out.push_back({{text, e->name}, {text + e->name + 2, e->value}, e->known, true, e->odd_name});
    text += e->name + e->value + 4;
  }
}

// HeadCollector -------------------------------------------------------------------------------------

void HeadCollector::begin(std::size_t header_bytes, std::size_t headers) noexcept {
  prefix_ = {};
  entries_.clear();
  pseudo_text_.clear();
  text_.clear();
  cookie_.clear();
  size_ = 0;
  max_size_ = header_bytes;
  max_fields_ = headers;
  oversized_ = has_cookie_ = false;
}

bool HeadCollector::add(std::string_view name, std::string_view value) {
  size_ += name.size() + value.size() + field_overhead;
  if (size_ > max_size_) oversized_ = true;
  if (oversized_) return size_ <= bomb_factor * max_size_;
  if (name.front() == ':') {
    add_pseudo(name, value);
    return true;
  }
  const Known known = known_field(name);
  if (known == Known::cookie) {
    has_cookie_ = true;
    // An empty crumb would leave a blank at the end, which no field of HTTP/1 has.
    if (!cookie_.empty() && !value.empty()) cookie_ += "; ";
    cookie_ += value;
    return true;
  }
  if (entries_.size() == max_fields_) {
    oversized_ = true;
    return true;
  }
  if (name == "priority") prefix_.priority = read_priority(value);
  add_line(name, value, known);
  return true;
}

void HeadCollector::add_line(std::string_view name, std::string_view value, Known known) {
  HeadBlock::Entry& e = entries_.emplace_back();
  e.name = static_cast<std::uint32_t>(name.size());
  e.value = static_cast<std::uint32_t>(value.size());
  e.known = known;
  e.odd_name = known == Known::other && is_odd(name);
  const std::size_t at = text_.size();
  text_.resize(at + name.size() + value.size() + 4);
  char* to = std::copy(name.begin(), name.end(), text_.data() + at);
  *to++ = ':';
  *to++ = ' ';
  to = std::copy(value.begin(), value.end(), to);
  *to++ = '\r';
  *to = '\n';
}

void HeadCollector::add_pseudo(std::string_view name, std::string_view value) {
  const Pseudo which = pseudo_of(name);
  if (which == Pseudo::count_) return;
  const auto i = static_cast<std::size_t>(which);
  prefix_.pseudo_at[i] = static_cast<std::uint32_t>(pseudo_text_.size());
  prefix_.pseudo_size[i] = static_cast<std::uint32_t>(value.size());
  pseudo_text_ += value;
}

/// A response to HEAD has no body, also one that refuses the head.
void HeadCollector::drop_all_but_method() {
  constexpr auto method = static_cast<std::size_t>(Pseudo::method);
  constexpr std::size_t longest = 32;
  const std::size_t size = prefix_.pseudo_size[method];
  const std::string kept = size <= longest ? pseudo_text_.substr(prefix_.pseudo_at[method], size) : "";
  prefix_ = {};
  entries_.clear();
  text_.clear();
  has_cookie_ = false;
  pseudo_text_ = kept;
  prefix_.pseudo_size[method] = static_cast<std::uint32_t>(kept.size());
}

HeadBlock HeadCollector::finish(BufferPool& pool) {
  if (oversized_) drop_all_but_method();
  if (has_cookie_) add_line("cookie", cookie_, Known::cookie);
  prefix_.fields = static_cast<std::uint32_t>(entries_.size());
  prefix_.text = static_cast<std::uint32_t>(pseudo_text_.size());
  const std::size_t table = entries_.size() * sizeof(HeadBlock::Entry);
  HeadBlock out;
  out.block_ = Block(pool, sizeof prefix_ + table + pseudo_text_.size() + text_.size());
  char* at = out.block_.data();
  ::new (at) HeadBlock::Prefix(prefix_);
  at += sizeof prefix_;
  if (table > 0) std::memcpy(at, entries_.data(), table);
  at += table;
  at = std::copy(pseudo_text_.begin(), pseudo_text_.end(), at);
  std::copy(text_.begin(), text_.end(), at);
  return out;
}

// RFC 9218 ------------------------------------------------------------------------------------------

StreamPriority read_priority(std::string_view value) noexcept {
  StreamPriority out;
  for_each_token(value, [&](std::string_view member) {
    member = trim(member.substr(0, member.find(';')));  // without parameters
    if (member.size() == 3 && member.starts_with("u=") && member[2] >= '0' && member[2] <= '7')
      out.urgency = static_cast<std::uint8_t>(member[2] - '0');
    else if (member == "i" || member == "i=?1")
      out.incremental = true;
    else if (member == "i=?0")
      out.incremental = false;
    return true;
  });
  return out;
}

}  // namespace remora

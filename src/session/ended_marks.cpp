#include "session/ended_marks.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <optional>

namespace remora {

EndedFilter::EndedFilter(std::size_t capacity)
    : capacity_(capacity), words_((capacity * bits_per_mark + 63) / 64) {}

/// Ids are random or a MAC, so their halves serve as the two hashes (Kirsch and Mitzenmacher 2006).
template <class F>
void EndedFilter::for_each_bit(const SessionId& id, F f) const {
  std::uint64_t at, step;
  std::memcpy(&at, id.bytes.data(), sizeof at);
  std::memcpy(&step, id.bytes.data() + sizeof at, sizeof step);
  step |= 1;
  const std::uint64_t size = words_.size() * 64;
  for (unsigned i = 0; i < probes; ++i, at += step) {
    const std::uint64_t bit = at % size;
    if (!f(bit / 64, std::uint64_t{1} << (bit % 64))) return;
  }
}

void EndedFilter::add(const SessionId& id, std::uint32_t expires) {
  for_each_bit(id, [&](std::size_t word, std::uint64_t bit) {
    words_[word] |= bit;
    return true;
  });
  ++count_;
  expires_ = std::max(expires_, expires);
}

bool EndedFilter::contains(const SessionId& id) const noexcept {
  bool all = true;
  for_each_bit(id, [&](std::size_t word, std::uint64_t bit) { return all = (words_[word] & bit) != 0; });
  return all;
}

void EndedFilter::append_to(std::string& out) const {
  const std::uint64_t head[3] = {words_.size(), count_, expires_};
  out.append(reinterpret_cast<const char*>(head), sizeof head);
  out.append(reinterpret_cast<const char*>(words_.data()), words_.size() * sizeof words_[0]);
}

namespace {
constexpr std::size_t expiry_at = 2 * sizeof(std::uint64_t), head_size = 3 * sizeof(std::uint64_t);
}

std::uint32_t EndedFilter::expiry_in(std::string_view bytes) noexcept {
  std::uint64_t expires = 0;
  if (bytes.size() >= head_size) std::memcpy(&expires, bytes.data() + expiry_at, sizeof expires);
  return static_cast<std::uint32_t>(expires);
}

bool EndedFilter::set_expiry_in(std::string& bytes, std::uint32_t expires) noexcept {
  const std::uint64_t wide = expires;
  if (bytes.size() < head_size) return false;
  std::memcpy(bytes.data() + expiry_at, &wide, sizeof wide);
  return true;
}

bool EndedFilter::merge(std::string_view& bytes) {
  std::uint64_t head[3];
  if (bytes.size() < sizeof head) return false;
  std::memcpy(head, bytes.data(), sizeof head);
  bytes.remove_prefix(sizeof head);
  if (head[0] != words_.size() || head[0] > bytes.size() / sizeof words_[0]) return false;
  for (std::uint64_t& word : words_) {
    std::uint64_t other;
    std::memcpy(&other, bytes.data(), sizeof other);
    bytes.remove_prefix(sizeof other);
    word |= other;
  }
  count_ += head[1];
  expires_ = std::max(expires_, static_cast<std::uint32_t>(head[2]));
  return true;
}

bool EndedSpill::add(const SessionId& id, std::uint32_t expires, std::uint32_t now) {
  const std::unique_lock lock(mutex_);
  if (!current_) current_ = std::make_unique<EndedFilter>(capacity_);
  if (current_->full()) {
    if (previous_ && previous_->expires() > now) return false;
    previous_ = std::move(current_);
    current_ = std::make_unique<EndedFilter>(capacity_);
  }
  current_->add(id, expires);
  used_.store(true, std::memory_order_relaxed);
  return true;
}

std::optional<std::uint32_t> EndedSpill::find(const SessionId& id, std::uint32_t now) const {
  if (!used_.load(std::memory_order_relaxed)) return std::nullopt;
  const std::shared_lock lock(mutex_);
  for (const EndedFilter* filter : {current_.get(), previous_.get()})
    if (filter != nullptr && filter->expires() > now && filter->contains(id)) return filter->expires();
  return std::nullopt;
}

void EndedSpill::sweep(std::uint32_t now) {
  if (!used_.load(std::memory_order_relaxed)) return;
  const std::unique_lock lock(mutex_);
  if (previous_ && previous_->expires() <= now) previous_.reset();
  if (current_ && current_->expires() <= now) current_.reset();
  if (!current_ && !previous_) used_.store(false, std::memory_order_relaxed);
}

std::vector<std::string> EndedSpill::export_all() const {
  const std::shared_lock lock(mutex_);
  std::vector<std::string> out;
  for (const EndedFilter* filter : {previous_.get(), current_.get()})
    if (filter != nullptr) filter->append_to(out.emplace_back());
  return out;
}

/// Filters arrive oldest first, so the first one becomes `previous_`.
bool EndedSpill::import(std::string_view& bytes) {
  const std::unique_lock lock(mutex_);
  std::uint64_t words = 0;  // follows the sender's capacity, which may differ from ours
  if (bytes.size() < sizeof words) return false;
  std::memcpy(&words, bytes.data(), sizeof words);
  if (words == 0 || words > bytes.size() / sizeof words) return false;
  auto filter = std::make_unique<EndedFilter>(EndedFilter::capacity_of(words));
  if (!filter->merge(bytes)) return false;
  if (!previous_)
    previous_ = std::move(filter);
  else if (!current_)
    current_ = std::move(filter);
  else
    return false;
  used_.store(true, std::memory_order_relaxed);
  return true;
}

}  // namespace remora

// TextArena: short strings built for one request, in one reused block. No allocation in the steady state.
// Threading: one thread.
#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace remora {

class TextArena {
 public:
  /// Concatenates the parts; the view is valid until clear(). By reference: a std::string is not copied
  /// first.
  template <class... Parts>
  std::string_view join(const Parts&... parts) {
    const std::size_t size = (std::string_view(parts).size() + ... + 0);
    char* const start = reserve(size);
    char* at = start;
    ((at = copy(at, parts)), ...);
    return {start, size};
  }
  /// A reused string for text of unknown length; pass the result to join().
  std::string& scratch() noexcept {
    scratch_.clear();
    return scratch_;
  }
  void clear() noexcept {
    used_ = 0;
    more_.clear();
    if (scratch_.capacity() > max_kept) scratch_ = std::string();
  }

 private:
  static char* copy(char* to, std::string_view part) noexcept {
    if (!part.empty()) std::memcpy(to, part.data(), part.size());  // the data of an empty view may be null
    return to + part.size();
  }
  static constexpr std::size_t block_bytes = 2048;
  // Capacity of `scratch_` kept from one request to the next.
  static constexpr std::size_t max_kept = 64 * 1024;
  char* reserve(std::size_t n) {
    if (used_ + n <= block_bytes) {
      char* p = block_ + used_;
      used_ += n;
      return p;
    }
    more_.push_back(std::make_unique<char[]>(n));
    return more_.back().get();
  }
  std::size_t used_ = 0;
  std::vector<std::unique_ptr<char[]>> more_;
  std::string scratch_;
  char block_[block_bytes];
};

}  // namespace remora

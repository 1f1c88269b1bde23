#include "remora/pool_snapshot.h"

namespace remora {

namespace {

/// Numbers of living backends. Locked: control threads create backends, but a worker may drop the last
/// reference.
class BackendNumbers {
 public:
  std::uint32_t take() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) {
      free_.reserve(next_ + 1);  // so that give_back() never allocates
      return next_++;
    }
    const std::uint32_t number = free_.back();
    free_.pop_back();
    return number;
  }
  void give_back(std::uint32_t number) noexcept {
    const std::lock_guard lock(mutex_);
    free_.push_back(number);
  }

 private:
  std::mutex mutex_;
  std::vector<std::uint32_t> free_;
  std::uint32_t next_ = 0;
};

BackendNumbers& backend_numbers() {
  static BackendNumbers numbers;
  return numbers;
}

}  // namespace

Backend::Backend(std::string pool_name, std::string backend_id, std::size_t workers,
                 std::shared_ptr<PermitQueue> waiting)
    : pool(std::move(pool_name)),
      id(std::move(backend_id)),
      hash(backend_hash(id)),
      number(backend_numbers().take()),
      traffic(workers),
      queue(std::move(waiting)) {}

Backend::~Backend() {
  backend_numbers().give_back(number);
}

}  // namespace remora

#include "session/store.h"

namespace remora {

namespace {
class Category final : public boost::system::error_category {
 public:
  const char* name() const noexcept override { return "store"; }
  std::string message(int code) const override {
    switch (static_cast<StoreErrc>(code)) {
      case StoreErrc::unavailable:
        return "the store cannot be reached";
      case StoreErrc::timeout:
        return "the store did not answer in time";
      case StoreErrc::refused:
        return "the store refused";
      case StoreErrc::full:
        return "the store is full";
    }
    return "unknown";
  }
};
}  // namespace

error_code make_error_code(StoreErrc e) noexcept {
  static const Category category;
  return {static_cast<int>(e), category};
}

}  // namespace remora

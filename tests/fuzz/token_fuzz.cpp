// Tokens and the Cookie field: no input is a session unless we sealed it.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "affinity/seal.h"
#include "support/affinity.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace remora;
  static const auto affinity = [] {
    return make_affinity(test::pool_with("{kind: cookie, name: c}"),
                         std::make_shared<KeyRing>(std::vector<std::string>{std::string(32, 'k')}), nullptr)
        .front();
  }();
  static CryptoScratch scratch;
  const std::string cookies(reinterpret_cast<const char*>(data), size);
  const std::vector<Field> fields{{"Cookie", cookies, Known::cookie}};
  RequestView view;
  view.fields = fields;
  if (!std::holds_alternative<NoHint>(affinity->identify(view, scratch, Clock::Wall{}))) std::abort();
  return 0;
}

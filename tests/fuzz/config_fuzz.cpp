// The configuration: any text is a Config or a list of errors, each with a line.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "affinity/registry.h"
#include "config/loader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 16384) return 0;
  const auto loaded =
      remora::config::load_text({reinterpret_cast<const char*>(data), size}, "f", remora::affinity_kinds());
  if (const auto* errors = std::get_if<remora::config::LoadError>(&loaded)) {
    if (errors->lines.empty()) std::abort();
    for (const auto& line : errors->lines)
      if (line.substr(0, 2) != "f:") std::abort();
  }
  return 0;
}

// The live page at `/`. Its files are compiled in (cmake/embed.cmake), so the binary is all it needs.
#pragma once

#include <string_view>

namespace remora {

struct PageFile {
  std::string_view path, type, content;
};

/// Returns nullptr if the path is not one of the page's files.
const PageFile* find_page_file(std::string_view path) noexcept;

}  // namespace remora

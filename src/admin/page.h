// The live page at `/`: its files, compiled in (cmake/embed.cmake), so that it needs nothing but this binary.
#pragma once

#include <string_view>

namespace remora {

struct PageFile {
  std::string_view path, type, content;
};

/// nullptr: none of the page's files.
const PageFile* find_page_file(std::string_view path) noexcept;

}  // namespace remora

# Writes OUT, a C++ file that defines find_page_file() over the files of FOLDER.
#   cmake -DFOLDER=... -DOUT=... -P embed.cmake
set(entries "")
foreach(pair "/|index.html|text/html; charset=utf-8" "/page.css|page.css|text/css; charset=utf-8"
             "/page.js|page.js|text/javascript; charset=utf-8")
  string(REPLACE "|" ";" parts "${pair}")
  list(GET parts 0 path)
  list(GET parts 1 file)
  string(REGEX REPLACE "^[^|]*\\|[^|]*\\|" "" type "${pair}")
  file(READ "${FOLDER}/${file}" content HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${content}")
  string(MAKE_C_IDENTIFIER "${file}" name)
  string(APPEND arrays "constexpr char ${name}[] = {${bytes}};\n")
  string(APPEND entries "    {\"${path}\", \"${type}\", {${name}, sizeof ${name}}},\n")
endforeach()
file(WRITE "${OUT}.new" "// Made by cmake/embed.cmake.
#include \"admin/page.h\"

namespace remora {
namespace {
${arrays}
constexpr PageFile files[] = {
${entries}};
}  // namespace

const PageFile* find_page_file(std::string_view path) noexcept {
  for (const PageFile& file : files)
    if (file.path == path) return &file;
  return nullptr;
}
}  // namespace remora
")
file(RENAME "${OUT}.new" "${OUT}")

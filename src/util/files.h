// Files of ours, made so that nobody else's file is written and no half of one is ever seen; and who else can
// read or replace what should be ours alone.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace remora {

// Each returns what went wrong; empty: nothing. A draft is made beside the file under a name that nobody can
// foresee, never through what already stands there (a link, a pipe), and is on the disk before it is in
// place.

/// The old file or the new one is there, never half of one. Mode 0600.
std::string replace_file(const std::string& path, std::string_view content);
/// As replace_file, but what is there already stays, and is no error: of several that start at once one wins.
std::string create_file(const std::string& path, std::string_view content);
/// Regular files only: another kind could make us wait for ever. `missing`: there is none.
std::string read_file(const std::string& path, std::size_t most_bytes, std::string& out, bool& missing);

/// How many may see what is ours.
enum class Privacy { owner, group };
/// One sentence with what to do when others can read or change the file, or it is another user's; empty:
/// fine, or no regular file.
std::string exposed_file(const std::string& path, Privacy wanted);
/// The same for a folder whose files others could replace.
std::string exposed_folder(const std::string& path);

}  // namespace remora

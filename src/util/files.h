// Writes remora's own files atomically and without following links, and checks whether other users can read
// or replace them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace remora {

// Each function returns the error, empty on success. The draft is written beside the file under an
// unpredictable name, never through an existing file there (a link, a pipe), and is synced to disk before it
// is moved into place.

/// Replaces the file atomically: readers see the old file or the new one. Mode 0600.
std::string replace_file(const std::string& path, std::string_view content);
/// As replace_file, but an existing file stays, which is not an error: of several processes that start
/// together one wins.
std::string create_file(const std::string& path, std::string_view content);
/// Reads regular files only: other kinds could block forever. `missing`: the file does not exist.
std::string read_file(const std::string& path, std::size_t max_bytes, std::string& out, bool& missing);

/// Who may read a private file.
enum class Privacy { owner, group };
/// A sentence with advice if others can read or change the file, or another user owns it; empty if it is
/// safe or not a regular file.
std::string exposed_file(const std::string& path, Privacy wanted);
/// The same for a directory in which others could replace files.
std::string exposed_folder(const std::string& path);

}  // namespace remora

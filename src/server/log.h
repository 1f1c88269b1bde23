// The program's own log: text or JSON lines, to a stream or to a file that can be reopened.
#pragma once

#include "remora/config.h"

namespace remora {

/// Creates the default logger. Call once, before starting threads. Throws std::runtime_error if the file
/// cannot be opened.
void set_up_log(const config::Log& log);

/// On SIGHUP: reopens the file (after rotation) and applies the level. Any thread. Returns false if the file
/// cannot be opened; the old one then stays in use.
bool refresh_log(const config::Log& log);

}  // namespace remora

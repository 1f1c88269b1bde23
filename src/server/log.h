// The program's own log: text or JSON lines to a stream or a file that can be opened again.
#pragma once

#include "remora/config.h"

namespace remora {

/// Makes the default logger. Throws std::runtime_error when the file cannot be opened. Call once, before
/// threads.
void set_up_log(const config::Log& log);

/// On SIGHUP: opens the file again (after rotation) and takes over the level. Any thread. False: the file
/// cannot be opened; the old one stays in use.
bool refresh_log(const config::Log& log);

}  // namespace remora

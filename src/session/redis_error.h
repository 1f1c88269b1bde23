// Classifies an error reply of Redis: what it means for the caller. Pure.
//
// Before version 7, an error inside a script arrives wrapped, with its code in the middle: `ERR Error running
// script (call to f_SHA): @user_script:50: -READONLY You can't write against a read only replica.` Only such
// texts are searched for a code: other errors may quote what a client sent.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace remora {

struct RedisError {
  enum class Kind : unsigned char {
    refused,    // this server refuses this command; a retry would not help
    moved,      // another node has the key
    ask,        // another node has the key, for this request only
    no_script,  // the script's text must be sent
    wrong_one,  // the server is not, or no longer, the right one: disconnect and look for another
    not_now,    // the right server, temporarily unable to serve
    full,
  } kind = Kind::refused;
  std::string_view text;  // the error itself, starting at its code
};

/// `text`: an error reply without its leading '-'.
RedisError read_redis_error(std::string_view text) noexcept;

struct RedisPlace {
  std::string host;  // empty: the host of the server that sent the error
  unsigned short port = 0;
};
/// The node that `moved` or `ask` names: `MOVED 3999 10.0.0.1:6381`. Nothing: it names none.
std::optional<RedisPlace> redis_place(std::string_view error);

}  // namespace remora

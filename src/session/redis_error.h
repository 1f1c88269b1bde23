// What an error of Redis means for the one who asked. Pure.
//
// Before version 7 an error inside a script comes wrapped, with its code in the middle:
// `ERR Error running script (call to f_SHA): @user_script:50: -READONLY You can't write against a read only
// replica.` The code is looked for in such texts only: other errors may quote what a client sent.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace remora {

struct RedisError {
  enum class Kind : unsigned char {
    refused,    // this command, by this server; asking again would not help
    moved,      // another node has it
    ask,        // another node has it for this once
    no_script,  // the script has to be sent whole
    wrong_one,  // the server is not, or no longer, the one to ask: leave it and look for another
    not_now,    // the right server, at the wrong moment
    full,
  } kind = Kind::refused;
  std::string_view text;  // the error itself, from its code on
};

/// `text`: of an error reply, without its leading '-'.
RedisError read_redis_error(std::string_view text) noexcept;

struct RedisPlace {
  std::string host;  // empty: that of the server that says so
  unsigned short port = 0;
};
/// Where `moved` and `ask` lead: `MOVED 3999 10.0.0.1:6381`. Nothing: it does not say.
std::optional<RedisPlace> redis_place(std::string_view error);

}  // namespace remora

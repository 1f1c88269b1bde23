// Errors of Redis, as all versions say them.

#include "session/redis_error.h"

#include <gtest/gtest.h>

#include <tuple>

namespace remora {
namespace {

using Kind = RedisError::Kind;

/// As Redis wraps what fails within a script: from 6.2 (StackExchange.Redis #2074) and before.
const char* const wraps[] = {
    "ERR Error running script (call to f_0123456789abcdef0123456789abcdef01234567): @user_script:50: -",
    "ERR Error running script (call to f_0123456789abcdef0123456789abcdef01234567): @user_script:1: "
    "@user_script: 1: -"};

TEST(RedisErrors, MeanTheSameWhereverTheirCodeStands) {
  for (const auto& [text, kind] :
       {std::pair("READONLY You can't write against a read only replica.", Kind::wrong_one),
        std::pair("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
                  Kind::wrong_one),
        std::pair("LOADING Redis is loading the dataset in memory", Kind::wrong_one),
        std::pair("NOREPLICAS Not enough good replicas to write.", Kind::wrong_one),
        std::pair("UNBLOCKED force unblock from blocking operation, instance state changed", Kind::wrong_one),
        std::pair("NOAUTH Authentication required.", Kind::wrong_one),
        // Of this command or key only: others over the same connection must not suffer for it.
        std::pair("NOPERM this user has no permissions to run the 'evalsha' command", Kind::refused),
        std::pair("WRONGPASS invalid username-password pair or user is disabled.", Kind::wrong_one),
        std::pair("CLUSTERDOWN The cluster is down", Kind::not_now),
        std::pair("TRYAGAIN Multiple keys request during rehashing of slot", Kind::not_now),
        std::pair("BUSY Redis is busy running a script. You can only call SCRIPT KILL", Kind::not_now),
        std::pair("MISCONF Redis is configured to save RDB snapshots", Kind::not_now),
        std::pair("OOM command not allowed when used memory > 'maxmemory'.", Kind::full),
        std::pair("MOVED 3999 127.0.0.1:6381", Kind::moved), std::pair("ASK 3999 127.0.0.1:6381", Kind::ask),
        std::pair("NOSCRIPT No matching script. Please use EVAL.", Kind::no_script)}) {
    EXPECT_EQ(read_redis_error(text).kind, kind) << text;
    for (const char* wrap : wraps) {
      const std::string wrapped = std::string(wrap) + text;
      const RedisError found = read_redis_error(wrapped);
      EXPECT_EQ(found.kind, kind) << wrapped;
      EXPECT_EQ(found.text, text);
    }
    // Version 7 says where at the end.
    EXPECT_EQ(read_redis_error(std::string(text) + " script: 0123, on @user_script:4.").kind, kind) << text;
  }
}

TEST(RedisErrors, WhatOnlyLooksLikeACodeIsNone) {
  for (const char* text :
       {"", "-", "ERR", "ERR unknown command `EVALSHA`, with args beginning with: `-READONLY `, `x`",
        "WRONGTYPE Operation against a key holding the wrong kind of value -READONLY ", "READONLYX",
        "ERR value is -OOM ", "ERR Error running script (call to f_0): @user_script:1: a READONLY replica",
        "ERR Error running script (call to f_0): @user_script:1: is not-OOM or so",
        "ERR Error running script (call to f_0): @user_script:1: -OOMPH", "ERR Error running script -",
        "ERR Error compiling script (new function): user_script:1: -READONLY near 'x'"})
    EXPECT_EQ(read_redis_error(text).kind, Kind::refused) << text;
}

TEST(RedisErrors, SayWhereASlotIs) {
  const auto place = [](std::string_view error) {
    const auto p = redis_place(error);
    return p ? p->host + "|" + std::to_string(p->port) : "none";
  };
  EXPECT_EQ(place("MOVED 3999 127.0.0.1:6381"), "127.0.0.1|6381");
  EXPECT_EQ(place("MOVED 3999 127.0.0.1:6381 script: 0123, on @user_script:4."), "127.0.0.1|6381");
  EXPECT_EQ(place("ASK 3999 redis-3.internal:6381\r"), "redis-3.internal|6381");
  EXPECT_EQ(place("MOVED 3999 ::1:6381"), "::1|6381");
  EXPECT_EQ(place("MOVED 3999 [::1]:6381"), "::1|6381");
  EXPECT_EQ(place("MOVED 3999 :6381"), "|6381");  // the host that was asked
  for (const char* nowhere : {"MOVED", "MOVED 3999", "MOVED 3999 ", "MOVED 3999 host", "MOVED 3999 ?:6381",
                              "MOVED 3999 h:0", "MOVED 3999 h:65536", "MOVED 3999 h:x"})
    EXPECT_EQ(place(nowhere), "none") << nowhere;
}

}  // namespace
}  // namespace remora

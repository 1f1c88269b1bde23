// Makes self-signed certificates for a test, with the openssl command.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

namespace remora::test {

/// Writes FOLDER/NAME.pem and FOLDER/NAME.key, valid for two days. Returns both as the YAML value of a
/// listener's certificate.
inline std::string make_certificate(const std::string& folder, const std::string& name) {
  const std::string base = folder + "/" + name;
  const std::string command =
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=" + name +
      " -addext subjectAltName=DNS:" + name + " -keyout " + base + ".key -out " + base +
      ".pem >/dev/null 2>&1";
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
  return "{cert: " + base + ".pem, key: " + base + ".key}";
}

}  // namespace remora::test

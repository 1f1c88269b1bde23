// The table of all keys: what each changes in what is read, and the test that shows what it does.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "affinity/registry.h"
#include "config/loader.h"

namespace remora::config {

inline const std::string here = "127.0.0.1:80";
inline const std::string file = REMORA_SOURCE_DIR "/README.md";  // some file that can be read

inline std::string whole(const std::string& top, const std::string& listener, const std::string& routes,
                         const std::string& backend, const std::string& pool) {
  return top + "\nlisteners: [{bind: " + here + (listener.empty() ? "" : ", " + listener) + "}]\n" +
         (routes.empty() ? "" : "routes: [" + routes + "]\n") + "pools:\n  a:\n    backends: [{" +
         (backend.empty() ? "address: 127.0.0.1:1" : backend) + "}]\n    " + pool + "\n";
}
inline std::string top(const std::string& t) {
  return whole(t, "", "", "", "");
}
inline std::string listener(const std::string& t) {
  return whole("", t, "", "", "");
}
inline std::string tls(const std::string& t) {
  return listener("tls: {certificates: [{cert: " + file + ", key: " + file + "}]" + t + "}");
}
inline std::string route(const std::string& t) {
  return whole("", "", "{path: /, pool: a, " + t + "}", "", "");
}
inline std::string backend(const std::string& t) {
  return whole("", "", "", "address: 127.0.0.1:1, " + t, "");
}
inline std::string pool(const std::string& t) {
  return whole("", "", "", "", t);
}
inline std::string session(const std::string& t) {
  return pool("affinity: cookie\n    session: {" + t + "}");
}
inline std::string redis(const std::string& t) {
  return top("store: {kind: redis, index_key: {env: KEYS_TEST_TEXT}, redis: {" + t + "}}");
}
inline std::string jwt(const std::string& t) {
  return whole("jwt: {v: {algorithms: [HS256], keys: {secret: {env: KEYS_TEST_TEXT}}" + t + "}}", "",
               "{path: /, pool: a, auth: v}", "", "");
}
inline std::string keys_of(const std::string& t, const std::string& algorithm = "RS256") {
  return top("jwt: {v: {algorithms: [" + algorithm + "], keys: {" + t + "}}}");
}

using Shows = std::function<bool(const Config&)>;
struct Row {
  std::string key, yaml;
  Shows shows;  // of what was read: true with `yaml`, false with the smallest file; none: only `test`
  /// What shows the effect, or does so for the keys below it. A test of the table itself: none is known that
  /// does, only that the value arrives.
  std::string test;
};

inline const Listener& l(const Config& c) {
  return c.listeners.front();
}
inline const Route& r(const Config& c) {
  return c.routes.front();
}
inline const Pool& p(const Config& c) {
  return c.pools.front();
}
inline const Backend& b(const Config& c) {
  return c.pools.front().backends.front();
}
inline const Jwt* j(const Config& c) {
  return c.jwt.empty() ? nullptr : &c.jwt.front();
}

std::vector<Row> of_process();
std::vector<Row> of_store();
std::vector<Row> of_listeners();
std::vector<Row> of_routes();
std::vector<Row> of_verifiers();
std::vector<Row> of_pools();
std::vector<Row> of_sessions();
std::vector<Row> of_affinity();

}  // namespace remora::config

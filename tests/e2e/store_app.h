// An app whose sessions a store outlives, and configurations with real stores: for the end-to-end tests of
// stores and of the hand-off.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "support/site.h"
#include "support/stores.h"
#include "util/text.h"

namespace remora::test {

/// An app that keeps sessions in its memory, by its own cookie, and hands their state over: /set?VALUE keeps
/// it, / shows it with where it came from.
class App {
 public:
  explicit App(std::string name, int port = 0)
      : name_(std::move(name)), origin_([this](Socket& s) { serve(s); }, port) {}
  std::string address() const { return origin_.address(); }
  int port() const { return origin_.port(); }
  void stop() { origin_.stop(); }
  std::string last(const std::string& field) {
    const std::lock_guard lock(mutex_);
    return field_of(head_, field);
  }
  int asked() const { return asked_; }
  int waiting() const { return waiting_; }
  std::atomic<int> delay_ms{0};

 private:
  void serve(Socket& s) {
    answering([this](const std::string& head, const std::string&) { return answer(head); })(s);
  }
  std::string answer(const std::string& head) {
    ++asked_;
    if (head.find("/slow") != std::string::npos) {
      ++waiting_;
      std::this_thread::sleep_for(std::chrono::milliseconds(delay_ms));
      --waiting_;
    }
    const std::lock_guard lock(mutex_);
    head_ = head;
    const std::string path = head.substr(4, head.find(' ', 4) - 4);
    std::string cookie = field_of(head, "Cookie"), fields, id;
    if (const auto at = cookie.find("SID="); at != std::string::npos)
      id = cookie.substr(at + 4, cookie.find(';', at) - at - 4);
    const std::string session = field_of(head, "Remora-Session");
    const std::string ours = session.substr(0, 34);  // the stable id
    std::string key = id.empty() ? ours : id;
    if (const std::string state = field_of(head, "Remora-State"); !state.empty())
      sessions_[key] = base64_decode(state).value_or("BROKEN");
    if (path.rfind("/login", 0) == 0) {
      key = id = name_ + std::to_string(++ids_);
      fields += "Set-Cookie: SID=" + id + "; Path=/\r\n";
      sessions_[id] = "user of " + id;
      fields += "Remora-State: " + base64_encode(sessions_[id]) + "\r\n";
    } else if (const auto q = path.find("/set?"); q != std::string::npos) {
      sessions_[key] = path.substr(q + 5);
      fields += "Remora-State: " + base64_encode(sessions_[key]) + "\r\n";
    } else if (const auto slow = path.find("/slow?"); slow != std::string::npos) {
      fields += "Remora-State: " + base64_encode(path.substr(slow + 6)) + "\r\n";
    } else if (path.rfind("/raw?", 0) == 0) {
      fields += "Remora-State: " + path.substr(5) + "\r\n";
    } else if (path == "/trailer") {
      return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nRemora-State: " +
             base64_encode("by trailer") + "\r\n\r\n";
    } else if (path == "/logout") {
      fields += "Remora-Session-Control: end\r\n";
    } else if (path == "/renew") {
      fields += "Remora-Session-Control: renew\r\n";
    }
    return ok(name_ + ":" + sessions_[key], fields);
  }

  const std::string name_;
  std::mutex mutex_;
  std::map<std::string, std::string> sessions_;
  std::string head_;
  int ids_ = 0;
  std::atomic<int> asked_{0}, waiting_{0};
  Origin origin_;
};

inline std::string config(const std::vector<std::string>& backends, const std::string& store,
                          const std::string& pool) {
  return with_admin(simple_config(backends, pool, "", store + "log: {access: off}\n"));
}

inline std::unique_ptr<Remora> start(const std::string& yaml) {
  return std::make_unique<Remora>(yaml, std::vector<std::string>{"TEST_INDEX=an index key of tests"});
}

inline std::string redis_store(int port, const std::string& more = "") {
  return "store: {kind: redis, index_key: {env: TEST_INDEX}, " + more +
         "redis: {nodes: [\"redis://127.0.0.1:" + std::to_string(port) + "\"]}}\n";
}

inline std::string memcached_store(int port) {
  return "store: {kind: memcached, index_key: {env: TEST_INDEX}, memcached: {nodes: [\"127.0.0.1:" +
         std::to_string(port) + "\"]}}\n";
}

/// Health by traffic alone would do, but a dead backend should be known before the next request.
inline const char* const learned_pool = "affinity: {kind: app_cookie, name: SID}\n";
inline const char* const learned_state =
    "affinity: {kind: app_cookie, name: SID}\nsession: {state: {save: sync}}\n";
inline const char* const issued_state = "affinity: cookie\nsession: {state: {save: sync}}\n";

}  // namespace remora::test

// A fake Redis server, cluster node or sentinel (support/store_peer.h).
#pragma once

#include <openssl/evp.h>

#include <algorithm>
#include <set>

#include "support/store_peer.h"

namespace remora::test {

class RedisPeer final : public StorePeer {
 public:
  explicit RedisPeer(const Clock& clock, Over over = Over::unix_socket) : StorePeer(clock, over) {}

  bool master = true;          // by ROLE
  std::string user, password;  // required if `password` is set
  /// SHA-1s of the scripts that EVALSHA knows.
  std::set<std::string> scripts;
  /// Returns the error (MOVED, ASK) for a key that another node owns; empty: this node owns it.
  std::function<std::string(const std::string& key, bool asking)> elsewhere;
  /// The replies to CLUSTER SLOTS and to SENTINEL GET-MASTER-ADDR-BY-NAME.
  std::function<std::string()> slots, master_address;
  /// Larger values are refused, as with `maxmemory`.
  std::size_t max_value = SIZE_MAX;

  static std::string bulk(std::string_view text) {
    return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
  }
  static std::string place(std::string_view host, std::uint16_t port) {
    return "*2\r\n" + bulk(host) + bulk(std::to_string(port));
  }
  /// One range of CLUSTER SLOTS.
  static std::string range(int from, int to, std::string_view host, std::uint16_t port) {
    return "*3\r\n:" + std::to_string(from) + "\r\n:" + std::to_string(to) + "\r\n*3\r\n" + bulk(host) + ":" +
           std::to_string(port) + "\r\n" + bulk("0123456789abcdef0123456789abcdef01234567");
  }

 protected:
  Words parse(std::string& in) override {
    std::size_t at = 0;
    const auto line = [&](char kind) -> std::optional<std::size_t> {
      const std::size_t end = in.find("\r\n", at);
      if (end == std::string::npos) return std::nullopt;
      if (in[at] != kind) throw std::runtime_error("no command of Redis: " + in);
      const std::size_t n = std::stoul(in.substr(at + 1, end - at - 1));
      at = end + 2;
      return n;
    };
    const auto count = line('*');
    if (!count) return {};
    Words words;
    while (words.size() < *count) {
      const auto size = line('$');
      if (!size || in.size() < at + *size + 2) return {};
      words.push_back(in.substr(at, *size));
      at += *size + 2;
    }
    in.erase(0, at);
    return words;
  }

  std::string reply(Link& link, const Words& words) override {
    const std::string& name = words.front();
    if (name == "AUTH") return login(link, words);
    if (!password.empty() && !link.authenticated) return "-NOAUTH Authentication required.\r\n";
    if (name == "PING") return "+PONG\r\n";
    if (name == "ROLE") return "*3\r\n" + bulk(master ? "master" : "slave") + ":0\r\n*0\r\n";
    if (name == "SELECT") {
      link.database = words.at(1);
      return "+OK\r\n";
    }
    if (name == "ASKING") {
      link.asking = true;
      return "+OK\r\n";
    }
    if (name == "CLUSTER" && slots) return slots();
    if (name == "SENTINEL" && master_address) return master_address();
    const bool asking = std::exchange(link.asking, false);
    const bool read = name == "GET", by_text = name == "EVAL", by_hash = name == "EVALSHA";
    if (!read && !by_text && !by_hash) return "-ERR unknown command\r\n";
    const std::string& key = words.at(read ? 1 : 3);
    const std::string error = elsewhere ? elsewhere(key, asking) : std::string();
    if (!error.empty()) return "-" + error + "\r\n";
    const std::string at = link.database + "/" + key;
    if (read) return value_at(at);
    if (by_text) scripts.insert(sha1(words.at(1)));
    if (by_hash && !scripts.contains(words.at(1)))
      return "-NOSCRIPT No matching script. Please use EVAL.\r\n";
    return swap(at, words.at(4), words.at(5), std::stoll(words.at(6)));
  }
  std::string error_reply() const override { return "-ERR this is a test\r\n"; }

 private:
  static std::string sha1(const std::string& text) {
    unsigned char digest[20];
    std::size_t n = 0;
    EVP_Q_digest(nullptr, "SHA1", nullptr, text.data(), text.size(), digest, &n);
    std::string out;
    for (const unsigned char byte : digest) {
      out += "0123456789abcdef"[byte >> 4];
      out += "0123456789abcdef"[byte & 15];
    }
    return out;
  }
  std::string login(Link& link, const Words& words) const {
    if (password.empty()) return "-ERR Client sent AUTH, but no password is set\r\n";
    const std::string name = words.size() > 2 ? words[1] : std::string();
    link.authenticated = name == user && words.back() == password;
    return link.authenticated ? "+OK\r\n"
                              : "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
  }
  std::string value_at(const std::string& key) {
    const PeerValue* const kept = find(key);
    return kept == nullptr ? "$-1\r\n" : bulk(kept->value);
  }
  /// The effect of RedisStore's script.
  std::string swap(const std::string& key, const std::string& wanted, const std::string& next,
                   long long ttl) {
    const PeerValue* const kept = find(key);
    std::string token;
    if (kept != nullptr) token = (kept->value + std::string(8, '\0')).substr(0, 8);
    if (token == std::string(8, '\0')) token.clear();
    if (token != wanted) return "*2\r\n:0\r\n" + value_at(key);
    if (next.size() > max_value) return "-OOM command not allowed when used memory > 'maxmemory'.\r\n";
    put(key, next, std::chrono::milliseconds(ttl));
    return "*1\r\n:1\r\n";
  }
};

}  // namespace remora::test

#include "net/dns_answer.h"

#include <ares.h>
#include <arpa/inet.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "util/text.h"

namespace remora {

namespace {

constexpr unsigned type_a = 1, type_ns = 2, type_cname = 5, type_soa = 6, type_aaaa = 28;

struct Record {
  std::string name;
  unsigned type = 0;
  std::uint32_t ttl = 0;
  const unsigned char* data = nullptr;
  int size = 0;
};

/// Iterates over a message (RFC 1035 4.1). Ends on any input, however malformed.
class Message {
 public:
  explicit Message(std::span<const unsigned char> bytes)
      : begin_(bytes.data()), size_(static_cast<int>(std::min<std::size_t>(bytes.size(), 0xffff))) {}

  bool has_head() const { return size_ >= 12; }
  unsigned code() const { return begin_[3] & 15U; }
  bool is_cut() const { return (begin_[2] & 2U) != 0; }
  bool is_authoritative() const { return (begin_[2] & 4U) != 0; }
  int answers() const { return u16(begin_ + 6); }
  int authorities() const { return u16(begin_ + 8); }

  /// Moves to the first record. False: the question section cannot be parsed.
  bool skip_questions() {
    at_ = begin_ + 12;
    for (int i = u16(begin_ + 4); i > 0; --i) {
      if (!read_name(at_, question_) || end() - at_ < 4) return false;
      at_ += 4;
    }
    return true;
  }
  const std::string& question() const { return question_; }
  bool next(Record& out) {
    if (!read_name(at_, out.name) || end() - at_ < 10) return false;
    out.type = static_cast<unsigned>(u16(at_));
    const std::uint32_t ttl =
        static_cast<std::uint32_t>(u16(at_ + 4)) << 16 | static_cast<std::uint32_t>(u16(at_ + 6));
    out.ttl = ttl > 0x7fffffff ? 0 : ttl;  // RFC 2181 8
    out.size = u16(at_ + 8);
    out.data = at_ + 10;
    if (end() - out.data < out.size) return false;
    at_ = out.data + out.size;
    return true;
  }
  /// Decodes the name in a record's data.
  bool read_name_in(const Record& record, std::string& out) const {
    const unsigned char* at = record.data;
    return read_name(at, out);
  }

 private:
  static int u16(const unsigned char* p) { return p[0] << 8 | p[1]; }
  const unsigned char* end() const { return begin_ + size_; }
  bool read_name(const unsigned char*& at, std::string& out) const {
    char* name = nullptr;
    long used = 0;
    if (at >= end() || ::ares_expand_name(at, begin_, size_, &name, &used) != ARES_SUCCESS) return false;
    out = to_lower(name);
    ::ares_free_string(name);
    at += used;
    return at <= end();
  }
  const unsigned char* begin_;
  int size_;
  const unsigned char* at_ = nullptr;
  std::string question_;
};

/// Detects a loop of CNAMEs.
bool runs_in_circles(const std::map<std::string, std::string>& aliases, std::string name) {
  for (std::size_t steps = 0; steps <= aliases.size(); ++steps) {
    const auto next = aliases.find(name);
    if (next == aliases.end()) return false;
    name = next->second;
  }
  return true;
}

}  // namespace

std::optional<std::chrono::seconds> least_ttl(const unsigned char* data, int size) {
  Message message({data, static_cast<std::size_t>(std::max(0, size))});
  if (!message.has_head() || !message.skip_questions()) return std::nullopt;
  std::optional<std::chrono::seconds> least;
  Record record;
  for (int i = message.answers(); i > 0 && message.next(record); --i) {
    const std::chrono::seconds ttl(record.ttl);
    if (!least || ttl < *least) least = ttl;
  }
  return least;
}

Says read_silence(std::span<const unsigned char> bytes, std::string& why) {
  const auto nothing = [&](std::string reason) {
    why = std::move(reason);
    return Says::nothing;
  };
  Message message(bytes);
  if (!message.has_head()) return nothing("an answer without a head");
  if (message.code() == 3) return Says::no_such_name;
  if (message.code() != 0) return nothing("the name server says error " + std::to_string(message.code()));
  if (message.is_cut()) return nothing("the answer is cut");
  if (!message.skip_questions()) return nothing("an answer that cannot be read");
  std::map<std::string, std::string> aliases;
  Record record;
  for (int i = message.answers(); i > 0; --i) {
    if (!message.next(record)) return nothing("an answer that cannot be read");
    std::string to;
    if (record.type == type_cname && message.read_name_in(record, to)) aliases[record.name] = std::move(to);
  }
  if (runs_in_circles(aliases, message.question())) return nothing("its aliases lead back to themselves");
  // RFC 2308 2.2: NS records without an SOA are a referral, which says nothing about the name.
  bool servers = false, authority = false;
  for (int i = message.authorities(); i > 0 && message.next(record); --i) {
    servers = servers || record.type == type_ns;
    authority = authority || record.type == type_soa;
  }
  if (servers && !authority && !message.is_authoritative() && aliases.empty())
    return nothing("the name server only refers to others");
  return Says::none;
}

FamilyAnswer read_family(std::span<const unsigned char> bytes, bool v6) {
  FamilyAnswer out;
  Message message(bytes);
  Record record;
  if (message.has_head() && message.code() == 0 && !message.is_cut() && message.skip_questions()) {
    const auto wanted = static_cast<int>(v6 ? sizeof(in6_addr) : sizeof(in_addr));
    std::optional<std::uint32_t> least;
    for (int i = message.answers(); i > 0; --i) {
      if (!message.next(record)) {  // malformed or truncated: discard all of it
        out.ips.clear();
        break;
      }
      least = std::min(least.value_or(record.ttl), record.ttl);
      if (record.type != (v6 ? type_aaaa : type_a) || record.size != wanted) continue;
      char text[INET6_ADDRSTRLEN] = {};
      if (::inet_ntop(v6 ? AF_INET6 : AF_INET, record.data, text, sizeof text) != nullptr)
        out.ips.emplace_back(text);
    }
    out.ttl = std::chrono::seconds(least.value_or(0));
  }
  out.says = out.ips.empty() ? read_silence(bytes, out.why) : Says::addresses;
  return out;
}

std::vector<DnsRecord> merge_answer(const std::vector<DnsRecord>& known, const DnsAnswer& answer) {
  std::vector<DnsRecord> out = answer.records;
  for (const DnsRecord& old : known) {
    const DnsAnswer::Gap gap{old.target, old.is_v6()};
    if (std::find(answer.gaps.begin(), answer.gaps.end(), gap) != answer.gaps.end()) out.push_back(old);
  }
  return out;
}

std::vector<DnsRecord> preferred(std::vector<DnsRecord> records, config::Prefer prefer) {
  if (prefer == config::Prefer::any) return records;
  const bool v6 = prefer == config::Prefer::ipv6;
  std::vector<std::string> served;  // targets that have addresses of the preferred family
  for (const DnsRecord& r : records)
    if (r.is_v6() == v6) served.push_back(r.target);
  std::sort(served.begin(), served.end());
  std::erase_if(records, [&](const DnsRecord& r) {
    return r.is_v6() != v6 && std::binary_search(served.begin(), served.end(), r.target);
  });
  return records;
}

void drop_unreachable(std::vector<DnsRecord>& records,
                      const std::function<bool(const std::string&)>& reachable) {
  std::vector<DnsRecord> near;
  for (const DnsRecord& r : records)
    if (reachable(r.ip)) near.push_back(r);
  if (!near.empty()) records = std::move(near);
}

std::vector<std::string> order_of_trial(const std::vector<DnsRecord>& records, std::size_t most) {
  std::vector<std::string> families[2];  // IPv6, IPv4
  for (const DnsRecord& r : records) families[r.is_v6() ? 0 : 1].push_back(r.ip);
  for (auto& family : families) {
    std::sort(family.begin(), family.end());
    family.erase(std::unique(family.begin(), family.end()), family.end());
  }
  std::vector<std::string> out;
  for (std::size_t i = 0; i < std::max(families[0].size(), families[1].size()); ++i)
    for (const auto& family : families)
      if (i < family.size() && out.size() < most) out.push_back(family[i]);
  return out;
}

std::vector<std::string> search_names(std::string_view name, int ndots,
                                      const std::vector<std::string>& domains) {
  constexpr std::size_t max_domains = 16, max_name = 253;
  if (name.ends_with('.')) return {std::string(name.substr(0, name.size() - 1))};
  std::vector<std::string> out;
  for (const std::string& domain : domains) {
    if (out.size() == max_domains) break;
    std::string_view suffix = domain;
    while (suffix.starts_with('.')) suffix.remove_prefix(1);
    while (suffix.ends_with('.')) suffix.remove_suffix(1);
    if (suffix.empty() || name.size() + 1 + suffix.size() > max_name) continue;
    out.push_back(std::string(name) + "." + std::string(suffix));
  }
  const bool as_it_is_first = std::count(name.begin(), name.end(), '.') >= ndots;
  out.insert(as_it_is_first ? out.begin() : out.end(), std::string(name));
  return out;
}

}  // namespace remora

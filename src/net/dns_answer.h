// What DNS messages say of a name's addresses, and what that is worth. Pure.
//
// A name has two families of addresses, asked for apart, and each question can fail alone. Addresses are the
// truth about their family. Silence is not always: a server failure is no negative answer (RFC 2308 7), and
// what only one half of an answer denies may be the half that is broken (RFC 4074 4).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "remora/config.h"

namespace remora {

struct DnsRecord {
  std::string ip;              // as text, without brackets
  std::string target;          // of an SRV record; else the name that was asked for
  std::uint16_t port = 0;      // SRV
  std::uint16_t priority = 0;  // SRV: the lowest first
  std::uint32_t weight = 1;    // SRV; 0 there counts as 1
  bool is_v6() const noexcept { return ip.find(':') != std::string::npos; }
  bool operator==(const DnsRecord&) const = default;
};

struct DnsAnswer {
  std::string error;  // nobody answered, or with a failure: nothing is known. Empty: `records` is true
  std::vector<DnsRecord> records;
  /// Of these nothing is known: what was known of them stands.
  struct Gap {
    std::string target;
    bool v6;
    bool operator==(const Gap&) const = default;
  };
  std::vector<Gap> gaps;
  std::string gap_reason;       // empty: no question failed
  std::chrono::seconds ttl{0};  // the least of all records
  bool cut = false;             // there were more than `most_records`
};

/// What an answer says of one family.
enum class Says : std::uint8_t { addresses, none, no_such_name, nothing };
struct FamilyAnswer {
  Says says = Says::nothing;
  std::vector<std::string> ips;
  std::chrono::seconds ttl{0};
  std::string why;  // of `nothing`
};

/// The least time to live of an answer's records (RFC 1035 4.1.3); nothing when it cannot be read.
std::optional<std::chrono::seconds> least_ttl(const unsigned char* data, int size);

/// Reads an answer to a question for A or AAAA records.
FamilyAnswer read_family(std::span<const unsigned char> message, bool v6);

/// An answer without the wanted records: is that a negative answer, or nothing that can be relied on (a
/// failure, a referral, aliases that lead back to themselves)? `why`: of `nothing`.
Says read_silence(std::span<const unsigned char> message, std::string& why);

/// Whether the silence of one family may take its addresses away. Only if the other one was answered too, and
/// does not contradict: a name that exists in one family exists (RFC 8020).
constexpr bool is_settled(Says one, Says other) noexcept {
  switch (one) {
    case Says::addresses:
      return true;
    case Says::none:
      return other == Says::addresses || other == Says::none;
    case Says::no_such_name:
      return other == Says::no_such_name;
    case Says::nothing:
      return false;
  }
  return false;
}

/// What is known after an answer: what it says, and of its gaps what was known before.
std::vector<DnsRecord> merge_answer(const std::vector<DnsRecord>& known, const DnsAnswer& answer);

/// Without those of the other family, for each target that has addresses of the preferred one.
std::vector<DnsRecord> preferred(std::vector<DnsRecord> records, config::Prefer prefer);

/// Without those to which this machine has no way at all (RFC 3493 AI_ADDRCONFIG, RFC 6724 5 rule 1), unless
/// that is all of them.
void drop_unreachable(std::vector<DnsRecord>& records,
                      const std::function<bool(const std::string&)>& reachable);

/// In the order in which to try them for one server: families by turns, IPv6 first (RFC 8305 4); within a
/// family always the same, however the answers rotate. At most `most`.
std::vector<std::string> order_of_trial(const std::vector<DnsRecord>& records, std::size_t most = 16);

/// The names that stand for one, in the order in which they are asked for (resolv.conf: search, ndots).
std::vector<std::string> search_names(std::string_view name, int ndots,
                                      const std::vector<std::string>& domains);

}  // namespace remora

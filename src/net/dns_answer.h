// Parses DNS responses and decides how far to trust them. Pure.
//
// A name has two address families, queried separately, and each query can fail alone. Addresses in a
// response are authoritative for their family. Missing addresses are not always: SERVFAIL is not a negative
// answer (RFC 2308 7), and if only one family's answer denies the name, that answer may be the broken one
// (RFC 4074 4).
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
  std::string target;          // SRV: the target host; otherwise the name that was queried
  std::uint16_t port = 0;      // SRV
  std::uint16_t priority = 0;  // SRV: lowest first
  std::uint32_t weight = 1;    // SRV; 0 is read as 1
  bool is_v6() const noexcept { return ip.find(':') != std::string::npos; }
  bool operator==(const DnsRecord&) const = default;
};

struct DnsAnswer {
  std::string error;  // no answer, or a failure: nothing is known. Empty: `records` is valid
  std::vector<DnsRecord> records;
  /// A target and family whose query was inconclusive: keep the addresses known before.
  struct Gap {
    std::string target;
    bool v6;
    bool operator==(const Gap&) const = default;
  };
  std::vector<Gap> gaps;
  std::string gap_reason;       // empty: no query failed
  std::chrono::seconds ttl{0};  // the minimum of all records
  bool cut = false;             // truncated: more than `max_records`
};

/// Result for one address family. `none`: the name exists without such addresses (NODATA); `nothing`:
/// inconclusive.
enum class Says : std::uint8_t { addresses, none, no_such_name, nothing };
struct FamilyAnswer {
  Says says = Says::nothing;
  std::vector<std::string> ips;
  std::chrono::seconds ttl{0};
  std::string why;  // the reason when `says` is `nothing`
};

/// The smallest TTL of an answer's records (RFC 1035 4.1.3); nullopt if the message cannot be parsed.
std::optional<std::chrono::seconds> least_ttl(const unsigned char* data, int size);

/// Parses the response to a query for A or AAAA records.
FamilyAnswer read_family(std::span<const unsigned char> message, bool v6);

/// Classifies a response without the wanted records: a negative answer, or inconclusive (a failure, a
/// referral, an alias loop). `why`: the reason when it returns `nothing`.
Says read_silence(std::span<const unsigned char> message, std::string& why);

/// Whether the result of family `one` is conclusive. A negative answer counts only if the other family was
/// answered too and does not contradict it: a name that exists in one family exists (RFC 8020).
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

/// The records after an answer: the new ones, plus the old ones for its gaps.
std::vector<DnsRecord> merge_answer(const std::vector<DnsRecord>& known, const DnsAnswer& answer);

/// Drops the other family's records, for each target that has addresses of the preferred family.
std::vector<DnsRecord> preferred(std::vector<DnsRecord> records, config::Prefer prefer);

/// Drops addresses to which this machine has no route (RFC 3493 AI_ADDRCONFIG, RFC 6724 5 rule 1), unless
/// all would be dropped.
void drop_unreachable(std::vector<DnsRecord>& records,
                      const std::function<bool(const std::string&)>& reachable);

/// The order in which to try the addresses of one server: families alternate, IPv6 first (RFC 8305 4);
/// sorted within a family, so that rotating answers do not change the order. At most `most`.
std::vector<std::string> order_of_trial(const std::vector<DnsRecord>& records, std::size_t most = 16);

/// The fully qualified candidates of a name, in query order (resolv.conf: search, ndots).
std::vector<std::string> search_names(std::string_view name, int ndots,
                                      const std::vector<std::string>& domains);

}  // namespace remora

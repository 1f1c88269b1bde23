// X-Forwarded-For, X-Forwarded-Proto and Forwarded of any content: what a trusted proxy adds behind them says
// who the client is, whatever the client wrote before. First byte: which field; then a value per line.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "net/address.h"
#include "proxy/edits.h"

using namespace remora;

namespace {
Arrival resolve(const std::vector<Field>& fields, const char* trusted) {
  config::Cidr block;
  const auto base = *parse_ip(trusted);
  std::copy(std::begin(base.bytes), std::end(base.bytes), block.bytes);
  block.bits = 96 + 8;
  Arrival a;
  a.peer = a.client = *parse_ip("10.0.0.9");
  resolve_arrival(fields, {&block, 1}, a);
  return a;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const bool standard = (data[0] & 1) != 0;
  const Known known = standard ? Known::forwarded : Known::x_forwarded_for;
  const std::string name = standard ? "Forwarded" : "X-Forwarded-For";
  std::string_view rest(reinterpret_cast<const char*>(data + 1), size - 1);
  std::vector<Field> fields;
  while (!rest.empty() && fields.size() < 100) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (!line.empty() && line[0] == '!')
      fields.push_back({"X-Forwarded-Proto", line.substr(1), Known::x_forwarded_proto});
    else
      fields.push_back({name, line, known});
  }
  // Nobody is trusted: nothing is believed.
  const Arrival alone = resolve(fields, "192.0.0.0");
  if (alone.trusted || alone.secure || alone.client.text() != "10.0.0.9") std::abort();
  // A trusted proxy's own word is the last.
  const std::string added = standard ? "for=203.0.113.7" : "203.0.113.7";
  fields.push_back({name, added, known});
  const std::string client = resolve(fields, "10.0.0.0").client.text();
  if (client != "203.0.113.7" && !(standard && client == "10.0.0.9")) std::abort();  // an open quote: no word
  // Hops that are trusted themselves are passed over.
  const std::string hop = standard ? "for=10.1.2.3" : "10.1.2.3";
  fields.push_back({name, hop, known});
  if (resolve(fields, "10.0.0.0").client.text() != client) std::abort();
  return 0;
}

// Affinity by a header, in three forms: hashed (derived from what the client sends anyway), kept in the store
// (`carry: store`), or learned (`learn: true`): the app issues the id in a response header and the client
// sends it back, as with MCP's Mcp-Session-Id.

#include "affinity/kinds.h"
#include "affinity/seal.h"
#include "util/text.h"

namespace remora {

namespace {

struct HeaderSettings final : AffinitySettings {
  std::string name;
  bool learn = false, reject_unknown = false;
  double bounded_load = 0;
};

std::shared_ptr<const AffinitySettings> read(Settings& settings, std::string_view) {
  auto out = std::make_shared<HeaderSettings>();
  out->name = read_token_name(settings, "name", "");
  if (out->name.empty()) settings.bad("", "needs `name:`, the header");
  out->learn = settings.flag("learn").value_or(false);
  if (out->learn) {
    out->rejects_unknown = out->reject_unknown = read_reject_unknown(settings);
  } else {
    out->derived = read_carry(settings) == Carry::nothing;
    if (out->derived) out->bounded_load = read_bounded_load(settings);
  }
  out->tells_apart = to_lower(out->name);
  return out;
}

class HeaderAffinity final : public Affinity {
 public:
  HeaderAffinity(const AffinityInput& in, const HeaderSettings& settings)
      : settings_(settings), namer_(in.namer) {}

  std::string_view name() const noexcept override { return "header"; }
  Family family() const noexcept override { return settings_.derived ? Family::derived : Family::learned; }

  Hint identify(const RequestView& request, CryptoScratch& scratch, Clock::Wall) const override {
    const std::string_view value = find(request.fields);
    if (value.empty()) return NoHint{};
    if (family() == Family::derived) return HashOn{hash_text(value), settings_.bounded_load};
    Lookup lookup;
    lookup.key = namer_->name(value, scratch);
    lookup.adopt = !settings_.learn;
    lookup.reject_unknown = settings_.reject_unknown;
    return lookup;
  }

  ObservedId learn(const RequestView&, const ResponseView& response, CryptoScratch& scratch) const override {
    ObservedId learned;
    if (!settings_.learn) return learned;
    if (const std::string_view value = find(response.fields); !value.empty())
      learned.key = namer_->name(value, scratch);
    return learned;
  }

 private:
  /// The value without quotes. Nothing if it is empty, or if several fields of the name have a value.
  std::string_view find(std::span<const Field> fields) const noexcept {
    std::string_view value;
    for (const Field& f : fields) {
      if (!iequals(f.name, settings_.name)) continue;
      if (!value.empty()) return {};
      value = f.value;
    }
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
      value = value.substr(1, value.size() - 2);
    return value;
  }

  const HeaderSettings settings_;
  const std::shared_ptr<const SessionNamer> namer_;
};

std::shared_ptr<const Affinity> make(const AffinityInput& in) {
  return std::make_shared<HeaderAffinity>(in, static_cast<const HeaderSettings&>(in.settings));
}

}  // namespace

extern const AffinityKind header_affinity{"header", read, make};

}  // namespace remora

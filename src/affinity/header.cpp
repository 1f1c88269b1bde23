// Affinity by a header. Three forms: hashed (derived from what the client sends anyway), kept in the store
// (`carry: store`), or learned (`learn: true`): the app issues the id in a response header, as MCP does with
// Mcp-Session-Id, and the client sends it back.

#include "affinity/kinds.h"
#include "affinity/seal.h"
#include "util/text.h"

namespace remora {

namespace {

class HeaderAffinity final : public Affinity {
 public:
  explicit HeaderAffinity(const AffinityInput& in) : config_(in.config.header), namer_(in.namer) {}

  std::string_view name() const noexcept override { return "header"; }
  Family family() const noexcept override {
    return config_.learn || config_.carry == config::Carry::store ? Family::learned : Family::derived;
  }

  Hint identify(const RequestView& request, CryptoScratch& scratch, Clock::Wall) const override {
    const std::string_view value = find(request.fields);
    if (value.empty()) return NoHint{};
    if (family() == Family::derived) return HashOn{hash_text(value), config_.bounded_load.value_or(0)};
    Lookup lookup;
    lookup.key = namer_->name(value, scratch);
    lookup.adopt = !config_.learn;
    lookup.reject_unknown = config_.on_unknown == config::OnUnknown::reject;
    return lookup;
  }

  Learned learn(const RequestView&, const ResponseView& response, CryptoScratch& scratch) const override {
    Learned learned;
    if (!config_.learn) return learned;
    if (const std::string_view value = find(response.fields); !value.empty())
      learned.key = namer_->name(value, scratch);
    return learned;
  }

 private:
  /// Empty ids are no ids; two fields of the name are nobody's id.
  std::string_view find(std::span<const Field> fields) const noexcept {
    std::string_view value;
    for (const Field& f : fields) {
      if (!iequals(f.name, config_.name)) continue;
      if (!value.empty()) return {};
      value = f.value;
    }
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
      value = value.substr(1, value.size() - 2);
    return value;
  }

  const config::HeaderAffinity config_;
  const std::shared_ptr<const SessionNamer> namer_;
};

}  // namespace

std::shared_ptr<const Affinity> make_header_affinity(const AffinityInput& in) {
  return std::make_shared<HeaderAffinity>(in);
}

}  // namespace remora

#include "config/merge.h"

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace remora::config {

namespace {

using Entry = std::pair<YAML::Node, YAML::Node>;

bool is_merge_key(const YAML::Node& key) {
  return key.IsScalar() && key.Scalar() == "<<" && key.Tag() != "!";  // a quoted "<<" is an ordinary key
}

class Merger {
 public:
  explicit Merger(Diagnostics& errors) : errors_(errors) {}

  /// Depth first: a map is merged after its children, so nothing that is merged still has merge keys.
  void visit(YAML::Node node, unsigned depth) {
    if (stopped_) return;
    // Nested aliases can make a small file huge, and an alias can appear inside its own anchor.
    if (depth > max_depth || ++visited_ > max_nodes) {
      stopped_ = true;
      errors_.add(node.Mark(), "", "the aliases of this file are nested too deeply, or too many");
      return;
    }
    if (node.IsSequence())
      for (const auto& item : node) visit(item, depth + 1);
    if (!node.IsMap()) return;
    std::vector<Entry> merges;
    for (const auto& entry : node) {
      if (is_merge_key(entry.first)) merges.emplace_back(entry.first, entry.second);
      visit(entry.second, depth + 1);
    }
    if (merges.empty() || stopped_) return;
    if (merges.size() > 1)
      return errors_.add(merges[1].first.Mark(), "", "'<<' is given twice; use a list: <<: [*one, *other]");
    merge(node, merges.front());
  }

 private:
  static constexpr unsigned max_depth = 64;
  static constexpr std::size_t max_nodes = 200000;

  void merge(YAML::Node& node, const Entry& from) {
    std::set<std::string> present;
    for (const auto& entry : node)
      if (entry.first.IsScalar()) present.insert(entry.first.Scalar());
    std::vector<Entry> fresh;
    const auto take = [&](const YAML::Node& map) {
      if (!map.IsMap() || map.is(node))
        return errors_.add(from.first.Mark(), "", "'<<' takes a map or a list of maps (<<: *defaults)");
      for (const auto& entry : map)
        if (entry.first.IsScalar() && present.insert(entry.first.Scalar()).second)
          fresh.emplace_back(entry.first, entry.second);
    };
    if (from.second.IsSequence())
      for (const auto& item : from.second) take(item);
    else
      take(from.second);
    node.remove("<<");
    for (const Entry& entry : fresh) node.force_insert(entry.first, entry.second);
  }

  Diagnostics& errors_;
  std::size_t visited_ = 0;
  bool stopped_ = false;
};

}  // namespace

void resolve_merges(YAML::Node& root, Diagnostics& errors) {
  Merger(errors).visit(root, 0);
}

void drop_extensions(YAML::Node& root) {
  if (!root.IsMap()) return;
  std::vector<std::string> names;
  for (const auto& entry : root)
    if (entry.first.IsScalar() && entry.first.Scalar().starts_with("x-"))
      names.push_back(entry.first.Scalar());
  for (const std::string& name : names) root.remove(name);
}

}  // namespace remora::config

// For tests of affinity kinds: pools and settings from configuration text.
#pragma once

#include <map>
#include <stdexcept>
#include <string>

#include "affinity/registry.h"
#include "config/loader.h"

namespace remora::test {

/// The configuration of a pool with this `affinity:` value. Throws std::runtime_error with the loader's first
/// error.
inline config::Pool pool_with(const std::string& affinity) {
  const auto loaded = config::load_text(
      "listeners: [127.0.0.1:0]\npools:\n  app:\n    backends: [127.0.0.1:1]\n    affinity: " + affinity +
          "\n",
      "test", affinity_kinds());
  if (const auto* errors = std::get_if<config::LoadError>(&loaded))
    throw std::runtime_error(errors->lines.front());
  return std::get<config::Config>(loaded).pools.front();
}

/// The fields that affinity adds to a response, each as "Name: value\r\n".
inline std::string added_lines(const ResponseEdits& edits) {
  std::string lines;
  for (const Field& f : edits.added) lines.append(f.name).append(": ").append(f.value).append("\r\n");
  return lines;
}

/// Settings of one kind, from strings: for jwt_claim, which in a whole file would also need a verifier.
class FewSettings final : public Settings {
 public:
  explicit FewSettings(std::map<std::string, std::string> values) : values_(std::move(values)) {}
  std::optional<std::string> text(const char* key) override {
    const auto it = values_.find(key);
    return it == values_.end() ? std::nullopt : std::optional(it->second);
  }
  std::optional<std::vector<std::string>> texts(const char*) override { return std::nullopt; }
  std::optional<Pairs> pairs(const char*) override { return std::nullopt; }
  std::optional<bool> flag(const char*) override { return std::nullopt; }
  std::optional<std::uint32_t> whole_number(const char*) override { return std::nullopt; }
  std::optional<double> number(const char*) override { return std::nullopt; }
  std::optional<std::chrono::milliseconds> duration(const char*) override { return std::nullopt; }
  void bad(const char* key, std::string_view what) override {
    throw std::runtime_error(std::string(key) + ": " + std::string(what));
  }
  void bad_entry(const char* key, std::size_t, std::string_view what) override { bad(key, what); }

 private:
  const std::map<std::string, std::string> values_;
};

/// The settings of the kind `name`. Throws std::runtime_error on a bad value or an unknown kind.
inline config::Affinity kind_with(const std::string& name, std::map<std::string, std::string> values) {
  FewSettings settings(std::move(values));
  for (const AffinityKind* kind : affinity_kinds())
    if (kind->name == name) return {name, kind->read(settings, "app")};
  throw std::runtime_error("no kind " + name);
}

}  // namespace remora::test

#include "config/shown.h"

#include "util/secrets.h"
#include "util/text.h"

namespace remora::config {

namespace {

/// What the enclosing keys say about a value.
struct Place {
  std::string key;
  bool secret = false;   // the value is a secret
  bool headers = false;  // the keys are header field names
};

class Writer {
 public:
  void write(const YAML::Node& node, const Place& place);
  std::string text() const {
    return too_many_ ? "# too large to be shown\n" : out_.c_str() + std::string("\n");
  }

 private:
  void write_map(const YAML::Node& node, const Place& place);
  void write_scalar(const YAML::Node& node, const Place& place);
  static std::string shown(const std::string& value, const Place& place);
  /// Nested aliases can make a small file huge.
  bool too_many() noexcept { return too_many_ = too_many_ || ++nodes_ > 200000; }

  YAML::Emitter out_;
  std::size_t nodes_ = 0;
  bool too_many_ = false;
  unsigned depth_ = 0;
};

bool holds_headers(std::string_view key) {
  return key == "headers" || key == "request_headers" || key == "response_headers";
}

/// A certificate's `key` is a file path. Key material pasted there by mistake has several lines, and is
/// hidden.
bool is_key_file(const YAML::Node& map, const std::string& key, const YAML::Node& value) {
  return key == "key" && map["cert"] && value.IsScalar() && value.Scalar().find('\n') == std::string::npos;
}

std::string Writer::shown(const std::string& value, const Place& place) {
  if (place.secret || (place.headers && (is_secret_field(place.key) || is_credential(value))))
    return std::string(hidden);
  return place.key.ends_with("url") ? without_query(value) : without_credentials(value);
}

void Writer::write_scalar(const YAML::Node& node, const Place& place) {
  const std::string value = shown(node.Scalar(), place);
  if (node.Tag() == "!" && value != hidden) out_ << YAML::DoubleQuoted;  // it was quoted in the file
  out_ << value;
}

void Writer::write_map(const YAML::Node& node, const Place& place) {
  out_ << YAML::BeginMap;
  for (const auto& entry : node) {
    Place inner;
    inner.key = entry.first.IsScalar() ? entry.first.Scalar() : "";
    const bool edits =
        place.headers && (inner.key == "set" || inner.key == "remove") && !entry.second.IsScalar();
    inner.headers = (place.headers || holds_headers(inner.key)) && inner.key != "remove";
    inner.secret = !edits && is_secret_key(inner.key) && !is_key_file(node, inner.key, entry.second);
    out_ << YAML::Key << without_credentials(inner.key) << YAML::Value;
    write(entry.second, inner);
  }
  out_ << YAML::EndMap;
}

void Writer::write(const YAML::Node& node, const Place& place) {
  constexpr unsigned max_depth = 64;  // an alias can appear inside its own anchor
  struct Depth {
    explicit Depth(unsigned& n) : now(n) { ++now; }
    ~Depth() { --now; }
    unsigned& now;
  } depth(depth_);
  if (depth_ > max_depth) too_many_ = true;
  if (too_many()) {
    out_ << "";
    return;
  }
  if (node.IsScalar()) return write_scalar(node, place);
  if (!node.IsMap() && !node.IsSequence()) {
    out_ << YAML::Null;
    return;
  }
  if (node.Style() == YAML::EmitterStyle::Flow) out_ << YAML::Flow;
  if (node.IsMap()) return write_map(node, place);
  out_ << YAML::BeginSeq;
  for (const auto& item : node) write(item, place);
  out_ << YAML::EndSeq;
}

}  // namespace

std::string shown_text(const YAML::Node& document) {
  Writer writer;
  writer.write(document, Place{});
  return writer.text();
}

std::string shown_value(const std::string& key, const std::string& raw) {
  const std::size_t dot = key.rfind('.');
  std::string_view last = std::string_view(key).substr(dot == std::string::npos ? 0 : dot + 1);
  last = last.substr(0, last.find('['));
  return "'" + (is_secret_key(last) ? std::string(hidden) : without_user(raw)) + "'";
}

}  // namespace remora::config

// Splits a command line into words like a POSIX shell. Supports bash's $'...', which browsers write for "copy
// as cURL".

#include <stdexcept>

#include "cli/curl.h"

namespace remora {

namespace {

class Splitter {
 public:
  explicit Splitter(std::string_view line) : line_(line) {}

  std::vector<std::string> words() {
    for (; at_ < line_.size(); ++at_) {
      const char c = line_[at_];
      if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
        end_word();
      else if (c == '\'')
        single();
      else if (c == '"')
        double_quoted();
      else if (c == '$' && at_ + 1 < line_.size() && line_[at_ + 1] == '\'')
        ansi();
      else if (c == '\\')
        escaped();
      else
        add(c);
    }
    end_word();
    return std::move(out_);
  }

 private:
  void add(char c) {
    word_ += c;
    begun_ = true;
  }
  void end_word() {
    if (begun_) out_.push_back(std::move(word_));
    word_.clear();
    begun_ = false;
  }
  /// Advances to the next character; throws at the end of the line.
  char next() {
    if (++at_ >= line_.size()) throw std::invalid_argument("a quote of the command line is not closed");
    return line_[at_];
  }
  void escaped() {
    if (++at_ >= line_.size()) return;
    if (line_[at_] == '\r' && at_ + 1 < line_.size() && line_[at_ + 1] == '\n') ++at_;
    if (line_[at_] != '\n') add(line_[at_]);  // a backslash at the end of a line continues it
  }
  void single() {
    begun_ = true;
    for (char c = next(); c != '\''; c = next()) word_ += c;
  }
  void double_quoted() {
    begun_ = true;
    for (char c = next(); c != '"'; c = next()) {
      if (c == '\\') {
        c = next();
        if (c == '\n') continue;
        if (c != '"' && c != '\\' && c != '$' && c != '`') word_ += '\\';
      }
      word_ += c;
    }
  }
  void ansi() {
    begun_ = true;
    ++at_;
    for (char c = next(); c != '\''; c = next()) {
      if (c != '\\') {
        word_ += c;
        continue;
      }
      c = next();
      const std::size_t digits = c == 'u' ? 4 : c == 'x' ? 2 : 0;
      if (digits != 0)
        word_ += code(digits);
      else
        word_ += c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c;
    }
  }
  char code(std::size_t digits) {
    const std::string hex(line_.substr(at_ + 1, digits));
    if (hex.size() != digits || hex.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos)
      throw std::invalid_argument("an escape of the command line is not understood");
    at_ += digits;
    const unsigned long n = std::stoul(hex, nullptr, 16);
    return n < 0x80 ? static_cast<char>(n) : '?';
  }

  const std::string_view line_;
  std::size_t at_ = 0;
  std::string word_;
  bool begun_ = false;
  std::vector<std::string> out_;
};

}  // namespace

std::vector<std::string> split_like_a_shell(std::string_view line) {
  return Splitter(line).words();
}

}  // namespace remora

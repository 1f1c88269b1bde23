// Log lines cannot be forged: whatever stands in a field that comes from outside, an entry is one line, and
// the line can be taken apart into the same fields again.

#include "observe/access_log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <fstream>
#include <iterator>
#include <map>

namespace remora {
namespace {

/// `\"`, `\\` and `\xHH` undone.
std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
    } else if (text.at(i + 1) == 'x') {
      out += static_cast<char>(std::stoi(std::string(text.substr(i + 2, 2)), nullptr, 16));
      i += 3;
    } else {
      out += text[++i];
    }
  }
  return out;
}

/// Words of a line, as any reader of the format would find them: a quote opens and closes, a backslash takes
/// the next character along. What is not quoted and `-`, or `"-"`, is nothing.
std::vector<std::string> words(std::string_view line) {
  std::vector<std::string> out(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\\') {
      out.back().append(line.substr(i, 2));
      ++i;
    } else if (line[i] == ' ' && !quoted) {
      out.emplace_back();
    } else {
      quoted = quoted != (line[i] == '"');
      out.back() += line[i];
    }
  }
  return out;
}

std::string value(std::string_view word) {
  if (word.size() >= 2 && word.front() == '"') word = word.substr(1, word.size() - 2);
  return word == "-" ? "" : unescaped(word);
}

std::map<std::string, std::string> parsed(std::string_view line) {
  const auto all = words(line.substr(0, line.size() - 1));
  std::map<std::string, std::string> out;
  const std::string_view request = all.at(5);  // address - - [date zone] "request"
  const auto first = request.find(' '), last = request.rfind(' ');
  out["method"] = unescaped(request.substr(1, first - 1));
  out["target"] = unescaped(request.substr(first + 1, last - first - 1));
  out["referer"] = value(all.at(8));
  out["user_agent"] = value(all.at(9));
  for (std::size_t i = 10; i < all.size(); ++i) {
    const auto equals = all[i].find('=');
    EXPECT_NE(equals, std::string::npos) << line;
    const auto [at, fresh] =
        out.emplace(all[i].substr(0, equals), value(std::string_view(all[i]).substr(equals + 1)));
    EXPECT_TRUE(fresh) << "twice: " << at->first << " in " << line;
  }
  return out;
}

struct Texts {
  std::string method = "GET", target = "/", host = "h", referer, user_agent, id, pool = "app", backend = "a",
              affinity = "cookie", failure;
  AccessEntry entry() const {
    AccessEntry e;
    e.method = method;
    e.target = target;
    e.host = host;
    e.referer = referer;
    e.user_agent = user_agent;
    e.request_id = id;
    e.pool = pool;
    e.backend = backend;
    e.affinity = affinity;
    e.failure = failure;
    return e;
  }
  std::map<std::string, const std::string*> fields() const {
    return {{"method", &method},         {"target", &target},  {"host", &host}, {"referer", &referer},
            {"user_agent", &user_agent}, {"id", &id},          {"pool", &pool}, {"backend", &backend},
            {"affinity", &affinity},     {"failure", &failure}};
  }
};

void expect_sound(const Texts& texts) {
  std::string line;
  format_combined(texts.entry(), "01/Jan/2026:00:00:00 +0000", line);
  ASSERT_EQ(line.find('\n'), line.size() - 1);
  for (const char c : line.substr(0, line.size() - 1)) ASSERT_TRUE(c >= ' ' && c < 0x7f) << line;
  auto found = parsed(line);
  for (const auto& [name, text] : texts.fields()) EXPECT_EQ(found[name], *text) << name << " in " << line;

  std::string json;
  format_json(texts.entry(), json);
  ASSERT_EQ(json.find('\n'), json.size() - 1);
  boost::system::error_code error;
  const auto object = boost::json::parse(json, error);
  ASSERT_FALSE(error) << json;
  for (const auto& [name, text] : texts.fields()) {
    std::string wanted;  // each byte as the character of its number
    for (const char c : *text) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte < 0x80) {
        wanted += c;
      } else {
        wanted += static_cast<char>(0xc0 | byte >> 6);
        wanted += static_cast<char>(0x80 | (byte & 0x3f));
      }
    }
    EXPECT_EQ(object.at(name).as_string(), wanted) << name << " in " << json;
  }
}

TEST(AccessLog, OrdinaryEntriesReadAsBefore) {
  Texts texts;
  texts.id = "0123456789abcdef";
  std::string line;
  format_combined(texts.entry(), "01/Jan/2026:00:00:00 +0000", line);
  EXPECT_NE(line.find(" - - [01/Jan/2026:00:00:00 +0000] \"GET / HTTP/1.1\" 0 0 \"-\" \"-\" host=\"h\" "
                      "id=0123456789abcdef pool=app backend=a affinity=cookie reason="),
            std::string::npos)
      << line;
}

// A trusted proxy passes on what its clients call their requests.
TEST(AccessLog, ARequestIdCannotLookLikeOtherFields) {
  for (const char* id : {"a b\" pool=admin backend=evil status=200", "x pool=admin", "\"", "\\",
                         "a\\\" pool=b", "-", "=", "a=b",
                         "\x9b"
                         "31m",
                         "\xff", "\t", "a\nb", "{\"a\":1}", " ", "  ", "id=\"x\" pool=admin"}) {
    Texts texts;
    texts.id = id;
    expect_sound(texts);
  }
}

TEST(AccessLog, RandomBytesInEveryFieldComeBackAsTheyWere) {
  std::uint64_t state = 1;
  const auto next = [&](std::size_t n) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<std::size_t>((state >> 33) % n);
  };
  constexpr std::string_view nasty = "\" \\=-\n\r\t\x1b\x9b\x00xu{}[],:";
  const auto text = [&](std::size_t least) {
    std::string out;
    for (std::size_t n = least + next(12); n > 0; --n)
      out += next(2) == 0 ? nasty[next(nasty.size())] : static_cast<char>(next(256));
    return out;
  };
  for (int i = 0; i < 20000 && !testing::Test::HasFailure(); ++i) {
    Texts texts;
    texts.method = text(1);
    texts.target = text(1);
    for (std::string* field : {&texts.host, &texts.referer, &texts.user_agent, &texts.id, &texts.pool,
                               &texts.backend, &texts.affinity, &texts.failure})
      *field = text(0);
    expect_sound(texts);
  }
}

TEST(Manual, HasEachFieldReasonAndCauseOfTheAccessLog) {
  std::ifstream in(REMORA_SOURCE_DIR "/docs/operating.md");
  std::string manual(std::istreambuf_iterator<char>(in), {});
  manual = manual.substr(std::min(manual.find("## The access log"), manual.size()));
  manual = manual.substr(0, manual.find("\n## ", 1));
  const auto stands = [&](std::string_view word) {
    EXPECT_NE(manual.find("`" + std::string(word) + "`"), std::string::npos) << word;
  };
  std::string line;
  format_json({}, line);
  const auto entry = boost::json::parse(line);
  for (const auto& field : entry.as_object()) stands(field.key());
  for (int i = 0; i < static_cast<int>(Reason::count_); ++i) stands(to_string(static_cast<Reason>(i)));
  for (int i = 0; i < static_cast<int>(Cause::count_); ++i) stands(to_string(static_cast<Cause>(i)));
}

}  // namespace
}  // namespace remora

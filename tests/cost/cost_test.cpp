// Everything that strangers feed costs at most twice as much for twice the input: no request, page or reply
// can buy much time with few bytes.
//
// The program runs itself under callgrind (--measure), which counts what happens within
// `remora_cost_measured` and writes a file each time that it returns; the tests compare the pairs.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>

#include "cost/cost.h"
#include "support/remora.h"

/// Known to callgrind by its name.
extern "C" __attribute__((noinline)) void remora_cost_measured(const std::function<void()>& work) {
  work();
}

namespace remora::test {

std::string times(std::size_t n, const std::string& text) {
  std::string out;
  out.reserve(n * text.size());
  for (std::size_t i = 0; i < n; ++i) out += text;
  return out;
}

namespace {

std::vector<CostCase> all_cases() {
  std::vector<CostCase> cases;
  add_http_cases(cases);
  add_edit_cases(cases);
  add_affinity_cases(cases);
  add_text_cases(cases);
  return cases;
}

void measure_all() {
  for (const CostCase& c : all_cases())
    for (const std::size_t size : {c.size, 2 * c.size}) {
      const auto work = c.make(size);
      work();
      remora_cost_measured(work);
    }
}

/// Instructions by the number of the measurement; 0: none.
std::uint64_t total_of(const std::string& file) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);)
    if (line.rfind("totals: ", 0) == 0) return std::stoull(line.substr(8));
  return 0;
}

/// Runs this program under callgrind; its dumps are in the folder that is returned.
std::string run_measured() {
  const std::string folder = make_folder(), self = std::filesystem::read_symlink("/proc/self/exe");
  const pid_t pid = ::fork();
  if (pid == 0) {
    const std::string out = "--callgrind-out-file=" + folder + "/out", log = "--log-file=" + folder + "/log";
    ::execlp("valgrind", "valgrind", "--tool=callgrind", "--toggle-collect=remora_cost_measured",
             "--dump-after=remora_cost_measured", out.c_str(), log.c_str(), self.c_str(), "--measure",
             nullptr);
    ::_exit(127);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (status != 0) ADD_FAILURE() << "valgrind ended with " << status << "; is it installed?";
  return folder;
}

class Cost : public ::testing::TestWithParam<std::size_t> {
 public:
  static void SetUpTestSuite() {
    if (!sanitized() && folder_.empty()) folder_ = run_measured();
  }
  static void TearDownTestSuite() {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

 protected:
  static std::uint64_t cost(std::size_t number) {
    return total_of(folder_ + "/out." + std::to_string(number));
  }

 private:
  inline static std::string folder_;
};

TEST_P(Cost, AtMostDoubles) {
  if (sanitized()) GTEST_SKIP() << "sanitizers count instructions of their own";
  const std::uint64_t once = cost(2 * GetParam() + 1), twice = cost(2 * GetParam() + 2);
  ASSERT_GT(once, 0U);
  const double ratio = static_cast<double>(twice) / static_cast<double>(once);
  std::printf("%9llu instructions, then %9llu: %.2f times\n", static_cast<unsigned long long>(once),
              static_cast<unsigned long long>(twice), ratio);
  EXPECT_LE(static_cast<double>(twice), 2.2 * static_cast<double>(once) + 20000);
}

std::vector<std::size_t> numbers() {
  std::vector<std::size_t> out(all_cases().size());
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = i;
  return out;
}

INSTANTIATE_TEST_SUITE_P(OfTwiceTheInput, Cost, ::testing::ValuesIn(numbers()),
                         [](const auto& info) { return all_cases()[info.param].name; });

}  // namespace

void measure() {
  measure_all();
}

}  // namespace remora::test

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "--measure") {
    remora::test::measure();
    return 0;
  }
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}

// Faults: makes the Nth operation of a scenario fail.
//
//   for (unsigned nth = 1;; ++nth) {
//     Faults faults(nth);
//     run_scenario(faults);
//     check_that_nothing_is_lost();
//     if (!faults.happened()) break;  // the scenario has fewer operations
//   }
#pragma once

namespace remora::test {

class Faults {
 public:
  /// `at`: number of the operation that fails, from 1; 0: none fails.
  explicit Faults(unsigned at = 0) : at_(at) {}
  /// Counts an operation. True: this one fails.
  bool hits() noexcept { return ++count_ == at_; }
  bool happened() const noexcept { return at_ != 0 && count_ >= at_; }
  unsigned count() const noexcept { return count_; }

 private:
  unsigned at_, count_ = 0;
};

}  // namespace remora::test

// What input of twice the size costs: instructions, counted by callgrind, so that no clock and no neighbor
// counts.
//
// A case makes an input of a size and returns the work on it. It runs once unmeasured, so that memory which
// is taken once and kept does not count, then once measured.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace remora::test {

struct CostCase {
  std::string name;
  std::size_t size;  // of the smaller input; the other has twice as much of everything
  std::function<std::function<void()>(std::size_t)> make;
};

/// Each file's share.
void add_http_cases(std::vector<CostCase>&);
void add_edit_cases(std::vector<CostCase>&);
void add_affinity_cases(std::vector<CostCase>&);
void add_text_cases(std::vector<CostCase>&);

/// `text`, `n` times.
std::string times(std::size_t n, const std::string& text);

/// The optimizer believes that it is used.
template <class T>
void keep(const T& value) {
  asm volatile("" : : "g"(&value) : "memory");
}

}  // namespace remora::test

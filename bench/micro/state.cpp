// What hand-off costs: nothing to speak of while it is not used, and what saving and moving a state costs.

#include <benchmark/benchmark.h>

#include "affinity/seal.h"
#include "session/memory.h"

namespace remora {
namespace {

SessionId some_id(std::uint64_t n) {
  SessionId id;
  for (std::size_t i = 0; i < id.bytes.size(); ++i) id.bytes[i] = static_cast<std::uint8_t>(n * 31 + i * 7);
  return id;
}

/// What a sticky request of a pool with `state` asks beyond one without: is its session on its way? Has the
/// response a state? With none, and with a thousand sessions on their way.
void unused(benchmark::State& state) {
  HandedOver handed(1000000);
  const ClockReading now{std::chrono::steady_clock::now(), std::chrono::system_clock::now()};
  for (std::int64_t i = 0; i < state.range(0); ++i)
    handed.begin(some_id(static_cast<std::uint64_t>(i)), 2, now);
  const SessionId mine = some_id(5000);
  for (auto _ : state) benchmark::DoNotOptimize(handed.pending(mine, 1));
}
BENCHMARK(unused)->Name("hand-off/unused")->Arg(0)->Arg(1000);

void seal(benchmark::State& state) {
  const std::string key(32, 'k');
  CryptoScratch scratch;
  const BlobSealer sealer(std::make_shared<KeyRing>(std::span(&key, 1)), "state:app");
  const std::string plain(static_cast<std::size_t>(state.range(0)), 's');
  for (auto _ : state) benchmark::DoNotOptimize(sealer.seal(plain, "session", scratch));
}
BENCHMARK(seal)->Name("hand-off/seal")->Arg(256)->Arg(4096);

void open(benchmark::State& state) {
  const std::string key(32, 'k');
  CryptoScratch scratch;
  const BlobSealer sealer(std::make_shared<KeyRing>(std::span(&key, 1)), "state:app");
  const std::string sealed =
      sealer.seal(std::string(static_cast<std::size_t>(state.range(0)), 's'), "session", scratch);
  for (auto _ : state) benchmark::DoNotOptimize(sealer.open(sealed, "session", scratch));
}
BENCHMARK(open)->Name("hand-off/open")->Arg(256)->Arg(4096);

}  // namespace
}  // namespace remora

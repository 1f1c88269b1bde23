#include "admin/metrics.h"

#include <prometheus/text_serializer.h>

#include <map>
#include <sstream>
#include <utility>

namespace remora {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

class Families {
 public:
  void begin(const char* name, const char* help, MetricType type) {
    families_.push_back({name, help, type, {}});
  }
  void add(Labels labels, double value) {
    ClientMetric m;
    m.label = std::move(labels);
    if (families_.back().type == MetricType::Counter)
      m.counter.value = value;
    else
      m.gauge.value = value;
    families_.back().metric.push_back(std::move(m));
  }
  std::string text() const {
    std::ostringstream out;
    prometheus::TextSerializer().Serialize(out, families_);
    return out.str();
  }

 private:
  std::vector<MetricFamily> families_;
};

/// One counter of a pool over all workers.
template <class F>
double sum(const PoolView& pool, F counter) {
  std::uint64_t n = 0;
  for (const SessionCounts& counts : pool.counters->sessions) n += counter(counts).value();
  return static_cast<double>(n);
}

template <class Enum, class Member>
void add_counters(Families& out, const Snapshot& snapshot, const char* label, Member member) {
  for (const auto& pool : snapshot.pools) {
    if (pool->affinity.empty()) continue;
    for (std::size_t i = 0; i < static_cast<std::size_t>(Enum::count_); ++i)
      out.add({{"pool", pool->config.name}, {label, std::string(to_string(static_cast<Enum>(i)))}},
              sum(*pool, [&](const SessionCounts& c) -> const Counter& { return (c.*member)[i]; }));
  }
}

void add_sessions(Families& out, const Snapshot& snapshot, SessionMemory& memory, Moment now) {
  using Place = std::pair<std::uint16_t, std::uint64_t>;
  std::map<Place, double> learned, issued;
  memory.learned.count(now, [&](std::uint16_t pool, std::uint64_t backend) { ++learned[{pool, backend}]; });
  memory.active.count(now, [&](std::uint16_t pool, std::uint64_t backend) { ++issued[{pool, backend}]; });
  out.begin(
      "remora_sessions",
      "Living sessions per backend: learned ones exactly, issued ones as seen by this instance within their "
      "idle timeout.",
      MetricType::Gauge);
  for (const auto& pool : snapshot.pools) {
    if (pool->affinity.empty()) continue;
    for (const Member& m : pool->snapshot->members) {
      const Place place{pool->number, m.backend->hash};
      for (const auto& [family, counts] : {std::pair{"learned", &learned}, std::pair{"issued", &issued}}) {
        const auto found = counts->find(place);
        out.add({{"pool", pool->config.name}, {"backend", m.backend->id}, {"family", family}},
                found == counts->end() ? 0 : found->second);
      }
    }
  }
}

}  // namespace

std::string metrics_text(const Snapshot& snapshot, SessionMemory& memory, Moment now) {
  Families out;
  out.begin("remora_session_requests_total",
            "Requests by why their session is where it is; none: no session (derived affinity, preflights).",
            MetricType::Counter);
  add_counters<Reason>(out, snapshot, "reason", &SessionCounts::requests);
  out.begin(
      "remora_session_recognition_total",
      "Requests by what their token or id was worth: none is a living session, any other the cause why not.",
      MetricType::Counter);
  add_counters<Cause>(out, snapshot, "cause", &SessionCounts::refused);
  out.begin("remora_session_events_total",
            "Ids bound, replaced by a login and cleared by the app; sessions ended, renewed and lost.",
            MetricType::Counter);
  add_counters<SessionEvent>(out, snapshot, "event", &SessionCounts::events);
  add_sessions(out, snapshot, memory, now);

  out.begin("remora_session_table_entries", "Entries of the local tables.", MetricType::Gauge);
  out.add({{"table", "learned"}}, static_cast<double>(memory.learned.size()));
  out.add({{"table", "moves"}}, static_cast<double>(memory.moves.size()));
  out.add({{"table", "active"}}, static_cast<double>(memory.active.size()));
  out.begin("remora_session_table_evictions_total", "Entries that had to go because a table was full.",
            MetricType::Counter);
  out.add({}, static_cast<double>(memory.evicted()));

  out.begin("remora_backend_requests_total", "Requests sent to the backend, retries included.",
            MetricType::Counter);
  for (const auto& pool : snapshot.pools)
    for (const Member& m : pool->snapshot->members)
      out.add({{"pool", pool->config.name}, {"backend", m.backend->id}},
              static_cast<double>(m.backend->served.load(std::memory_order_relaxed)));
  out.begin("remora_backend_requests_in_flight", "Requests at the backend now.", MetricType::Gauge);
  for (const auto& pool : snapshot.pools)
    for (const Member& m : pool->snapshot->members)
      out.add({{"pool", pool->config.name}, {"backend", m.backend->id}},
              m.backend->in_flight.load(std::memory_order_relaxed));
  out.begin("remora_backend_accepts_new",
            "1: may begin sessions, by the operator, probes and live traffic together.", MetricType::Gauge);
  for (const auto& pool : snapshot.pools)
    for (const Member& m : pool->snapshot->members)
      out.add({{"pool", pool->config.name}, {"backend", m.backend->id}}, m.accepts_new() ? 1 : 0);
  out.begin("remora_backend_accepts_bound", "1: may serve sessions that are bound to it.", MetricType::Gauge);
  for (const auto& pool : snapshot.pools)
    for (const Member& m : pool->snapshot->members)
      out.add({{"pool", pool->config.name}, {"backend", m.backend->id}}, m.accepts_bound() ? 1 : 0);
  return out.text();
}

}  // namespace remora

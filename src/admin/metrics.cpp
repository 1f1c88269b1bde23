#include "admin/metrics.h"

#include <prometheus/text_serializer.h>

#include <limits>
#include <sstream>
#include <utility>

#include "version.h"

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
  void add(Labels labels, const TrafficSum& traffic) {
    ClientMetric m;
    m.label = std::move(labels);
    std::uint64_t n = 0;
    for (std::size_t i = 0; i < traffic.buckets.size(); ++i) {
      n += traffic.buckets[i];
      const bool last = i == TrafficCounts::bounds_ms.size();
      m.histogram.bucket.push_back(
          {n, last ? std::numeric_limits<double>::infinity() : TrafficCounts::bounds_ms[i] / 1000.0});
    }
    m.histogram.sample_count = n;
    m.histogram.sample_sum = static_cast<double>(traffic.microseconds) / 1e6;
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

/// Sums one counter of a pool over all workers.
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

void add_sessions(Families& out, AdminActions& actions) {
  actions.session_counter().refresh(actions.now());
  out.begin(
      "remora_sessions",
      "Living sessions per backend: learned ones exactly, issued ones as seen by this instance within their "
      "idle timeout.",
      MetricType::Gauge);
  for (const auto& pool : actions.snapshot().pools) {
    if (pool->affinity.empty()) continue;
    for (const Member& m : pool->snapshot->members) {
      const auto count = actions.session_counter().at(pool->number, m.backend->hash);
      const auto add = [&](const char* family, std::uint64_t n) {
        out.add({{"pool", pool->config.name}, {"backend", m.backend->id}, {"family", family}},
                static_cast<double>(n));
      };
      add("learned", count.learned);
      add("issued", count.issued);
    }
  }
}

constexpr const char* classes[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};

/// Client-side counters.
void add_listeners(Families& out, const Snapshot& snapshot) {
  const auto each = [&](auto f) {
    for (const std::size_t slot : snapshot.serving) f(*snapshot.listeners[slot]);
  };
  out.begin("remora_requests_total",
            "Requests of clients by the class of the answer's status; none: no answer.", MetricType::Counter);
  each([&](const ListenerView& l) {
    const TrafficSum sum(l.shared->traffic);
    for (std::size_t i = 0; i < sum.answers.size(); ++i)
      out.add({{"listener", l.config.name}, {"code", classes[i]}}, static_cast<double>(sum.answers[i]));
  });
  out.begin("remora_request_seconds", "From the request's head to the end of its answer.",
            MetricType::Histogram);
  each([&](const ListenerView& l) { out.add({{"listener", l.config.name}}, TrafficSum(l.shared->traffic)); });
  out.begin("remora_connections", "Open connections of clients.", MetricType::Gauge);
  each([&](const ListenerView& l) { out.add({{"listener", l.config.name}}, l.shared->open.load()); });
  const auto http2 = [&](const char* name, const char* help, Counter Http2Counts::* counter) {
    out.begin(name, help, MetricType::Counter);
    each([&](const ListenerView& l) {
      if (!l.config.speaks(config::Alpn::h2)) return;
      std::uint64_t n = 0;
      for (const Http2Counts& c : l.shared->http2) n += (c.*counter).value();
      out.add({{"listener", l.config.name}}, static_cast<double>(n));
    });
  };
  http2("remora_http2_requests_total", "Requests that came by HTTP/2; remora_requests_total counts them too.",
        &Http2Counts::requests);
  http2("remora_http2_connections_total", "Connections of clients that began to speak HTTP/2.",
        &Http2Counts::connections);
  out.begin("remora_proxy_lines_refused_total", "Connections of peers whose PROXY line is not believed.",
            MetricType::Counter);
  each([&](const ListenerView& l) {
    if (l.config.proxy_protocol)
      out.add({{"listener", l.config.name}}, static_cast<double>(l.shared->strangers.load()));
  });
  out.begin(
      "remora_refused_total",
      "What listeners turned away: connections, requests and new sessions beyond per_client, PROXY lines, "
      "TLS handshakes, request heads, HTTP/2 connections that flooded. log.level debug says why.",
      MetricType::Counter);
  each([&](const ListenerView& l) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(Refusal::count_); ++i) {
      const auto what = static_cast<Refusal>(i);
      out.add({{"listener", l.config.name}, {"what", std::string(to_string(what))}},
              static_cast<double>(l.shared->refused.of(what)));
    }
  });
}

void add_routes(Families& out, const Snapshot& snapshot) {
  out.begin("remora_route_requests_total",
            "Requests of clients by route (host and path) and by the class of the answer's status.",
            MetricType::Counter);
  for (const RouteView& route : snapshot.router->routes()) {
    if (!route.traffic) continue;
    const TrafficSum sum(route.traffic->by_worker);
    for (std::size_t i = 0; i < sum.answers.size(); ++i)
      out.add({{"route", route.traffic->label}, {"code", classes[i]}}, static_cast<double>(sum.answers[i]));
  }
  out.begin("remora_route_request_seconds", "From the request's head to the end of its answer, by route.",
            MetricType::Histogram);
  for (const RouteView& route : snapshot.router->routes())
    if (route.traffic) out.add({{"route", route.traffic->label}}, TrafficSum(route.traffic->by_worker));
}

void add_backends(Families& out, const Snapshot& snapshot) {
  const auto each = [&](auto f) {
    for (const auto& pool : snapshot.pools)
      for (const Member& m : pool->snapshot->members)
        f(Labels{{"pool", pool->config.name}, {"backend", m.backend->id}}, m);
  };
  const auto gauge = [&](const char* name, const char* help, auto value) {
    out.begin(name, help, MetricType::Gauge);
    each([&](const Labels& labels, const Member& m) { out.add(labels, static_cast<double>(value(m))); });
  };
  out.begin("remora_backend_requests_total", "Requests sent to the backend, retries included.",
            MetricType::Counter);
  each([&](const Labels& labels, const Member& m) {
    out.add(labels, static_cast<double>(m.backend->served.load(std::memory_order_relaxed)));
  });
  out.begin("remora_backend_answers_total",
            "What those requests brought: the class of the status; none: no answer that could be understood.",
            MetricType::Counter);
  each([&](const Labels& labels, const Member& m) {
    const TrafficSum sum(m.backend->traffic);
    for (std::size_t i = 0; i < sum.answers.size(); ++i) {
      Labels with = labels;
      with.push_back({"code", classes[i]});
      out.add(std::move(with), static_cast<double>(sum.answers[i]));
    }
  });
  out.begin("remora_backend_first_byte_seconds",
            "From choosing the backend to the head of its answer, or its failure.", MetricType::Histogram);
  each([&](const Labels& labels, const Member& m) { out.add(labels, TrafficSum(m.backend->traffic)); });
  out.begin("remora_backend_drained_streams_total",
            "Open streams that were ended because the backend drains or is in maintenance.",
            MetricType::Counter);
  each([&](const Labels& labels, const Member& m) {
    out.add(labels, static_cast<double>(m.backend->drained_streams.load(std::memory_order_relaxed)));
  });
  gauge("remora_backend_requests_in_flight", "Requests at the backend now.",
        [](const Member& m) { return m.backend->in_flight.load(std::memory_order_relaxed); });
  gauge("remora_backend_admin", "What the operator wants: 0 ready, 1 drain, 2 maint.",
        [](const Member& m) { return static_cast<int>(m.admin); });
  gauge("remora_backend_health", "What probes see: 0 down, 1 up, 2 unknown.", [](const Member& m) {
    return m.health == Health::down ? 0 : m.health == Health::up ? 1 : 2;
  });
  gauge("remora_backend_ejected",
        "What live traffic shows: 0 fine, 1 takes no new sessions, 2 takes nothing.",
        [](const Member& m) { return static_cast<int>(m.ejected); });
  gauge("remora_backend_accepts_new",
        "1: may begin sessions, by the operator, probes and live traffic together.",
        [](const Member& m) { return m.accepts_new() ? 1 : 0; });
  gauge("remora_backend_accepts_bound", "1: may serve sessions that are bound to it.",
        [](const Member& m) { return m.accepts_bound() ? 1 : 0; });
}

}  // namespace

std::string metrics_text(AdminActions& actions) {
  const Snapshot& snapshot = actions.snapshot();
  SessionMemory& memory = actions.memory();
  Families out;
  out.begin("remora_build_info", "1; the version.", MetricType::Gauge);
  out.add({{"version", version}}, 1);
  out.begin("remora_config_info", "1; which configuration is in force, so that a half-done rollout shows.",
            MetricType::Gauge);
  out.add({{"hash", actions.config().hash}}, 1);
  out.begin("remora_ready", "1: takes new requests.", MetricType::Gauge);
  out.add({}, actions.ready() ? 1 : 0);
  add_listeners(out, snapshot);
  add_routes(out, snapshot);
  add_backends(out, snapshot);
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
  add_sessions(out, actions);
  out.begin("remora_jwt_total", "Requests by the verdict on their token.", MetricType::Counter);
  for (const auto& verifier : snapshot.verifiers)
    for (std::size_t i = 0; i < static_cast<std::size_t>(JwtOutcome::count_); ++i) {
      std::uint64_t n = 0;
      for (const JwtCounts& c : *verifier->counts) n += c.outcomes[i].value();
      out.add(
          {{"verifier", verifier->rules.name}, {"cause", std::string(to_string(static_cast<JwtOutcome>(i)))}},
          static_cast<double>(n));
    }

  out.begin("remora_session_table_entries", "Entries of the local tables.", MetricType::Gauge);
  out.add({{"table", "learned"}}, static_cast<double>(memory.learned.size()));
  out.add({{"table", "moves"}}, static_cast<double>(memory.moves.size()));
  out.add({{"table", "active"}}, static_cast<double>(memory.active.size()));
  out.begin("remora_session_table_evictions_total", "Entries that had to go because a table was full.",
            MetricType::Counter);
  out.add({}, static_cast<double>(memory.evicted()));
  out.begin("remora_session_marks_refused_total",
            "Ended sessions that could not be marked: more were ended than can be kept in mind.",
            MetricType::Counter);
  out.add({}, static_cast<double>(memory.moves.refused()));

  out.begin(
      "remora_store_operations_total",
      "Operations on the store by how they ended; unavailable: it was known to be away, and cost nothing.",
      MetricType::Counter);
  const StoreCounts& store = memory.store;
  for (std::size_t i = 0; i < store.outcomes.size(); ++i)
    out.add({{"result", std::string(to_string(static_cast<StoreOutcome>(i)))}},
            static_cast<double>(store.outcomes[i].load(std::memory_order_relaxed)));
  const auto single = [&](const char* name, const char* help, MetricType type, std::uint64_t value) {
    out.begin(name, help, type);
    out.add({}, static_cast<double>(value));
  };
  single("remora_store_available", "1: the store can be asked.", MetricType::Gauge,
         store.available.load() ? 1 : 0);
  single("remora_store_lookups_total", "Requests that asked the store whose session they are.",
         MetricType::Counter, store.lookups.load(std::memory_order_relaxed));
  single("remora_store_waiting", "Sessions of which the store has yet to hear.", MetricType::Gauge,
         store.waiting.load(std::memory_order_relaxed));
  single("remora_store_written_late_total", "Told to the store after it had been away.", MetricType::Counter,
         store.written_late.load(std::memory_order_relaxed));
  single("remora_store_dropped_total", "Never told: too many were waiting, or the store refused them.",
         MetricType::Counter, store.dropped.load(std::memory_order_relaxed));
  out.begin("remora_state_total",
            "What became of states that apps wanted kept, and of those given to a new backend.",
            MetricType::Counter);
  for (std::size_t i = 0; i < store.states.size(); ++i)
    out.add({{"event", std::string(to_string(static_cast<StateEvent>(i)))}},
            static_cast<double>(store.states[i].load(std::memory_order_relaxed)));
  single("remora_state_bytes", "Of states kept in this process (store.kind: memory).", MetricType::Gauge,
         memory.values ? memory.values->bytes() : 0);
  single("remora_state_evictions_total", "States that had to go because store.memory_bytes was full.",
         MetricType::Counter, memory.values ? memory.values->evicted() : 0);

  return out.text();
}

}  // namespace remora

// A clock, alarms and a name server that tests of the server's parts drive by hand; and small configurations.
#pragma once

#include <boost/asio/io_context.hpp>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "admin/events.h"
#include "server/alarm.h"
#include "server/builder.h"
#include "server/name_lookup.h"

namespace remora::test {

class HandClock final : public Clock {
 public:
  Steady steady_now() const noexcept override { return steady_; }
  Wall wall_now() const noexcept override { return wall_; }
  void advance(std::chrono::milliseconds by) {
    steady_ += by;
    wall_ += by;
  }

 private:
  // Not zero: parts take zero for "never".
  Steady steady_{std::chrono::hours(1000)};
  Wall wall_{std::chrono::hours(400000)};
};

/// What one alarm was set to.
struct AlarmSetting {
  std::optional<Clock::Steady> at;
  std::function<void()> ring;
};

class HandAlarm final : public Alarm {
 public:
  explicit HandAlarm(AlarmSetting& setting) : setting_(setting) {}
  void set(Clock::Steady at, std::function<void()> ring) override { setting_ = {at, std::move(ring)}; }
  void cancel() override { setting_ = {}; }

 private:
  AlarmSetting& setting_;
};

/// Goes to the time of the alarm and rings it. False: it is not set.
inline bool ring(AlarmSetting& setting, HandClock& clock) {
  if (!setting.at) return false;
  if (*setting.at > clock.steady_now())
    clock.advance(std::chrono::ceil<std::chrono::milliseconds>(*setting.at - clock.steady_now()));
  const AlarmSetting due = std::exchange(setting, {});
  due.ring();
  return true;
}

class HandNames final : public NameLookup {
 public:
  struct Asked {
    std::string name;
    bool srv;
    Resolver::Heard heard;
  };
  void ask(const std::string& name, bool srv, Resolver::Heard heard) override {
    asked.push_back({name, srv, std::move(heard)});
  }
  /// Answers the oldest question.
  void answer(const DnsAnswer& what) {
    const Asked first = std::move(asked.front());
    asked.pop_front();
    first.heard(what);
  }
  std::deque<Asked> asked;
};

inline DnsAnswer addresses(const std::vector<std::string>& ips, std::chrono::seconds ttl = {}) {
  DnsAnswer out;
  for (const std::string& ip : ips) {
    DnsRecord r;
    r.ip = ip;
    out.records.push_back(r);
  }
  out.ttl = ttl;
  return out;
}

inline DnsAnswer lookup_failure(const std::string& why) {
  DnsAnswer out;
  out.error = why;
  return out;
}

/// The events that somebody who listens from the beginning gets.
class HeardEvents {
 public:
  explicit HeardEvents(EventHub& hub) : listener_(hub.listen(0)) {}
  std::size_t count() const { return listener_->pending.size(); }
  bool last_has(const std::string& text) const {
    return !listener_->pending.empty() && listener_->pending.back().find(text) != std::string::npos;
  }

 private:
  std::shared_ptr<EventHub::Listener> listener_;
};

inline config::Backend backend_at(const std::string& id, const std::string& host, std::uint16_t port = 80) {
  config::Backend b;
  b.id = id;
  b.address = {config::Address::Kind::tcp, host, port};
  return b;
}

/// One pool named "app".
inline config::Config config_with(std::vector<config::Backend> backends) {
  config::Config c;
  c.state_dir.clear();
  config::Pool pool;
  pool.name = "app";
  pool.backends = std::move(backends);
  c.pools.push_back(std::move(pool));
  return c;
}

inline std::shared_ptr<const Snapshot> build(SnapshotBuilder& builder, const config::Config& config) {
  return builder.build(config, std::make_shared<KeyRing>(std::vector<std::string>()));
}

/// Builds a configuration and makes it the active one.
inline void activate(SnapshotBuilder& builder, const config::Config& config) {
  builder.commit(build(builder, config));
}

}  // namespace remora::test

// SessionWalk: the part of explain() that finds the session of a routed request, its pool and its backend.
//
// Threading: any thread. Lifetime: of one explanation.
#pragma once

#include <string>

#include "proxy/decide.h"
#include "proxy/decide_pool.h"
#include "proxy/explain.h"

namespace remora {

/// A request that passed routing and authentication. Borrowed.
struct RoutedRequest {
  const Snapshot& snapshot;
  const RouteView& route;
  const RequestHead& head;
  const Arrival& arrival;
  const VerifiedClaims* claims;
  std::uint64_t draw;
};

class SessionWalk final : private DecisionInputs {
 public:
  SessionWalk(const RoutedRequest& request, SessionMemory& memory, CryptoScratch& scratch, ClockReading now,
              Explanation& out)
      : request_(request), memory_(memory), scratch_(scratch), now_(now), out_(out) {}

  /// Adds to the explanation.
  void run();

 private:
  // DecisionInputs, which change nothing here
  Clock::Wall wall_now() const override { return now_.wall; }
  std::optional<Move> find_move(const SessionId& id) override { return memory_.moves.find(id, now_, false); }
  Steering find_steering(const SessionId& id) override { return memory_.steered.find(id, now_); }
  bool allows_drain() override { return pool_->counters->drain.would_allow(now_.steady); }
  std::optional<std::chrono::milliseconds> idle_time(const Binding& binding) override {
    return memory_.active.idle_time(binding.id, now_);
  }
  bool allows_rebalance() override { return pool_->counters->rebalance.would_allow(now_.steady); }

  void say(std::string line) { out_.steps.push_back(std::move(line)); }
  void reject(const std::string& why);
  const PoolView& pool_at(std::size_t index) const { return *request_.snapshot.pools[index]; }
  Situation situation() const { return {*pool_, request_.route, request_.head, tried_, now_.steady}; }

  void find_session();
  Recognized recognize_in(const PoolView& pool);
  void settle_in(std::size_t pool, const Recognized& found);
  void go_on_in(std::size_t pool);
  void learn_in_new_pool();
  void say_session();
  bool choose();
  bool stay(const Decision& decision);
  bool move(const Decision& decision);
  Binding standing_after(const Binding& wanted);
  bool place(Reason reason);
  bool balance(Purpose purpose);
  bool go_to_other_pool();
  bool move_to_other_pool(const OtherPoolDecision& other_pool);
  bool serve(const Member* member, const std::string& why);

  const RoutedRequest request_;
  SessionMemory& memory_;
  CryptoScratch& scratch_;
  const ClockReading now_;
  Explanation& out_;
  const Tried tried_;
  const PoolView* pool_ = nullptr;
  std::size_t index_ = 0;  // of pool_, into Snapshot::pools
  Recognized found_;
  std::string kind_;  // name of the affinity kind that recognized the session
  Binding binding_;   // of the session, as it would stand
  // What the tables would hold about the session after the moves explained so far.
  std::optional<Standing> in_table_;
  std::optional<Move> in_memory_;
};

}  // namespace remora

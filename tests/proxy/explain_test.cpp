// Explanations take the same decisions as the road, and leave no trace.

#include "proxy/explain.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "balance/rendezvous.h"
#include "session/lifecycle.h"
#include "support/affinity.h"

namespace remora {
namespace {

class Explain : public ::testing::Test {
 protected:
  Explain() {
    const config::Pool pool = test::pool_with("[{kind: app_cookie, name: SID}, {kind: cookie, name: c}]");
    auto view = std::make_shared<PoolView>();
    view->config = pool;
    view->affinity = make_affinity(pool, keys_, namer_);
    auto members = std::make_shared<PoolSnapshot>();
    for (const char* id : {"a", "b", "c"}) {
      Member m;
      m.backend = std::make_shared<Backend>("app", id);
      members->members.push_back(m);
    }
    members_ = members;
    view->snapshot = members;
    view_ = view;
    snapshot_.pools.push_back(view);
    config::Route all, moved;
    all.pool = "app";
    moved.path = "/old";
    moved.redirect = config::Redirect{"https://new/", 308};
    snapshot_.router = std::make_shared<Router>(std::vector{all, moved}, std::vector<std::string>{"app"});
  }
  std::string token(const Binding& b) {
    std::string out;
    TokenSealer(keys_, "app", "cookie", "c").seal(b, scratch_, out);
    return out;
  }
  Binding binding(const char* backend) {
    Binding b;
    b.id = new_session_id();
    b.backend = backend_hash(backend);
    b.created = b.last_seen = now_.wall;
    return b;
  }
  Explanation ask(const std::string& cookie, const std::string& target = "/") {
    ExplainRequest r;
    r.target = target;
    if (!cookie.empty()) r.fields = {{"Cookie", cookie}};
    return explain(snapshot_, r, memory_, scratch_, now_);
  }
  static bool says(const Explanation& e, const std::string& text) {
    return std::any_of(e.steps.begin(), e.steps.end(),
                       [&](const std::string& line) { return line.find(text) != std::string::npos; });
  }

  std::shared_ptr<const KeyRing> keys_ =
      std::make_shared<KeyRing>(std::vector<std::string>{std::string(32, 'k')});
  std::shared_ptr<const SessionNamer> namer_ = std::make_shared<SessionNamer>("i", "app");
  std::shared_ptr<PoolView> view_;
  std::shared_ptr<PoolSnapshot> members_;
  Snapshot snapshot_;
  SessionMemory memory_{1000};
  CryptoScratch scratch_;
  Moment now_{Clock::Steady(std::chrono::hours(1000)), Clock::Wall(std::chrono::hours(500000))};
};

TEST_F(Explain, ASessionThatStays) {
  const Explanation e = ask("c=" + token(binding("b")));
  EXPECT_EQ(e.backend, "b");
  EXPECT_EQ(e.reason, Reason::sticky);
  EXPECT_EQ(e.epoch, 1U);
  EXPECT_TRUE(says(e, "route: number 1"));
  EXPECT_TRUE(says(e, "affinity cookie: session \""));
  EXPECT_TRUE(says(e, "it stays"));
}

TEST_F(Explain, ASessionThatMovesGoesWhereTheRoadWouldSendIt) {
  members_->members[1].health = Health::down;
  const Binding b = binding("b");
  const Explanation e = ask("c=" + token(b));
  EXPECT_EQ(e.reason, Reason::failover);
  EXPECT_EQ(e.epoch, 2U);
  EXPECT_EQ(e.backend, rendezvous(move_key(b), *members_, Tried())->backend->id);
  EXPECT_EQ(memory_.moves.size(), 0U);  // it was only explained
  view_->config.session.on_lost = config::OnLost::reject;
  EXPECT_EQ(ask("c=" + token(b)).status, 503);
}

TEST_F(Explain, AnIdThatNothingIsKnownOf) {
  const Explanation e = ask("SID=x");
  EXPECT_EQ(e.cause, Cause::unbound);
  EXPECT_EQ(e.backend, rendezvous(namer_->name("x", scratch_).hash(), *members_, Tried())->backend->id);
}

TEST_F(Explain, NoSessionARedirectARefusalAndNobodyLeft) {
  EXPECT_EQ(ask("").reason, Reason::new_);
  EXPECT_TRUE(says(ask("c=x"), "no session: malformed"));
  EXPECT_EQ(ask("", "/old/x").status, 308);
  EXPECT_EQ(ask("", "/a b").status, 400);
  EXPECT_EQ(ask("x\r\nEvil: y").status, 400);
  for (Member& m : members_->members) m.health = Health::down;
  EXPECT_EQ(ask("").status, 503);
  EXPECT_TRUE(says(ask(""), "takes nothing new"));
}

}  // namespace
}  // namespace remora

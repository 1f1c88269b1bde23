// Sessions while operations fail: in each scenario, the 1st, 2nd, ... Nth operation of streams, connects and
// store fails in turn. Whatever fails, nothing stays held, a session is never at two backends with one epoch,
// epochs never go back, nobody gets another user's state, and the session works afterwards.

#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "proxy/trunk/sessions.h"

namespace remora::test {
namespace {

constexpr const char* ann_state = "YW5u";
constexpr const char* bob_state = "Ym9i";

class Scenario {
 public:
  Scenario(const std::string& yaml, unsigned nth, std::shared_ptr<SessionMemory> memory)
      : faults(nth), trunk(yaml, &faults, std::move(memory)) {}

  /// A request of one of the two users, `fields` being what the app answers.
  Told ask(const std::string& who, const std::string& fields = "") {
    Browser& browser = who == "ann" ? ann : bob;
    answer_with(trunk, fields.find("SID=") == std::string::npos && browser.cookies.empty()
                           ? fields + "Set-Cookie: SID=" + who + std::to_string(++logins_) + "; Path=/\r\n"
                           : fields);
    const std::size_t before = trunk.connector.requests.size();
    const Told got = browser.ask(trunk);
    EXPECT_TRUE(trunk.holds_nothing());
    for (std::size_t i = before; i < trunk.connector.requests.size(); ++i)
      check(told(trunk.connector.requests[i]), who);
    return got;
  }
  void check_afterwards() {
    for (const std::string who : {"ann", "bob"}) {
      if (ended) {  // the app gives an id of its own again only after a login
        (who == "ann" ? ann : bob).cookies.clear();
        ask(who);
      }
      const Told first = ask(who);
      const Told next = ask(who);
      EXPECT_EQ(first.status, 200);
      EXPECT_EQ(next.status, 200);
      EXPECT_EQ(next.reason, "sticky");
      EXPECT_EQ(next.id, first.id);
      EXPECT_EQ(next.backend, first.backend);
      EXPECT_EQ(next.epoch, first.epoch);
    }
  }

  Faults faults;
  Trunk trunk;
  Browser ann, bob;
  bool ended = false;

 private:
  void check(const Told& sent, const std::string& who) {
    if (!sent.state.empty()) {
      EXPECT_EQ(sent.state, who == "ann" ? ann_state : bob_state) << sent;
    }
    if (sent.id.empty()) return;
    EXPECT_TRUE(owner_.emplace(sent.id, who).first->second == who) << sent;
    EXPECT_EQ(places_.emplace(std::pair{sent.id, sent.epoch}, sent.backend).first->second, sent.backend)
        << sent;
    unsigned& latest = epochs_[sent.id];
    EXPECT_GE(sent.epoch, latest) << sent;
    latest = std::max(latest, sent.epoch);
  }

  int logins_ = 0;
  std::map<std::string, std::string> owner_;
  std::map<std::pair<std::string, unsigned>, std::string> places_;
  std::map<std::string, unsigned> epochs_;
};

using Story = std::function<void(Scenario&)>;

void each_operation_fails(const std::string& yaml, bool shared_store, const Story& story) {
  constexpr unsigned max_operations = 600;
  unsigned nth = 1;
  for (; nth < max_operations; ++nth) {
    SCOPED_TRACE("operation " + std::to_string(nth));
    Scenario s(yaml, nth,
               shared_store ? Trunk::instance_on(std::make_shared<MemoryValues>(64U << 20)) : nullptr);
    story(s);
    const bool happened = s.faults.happened();
    s.check_afterwards();
    if (!happened) break;
  }
  EXPECT_GT(nth, 5U);
  EXPECT_LT(nth, max_operations);
}

constexpr const char* kinds[] = {"affinity: cookie", "affinity: {kind: app_cookie, name: SID}",
                                 "affinity: {kind: app_cookie, name: SID, carry: token}"};

std::string one_pool(const std::string& settings) {
  return app(settings, "abc");
}
std::string two_pools(const std::string& settings) {
  return split(settings, "a", "b");
}

void for_each_kind(std::string (*pools)(const std::string& settings), const Story& story) {
  for (const std::string kind : kinds) {
    // Pools of a split cannot share the companion's name.
    if (pools == two_pools && kind.find("token") != std::string::npos) continue;
    for (const std::string save : {"async", "sync"}) {
      for (const bool shared : {false, true}) {
        SCOPED_TRACE(kind + ", " + save + (shared ? ", shared store" : ""));
        each_operation_fails(pools(kind + ", session: {state: {save: " + save + "}}"), shared, story);
      }
    }
  }
}

TEST(SessionFaults, AtABirthAndAStickyRequestLeaveAllInOrder) {
  for_each_kind(one_pool, [](Scenario& s) {
    s.ask("ann");
    s.ask("bob");
    s.ask("ann");
  });
}

TEST(SessionFaults, AtAMoveThatHandsOverAStateLeaveAllInOrder) {
  for_each_kind(one_pool, [](Scenario& s) {
    s.ask("ann");
    s.ask("bob");
    s.ask("ann", "Remora-State: " + std::string(ann_state) + "\r\n");
    s.ask("bob", "Remora-State: " + std::string(bob_state) + "\r\n");
    const std::string home = s.ask("ann").backend;
    if (!home.empty()) s.trunk.member(home).admin = Admin::maint;
    s.ask("ann");
    s.ask("bob");
    if (!home.empty()) s.trunk.member(home).admin = Admin::ready;
  });
}

TEST(SessionFaults, AtAMoveBetweenPoolsLeaveAllInOrder) {
  for_each_kind(two_pools, [](Scenario& s) {
    s.ask("ann");
    s.ask("bob");
    s.ask("ann", "Remora-State: " + std::string(ann_state) + "\r\n");
    s.ask("bob", "Remora-State: " + std::string(bob_state) + "\r\n");
    for (const char* home : {"a", "b"}) {
      s.trunk.member(home).admin = Admin::maint;
      s.ask("ann");
      s.ask("bob");
      s.trunk.member(home).admin = Admin::ready;
    }
  });
}

TEST(SessionFaults, AtAnEndOrARenewalLeaveAllInOrder) {
  for (const std::string word : {"end", "renew", "move"}) {
    SCOPED_TRACE(word);
    for_each_kind(one_pool, [&](Scenario& s) {
      s.ask("ann");
      s.ask("bob");
      s.ask("ann", "Remora-State: " + std::string(ann_state) + "\r\n");
      const Told told_so = s.ask("ann", "Remora-Session-Control: " + word + "\r\n");
      const Told after = s.ask("ann");
      if (word != "move" && told_so.status == 200) {
        EXPECT_NE(after.id, told_so.id);
      }
      s.ended = word == "end";
    });
  }
}

}  // namespace
}  // namespace remora::test

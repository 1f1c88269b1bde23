// One connection to one server of a store: commands are pipelined as they come, replies arrive in order.
//
// It connects by itself and reconnects with back-off. While it is down, commands fail at once: that is the
// circuit breaker, so a dead store costs the request path nothing. (Commands during the first connection
// attempt wait.) A server that accepts but does not answer counts as dead: a connection is up only after its
// greeting was answered, and three timeouts in a row end it.
// Threading: the loop's thread. Lifetime: shared with its own coroutine; ends after stop().
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "net/resolver.h"
#include "net/transport.h"
#include "remora/config.h"
#include "session/store.h"
#include "session/store_reply.h"
#include "util/random.h"

namespace remora {

/// Shared by the connections of one store.
struct StoreSurroundings {
  Loop& loop;
  const Clock& clock;
  config::Store settings;
  std::vector<std::string> dns_servers;
  std::shared_ptr<const ClientTls> tls;  // null: no node uses TLS
  FastRandom random;
  std::unique_ptr<Resolver> resolver{};  // made when a node is given by name
  bool stopping = false;
};

/// Resolves a node to its addresses, each to be tried. Names are resolved off this thread. Empty result:
/// `problem` says why.
Task<std::vector<Endpoint>> find_node(StoreSurroundings& around, config::Address address, EventFlags& wake,
                                      std::string& problem);

class StoreConnection final : public std::enable_shared_from_this<StoreConnection> {
 public:
  /// The first commands on each connection, and the check of their replies.
  struct Greeting {
    std::string text;
    std::size_t replies = 0;
    /// What is wrong with the replies; empty: the connection is up.
    std::function<std::string(std::span<const Reply>)> check;
  };

  StoreConnection(std::shared_ptr<StoreSurroundings> around, config::StoreNode node, Greeting greeting,
                  std::unique_ptr<ReplyReader> (*reader)());
  ~StoreConnection();
  StoreConnection(const StoreConnection&) = delete;
  StoreConnection& operator=(const StoreConnection&) = delete;

  void start();
  void stop() noexcept;
  /// Sends one command and waits for its reply, at most until the call's deadline. `command` may begin with
  /// `before` other commands, whose replies are ignored.
  Task<Result<Reply>> ask(std::string command, StoreCall call, unsigned before = 0);
  bool available() const noexcept { return state_ == State::up || state_ == State::hopeful; }
  bool up() const noexcept { return state_ == State::up; }
  const config::StoreNode& node() const noexcept { return node_; }
  /// Why the connection is down; empty: no problem.
  const std::string& problem() const noexcept { return problem_; }
  /// Ends the connection as if it had broken, because the server behind it is not the expected one.
  void reset(std::string why);

 private:
  struct Pending {
    EventFlags* wake = nullptr;  // null: nobody waits any more
    bool done = false;
    error_code error;
    Reply reply;
  };
  enum class State : std::uint8_t { hopeful, up, down };

  static Task<void> run(std::shared_ptr<StoreConnection> self);
  Task<std::string> serve();
  Task<TransportRef> connect_to(Endpoint endpoint, std::string& problem);
  Task<std::string> greet(Transport& stream, ReplyReader& reader);
  Task<unsigned> event();
  /// Returns the error; empty: none.
  std::string send_some(Transport& stream, std::string& text, std::size_t& sent);
  std::string take_replies(ReplyReader& reader);
  void fail_all(StoreErrc why);

  const std::shared_ptr<StoreSurroundings> around_;
  const config::StoreNode node_;
  const Greeting greeting_;
  std::unique_ptr<ReplyReader> (*const make_reader_)();
  EventFlags wake_;
  State state_ = State::hopeful;
  Clock::Steady up_since_{};
  std::string problem_;
  std::string out_;
  std::size_t sent_ = 0;
  std::deque<std::shared_ptr<Pending>> waiting_;
  unsigned late_ = 0;
  bool stopping_ = false, broken_ = false;
};

}  // namespace remora

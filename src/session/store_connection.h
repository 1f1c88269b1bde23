// One connection to one server of a store: commands go out as they come (pipelined), replies come in order.
//
// It connects by itself, and again with back-off when it breaks. While there is none, commands fail at once:
// that is the breaker, and a dead store costs the request path nothing. A server that accepts but does not
// answer counts as dead: a connection is up only after its greeting was answered, and three commands in a row
// without an answer in time end it.
// Threading: the loop's thread. Lifetime: shared with its own coroutine; ends after stop().
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "net/resolver.h"
#include "net/stream.h"
#include "remora/config.h"
#include "session/store.h"
#include "session/store_reply.h"
#include "util/random.h"

namespace remora {

/// What the connections of one store share.
struct StoreSurroundings {
  Loop& loop;
  const Clock& clock;
  config::Store settings;
  std::vector<std::string> dns_servers;
  std::shared_ptr<const ClientTls> tls;  // null: no node wants it
  FastRandom random;
  std::unique_ptr<Resolver> resolver{};  // made when a node has a name
  bool stopping = false;
};

/// The addresses of a node, each to be tried; names are asked for off this thread. Empty result: why not is
/// in `trouble`.
Task<std::vector<Endpoint>> find_node(StoreSurroundings& around, config::Address address, Wake& wake,
                                      std::string& trouble);

class StoreConnection final : public std::enable_shared_from_this<StoreConnection> {
 public:
  /// What is said first on each connection, and what its replies must be.
  struct Greeting {
    std::string text;
    std::size_t replies = 0;
    /// What is wrong with them; empty: the connection is up.
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
  /// others, whose replies are ignored: `before` of them.
  Task<Result<Reply>> ask(std::string command, StoreCall call, unsigned before = 0);
  bool available() const noexcept { return state_ == State::up || state_ == State::hopeful; }
  bool up() const noexcept { return state_ == State::up; }
  const config::StoreNode& node() const noexcept { return node_; }
  /// Why it is down; empty: it is not.
  const std::string& trouble() const noexcept { return trouble_; }
  /// Ends the connection as if it had broken: what is behind it is not what it should be.
  void reset(std::string why);

 private:
  struct Pending {
    Wake* wake = nullptr;  // null: nobody waits any more
    bool done = false;
    error_code error;
    Reply reply;
  };
  enum class State : std::uint8_t { hopeful, up, down };

  static Task<void> run(std::shared_ptr<StoreConnection> self);
  Task<std::string> serve();
  Task<StreamRef> connect_to(Endpoint endpoint, std::string& trouble);
  Task<std::string> greet(Stream& stream, ReplyReader& reader);
  Task<unsigned> event();
  /// Returns what went wrong; empty: fine so far.
  std::string send_some(Stream& stream, std::string& text, std::size_t& sent);
  std::string take_replies(ReplyReader& reader);
  void fail_all(StoreErrc why);

  const std::shared_ptr<StoreSurroundings> around_;
  const config::StoreNode node_;
  const Greeting greeting_;
  std::unique_ptr<ReplyReader> (*const make_reader_)();
  Wake wake_;
  State state_ = State::hopeful;
  Clock::Steady up_since_{};
  std::string trouble_;
  std::string out_;
  std::size_t sent_ = 0;
  std::deque<std::shared_ptr<Pending>> waiting_;
  unsigned late_ = 0;
  bool stopping_ = false, broken_ = false;
};

}  // namespace remora

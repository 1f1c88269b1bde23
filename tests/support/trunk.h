// Trunk: one client connection whose requests take the whole request path, without a socket, a process or
// real time: fake streams, a fake connector, a fake store and a manual clock.
//
//   Trunk trunk(R"(pools: {app: {backends: [{id: a, address: 127.0.0.1:1}, {id: b, address:
//   127.0.0.1:2}]}})"); trunk.connector.script("a", {.connect = BackendScript::Connect::refuses}); const
//   Delivered& got = trunk.get("/"); EXPECT_EQ(got.head.status, 200);
#pragma once

#include <boost/json/object.hpp>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "observe/log_writer.h"
#include "proxy/exchange.h"
#include "server/builder.h"
#include "support/fake_store.h"
#include "support/fake_streams.h"
#include "support/manual_clock.h"

namespace remora::test {

class Trunk {
 public:
  /// `yaml`: a configuration without listeners; `listeners: [127.0.0.1:0]` is added if it has none. `faults`
  /// outlives the object. Throws std::runtime_error with the first error of the configuration.
  /// `shared`: Trunks with one memory are the workers of one instance. `keys`: the key ring.
  explicit Trunk(const std::string& yaml, Faults* faults = nullptr,
                 std::shared_ptr<SessionMemory> shared = {}, std::vector<std::string> keys = default_keys());
  ~Trunk();
  Trunk(const Trunk&) = delete;
  Trunk& operator=(const Trunk&) = delete;

  static std::vector<std::string> default_keys() { return {std::string(32, 'k')}; }
  /// The memory of an instance whose store is shared: Trunks of several instances are given the same
  /// `values`.
  static std::shared_ptr<SessionMemory> instance_on(std::shared_ptr<MemoryValues> values);
  /// Activates another configuration, or other keys, for the requests to come.
  void reload(const std::string& yaml, std::vector<std::string> keys = default_keys());

  /// Starts a request: "GET / HTTP/1.1" with these fields. `body`: what has arrived of its body; its framing
  /// is in `fields`, as a client sends it. Host is added if it is missing.
  void start(const std::string& method, const std::string& target, const Fields& fields = {},
             std::string body = {}, bool whole = true);
  /// start(), then waits until the request is over. Throws std::runtime_error if that takes more than an hour
  /// of the manual clock.
  const Delivered& request(const std::string& method, const std::string& target, const Fields& fields = {},
                           std::string body = {});
  const Delivered& get(const std::string& target, const Fields& fields = {}) {
    return request("GET", target, fields);
  }
  /// A head that could not be read (`why`), or that came too late, gets its local reply.
  const Delivered& refuse(bool late, StreamFailure why = {});
  /// Runs what can run now.
  void settle();
  /// Lets time pass, step by step.
  void advance(std::chrono::nanoseconds by);
  /// Lets time pass between two requests: what waits in the background goes on.
  void rest(std::chrono::nanoseconds by);
  /// The request is over.
  bool done() const noexcept { return end_.has_value(); }
  /// What becomes of the connection. REQUIRES: done().
  Exchange::End end() const { return end_.value(); }
  const Delivered& delivered() const noexcept { return client.delivered(); }
  /// The parts of the running request.
  Exchange& exchange() { return exchange_.value(); }
  /// The next request comes on another connection: forgets what belonged to this one.
  void new_connection();
  /// From now on the access log is kept, in JSON. It is off by default.
  void keep_log();
  /// Takes the lines of the access log that were written since the last call. REQUIRES: keep_log().
  std::vector<boost::json::object> take_log();

  /// A member of a pool, to be changed between requests (health, admin ...); the balancers see the change.
  Member& member(const std::string& id, const std::string& pool = {});
  /// Members were changed in a way that balancers, and requests that are queued, must learn of.
  void members_changed();
  config::Pool& pool_config(const std::string& pool = {});
  Backend& backend_of(const std::string& id) { return *member(id).backend; }
  const Snapshot& snapshot() const noexcept { return *snapshot_; }
  /// No permit, retry or count is held: to be checked when no request runs.
  bool holds_nothing() const;
  /// The value of the session cookie `name` that the last response set, for the next request ("name=value");
  /// empty: it set none.
  std::string cookie(const std::string& name = "remora-app") const;

  ManualClock clock;
  std::shared_ptr<SessionMemory> memory;
  WorkerContext worker;
  std::string version = "HTTP/1.1";  // of the requests; "HTTP/2": what an HTTP/2 codec would hand over
  FakeStore* store = nullptr;        // owned by `worker`

 private:
  Faults no_faults_;
  Faults& faults_;

 public:
  FakeClient client;
  FakeBackend backend;
  BackendStream backend_stream{backend};
  FakeConnector connector;
  Turn turn;
  ConnectionState connection;
  WorkingMemory working;
  /// Backends that requests reported: as failing, lost, or doubtful.
  std::vector<std::string> reported_failures, reported_lost, reported_suspects;

 private:
  void activate(const config::Config& config, std::vector<std::string> keys);
  void make_balancers();
  enum class Serve { head, late_head, bad_head };
  Task<void> serve(Serve what);
  void serve_now(Serve what);

  SnapshotBuilder builder_{1};
  std::shared_ptr<const Snapshot> snapshot_;
  bool members_changed_ = false;
  std::string head_text_;
  std::optional<Exchange> exchange_;
  std::optional<Exchange::End> end_;
  std::exception_ptr error_;
  std::string log_path_;
  std::unique_ptr<LogWriter> log_;
};

}  // namespace remora::test

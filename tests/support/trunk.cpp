#include "support/trunk.h"

#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/json/parse.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "affinity/registry.h"
#include "balance/policy.h"
#include "config/loader.h"
#include "session/session_store.h"
#include "util/text.h"

namespace remora::test {

namespace {

constexpr std::size_t table_size = 10'000;

/// `shared_store`: as if the store were one that other instances use too.
config::Config parse(std::string yaml, bool shared_store) {
  if (yaml.find("listeners:") == std::string::npos) yaml = "listeners: [127.0.0.1:0]\n" + yaml;
  const config::Loaded loaded = config::load_text(yaml, "test", affinity_kinds());
  if (const auto* error = std::get_if<config::LoadError>(&loaded))
    throw std::runtime_error(error->lines.front());
  config::Config config = std::get<config::Config>(loaded);
  if (!shared_store) return config;
  config.store.kind = config::StoreKind::redis;
  config.store.index_key = std::string(32, 'i');
  return config;
}

}  // namespace

Trunk::Trunk(const std::string& yaml, Faults* faults, std::shared_ptr<SessionMemory> shared,
             std::vector<std::string> keys)
    : memory(shared ? std::move(shared) : std::make_shared<SessionMemory>(table_size)),
      worker(0, clock, AccessLog(config::AccessFormat::off, nullptr), memory, 1, Loop::Driver::owner),
      faults_(faults != nullptr ? *faults : no_faults_),
      client(faults_),
      backend(faults_),
      connector(faults_),
      turn(worker.loop, clock) {
  const config::Config config = parse(yaml, memory->learned.is_copy());
  builder_.count_sessions_by(memory->tally);
  activate(config, std::move(keys));
  worker.report_failures = [this](const auto& b, Ejected) { reported_failures.push_back(b->id); };
  worker.report_lost = [this](const auto& b) { reported_lost.push_back(b->id); };
  worker.report_unknown_key = [](const std::string&) {};
  worker.report_suspect = [this](const auto& b, std::chrono::milliseconds) {
    reported_suspects.push_back(b->id);
  };
  config::Store in_memory = config.store;
  in_memory.kind = config::StoreKind::memory;
  worker.open_store(in_memory, {}, nullptr);
  worker.writer->stop();
  auto fake = std::make_unique<FakeStore>(memory->values, clock, faults_);
  store = fake.get();
  worker.store = std::move(fake);
  worker.sessions = std::make_unique<SessionStore>(*worker.store, config.store.prefix, clock);
  worker.writer = std::make_unique<StoreWriter>(worker.loop, *worker.sessions, clock, config.store.timeout,
                                                memory->store);
  new_connection();
}

void Trunk::members_changed() {
  make_balancers();
}

Trunk::~Trunk() {
  worker.close_store();
  // An operation of a silent store ends at its deadline; whoever waits for it would keep itself alive.
  for (int i = 0; i < 20; ++i) {
    clock.advance(std::chrono::seconds(1));
    worker.loop.wheel.run(clock.steady_now());
    settle();
  }
  log_.reset();
  if (!log_path_.empty()) std::filesystem::remove(log_path_);
}

std::shared_ptr<SessionMemory> Trunk::instance_on(std::shared_ptr<MemoryValues> values) {
  config::Store store;
  store.kind = config::StoreKind::redis;
  store.capacity = table_size;
  auto memory = std::make_shared<SessionMemory>(store);
  memory->values = std::move(values);
  return memory;
}

void Trunk::reload(const std::string& yaml, std::vector<std::string> keys) {
  activate(parse(yaml, memory->learned.is_copy()), std::move(keys));
}

void Trunk::activate(const config::Config& config, std::vector<std::string> keys) {
  snapshot_ = builder_.build(config, std::make_shared<KeyRing>(std::move(keys)));
  builder_.commit(snapshot_);
  make_balancers();
}

void Trunk::make_balancers() {
  members_changed_ = false;
  Ref<WorkerSnapshot> mine(new WorkerSnapshot);
  mine->shared = snapshot_;
  for (const auto& pool : snapshot_->pools)
    mine->balancers.push_back(
        make_balancer(pool->config.balance, pool->snapshot, worker.random.next(), clock));
  worker.snapshot = std::move(mine);
  worker.queued_requests.look_again();
}

void Trunk::new_connection() {
  ClientAddress peer;
  peer.bytes[10] = peer.bytes[11] = 0xff;
  peer.bytes[12] = 192;
  peer.bytes[13] = 0;
  peer.bytes[14] = 2;
  peer.bytes[15] = 1;
  client = FakeClient(faults_);
  connection.begin(snapshot_->listeners[snapshot_->serving.front()], peer);
  connector.drop_reserved();
  client.attach(turn.wake(), EventFlags::client);
  turn.begin();
}

void Trunk::start(const std::string& method, const std::string& target, const Fields& fields,
                  std::string body, bool whole) {
  if (members_changed_) make_balancers();
  turn.begin();  // reads the clock again
  working.clear();
  const bool http2 = version == "HTTP/2";
  head_text_ = method + " " + target + " " + (http2 ? "HTTP/1.1" : version) + "\r\n";
  if (!field(fields, "Host")) head_text_ += "Host: app.test\r\n";
  for (const auto& [name, value] : fields) head_text_ += name + ": " + value + "\r\n";
  head_text_ += "\r\n";
  Http1Message message;
  const Parsed parsed =
      parse_request_head(head_text_, connection.listener->config.limits, working.request, message);
  if (parsed.status != Parsed::Status::ok)
    throw std::runtime_error(std::string("the request: ") + parsed.why);
  if (http2) working.request.version = Version::http2;
  client.begin(std::move(body), whole);
  client.set_closes(!message.keep_alive);
  client.set_delimits_by_closing(version == "HTTP/1.0");
  serve_now(Serve::head);
}

const Delivered& Trunk::refuse(bool late, StreamFailure why) {
  working.clear();
  working.request = {};
  client.begin({}, false);
  client.fail(why);
  serve_now(late ? Serve::late_head : Serve::bad_head);
  return delivered();
}

void Trunk::serve_now(Serve what) {
  end_.reset();
  error_ = nullptr;
  turn.wake().new_turn();  // the connection has waited for the head
  exchange_.emplace(
      Exchange::Surroundings{worker, connection, turn, working, client, backend_stream, connector});
  asio::co_spawn(worker.loop.ctx.get_executor(), serve(what), asio::detached);
  settle();
}

Task<void> Trunk::serve(Serve what) {
  try {
    Exchange::End end = Exchange::End::close;
    if (what == Serve::head)
      end = co_await exchange_->run();
    else
      end = co_await exchange_->refuse_head(what == Serve::late_head);
    exchange_.reset();
    end_ = end;
  } catch (...) {
    error_ = std::current_exception();
  }
}

const Delivered& Trunk::request(const std::string& method, const std::string& target, const Fields& fields,
                                std::string body) {
  start(method, target, fields, std::move(body));
  for (int seconds = 0; !done(); ++seconds) {
    if (seconds > 3600) throw std::runtime_error("the request never ends");
    advance(std::chrono::seconds(1));
  }
  return delivered();
}

void Trunk::settle() {
  constexpr int max_handlers = 1'000'000;
  worker.loop.ctx.restart();
  for (int i = 0; worker.loop.ctx.poll_one() != 0; ++i)
    if (i == max_handlers) throw std::runtime_error("the loop never becomes quiet");
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void Trunk::advance(std::chrono::nanoseconds by) {
  settle();
  const Clock::Steady end = clock.steady_now() + by;
  while (clock.steady_now() < end && !done()) {
    clock.advance(std::min<std::chrono::nanoseconds>(DeadlineWheel::tick, end - clock.steady_now()));
    worker.loop.wheel.run(clock.steady_now());
    settle();
  }
  if (clock.steady_now() < end) clock.advance(end - clock.steady_now());
}

void Trunk::rest(std::chrono::nanoseconds by) {
  settle();
  for (const Clock::Steady end = clock.steady_now() + by; clock.steady_now() < end; settle()) {
    clock.advance(std::min<std::chrono::nanoseconds>(DeadlineWheel::tick, end - clock.steady_now()));
    worker.loop.wheel.run(clock.steady_now());
  }
}

void Trunk::keep_log() {
  char path[] = "/tmp/remora-log-XXXXXX";
  const int fd = ::mkstemp(path);
  if (fd < 0) throw std::runtime_error("no temporary file");
  ::close(fd);
  log_path_ = path;
  log_ = std::make_unique<LogWriter>(log_path_);
  worker.access_log = AccessLog(config::AccessFormat::json, log_.get());
}

std::vector<boost::json::object> Trunk::take_log() {
  worker.access_log.flush();
  log_.reset();  // the writer's thread writes what it has, and ends
  std::vector<boost::json::object> lines;
  std::ifstream file(log_path_);
  for (std::string line; std::getline(file, line);) lines.push_back(boost::json::parse(line).as_object());
  std::filesystem::remove(log_path_);
  keep_log();
  return lines;
}

Member& Trunk::member(const std::string& backend_id, const std::string& pool) {
  members_changed_ = true;
  for (const auto& view : snapshot_->pools) {
    if (!pool.empty() && view->config.name != pool) continue;
    for (Member& m : std::const_pointer_cast<PoolSnapshot>(view->snapshot)->members)
      if (m.backend->id == backend_id) return m;
  }
  throw std::out_of_range("no backend " + backend_id);
}

config::Pool& Trunk::pool_config(const std::string& pool) {
  for (const auto& view : snapshot_->pools)
    if (pool.empty() || view->config.name == pool) return std::const_pointer_cast<PoolView>(view)->config;
  throw std::out_of_range("no pool " + pool);
}

bool Trunk::holds_nothing() const {
  for (const auto& pool : snapshot_->pools) {
    if (pool->counters->retrying.load() != 0) return false;
    for (const Member& m : pool->snapshot->members)
      if (m.backend->in_flight.load() != 0) return false;
  }
  return true;
}

std::string Trunk::cookie(const std::string& name) const {
  for (const auto& [field_name, value] : delivered().head.fields)
    if (iequals(field_name, "Set-Cookie") && value.starts_with(name + "="))
      return value.substr(0, value.find(';'));
  return {};
}

}  // namespace remora::test

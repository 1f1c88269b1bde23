#include "server/worker.h"

#include <pthread.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include "balance/policy.h"

namespace remora {

Worker::Worker(unsigned index, const Clock& clock, AccessLog log, std::shared_ptr<SessionMemory> memory)
    : index_(index),
      context_(index, clock, std::move(log), std::move(memory),
               static_cast<std::uint64_t>(clock.wall_now().time_since_epoch().count()) + index * 7919),
      work_(asio::make_work_guard(context_.loop.ctx)) {}

Worker::~Worker() {
  join();
}

void Worker::start(std::shared_ptr<const Snapshot> snapshot, Reports reports) {
  context_.report_failures = std::move(reports.failures);
  context_.report_lost = std::move(reports.lost);
  context_.report_unknown_key = std::move(reports.unknown_key);
  context_.report_suspect = std::move(reports.suspect);
  install(std::move(snapshot));
  thread_ = std::thread([this] {
    ::pthread_setname_np(::pthread_self(), ("worker-" + std::to_string(index_)).c_str());
    run_to_end(context_.loop, "worker");
    finished_.store(true, std::memory_order_release);
  });
}

void Worker::publish(std::shared_ptr<const Snapshot> snapshot) {
  asio::post(context_.loop.ctx,
             [this, snapshot = std::move(snapshot)]() mutable { install(std::move(snapshot)); });
}

void Worker::install(std::shared_ptr<const Snapshot> snapshot) {
  Ref<WorkerSnapshot> mine(new WorkerSnapshot);
  mine->shared = std::move(snapshot);
  for (const auto& pool : mine->shared->pools)
    mine->balancers.push_back(
        make_balancer(pool->config.balance, pool->snapshot, context_.random.next(), context_.clock));
  context_.snapshot = std::move(mine);
  // Close idle connections to backends that have left the configuration.
  std::vector<const Backend*> living;
  for (const auto& pool : context_.snapshot->shared->pools)
    for (const Member& m : pool->snapshot->members) living.push_back(m.backend.get());
  context_.idle.retain(living);
  context_.shared.retain(living);
  context_.queued_requests.look_again();
}

void Worker::settled(std::shared_ptr<const Backend> backend) {
  asio::post(context_.loop.ctx,
             [this, backend = std::move(backend)] { context_.suspect_waiters.settled(*backend); });
}

void Worker::listen(Socket socket) {
  asio::post(context_.loop.ctx, [this, socket = std::move(socket)]() mutable {
    acceptors_.push_back(std::make_unique<Acceptor>(context_, std::move(socket.fd), std::move(socket.state)));
  });
}

void Worker::retire(std::size_t slot) {
  asio::post(context_.loop.ctx, [this, slot] {
    for (auto& acceptor : acceptors_) {
      if (acceptor->slot() != slot) continue;
      acceptor->retire();
      retired_.push_back(std::move(acceptor));
    }
    std::erase(acceptors_, nullptr);
    Connection::tell_leaving(context_);
  });
}

void Worker::ask_about_store(std::function<void(bool, std::string)> tell) {
  asio::post(context_.loop.ctx, [this, tell = std::move(tell)] {
    if (!ending_) tell(context_.store->available(), context_.store->problem());
  });
}

void Worker::write_to_store(const StoreJob& job) {
  asio::post(context_.loop.ctx, [this, job] {
    if (!ending_ && context_.writer) context_.writer->later(job);
  });
}

void Worker::hold() {
  asio::post(context_.loop.ctx, [this] {
    for (auto& acceptor : acceptors_) acceptor->close();
  });
}

void Worker::leave() {
  asio::post(context_.loop.ctx, [this] {
    context_.leaving = true;
    Connection::tell_leaving(context_);
  });
}

void Worker::end_when_empty() {
  asio::post(context_.loop.ctx, [this] {
    if (!std::exchange(ending_, true)) check_end();
  });
}

void Worker::stop() {
  asio::post(context_.loop.ctx, [this] {
    context_.stopping = true;
    ending_ = true;
    for (auto& acceptor : acceptors_) acceptor->close();
    for_each_connection(false);
    context_.idle.clear();
    context_.shared.clear();
    check_end();
  });
}

void Worker::abort() {
  asio::post(context_.loop.ctx, [this] {
    context_.stopping = true;
    ending_ = true;
    for_each_connection(true);
    check_end();
  });
}

void Worker::for_each_connection(bool hard) {
  Connection::stop_all(context_, hard);
}

void Worker::check_end() {
  if (context_.connection_count > 0) {
    end_check_.arm(context_.loop.wheel, context_.clock.steady_now() + std::chrono::milliseconds(20));
    return;
  }
  const Clock::Steady now = context_.clock.steady_now();
  constexpr std::chrono::seconds max_for_store{1};
  store_until_ = std::min(store_until_, now + max_for_store);
  if (context_.writer && !context_.writer->idle() && now < store_until_ && context_.store->available()) {
    end_check_.arm(context_.loop.wheel, now + std::chrono::milliseconds(20));
    return;
  }
  context_.close_store();
  context_.spare_tasks.clear();
  context_.access_log.flush();
  context_.idle.clear();
  context_.shared.clear();
  context_.loop.wheel.stop();
  work_.reset();
}

void Worker::join() {
  if (thread_.joinable()) thread_.join();
}

}  // namespace remora

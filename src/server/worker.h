// Worker: one thread and all that it owns: loop, acceptors, client and idle backend connections, balancers.
//
// Everything in a Worker is touched by its own thread only; the control thread posts. It is built and
// destroyed on the control thread, before start() and after join().
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <memory>
#include <thread>
#include <vector>

#include "proxy/worker_context.h"
#include "server/listener.h"

namespace remora {

class Worker {
 public:
  struct Socket {
    int fd;
    ListenerState state;
  };
  Worker(unsigned index, const Clock& clock, AccessLog log, std::shared_ptr<SessionMemory> memory);
  /// Any thread. Calls `tell` on the worker's: whether the store can be asked, and what is wrong with it.
  void ask_about_store(std::function<void(bool available, std::string trouble)> tell);
  /// Before start(): what sessions are kept in.
  void open_store(const config::Store& settings, const std::vector<std::string>& dns_servers,
                  std::shared_ptr<const ClientTls> tls) {
    context_.open_store(settings, dns_servers, std::move(tls));
  }
  ~Worker();

  /// What it tells the control thread; any thread, posts.
  struct Reports {
    ReportFailures failures;
    ReportLost lost;
    ReportUnknownKey unknown_key;
    ReportDoubt doubt;
  };
  void start(std::shared_ptr<const Snapshot> snapshot, Reports reports);
  /// Any thread. Requests that run keep what they began with.
  void publish(std::shared_ptr<const Snapshot> snapshot);
  /// Any thread, after the snapshot that followed from it: requests that doubted this backend may look.
  void settled(std::shared_ptr<const Backend> backend);
  /// Any thread, after the snapshot that has the listener. Takes over the descriptor.
  void listen(Socket socket);
  /// Any thread. The listener left the configuration: what the kernel has accepted is served, then it closes.
  void retire(std::size_t slot);
  /// Any thread. Accepts nothing more; the sockets live on in another process.
  void hold();
  /// Any thread. From now on answers end their connections; nothing else changes.
  void leave();
  /// Any thread. The thread ends when the last connection has; idle ones are left to their time-outs.
  void end_when_empty();
  /// Any thread. Closes the listening sockets and idle connections; the thread ends when the last connection
  /// has.
  void stop();
  /// Any thread. Ends what is left at once.
  void abort();
  void join();
  /// The thread has nothing left to do.
  bool finished() const noexcept { return finished_.load(std::memory_order_acquire); }

 private:
  void install(std::shared_ptr<const Snapshot> snapshot);
  void for_each_connection(bool hard);
  void check_end();
  class EndCheck final : public DeadlineEntry {
   public:
    explicit EndCheck(Worker& w) : worker_(w) {}

   private:
    void expired() override { worker_.check_end(); }
    Worker& worker_;
  };

  const unsigned index_;
  WorkerContext context_;
  std::vector<std::unique_ptr<Acceptor>> acceptors_;
  std::vector<std::unique_ptr<Acceptor>> retired_;  // closed; an event of theirs may still be on its way
  bool ending_ = false;
  Clock::Steady store_until_ = Clock::Steady::max();  // ending: what the store has to hear may take so long
  asio::executor_work_guard<Executor> work_;
  EndCheck end_check_{*this};
  std::atomic<bool> finished_{false};
  std::thread thread_;
};

}  // namespace remora

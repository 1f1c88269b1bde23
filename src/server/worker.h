// Worker: one thread and everything it owns: event loop, acceptors, client connections, idle backend
// connections, balancers.
//
// Only the worker's own thread touches its data; the control thread posts. Constructed and destroyed on the
// control thread, before start() and after join().
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
    UniqueFd fd;
    ListenerState state;
  };
  Worker(unsigned index, const Clock& clock, AccessLog log, std::shared_ptr<SessionMemory> memory);
  /// Any thread. Calls `tell` on the worker's thread with the store's availability and its error, unless the
  /// worker is ending.
  void ask_about_store(std::function<void(bool available, std::string problem)> tell);
  /// Any thread. As StoreWriter::later().
  void write_to_store(const StoreJob& job);
  /// Sets up the session store. Call before start().
  void open_store(const config::Store& settings, const std::vector<std::string>& dns_servers,
                  std::shared_ptr<const ClientTls> tls) {
    context_.open_store(settings, dns_servers, std::move(tls));
  }
  ~Worker();

  /// Reports to the control thread. Called on the worker's thread; each function posts.
  struct Reports {
    ReportFailures failures;
    ReportLost lost;
    ReportUnknownKey unknown_key;
    ReportSuspect suspect;
  };
  void start(std::shared_ptr<const Snapshot> snapshot, Reports reports);
  /// Any thread. Requests in progress keep the snapshot they started with.
  void publish(std::shared_ptr<const Snapshot> snapshot);
  /// Any thread. Call after the resulting snapshot: resumes requests that suspected this backend.
  void settled(std::shared_ptr<const Backend> backend);
  /// Any thread. Call after the snapshot that has the listener. Takes ownership of the descriptor.
  void listen(Socket socket);
  /// Any thread. The listener has left the configuration: serves the connections the kernel has already
  /// accepted, then closes it.
  void retire(std::size_t slot);
  /// Any thread. Stops accepting; the sockets stay open in another process.
  void hold();
  /// Any thread. From now on, responses close their connections; nothing else changes.
  void leave();
  /// Any thread. Ends the thread after the last connection; idle ones may stay until they time out.
  void end_when_empty();
  /// Any thread. Closes listening sockets and idle connections, and ends the thread after the last
  /// connection.
  void stop();
  /// Any thread. Closes all remaining connections at once.
  void abort();
  void join();
  /// True if the thread has nothing left to do.
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
  std::vector<std::unique_ptr<Acceptor>> retired_;  // closed; their events may still be pending
  bool ending_ = false;
  Clock::Steady store_until_ = Clock::Steady::max();  // when ending: the limit for pending store writes
  asio::executor_work_guard<Executor> work_;
  EndCheck end_check_{*this};
  std::atomic<bool> finished_{false};
  std::thread thread_;
};

}  // namespace remora

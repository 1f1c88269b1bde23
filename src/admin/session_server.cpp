#include "admin/session_server.h"

#include <pthread.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include "admin/local_server.h"
#include "admin/local_socket.h"

namespace remora {

namespace {
constexpr LocalServer::Limits limits{1024, std::chrono::seconds(75)};

SessionApiRequest taken_from(LocalRequest request) {
  SessionApiRequest in;
  in.session = request.field("Remora-Session");
  in.if_match = request.field("If-Match");
  in.if_none_match = request.field("If-None-Match");
  in.ttl = request.field("Remora-TTL");
  in.method = std::move(request.method);
  in.target = std::move(request.target);
  in.body = std::move(request.body);
  return in;
}

LocalAnswer made_of(SessionApiAnswer from) {
  LocalAnswer answer;
  answer.status = from.status;
  const auto set = [&](const char* name, std::string_view value) {
    if (!value.empty()) answer.fields.emplace_back(name, value);
  };
  if (from.status != 204 && from.status != 201)
    set("Content-Type", from.status == 200 ? "application/octet-stream" : "text/plain");
  set("ETag", from.etag);
  set("Remora-TTL", from.ttl);
  if (from.status == 401) set("WWW-Authenticate", "Bearer");
  if (from.status == 503) set("Retry-After", "1");
  answer.body = std::move(from.body);
  return answer;
}
}  // namespace

struct SessionServer::Shared {
  Shared(const config::SessionApi& a, const config::Store& s, const MakeStore& make, const Clock& c)
      : settings(a),
        timeout(s.timeout),
        clock(c),
        store(make(loop, c)),
        sessions(*store, s.prefix, c),
        work(asio::make_work_guard(loop.ctx)),
        server(loop, open_local_socket(a.bind, a.access, "session_api", true), limits,
               [this](LocalRequest request) { return answer(std::move(request)); }) {}
  const config::SessionApi settings;
  const std::chrono::milliseconds timeout;
  const Clock& clock;
  Loop loop{clock};
  std::unique_ptr<Store> store;
  SessionStore sessions;
  CryptoScratch scratch;
  std::shared_ptr<const Snapshot> snapshot;
  asio::executor_work_guard<Executor> work;
  LocalServer server;

  Task<LocalAnswer> answer(LocalRequest request);
  SessionApiAnswer refusal(const LocalRequest& request) const;
};

/// Status 200 means that no error was found yet.
SessionApiAnswer SessionServer::Shared::refusal(const LocalRequest& request) const {
  SessionApiAnswer reply;
  if (request.refused != 0) {
    reply.status = request.refused;
    reply.body = request.why + "\n";
  } else if (!settings.token.empty() && !bears_token(request.field("Authorization"), settings.token)) {
    reply.status = 401;
    reply.body = "a token is needed: Authorization: Bearer TOKEN (session_api.token)\n";
  }
  return reply;
}

Task<LocalAnswer> SessionServer::Shared::answer(LocalRequest request) {
  SessionApiAnswer reply = refusal(request);
  if (reply.status == 200) {
    EventFlags wake(loop.wheel);
    SessionApiRequest in = taken_from(std::move(request));
    SessionApiContext context{snapshot, sessions, scratch, clock, timeout, wake};
    reply = co_await answer_session_api(std::move(in), std::move(context));
  }
  co_return made_of(std::move(reply));
}

SessionServer::SessionServer(const config::SessionApi& settings, const config::Store& store,
                             const MakeStore& make, const Clock& clock,
                             std::shared_ptr<const Snapshot> snapshot)
    : shared_(std::make_shared<Shared>(settings, store, make, clock)) {
  shared_->snapshot = std::move(snapshot);
  thread_ = std::thread([shared = shared_] {
    ::pthread_setname_np(::pthread_self(), "session-api");
    run_to_end(shared->loop, "session API");
  });
}

SessionServer::~SessionServer() {
  asio::post(shared_->loop.ctx, [shared = shared_] {
    shared->server.close();
    shared->store->stop();
    shared->loop.wheel.stop();
    shared->work.reset();
  });
  thread_.join();
}

void SessionServer::leave() {
  asio::post(shared_->loop.ctx, [shared = shared_] { shared->server.leave(); });
}

void SessionServer::publish(std::shared_ptr<const Snapshot> snapshot) {
  asio::post(shared_->loop.ctx, [shared = shared_, snapshot = std::move(snapshot)]() mutable {
    shared->snapshot = std::move(snapshot);
  });
}

int SessionServer::fd() const noexcept {
  return shared_->server.fd();
}

}  // namespace remora

#include "proxy/trunk/sessions.h"

#include <gtest/gtest.h>

#include "util/text.h"

namespace remora::test {

namespace {

std::string members(const std::string& letters) {
  std::string out;
  for (std::size_t i = 0; i < letters.size(); ++i)
    out += (i == 0 ? "backends: [" : ", ") + ("{id: " + std::string(1, letters[i])) +
           ", address: 127.0.0.1:" + std::to_string(static_cast<int>(letters[i])) + "}";
  return out + "]";
}

std::string comma(const std::string& settings) {
  return settings.empty() ? "" : settings + ", ";
}

}  // namespace

std::string app(const std::string& settings, const std::string& backends, const std::string& more) {
  return more + "pools: {app: {" + comma(settings) + members(backends) + "}}\n";
}

std::string split(const std::string& settings, const std::string& app_backends,
                  const std::string& canary_backends, const std::string& weights) {
  return "pools: {app: {" + comma(settings) + members(app_backends) + "}, canary: {" + comma(settings) +
         members(canary_backends) + "}}\nroutes: [{path: /, split: {" + weights + "}}]\n";
}

Told told(const SentRequest& request) {
  Told out;
  out.backend = request.backend;
  out.target = request.head.target;
  out.state = field(request.head.fields, "Remora-State").value_or("");
  out.cookie = field(request.head.fields, "Cookie").value_or("");
  const std::string session = field(request.head.fields, "Remora-Session").value_or("");
  const auto parameter = [&](const std::string& name) {
    const auto at = session.find(name);
    if (at == std::string::npos) return std::string();
    const auto from = at + name.size();
    return session.substr(from, session.find(';', from) - from);
  };
  if (session.empty()) return out;
  out.id = session.substr(1, session.find('"', 1) - 1);
  out.epoch = static_cast<unsigned>(std::stoul(parameter(";epoch=")));
  out.reason = parameter(";reason=");
  const auto after = session.find(';', session.find(";reason=") + 1);
  if (after != std::string::npos) out.note = session.substr(after);
  return out;
}

std::ostream& operator<<(std::ostream& out, const Told& t) {
  return out << t.status << " at " << t.backend << " " << t.id << " epoch " << t.epoch << " " << t.reason
             << t.note;
}

Told Browser::ask(Trunk& trunk, const std::string& target, const Fields& more, const std::string& method) {
  begin(trunk, target, more, method);
  for (int seconds = 0; !trunk.done() && seconds < 3600; ++seconds) trunk.advance(std::chrono::seconds(1));
  return end(trunk);
}

void Browser::begin(Trunk& trunk, const std::string& target, const Fields& more, const std::string& method) {
  Fields fields = more;
  std::string line;
  for (const auto& [name, value] : cookies) line += (line.empty() ? "" : "; ") + name + "=" + value;
  if (!line.empty()) fields.emplace_back("Cookie", line);
  sent_before_ = trunk.connector.requests.size();
  trunk.new_connection();
  trunk.start(method, target, fields);
}

Told Browser::end(Trunk& trunk) {
  EXPECT_TRUE(trunk.done());
  const auto& sent = trunk.connector.requests;
  Told out = sent.size() > sent_before_ ? told(sent.back()) : Told();
  out.attempts = sent.size() - sent_before_;
  out.status = trunk.delivered().head.status;
  take(trunk.delivered());
  return out;
}

void Browser::take(const Delivered& response) {
  for (const auto& [name, value] : response.head.fields) {
    if (!iequals(name, "Set-Cookie")) continue;
    const auto equals = value.find('=');
    const std::string cookie = value.substr(0, equals);
    if (value.find("Max-Age=0") != std::string::npos)
      cookies.erase(cookie);
    else
      cookies[cookie] = value.substr(equals + 1, value.find(';') - equals - 1);
  }
}

Browser begin_at(Trunk& trunk, const std::string& backend, const std::string& target, const Fields& more) {
  for (int i = 0; i < 300; ++i) {
    Browser browser;
    if (browser.ask(trunk, target, more).backend == backend) return browser;
  }
  ADD_FAILURE() << "no session began at " << backend;
  return {};
}

namespace {
BackendScript answer(const std::string& backend, const std::string& fields, const std::string& body,
                     const Fields& trailers) {
  BackendScript script;
  script.head = "200 OK\r\nServer: " + backend + "\r\n" + fields +
                (trailers.empty() ? "Content-Length: " + std::to_string(body.size()) + "\r\n"
                                  : std::string("Transfer-Encoding: chunked\r\n"));
  script.body = body;
  script.trailers = trailers;
  return script;
}
}  // namespace

void answer_with(Trunk& trunk, const std::string& fields, const std::string& body, const Fields& trailers) {
  for (const auto& pool : trunk.snapshot().pools)
    for (const Member& m : pool->snapshot->members)
      trunk.connector.always(m.backend->id, answer(m.backend->id, fields, body, trailers));
}

void answer_once(Trunk& trunk, const std::string& backend, const std::string& fields) {
  trunk.connector.script(backend, answer(backend, fields, "", {}));
}

std::size_t set_cookies(const Delivered& response, const std::string& name) {
  std::size_t n = 0;
  for (const auto& [field_name, value] : response.head.fields)
    n += iequals(field_name, "Set-Cookie") && value.starts_with(name + "=") ? 1U : 0U;
  return n;
}

std::uint64_t states(const Trunk& trunk, StateEvent event) {
  return trunk.memory->store.states[static_cast<std::size_t>(event)].load();
}

std::uint64_t causes(const Trunk& trunk, Cause cause, const std::string& pool) {
  for (const auto& view : trunk.snapshot().pools)
    if (view->config.name == pool)
      return view->counters->sessions[0].refused[static_cast<std::size_t>(cause)].value();
  return 0;
}

}  // namespace remora::test

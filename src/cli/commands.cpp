#include "cli/commands.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>
#include <iostream>
#include <map>
#include <stdexcept>
#include <thread>

#include "admin/client.h"
#include "cli/explain_request.h"
#include "cli/table.h"
#include "util/json_members.h"
#include "util/text.h"
#include "util/units.h"

namespace remora {

namespace json = boost::json;
using std::chrono::milliseconds;

namespace {

constexpr int refused = 1, usage = 2, deadline_passed = 3;

/// Ends a command: one line for the user, and the exit code.
struct Stop {
  int code;
  std::string why;
};

config::Address parse_admin(const std::string& text) {
  config::Address a;
  if (text.starts_with("unix:")) {
    a.kind = config::Address::Kind::unix_path;
    a.host = text.substr(5);
    return a;
  }
  const auto colon = text.rfind(':');
  const auto port =
      colon == std::string::npos ? std::nullopt : parse_decimal(std::string_view(text).substr(colon + 1));
  if (!port || *port == 0 || *port > 65535)
    throw Stop{usage, "--admin must be host:port or unix:/path, not '" + text + "'"};
  a.host = text.substr(0, colon);
  if (a.host.size() > 2 && a.host.front() == '[' && a.host.back() == ']')
    a.host = a.host.substr(1, a.host.size() - 2);
  a.port = static_cast<std::uint16_t>(*port);
  return a;
}

std::string error_of(const std::string& body) {
  boost::system::error_code ec;
  const json::value parsed = json::parse(body, ec);
  if (ec || !parsed.is_object()) return body;
  std::string out = json_text(parsed.get_object(), "error");
  for (const json::value& line : json_array(parsed.get_object(), "errors"))
    if (line.is_string()) out.append("\n  ").append(std::string_view(line.get_string()));
  return out.empty() ? body : out;
}

AdminReply ask(const CommandTarget& at, const std::string& admin, const std::string& method,
               const std::string& target, const std::string& body = "") {
  return ask_admin(parse_admin(admin), at.token, method, target, body);
}

/// Returns the response as JSON, or throws Stop with the reason.
json::object ask_for(const CommandTarget& at, const std::string& admin, const std::string& method,
                     const std::string& target, const std::string& body = "") {
  const AdminReply reply = ask(at, admin, method, target, body);
  if (reply.status == 0)
    throw Stop{refused,
               "no answer from " + admin + ": " + reply.body + " (is remora running, and is --admin right?)"};
  if (reply.status == 401)
    throw Stop{refused, admin + " wants a token: --token-file FILE or REMORA_ADMIN_TOKEN"};
  if (reply.status != 200) throw Stop{refused, admin + ": " + error_of(reply.body)};
  boost::system::error_code ec;
  json::value parsed = json::parse(reply.body, ec);
  if (ec || !parsed.is_object()) throw Stop{refused, admin + ": this is no answer of remora's admin API"};
  return std::move(parsed.get_object());
}

// A response of another version may omit a member.
template <class F>
void each(const json::object& o, std::string_view key, F f) {
  for (const json::value& item : json_array(o, key))
    if (item.is_object()) f(item.get_object());
}

/// Runs `f` for every instance. The first failure decides the exit code; the remaining instances are still
/// asked.
template <class F>
int over_all(const CommandTarget& at, F f) {
  int code = 0;
  for (const std::string& admin : at.admins) {
    try {
      f(admin);
    } catch (const Stop& stop) {
      std::cerr << "remora: " << stop.why << '\n';
      if (code == 0) code = stop.code;
    }
  }
  return code;
}

void heading(const CommandTarget& at, const std::string& admin) {
  if (at.admins.size() > 1) std::cout << admin << ":\n";
}

void print_json(const CommandTarget& at, const std::string& admin, json::object answer) {
  if (at.admins.size() > 1) answer["admin"] = admin;
  std::cout << json::serialize(answer) << '\n';
}

std::string traffic_word(const std::string& ejected) {
  return ejected == "no" ? "fine" : ejected == "all" ? "ejected" : "no new";
}

}  // namespace

int show_status(const CommandTarget& at) {
  return over_all(at, [&](const std::string& admin) {
    const json::object all = ask_for(at, admin, "GET", "/api/v1/pools");
    if (at.json) return print_json(at, admin, all);
    heading(at, admin);
    TextTable table({"POOL", "BACKEND", "ADDRESS", "OPERATOR", "PROBES", "TRAFFIC", "IN FLIGHT", "SESSIONS",
                     "REQUESTS", "FAILED"});
    each(all, "pools", [&](const json::object& pool) {
      each(pool, "backends", [&](const json::object& b) {
        const json::object& answers = json_object(b, "answers");
        const std::uint64_t failed = json_number(answers, "5xx") + json_number(answers, "failed");
        std::string state = json_text(b, "admin");
        if (json_flag(b, "vanished")) state += " (left DNS)";
        if (json_flag(b, "deadline_passed")) state += " (moving sessions)";
        table.add({json_text(pool, "name"), json_text(b, "id"), json_text(b, "address"), state,
                   json_text(b, "health"), traffic_word(json_text(b, "ejected")),
                   std::to_string(json_number(b, "in_flight")),
                   std::to_string(json_number(b, "sessions_left")) + (json_flag(b, "complete") ? "" : "+"),
                   std::to_string(json_number(b, "attempts")), std::to_string(failed)});
      });
    });
    std::cout << table.text() << (json_flag(all, "ready") ? "ready" : "stopping") << ", up "
              << json_number(all, "uptime_seconds") << " s, configuration " << json_text(all, "config_hash")
              << '\n';
  });
}

int show_sessions(const CommandTarget& at) {
  std::map<std::pair<std::string, std::string>, std::pair<std::uint64_t, std::uint64_t>> sums;
  bool complete = true;
  std::vector<json::object> moves;
  const int code = over_all(at, [&](const std::string& admin) {
    const json::object all = ask_for(at, admin, "GET", "/api/v1/sessions");
    if (at.json) return print_json(at, admin, all);
    each(all, "pools", [&](const json::object& pool) {
      complete = complete && json_flag(pool, "complete");
      each(pool, "backends", [&](const json::object& b) {
        auto& sum = sums[{json_text(pool, "name"), json_text(b, "id")}];
        sum.first += json_number(b, "learned");
        sum.second += json_number(b, "issued");
      });
    });
    each(all, "moves", [&](const json::object& m) { moves.push_back(m); });
  });
  if (at.json) return code;
  TextTable table({"POOL", "BACKEND", "SESSIONS", "LEARNED", "ISSUED"});
  for (const auto& [name, n] : sums)
    table.add({name.first, name.second, std::to_string(n.first + n.second), std::to_string(n.first),
               std::to_string(n.second)});
  std::cout << table.text();
  if (!complete) std::cout << "At least so many: sessions from before the start may not have come by yet.\n";
  if (!moves.empty()) {
    std::sort(moves.begin(), moves.end(),
              [](const auto& a, const auto& b) { return json_text(a, "at") > json_text(b, "at"); });
    TextTable recent({"MOVED AT", "POOL", "FROM", "TO", "REASON"});
    for (std::size_t i = 0; i < moves.size() && i < 20; ++i)
      recent.add({json_text(moves[i], "at"), json_text(moves[i], "pool"), json_text(moves[i], "from"),
                  json_text(moves[i], "to"), json_text(moves[i], "reason")});
    std::cout << '\n' << recent.text();
  }
  return code;
}

int list_sessions(const CommandTarget& at, const std::string& backend) {
  return over_all(at, [&](const std::string& admin) {
    const json::object all =
        ask_for(at, admin, "GET", "/api/v1/sessions?backend=" + percent_encoded(backend));
    if (at.json) return print_json(at, admin, all);
    heading(at, admin);
    for (const json::value& id : json_array(all, "sessions"))
      if (id.is_string()) std::cout << std::string_view(id.get_string()) << '\n';
    if (json_flag(all, "more")) std::cerr << "there are more\n";
  });
}

int steer_session(const CommandTarget& at, const std::string& id, const std::string& what,
                  const std::string& to) {
  const std::string method = what.empty() ? "GET" : what == "end" ? "DELETE" : "PATCH";
  json::object body;
  if (what == "move") body["to"] = to.empty() ? json::value(nullptr) : json::value(to);
  return over_all(at, [&](const std::string& admin) {
    const json::object s = ask_for(at, admin, method, "/api/v1/sessions/" + percent_encoded(id),
                                   method == "PATCH" ? json::serialize(body) : "");
    if (at.json) return print_json(at, admin, s);
    heading(at, admin);
    std::cout << id << ": ";
    if (what == "end") std::cout << "ended; it was ";
    std::cout << json_text(s, "state");
    if (const std::string pool = json_text(s, "pool"); !pool.empty())
      std::cout << " (" << json_text(s, "kind") << "), at " << pool << '/' << json_text(s, "backend");
    if (const std::uint64_t epoch = json_number(s, "epoch"); epoch != 0) std::cout << ", epoch " << epoch;
    if (s.contains("seen_seconds_ago"))
      std::cout << ", seen " << json_number(s, "seen_seconds_ago") << " s ago";
    if (json_flag(s, "pinned")) std::cout << ", pinned";
    if (what == "move") std::cout << "; its next request moves it";
    std::cout << '\n';
  });
}

int show_explanation(const CommandTarget& at, const std::vector<std::string>& words, bool from_log,
                     const std::string& client) {
  json::object question;
  try {
    question = from_log ? explain_from_log(words.empty() ? "" : words.front()) : explain_from_curl(words);
  } catch (const std::invalid_argument& e) {
    std::cerr << "remora: " << e.what() << '\n';
    return usage;
  }
  if (!client.empty()) question["client"] = client;
  return over_all(at, [&](const std::string& admin) {
    const json::object answer = ask_for(at, admin, "POST", "/api/v1/explain", json::serialize(question));
    if (at.json) return print_json(at, admin, answer);
    heading(at, admin);
    for (const json::value& step : json_array(answer, "steps"))
      if (step.is_string()) std::cout << std::string_view(step.get_string()) << '\n';
    const std::uint64_t status = json_number(answer, "status");
    if (status != 0)
      std::cout << "=> remora itself answers " << status << '\n';
    else
      std::cout << "=> " << json_text(answer, "pool") << '/' << json_text(answer, "backend") << '\n';
  });
}

namespace {

struct Left {
  std::uint64_t sessions = 0, in_flight = 0;
  bool complete = true, present = true;
  std::string other_state;  // set if another operator has changed the state
};

/// Sums the remaining sessions and requests over all instances.
Left count_left(const CommandTarget& at, const std::string& target, const std::string& state) {
  Left left;
  bool anywhere = false;
  for (const std::string& admin : at.admins) {
    const AdminReply reply = ask(at, admin, "GET", target);
    if (reply.status == 404) continue;
    if (reply.status != 200) throw Stop{refused, "no answer from " + admin + ": " + error_of(reply.body)};
    const json::value parsed = json::parse(reply.body);
    const json::object& b = parsed.as_object();
    anywhere = true;
    left.sessions += json_number(b, "sessions_left");
    left.in_flight += json_number(b, "in_flight");
    left.complete = left.complete && json_flag(b, "complete");
    if (json_text(b, "admin") != state) left.other_state = json_text(b, "admin");
  }
  left.present = anywhere;
  return left;
}

/// Reports how the wait ended: a line for people, or with --json the single result object.
int say_end(const CommandTarget& at, const std::string& name, const std::string& state, const char* result,
            const Left& left, const std::string& sentence) {
  if (!at.json) {
    std::cout << name << sentence << '\n';
    return 0;
  }
  const json::object end{{"backend", name},
                         {"admin", state},
                         {"result", result},
                         {"sessions_left", left.sessions},
                         {"in_flight", left.in_flight},
                         {"complete", left.complete}};
  std::cout << json::serialize(end) << '\n';
  return 0;
}

int wait_until_empty(const CommandTarget& at, const std::string& name, const std::string& target,
                     const std::string& state,
                     std::optional<std::chrono::steady_clock::time_point> deadline) {
  constexpr milliseconds look_every{250};
  std::uint64_t told = ~std::uint64_t{0};
  for (;;) {
    const Left left = count_left(at, target, state);
    if (!left.present) return say_end(at, name, state, "gone", left, " left the configuration");
    if (!left.other_state.empty())
      throw Stop{refused,
                 name + ": another operator wants " + left.other_state + " now; not waiting any longer"};
    if (left.sessions == 0 && left.in_flight == 0 && left.complete) {
      return say_end(at, name, state, "empty", left, " is empty");
    }
    if (deadline && std::chrono::steady_clock::now() >= *deadline) {
      say_end(at, name, state, "deadline_passed", left,
              ": the deadline has passed with " + std::to_string(left.sessions) + " session(s) and " +
                  std::to_string(left.in_flight) + " request(s) left; they move with their next request");
      return deadline_passed;
    }
    if (!at.json && left.sessions + left.in_flight != told) {
      told = left.sessions + left.in_flight;
      std::cerr << left.sessions << " session(s), " << left.in_flight << " request(s) left"
                << (left.complete ? "" : " (at least: not every session has come by since the start)")
                << '\n';
    }
    auto pause = look_every;
    if (deadline) {
      const auto rest = std::chrono::ceil<milliseconds>(*deadline - std::chrono::steady_clock::now());
      pause = std::max(milliseconds(1), std::min(pause, rest));
    }
    std::this_thread::sleep_for(pause);
  }
}

}  // namespace

int steer_backend(const CommandTarget& at, const std::string& backend, const std::string& state,
                  const SteerOptions& options) {
  const auto slash = backend.find('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == backend.size()) {
    std::cerr << "remora: which backend? POOL/BACKEND, as `remora status` shows them\n";
    return usage;
  }
  std::optional<milliseconds> limit;
  if (!options.deadline.empty() && !(limit = parse_duration(options.deadline))) {
    std::cerr << "remora: --deadline must be a duration: 90s, 30m, 2h\n";
    return usage;
  }
  const std::string target = "/api/v1/pools/" + percent_encoded(backend.substr(0, slash)) + "/backends/" +
                             percent_encoded(backend.substr(slash + 1));
  json::object body{{"admin", state}};
  if (limit) body["deadline"] = options.deadline;
  const auto begun = std::chrono::steady_clock::now();
  const int code = over_all(at, [&](const std::string& admin) {
    const json::object answer = ask_for(at, admin, "PATCH", target, json::serialize(body));
    if (at.json && options.wait) return;  // with --wait, the result object is the only output
    if (at.json) return print_json(at, admin, answer);
    heading(at, admin);
    std::cout << backend << " is " << json_text(answer, "admin") << "; "
              << json_number(answer, "sessions_left") << " session(s)"
              << (json_flag(answer, "complete") ? "" : " at least") << ", "
              << json_number(answer, "in_flight") << " request(s) in flight\n";
  });
  if (code != 0 || !options.wait) return code;
  try {
    std::optional<std::chrono::steady_clock::time_point> deadline;
    if (limit) deadline = begun + *limit;
    return wait_until_empty(at, backend, target, state, deadline);
  } catch (const Stop& stop) {
    std::cerr << "remora: " << stop.why << '\n';
    return stop.code;
  }
}

int reload_all(const CommandTarget& at) {
  return over_all(at, [&](const std::string& admin) {
    const json::object answer = ask_for(at, admin, "POST", "/api/v1/reload", "{}");
    if (at.json) return print_json(at, admin, answer);
    heading(at, admin);
    std::cout << "reloaded; configuration " << json_text(answer, "config_hash") << '\n';
  });
}

int check_listeners(const std::vector<config::Address>& listeners) {
  std::string tried;
  for (const config::Address& listener : listeners) {
    if (accepts_connections(listener, std::chrono::seconds(2))) return 0;
    tried.append(tried.empty() ? "" : ", ").append(listener.text());
  }
  std::cerr << "remora: no listener accepts connections (" << tried << ")\n";
  return refused;
}

int check_health(const CommandTarget& at) {
  return over_all(at, [&](const std::string& admin) {
    const AdminReply reply =
        ask_admin(parse_admin(admin), "", "GET", "/healthz", "", std::chrono::seconds(2));
    if (reply.status == 200) return;
    const std::string why = reply.status == 0 ? reply.body : "it answered " + std::to_string(reply.status);
    throw Stop{refused, "no healthy answer from " + admin + ": " + why};
  });
}

}  // namespace remora

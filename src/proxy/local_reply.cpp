#include "proxy/local_reply.h"

#include "http/reason.h"
#include "util/text.h"

namespace remora {

GeneratedReply make_local_reply(std::uint16_t status, std::string_view accept, std::string_view configured,
                                std::string& room, std::string_view type) {
  GeneratedReply a;
  a.reason = reason_phrase(status);
  bool json = false, html = false;
  for_each_token(accept, [&](std::string_view range) {
    const auto one = trim(range.substr(0, range.find(';')));
    json = json || iequals(one, "application/json") || iequals(one, "application/problem+json");
    html = html || iequals(one, "text/html");
    return true;
  });
  json = json && !html;
  a.content_type = json ? "application/json" : "text/html; charset=utf-8";
  if (!configured.empty()) {
    a.body = configured;
    if (!type.empty()) a.content_type = type;
    return a;
  }
  room.clear();
  std::string code;
  append_decimal(code, status);
  if (json)
    room.append("{\"status\":").append(code).append(",\"error\":\"").append(a.reason).append("\"}\n");
  else
    room.append("<!doctype html><title>")
        .append(code)
        .append(" ")
        .append(a.reason)
        .append("</title><h1>")
        .append(code)
        .append(" ")
        .append(a.reason)
        .append("</h1>\n");
  a.body = room;
  return a;
}

}  // namespace remora

#include "proxy/answers.h"

#include "util/text.h"

namespace remora {

std::string_view reason_phrase(std::uint16_t status) noexcept {
  switch (status) {
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 417:
      return "Expectation Failed";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Error";
  }
}

Answer make_answer(std::uint16_t status, std::string_view accept, std::string_view configured,
                   std::string& room) {
  Answer a;
  a.reason = reason_phrase(status);
  bool json = false, html = false;
  for_each_token(accept, [&](std::string_view range) {
    const auto type = trim(range.substr(0, range.find(';')));
    json = json || iequals(type, "application/json") || iequals(type, "application/problem+json");
    html = html || iequals(type, "text/html");
    return true;
  });
  json = json && !html;
  a.content_type = json ? "application/json" : "text/html; charset=utf-8";
  if (!configured.empty()) {
    a.body = configured;
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

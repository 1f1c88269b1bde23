// Heads as HPACK fields: whatever the HTTP/2 codec accepts, the HTTP/1 codec accepts as text, with the same
// meaning, and it holds nothing that could change the framing of an HTTP/1 message.

#include <memory>
#include <optional>

#include "fuzz/h2_hand.h"
#include "http/h1/head.h"
#include "http/h2/client.h"
#include "http/h2/server.h"
#include "util/text.h"

using namespace remora;
using namespace remora::fuzz;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void check_fields(const std::vector<Field>& fields) {
  for (const Field& f : fields) {
    require(!f.name.empty() &&
            f.name.find_first_of(std::string_view("\r\n\0:", 4)) == std::string_view::npos);
    require(f.value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos);
    for (const char* no : {"connection", "keep-alive", "proxy-connection", "transfer-encoding"})
      require(!iequals(f.name, no));
  }
}

std::string as_text(std::string start, const std::vector<Field>& fields) {
  start += "\r\n";
  for (const Field& f : fields) start.append(f.name).append(": ").append(f.value).append("\r\n");
  return start + "\r\n";
}

/// The text's fields begin with these.
void check_same(const std::vector<Field>& fields, const std::vector<Field>& text) {
  require(text.size() >= fields.size());
  for (std::size_t i = 0; i < fields.size(); ++i)
    require(fields[i].name == text[i].name && fields[i].value == text[i].value &&
            fields[i].known == text[i].known && fields[i].odd_name == text[i].odd_name);
}

void check_request(const RequestHead& head) {
  check_fields(head.fields);
  std::vector<Field> fields = head.fields;
  if (head.find(Known::host) == nullptr) fields.push_back({"Host", head.host});
  if (head.body.kind == BodyLength::Kind::unknown) fields.push_back({"Transfer-Encoding", "chunked"});
  if (head.tunnel) fields.push_back({"Connection", "upgrade"});
  const std::string text =
      as_text(std::string(head.method_text) + " " + std::string(head.target) + " HTTP/1.1", fields);
  RequestHead same;
  require(parse_request_head(text, response_limits(), same).status == Parsed::Status::ok);
  check_same(head.fields, same.fields);
  require(same.method == head.method && same.method_text == head.method_text && same.target == head.target);
  require(same.path == head.path && same.query == head.query && same.route_path == head.route_path);
  require(iequals(same.host, head.host) && same.tunnel == head.tunnel);
  require(same.body.is_empty() == head.body.is_empty() && same.body.bytes == head.body.bytes);
  require(same.expect_continue == head.expect_continue && same.connection_auth == head.connection_auth);
}

void check_response(const ResponseHead& head) {
  check_fields(head.fields);
  if (head.tunnel) return;
  const std::string text = as_text("HTTP/1.1 " + std::to_string(head.status) + " X", head.fields);
  ResponseHead same;
  require(parse_response_head(text, Method::get, same).status == Parsed::Status::ok);
  check_same(head.fields, same.fields);
  require(same.status == head.status && same.drops_length == head.drops_length);
}

struct ServerOwner final : Http2ServerSession::Owner {
  void stream_opened(Http2ServerStream& stream) override {
    RequestHead head;
    if (stream.read_head(head) == Io::ready)
      check_request(head);
    else
      require(stream.failure().code >= 400 && stream.failure().code < 600);
    opened = &stream;
  }
  void head_refused(const char*) override {}
  void flooded(const char*) override {}
  Http2ServerStream* opened = nullptr;
};

struct ClientOwner final : Http2ClientSession::Owner {
  void stream_ended(bool) noexcept override {}
};

void request(test::ManualLoop& loop, const std::string& block, unsigned ends) {
  ServerOwner owner;
  auto session = std::make_unique<Http2ServerSession>(loop, Http2Settings(), response_limits(), owner);
  Hand hand(loop, *session, 0);
  hand.give("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, "") + frame(1, 4 | ends, 1, block));
  hand.run(loop, 100'000);
  if (owner.opened != nullptr) session->done(*owner.opened);
  hand.run(loop, 100'000);
  session.reset();
}

void response(test::ManualLoop& loop, const std::string& block, unsigned ends) {
  ClientOwner owner;
  auto session = std::make_unique<Http2ClientSession>(loop, Http2Settings(), false, owner);
  constexpr std::size_t preface = 24;
  Hand hand(loop, *session, preface);
  session->flush();
  hand.give(frame(4, 0, 0, big_endian(8, 2) + big_endian(1, 4)));
  hand.run(loop, 100'000);
  require(session->has_room());
  Http2ClientStream& stream = session->open();
  EventFlags wake(loop.wheel);
  stream.attach(wake, EventFlags::backend);
  OutHead out;
  out.method = "GET";
  out.target = "/";
  out.fields.push_back({"Host", "a.test", Known::host});
  stream.put_head(out);
  hand.give(frame(1, 4 | ends, 1, block));
  hand.run(loop, 100'000);
  ResponseHead head;
  if (stream.read_head(head, Method::get) == Io::ready) check_response(head);
  static_cast<void>(stream.release());
  hand.run(loop, 100'000);
  session.reset();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  const std::size_t way = in.byte();
  Fields fields = (way & 1) != 0 ? request_fields(in) : response_fields(in);
  for (int n = 0; n < 40 && !in.empty(); ++n) fields.push_back(any_field(in));
  const std::string block = hpack(fields);
  if (block.size() > 16384) return 0;
  test::ManualLoop loop;
  const auto ends = static_cast<unsigned>(way >> 1 & 1);
  if ((way & 1) != 0)
    request(loop, block, ends);
  else
    response(loop, block, ends);
  loop.settle();
  return 0;
}

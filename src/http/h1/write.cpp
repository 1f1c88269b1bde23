#include "http/h1/write.h"

#include "http/reason.h"

namespace remora {

void write_request_line(const OutHead& head, OutText& out) {
  char* at = out.extend(head.method.size() + head.target.size() + 12);
  at = OutText::put(OutText::put(OutText::put(at, head.method), " "), head.target);
  OutText::put(at, " HTTP/1.1\r\n");
}

void write_status_line(const OutHead& head, OutText& out) {
  const bool interim = head.status < 200;
  const std::string_view reason = head.reason.empty() && interim ? reason_phrase(head.status) : head.reason;
  char* at = OutText::put(out.extend(15 + reason.size()), "HTTP/1.1 ");
  for (const unsigned n : {head.status / 100, head.status / 10, head.status / 1})
    *at++ = static_cast<char>('0' + n % 10);
  OutText::put(OutText::put(OutText::put(at, " "), reason), "\r\n");
}

void write_fields(const OutHead& head, OutText& out) {
  std::size_t size = 0;
  for (const Field& f : head.fields) size += f.name.size() + f.value.size() + 4;
  char* at = out.extend(size);
  for (std::size_t i = 0; i < head.fields.size();) {
    const Field& first = head.fields[i++];
    if (!first.verbatim) {
      at = OutText::put(OutText::put(at, first.name), ": ");
      at = OutText::put(OutText::put(at, first.value), "\r\n");
      continue;
    }
    const char* end = first.value.data() + first.value.size() + 2;
    for (; i < head.fields.size() && head.fields[i].verbatim && head.fields[i].name.data() == end; ++i)
      end = head.fields[i].value.data() + head.fields[i].value.size() + 2;
    at = OutText::put(at, {first.name.data(), static_cast<std::size_t>(end - first.name.data())});
  }
}

}  // namespace remora

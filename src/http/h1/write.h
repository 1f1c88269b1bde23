// Heads to bytes. Pure: values in, text out.
#pragma once

#include "http/message_stream.h"
#include "util/out_text.h"

namespace remora {

void write_request_line(const OutHead& head, OutText& out);
/// Always HTTP/1.1; interim statuses that came without a reason get theirs.
void write_status_line(const OutHead& head, OutText& out);
/// All fields, then the raw ones; no empty line. Lines that came side by side and are as we write them
/// (Field::whole_line) are copied as one.
void write_fields(const OutHead& head, OutText& out);

}  // namespace remora

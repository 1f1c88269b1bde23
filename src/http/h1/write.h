// Serializes heads. Pure: values in, text out.
#pragma once

#include "http/message_stream.h"
#include "util/out_text.h"

namespace remora {

void write_request_line(const OutHead& head, OutText& out);
/// Always HTTP/1.1. Interim statuses without a reason phrase get the standard one.
void write_status_line(const OutHead& head, OutText& out);
/// Writes all fields; no final empty line. Adjacent lines that are already in our format (Field::verbatim)
/// are copied as one block.
void write_fields(const OutHead& head, OutText& out);

}  // namespace remora

"""HTTP/1.1 as bytes: what both ends of the chaos say and understand."""

import asyncio
import socket
import ssl
import struct


class Broken(Exception):
    """The other end went away, or what it said cannot be read."""


class Wrong(Exception):
    """An answer that nobody gave to this request: a finding, not an accident."""


def pattern(name, size):
    """A body that can be told from every other request's."""
    word = f"{name}|".encode()
    return (word * (size // len(word) + 1))[:size]


def reset(writer):
    """Ends the connection with RST, where the transport lets us."""
    try:
        sock = writer.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    except (OSError, AttributeError):  # an ended TLS transport has nothing left to ask
        pass


def close(writer):
    try:
        writer.close()
    except (OSError, AttributeError):
        pass


ACCIDENTS = (OSError, EOFError, asyncio.LimitOverrunError, asyncio.TimeoutError, ssl.SSLError, Broken)


def fields_of(lines):
    """Names in small letters; of several, the last counts."""
    fields = {}
    for line in lines:
        name, sign, value = line.partition(b":")
        if not sign:
            raise Broken(f"no field: {line[:80]!r}")
        fields[name.strip().lower().decode("latin1")] = value.strip().decode("latin1")
    return fields


async def read_head(reader):
    """The start line and the fields."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head[:-4].split(b"\r\n")
    return lines[0].decode("latin1"), fields_of(lines[1:])


async def read_chunks(reader):
    body = bytearray()
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";")[0].strip(), 16)
        if size == 0:
            break
        body += await reader.readexactly(size)
        if await reader.readexactly(2) != b"\r\n":
            raise Broken("a chunk does not end")
    while await reader.readuntil(b"\r\n") != b"\r\n":  # trailers
        pass
    return bytes(body)


async def read_body(reader, fields):
    if "chunked" in fields.get("transfer-encoding", ""):
        return await read_chunks(reader)
    return await reader.readexactly(int(fields.get("content-length", "0")))


async def read_response(reader, method):
    """(status, fields, body) of the final response; 101 counts as final."""
    while True:
        first, fields = await read_head(reader)
        words = first.split(" ", 2)
        if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
            raise Wrong(f"not a status line: {first[:80]!r}")
        status = int(words[1])
        if status >= 200 or status == 101:
            break
    if method == "HEAD" or status in (101, 204, 304):
        return status, fields, b""
    if "content-length" not in fields and "transfer-encoding" not in fields:
        return status, fields, await reader.read()  # until its end
    return status, fields, await read_body(reader, fields)

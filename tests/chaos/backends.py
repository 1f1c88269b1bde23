"""App servers that do what the request's path says: answer, hang, cut, lie. Each also has moods that all its clients feel.

The path is /FIRST/LATER/SIZE/ID: what happens when ID comes for the first time, and what when it comes again (a retry).
"""

import asyncio
import random
import socket
import zlib

import wire

PIECE = 16 * 1024


class Call:
    """One request, as the backend sees it."""

    def __init__(self, backend, reader, writer, method, fields, path):
        self.backend, self.reader, self.writer, self.method, self.fields = backend, reader, writer, method, fields
        words = path.partition("?")[0].split(";")[0].strip("/").split("/")
        words = words[-4:] if len(words) >= 4 else ["ok", "ok", "10", "none"]
        self.first, self.later, size, self.id = words
        self.size = int(size) if size.isdigit() else 10
        self.random = random.Random(f"{path} {backend.name}")
        self.keep = True
        self.uploaded = None

    def head(self, status=200, *more, length=None):
        lines = [f"HTTP/1.1 {status} X", f"X-Id: {self.id}", f"X-Backend: {self.backend.name}", *self.backend.session(self), *more]
        if self.uploaded is not None:
            lines.append(f"X-Crc: {zlib.crc32(self.uploaded)}")
        if length is not None:
            lines.append(f"Content-Length: {length}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def body(self):
        return b"" if self.method == "HEAD" else wire.pattern(self.id, self.size)

    async def upload(self):
        if self.fields.get("expect", "").lower() == "100-continue":
            await self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.uploaded = await wire.read_body(self.reader, self.fields)

    async def send(self, data):
        for at in range(0, len(data), PIECE):
            if self.writer.is_closing():  # asyncio of Python 3.11 stumbles over a write then
                raise ConnectionResetError
            self.writer.write(data[at : at + PIECE])
            await self.writer.drain()


# What can be done with a request -----------------------------------------------------------------


async def ok(call):
    await call.upload()
    await call.send(call.head(200, length=call.size) + call.body())


async def chunked(call):
    await call.upload()
    data, out = call.body(), bytearray(call.head(200, "Transfer-Encoding: chunked", "Trailer: X-End"))
    while data:
        size = call.random.choice([1, 7, 100, 4000, 40000])
        piece, data = data[:size], data[size:]
        out += b"%x%s\r\n%s\r\n" % (len(piece), call.random.choice([b"", b";a=b"]), piece)
    if call.method != "HEAD":
        out += b"0\r\n" + call.random.choice([b"", b"X-End: 1\r\n"]) + b"\r\n"
    await call.send(bytes(out))


async def html(call):
    await call.upload()
    page = b"<html><body>" + b'<a href="/next">x</a><!-- a --><form action="?a">' * (call.size // 50 + 1) + b"</body></html>"
    out = call.head(200, "Content-Type: text/html", length=len(page))
    await call.send(out + (b"" if call.method == "HEAD" else page))


async def slow(call):
    await call.upload()
    data = call.head(200, length=call.size) + call.body()
    step = len(data) // call.random.randint(2, 6) + 1
    for at in range(0, len(data), step):
        await call.send(data[at : at + step])
        await asyncio.sleep(call.random.uniform(0.01, 0.3))


async def late(call):
    await call.upload()
    await asyncio.sleep(call.random.choice([0.2, 0.5, 0.9, 0.98, 1.0, 1.02]))
    await call.send(call.head(200, length=call.size) + call.body())


async def hang(call):
    await call.reader.read(1)
    raise wire.Broken("hung")


async def hang_in_body(call):
    await call.upload()
    await call.send(call.head(200, length=call.size + 1000) + call.body())
    await hang(call)


async def reset_at_once(call):
    wire.reset(call.writer)
    raise wire.Broken("reset")


async def reset_somewhere(call):
    await call.upload()
    data = call.head(200, length=call.size) + call.body()
    await call.send(data[: call.random.choice([1, 9, 20, len(data) // 2, len(data) - 1])])
    await reset_at_once(call)


async def end_somewhere(call):
    await call.upload()
    data = call.head(200, length=call.size) + call.body()
    await call.send(data[: call.random.choice([0, 1, 9, 20, len(data) // 2, len(data) - 1])])
    call.keep = False


async def garbage(call):
    await call.send(
        call.random.choice(
            [
                b"GARBAGE\r\n\r\n",
                b"HTTP/1.1 999999 X\r\n\r\n",
                b"HTTP/1.1 200 X\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
                b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                b"HTTP/1.1 200 X\r\nX: " + b"a" * 70000 + b"\r\n\r\n",
                b"HTTP/1.1 200 X\r\n: x\r\n\r\n",
                bytes(call.random.randrange(256) for _ in range(200)),
                b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n",
            ]
        )
    )
    call.keep = False


async def hints(call):
    for _ in range(call.random.choice([1, 2, 5, 20])):
        await call.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        await asyncio.sleep(call.random.choice([0, 0, 0.05]))
    await ok(call)


async def hints_and_hang(call):
    await call.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
    await hang(call)


async def busy(call):
    await call.upload()
    await call.send(call.head(call.random.choice([502, 503, 504]), length=4) + (b"" if call.method == "HEAD" else b"busy"))


async def refuses_the_body(call):
    await call.send(call.head(413, "Connection: close", length=0))
    call.keep = False


async def no_body(call):
    await call.upload()
    await call.send(call.head(call.random.choice([204, 304])))


async def until_end(call):
    await call.upload()
    await call.send(b"HTTP/1.0 200 X\r\nX-Id: %s\r\n\r\n" % call.id.encode() + call.body())
    call.keep = False


async def ok_and_close(call):
    await call.upload()
    await call.send(call.head(200, "Connection: close", length=call.size) + call.body())
    call.keep = False


async def ok_and_leave(call):
    """Closes while the connection lies idle, about when it is parked."""
    await ok(call)
    call.backend.later(call.random.choice([0.01, 0.5, 0.98, 1.0, 1.02, 1.2]), wire.close, call.writer)


async def ok_and_more(call):
    """Bytes that nobody asked for, in one write with the answer."""
    await call.upload()
    await call.send(call.head(200, length=call.size) + call.body() + b"HTTP/1.1 400 X\r\nContent-Length: 0\r\n\r\n")
    call.keep = False


async def tunnel(call):
    if "upgrade" not in call.fields:
        return await ok(call)
    await call.send(b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    left = call.random.choice([1, 3, 1000])
    while left > 0:
        data = await call.reader.read(65536)
        if not data:
            break
        await call.send(data)
        left -= 1
    if call.random.random() < 0.3:
        wire.reset(call.writer)
    call.keep = False


FINE = {"ok": ok, "chunked": chunked, "slow": slow, "late": late, "hints": hints, "none": no_body, "close": ok_and_close, "leave": ok_and_leave}
ODD = {
    "html": html,
    "hang": hang,
    "halfhang": hang_in_body,
    "reset": reset_at_once,
    "cut": reset_somewhere,
    "end": end_somewhere,
    "garbage": garbage,
    "hinthang": hints_and_hang,
    "busy": busy,
    "refuse": refuses_the_body,
    "until": until_end,
    "more": ok_and_more,
    "tunnel": tunnel,
}
DEEDS = FINE | ODD
MOODS = ["fine", "fine", "refusing", "frozen", "deaf", "resetting"]


class Backend:
    """`mood`: fine; refusing: nobody listens; frozen: connects, says nothing; deaf: SYNs are swallowed; resetting: each connection."""

    def __init__(self, name, tls, affinity):
        self.name, self.tls, self.affinity = name, tls, affinity
        self.port, self.mood, self.server, self.writers, self.served = 0, "fine", None, set(), 0
        self.thawed = asyncio.Event()
        self.thawed.set()
        self.deaf = []

    async def start(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", self.port, ssl=self.tls, limit=1 << 20, backlog=256)
        self.port = self.server.sockets[0].getsockname()[1]

    def later(self, delay, what, *arguments):
        asyncio.get_running_loop().call_later(delay, what, *arguments)

    def session(self, call):
        """An id of the app's own, where the pool learns such ids."""
        if self.affinity == "app_cookie" and "APP=" not in call.fields.get("cookie", ""):
            return [f"Set-Cookie: APP={call.random.getrandbits(64):016x}; Path=/"]
        if self.affinity == "header" and "mcp-session-id" not in call.fields:
            return [f"Mcp-Session-Id: {call.random.getrandbits(64):016x}"]
        if self.affinity == "state" and call.random.random() < 0.3:
            return ["Remora-State: c3RhdGU="]
        return []

    async def feel(self, mood):
        if mood == self.mood:
            return
        for s in self.deaf:
            s.close()
        self.deaf = []
        self.mood = mood
        if mood in ("refusing", "deaf"):
            if self.server:
                self.server.close()
                self.server = None
            for w in list(self.writers):
                wire.reset(w)
        elif self.server is None:
            await self.start_again()
        if mood == "deaf":
            await self.swallow()
        (self.thawed.clear if mood == "frozen" else self.thawed.set)()
        if mood == "resetting":
            for w in list(self.writers):
                wire.reset(w)

    async def start_again(self):
        for _ in range(100):
            try:
                return await self.start()
            except OSError:
                await asyncio.sleep(0.05)
        raise RuntimeError(f"port {self.port} is taken")

    async def swallow(self):
        """A listener whose line is full: SYNs get no answer."""
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.deaf.append(s)
        for _ in range(100):
            try:
                s.bind(("127.0.0.1", self.port))
                break
            except OSError:
                await asyncio.sleep(0.05)
        s.listen(0)
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self.deaf.append(filler)

    async def serve(self, reader, writer):
        self.writers.add(writer)
        try:
            while True:
                await self.thawed.wait()
                if self.mood == "resetting":
                    return wire.reset(writer)
                first, fields = await wire.read_head(reader)
                await self.thawed.wait()
                method, path, _ = first.split(" ", 2)
                call = Call(self, reader, writer, method, fields, path)
                deed = call.later if call.id in self.backends_saw else call.first
                self.backends_saw.add(call.id)
                self.served += 1
                await DEEDS.get(deed, ok)(call)
                if not call.keep:
                    return
        except (*wire.ACCIDENTS, ValueError):
            pass
        finally:
            self.writers.discard(writer)
            wire.close(writer)

    backends_saw = set()  # ids, of all backends: a retry may come to another one

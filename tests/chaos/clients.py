"""Clients: patient, hasty, broken, malicious. Each scenario is one visit; what it may not see raises wire.Wrong."""

import asyncio
import zlib

import backends
import wire

PAUSES = [0, 0, 0, 0, 0.05, 0.4, 0.49, 0.5, 0.51, 0.6, 0.98, 1.0, 1.02, 1.2]
ODD_HEADS = [
    b"GARBAGE\r\n\r\n",
    b"\r\n\r\n\r\n",
    b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /nothing/here HTTP/1.1\r\nHost: nobody.test\r\n\r\n",
    b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 40000 + b"\r\n\r\n",
    b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: " + b"a," * 200 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 150 + b"\r\n",
    b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET /gone HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\x16\x03\x01\x00\x05hello",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]


class Visit:
    """One connection of a client."""

    def __init__(self, world, random):
        self.world, self.random, self.sent = world, random, 0
        self.reader = self.writer = None

    async def open(self):
        opening = asyncio.open_connection("127.0.0.1", self.world.port, ssl=self.world.client_tls, limit=1 << 20)
        self.reader, self.writer = await asyncio.wait_for(opening, 10)
        self.world.count("connections")
        return self

    def target(self, first=None, later=None, size=None):
        r = self.random
        first = first or r.choice(list(backends.FINE) * 3 + list(backends.ODD))
        later = later or r.choice(["ok", "ok", "chunked", "busy", "hang", "cut"])
        size = size if size is not None else r.choice([0, 10, 10, 500, 5000, 65536, 200000] + [2 << 20] * (r.random() < 0.1))
        return f"{r.choice(self.world.prefixes)}/{first}/{later}/{size}/{self.world.new_id()}"

    def head(self, method, target, *fields):
        lines = [f"{method} {target} HTTP/1.1", "Host: a", *fields]
        for name, value in self.world.session(self.random).items():
            lines.append(f"{name}: {value}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    async def send(self, data):
        self.writer.write(data)
        await asyncio.wait_for(self.writer.drain(), 20)

    async def answer(self, method, target, uploaded=None):
        """Reads a response and looks whether it is this request's."""
        reading = wire.read_response(self.reader, method)
        status, fields, body = await asyncio.wait_for(reading, 20)
        self.world.count(f"{status // 100}xx")
        self.world.remember(fields, self.random)
        self.judge(target, status, fields, body, method, uploaded)
        return status, fields

    def judge(self, target, status, fields, body, method, uploaded):
        name, size = target.rsplit("/", 1)[-1], int(target.rsplit("/", 2)[-2])
        if "x-id" not in fields:
            return
        if fields["x-id"] != name:
            raise wire.Wrong(f"asked for {target}, got the answer of {fields['x-id']}")
        if status == 200 and method != "HEAD" and "content-type" not in fields and body != wire.pattern(name, size):
            raise wire.Wrong(f"{target}: another body, {len(body)} bytes instead of {size}")
        if uploaded is not None and "x-crc" in fields and fields["x-crc"] != str(zlib.crc32(uploaded)):
            raise wire.Wrong(f"{target}: the backend got another body")

    async def ask(self, method="GET", target=None, fields=()):
        target = target or self.target()
        await self.send(self.head(method, target, *fields))
        return await self.answer(method, target)

    async def pause(self):
        await asyncio.sleep(self.random.choice(PAUSES))


# Scenarios ---------------------------------------------------------------------------------------


async def keeps_alive(v):
    for _ in range(v.random.randint(1, 8)):
        _, fields = await v.ask(v.random.choice(["GET", "GET", "GET", "HEAD", "DELETE", "OPTIONS"]))
        if fields.get("connection") == "close":
            return
        await v.pause()


async def pipelines(v):
    asked = [v.target(v.random.choice(["ok", "chunked", "late", "leave"])) for _ in range(v.random.randint(2, 12))]
    await v.send(b"".join(v.head("GET", t) for t in asked))
    for target in asked[: v.random.choice([len(asked), len(asked), 1, 0])]:
        _, fields = await v.answer("GET", target)
        if fields.get("connection") == "close":
            return


async def uploads(v):
    size = v.random.choice([0, 1, 100, 5000, 60000, 70000, 300000, 1 << 20])
    target, data = v.target(), wire.pattern("up", size)
    method = v.random.choice(["POST", "PUT", "PUT"])
    chunks = v.random.random() < 0.5
    framing = "Transfer-Encoding: chunked" if chunks else f"Content-Length: {size}"
    expects = v.random.random() < 0.3
    await v.send(v.head(method, target, framing, *(["Expect: 100-continue"] if expects else [])))
    if expects and v.random.random() < 0.5:
        await asyncio.sleep(0.1)
    cut = v.random.random() < 0.25
    sent = data[: v.random.randrange(size)] if cut and size > 0 else data
    step = v.random.choice([700, 9000, 1 << 20])
    slowly = v.random.random() < 0.2
    for at in range(0, len(sent), step):
        piece = sent[at : at + step]
        await v.send(b"%x\r\n%s\r\n" % (len(piece), piece) if chunks else piece)
        if slowly and at < 6 * step:
            await asyncio.sleep(0.1)
    if cut:
        return v.random.choice([wire.reset, wire.close])(v.writer)
    if chunks:
        await v.send(v.random.choice([b"0\r\n\r\n", b"0\r\nX-T: 1\r\n\r\n"]))
    await v.answer(method, target, data)


async def opens_a_tunnel(v):
    target = v.target("tunnel", v.random.choice(["tunnel", "ok"]), 0)
    await v.send(v.head("GET", target, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: YQ=="))
    status, _ = await v.answer("GET", target)
    if status != 101:
        return
    v.world.count("tunnels")
    for _ in range(v.random.randint(0, 4)):
        data = wire.pattern(target, v.random.choice([1, 100, 70000]))
        await v.send(data)
        if await asyncio.wait_for(v.reader.readexactly(len(data)), 20) != data:
            raise wire.Wrong("a tunnel gave other bytes back")
        await asyncio.sleep(v.random.choice([0, 0, 0.02, 0.5, 1.0]))
    ending = v.random.randrange(3)
    if ending == 0:
        wire.reset(v.writer)
    elif ending == 1 and v.writer.can_write_eof():
        v.writer.write_eof()
        await asyncio.wait_for(v.reader.read(), 5)


async def talks_nonsense(v):
    for _ in range(v.random.randint(1, 3)):
        await v.send(v.random.choice(ODD_HEADS))
    await asyncio.wait_for(v.reader.read(), v.random.choice([0.1, 1, 3]))


async def leaves_early(v):
    data = v.head("GET", v.target())
    await v.send(data[: v.random.choice([1, 20, len(data) - 1, len(data), len(data)])])
    await asyncio.sleep(v.random.choice([0, 0, 0.01, 0.1, 0.5, 1.0]))
    v.random.choice([wire.reset, wire.close])(v.writer)


async def closes_half(v):
    target = v.target()
    await v.send(v.head("GET", target))
    if v.writer.can_write_eof():
        v.writer.write_eof()
    await v.answer("GET", target)


async def reads_slowly(v):
    await v.send(v.head("GET", v.target(v.random.choice(["ok", "chunked", "until"]), None, 2 << 20)))
    for _ in range(v.random.randint(0, 10)):
        await asyncio.wait_for(v.reader.read(4000), 3)
        await asyncio.sleep(0.05)
    wire.reset(v.writer)


async def says_nothing(v):
    await v.pause()
    if v.random.random() < 0.5:
        await keeps_alive(v)


async def retries(v):
    """The first attempt fails in some way, the second is answered."""
    for _ in range(v.random.randint(1, 3)):
        bad = v.random.choice(["hang", "reset", "end", "busy", "hinthang", "garbage", "cut"])
        _, fields = await v.ask("GET", v.target(bad, v.random.choice(["ok", "ok", "leave", "tunnel"])))
        if fields.get("connection") == "close":
            return
        await v.pause()


EVERYDAY = [keeps_alive] * 6 + [pipelines] * 2 + [uploads] * 4 + [retries] * 2
ALL = EVERYDAY + [opens_a_tunnel] * 2 + [talks_nonsense, leaves_early, closes_half, reads_slowly, says_nothing]


async def visit(world, random, scenario):
    """One connection from beginning to end. Accidents are what the chaos is for."""
    v = Visit(world, random)
    try:
        await v.open()
        await scenario(v)
        world.count(scenario.__name__)
    except wire.Wrong as error:
        world.wrong(f"{scenario.__name__}: {error}")
    except (*wire.ACCIDENTS, ValueError):
        world.count("accidents")
    finally:
        if v.writer is not None:
            wire.close(v.writer)


async def burst(world, random):
    """Retries and idle connections whose deadlines fall together: all begin at one moment, then there is silence."""
    waits = random.choice(["hang", "hang", "hinthang", "late"])

    async def one(first):
        v = Visit(world, random)
        try:
            await v.open()
            await v.ask("GET", v.target(first, "ok", 10))
        except wire.Wrong as error:
            world.wrong(f"burst: {error}")
        except (*wire.ACCIDENTS, ValueError):
            world.count("accidents")
        finally:
            if v.writer is not None:
                wire.close(v.writer)

    deeds = [waits] * random.randint(1, 4) + ["ok"] * random.randint(2, 10)
    world.count("bursts")
    await asyncio.gather(*(one(d) for d in deeds))

"""What asks: wrk and h2load for requests, openssl for handshakes, and sockets of ours for what they cannot do.

Each returns a Round, or raises Void: a single error makes the figure worthless.
"""

import dataclasses
import re
import select
import socket
import ssl
import struct
import subprocess
import threading
import time


class Void(Exception):
    pass


@dataclasses.dataclass
class Round:
    requests: int = 0
    seconds: float = 0
    p50_us: float = 0
    p99_us: float = 0
    bytes_each: float = 0  # memory of one idle connection
    failed: int = 0  # requests and connections; only where a row allows it


def microseconds(text):
    number = float(re.match(r"[\d.]+", text)[0])
    return number * {"us": 1, "ms": 1e3, "s": 1e6, "m": 6e7}[re.sub(r"[\d.]+", "", text)]


def is_whole(data):
    """A response with Content-Length needs no end of the connection, which the floor does not ask for."""
    head, found, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
    return bool(found and length) and len(body) >= int(length[1])


def ask(port, path, tls=False, fields=()):
    """One request: status, fields (a dict, lower case), body."""
    s = socket.create_connection(("127.0.0.1", port), 5)
    if tls:
        s = trusting().wrap_socket(s)
    lines = [f"GET {path} HTTP/1.1", "Host: bench.example", "Connection: close", *fields, "", ""]
    s.sendall("\r\n".join(lines).encode())
    data = b""
    while not is_whole(data) and (part := s.recv(1 << 20)):
        data += part
    s.close()
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    named = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        named.setdefault(name.strip().lower(), value.strip())
    if named.get("transfer-encoding") == "chunked":
        plain = b""
        while True:
            size, _, body = body.partition(b"\r\n")
            if int(size, 16) == 0:
                break
            plain += body[: int(size, 16)]
            body = body[int(size, 16) + 2 :]
        body = plain
    return int(lines[0].split()[1]), named, body


def trusting():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


IN_TURN = """local requests, n = {{}}, 0
init = function()
  for i, cookie in ipairs({{{cookies}}}) do wrk.headers["Cookie"] = cookie; requests[i] = wrk.format() end
end
request = function() n = n % #requests + 1; return requests[n] end
"""


def wrk(port, folder, seconds, path, tls=False, connections=64, fields=(), body=0, cores=None, may_fail=False, cookies=()):
    """`cookies`: sent in turn, one with each request."""
    options = []
    for field in fields:
        options += ["-H", field]
    if cookies:
        with open(f"{folder}/{port}-cookies.lua", "w") as f:
            f.write(IN_TURN.format(cookies=", ".join(f"[==[{c}]==]" for c in cookies)))
        options += ["-s", f"{folder}/{port}-cookies.lua"]
    if body:
        with open(f"{folder}/post.lua", "w") as f:
            f.write(f'wrk.method = "POST"\nwrk.body = string.rep("x", {body})\n')
        options += ["-s", f"{folder}/post.lua"]
    return run_wrk(f"http{'s' if tls else ''}://127.0.0.1:{port}{path}", seconds, connections, options, cores, may_fail)


def scripted(port, script, seconds, cores):
    """What a Lua script asks."""
    return run_wrk(f"http://127.0.0.1:{port}/", seconds, 64, ["-s", script], cores, False)


def run_wrk(url, seconds, connections, options, cores, may_fail):
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "5s", "--latency", *options, url]
    if cores:
        command = ["taskset", "-c", ",".join(str(c) for c in sorted(cores)), *command]
    out = subprocess.run(command, capture_output=True, text=True)
    errors = re.findall(r"(?:connect|read|write|timeout|responses:) (\d+)", out.stdout)
    if out.returncode or (errors and not may_fail):
        raise Void(out.stdout + out.stderr)
    done = re.search(r"(\d+) requests in", out.stdout)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", out.stdout)
    took = int(done[1]) / max(float(rate[1]), 1e-9)
    percentile = {p: microseconds(re.search(rf"\s{p}%\s+(\S+)", out.stdout)[1]) for p in (50, 99)}
    return Round(int(done[1]), took, percentile[50], percentile[99], failed=sum(map(int, errors)))


def ask_h2(port, path, tls=False, fields=(), body=None):
    """One request: status, fields (a dict, lower case), body."""
    command = ["curl", "-sk", "-D-", "--max-time", "5", "--http2" if tls else "--http2-prior-knowledge"]
    for field in fields:
        command += ["-H", field]
    if body is not None:
        command += ["--data-binary", "@-"]
    out = subprocess.run([*command, f"http{'s' if tls else ''}://127.0.0.1:{port}{path}"], input=body, capture_output=True)
    if out.returncode:
        raise OSError(f"curl ended with {out.returncode}")
    head, _, rest = out.stdout.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    if not lines[0].startswith("HTTP/2 "):
        raise Void(lines[0])
    named = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        named.setdefault(name.strip().lower(), value.strip())
    return int(lines[0].split()[1]), named, rest


def grpc_status(port, path, folder, fields, body):
    """The trailer of a call, which curl keeps to itself."""
    file = write_body(folder, body)
    options = [part for field in fields for part in ("-H", field)]
    out = subprocess.run(
        ["nghttp", "-nv", "--no-dep", "-d", file, *options, f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True
    )
    found = re.search(r"grpc-status: (\d+)", out.stdout)
    return found and int(found[1])


def write_body(folder, body):
    path = f"{folder}/post.bin"
    with open(path, "wb") as f:
        f.write(body)
    return path


H2_CONNECTIONS, H2_STREAMS = 8, 100


def h2load(port, folder, seconds, path, tls=False, fields=(), body=b"", cores=None, cookies=()):
    """Connections that keep 100 requests open each; with `cookies` each connection is another session's."""
    command = ["h2load", "-t1", f"-m{H2_STREAMS}", f"-D{seconds}"]
    if cores:
        command = ["taskset", "-c", ",".join(str(c) for c in sorted(cores)), *command]
    for field in fields:
        command += ["-H", field]
    if body:
        command += ["-d", write_body(folder, body)]
    each = [["-c1", "-H", f"Cookie: {cookie}"] for cookie in cookies[:H2_CONNECTIONS]] or [[f"-c{H2_CONNECTIONS}"]]
    url = f"http{'s' if tls else ''}://127.0.0.1:{port}{path}"
    running = [subprocess.Popen([*command, *options, url], stdout=subprocess.PIPE, text=True) for options in each]
    said = [process.communicate()[0] for process in running]
    done, rate = 0, 0.0
    for text in said:
        numbers = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", text)
        if not numbers or int(numbers[3]) or int(numbers[4]) or int(numbers[5]) or not int(numbers[2]):
            raise Void(text)
        done += int(numbers[2])
        rate += float(re.search(r"finished in [^,]+, ([\d.]+) req/s", text)[1])
    return Round(done, done / rate)


def under_reloads(proxy, seconds, load, cookies):
    """Ten reloads while wrk asks."""
    over = threading.Event()

    def reload():
        for _ in range(10):
            if over.wait(seconds / 12):
                return
            proxy.reload()

    thread = threading.Thread(target=reload)
    thread.start()
    try:
        return wrk(*load, may_fail=True, cookies=cookies)
    finally:
        over.set()
        thread.join()


def handshakes(port, seconds, path, resumed, cores):
    """TLS 1.3, one connection after another; the letters that s_time prints say whether a session was resumed."""
    out = subprocess.run(
        ["taskset", "-c", ",".join(str(c) for c in sorted(cores)), "openssl", "s_time", "-connect", f"127.0.0.1:{port}",
         "-reuse" if resumed else "-new", "-time", str(seconds), "-www", path],
        capture_output=True, text=True,
    )  # fmt: skip
    done = re.findall(r"(\d+) connections in (\d+) real seconds, (\d+) bytes", out.stdout)
    if out.returncode or not done:
        raise Void(out.stdout[-2000:] + out.stderr)
    n = int(done[-1][0])
    letters = len(max(re.findall(r"^[*tr]+$", out.stdout, re.MULTILINE), key=len, default=""))
    if letters < n or int(done[-1][2]) < 128:
        raise Void(f"{n} connections, but only {letters} {'resumed' if resumed else 'full'} handshakes\n{out.stdout[-500:]}")
    return Round(n, int(done[-1][1]) or seconds)


def echo(port, seconds, connections=64):
    """A WebSocket message of 64 bytes goes out on each connection, then each waits for its echo."""
    frame = bytes([0x82, 0x80 | 64, 0, 0, 0, 0]) + bytes(range(64))
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    upgrade = (
        "GET /echo HTTP/1.1\r\nHost: bench.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    ).encode()
    poll, open_ = select.epoll(), {}
    for _ in range(connections):
        s = socket.create_connection(("127.0.0.1", port), 5)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.sendall(upgrade)
        head = b""
        while b"\r\n\r\n" not in head:
            part = s.recv(4096)
            if not part:
                break
            head += part
        if not head.startswith(b"HTTP/1.1 101"):
            raise Void(head.decode())
        poll.register(s.fileno(), select.EPOLLIN)
        open_[s.fileno()] = s
    n, begin = 0, time.monotonic()
    while time.monotonic() - begin < seconds:
        for s in open_.values():
            s.sendall(frame)
        waiting = dict.fromkeys(open_, len(frame))
        while waiting:
            ready = poll.poll(5)
            if not ready:
                raise Void("no echo for 5 s")
            for fd, _ in ready:
                got = len(open_[fd].recv(4096))
                if got == 0:
                    raise Void("a WebSocket was closed")
                waiting[fd] -= got
                if waiting[fd] <= 0:
                    del waiting[fd]
        n += connections
    took = time.monotonic() - begin
    for s in open_.values():
        s.close()
    return Round(n, took)


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def first_exchange_h1(s):
    s.sendall(b"GET /128 HTTP/1.1\r\nHost: bench.example\r\n\r\n")
    data = b""
    while len(data.partition(b"\r\n\r\n")[2]) < 128:
        part = s.recv(4096)
        if not part:
            raise Void("an idle connection was closed")
        data += part


def first_exchange_h2(s):
    """GET by indexes of HPACK's static table, read to END_STREAM; the server's SETTINGS are acknowledged."""
    fields = b"\x82\x86\x44\x04/128\x41\x0dbench.example"
    s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0) + frame(1, 5, 1, fields))
    data, ended = b"", False
    while not ended:
        part = s.recv(4096)
        if not part:
            raise Void("an idle connection was closed")
        data += part
        while len(data) >= 9 and len(data) >= 9 + (size := int.from_bytes(data[:3], "big")):
            kind, flags, stream = data[3], data[4], int.from_bytes(data[5:9], "big")
            if kind == 4 and not flags & 1:
                s.sendall(frame(4, 1, 0))
            if kind in (3, 7):
                raise Void("a request was reset")
            ended = ended or (stream == 1 and kind in (0, 1) and flags & 1 == 1)
            data = data[9 + size :]


def idle(proxy, count, tls, h2=False):
    """Memory of a connection that made one request and waits; the first tenth warms the proxy."""
    context = trusting()
    if h2:
        context.set_alpn_protocols(["h2"])
    held, before = [], 0
    for i in range(count):
        if i == count // 10:
            time.sleep(3.5)
            before = proxy.memory()
        s = socket.create_connection(("127.0.0.1", proxy.port), 5)
        if tls:
            s = context.wrap_socket(s)
        (first_exchange_h2 if h2 else first_exchange_h1)(s)
        held.append(s)
    time.sleep(3.5)
    each = (proxy.memory() - before) / (count - count // 10)
    for s in held:
        s.close()
    return Round(bytes_each=each)

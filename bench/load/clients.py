"""What asks: wrk for requests, openssl for handshakes, and sockets of ours for what they cannot do.

Each returns a Round, or raises Void: a single error makes the figure worthless.
"""

import dataclasses
import re
import select
import socket
import ssl
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


def idle(proxy, count, tls):
    """Memory of a connection that made one request and waits; the first tenth warms the proxy."""
    request = b"GET /128 HTTP/1.1\r\nHost: bench.example\r\n\r\n"
    context = trusting()
    held, before = [], 0
    for i in range(count):
        if i == count // 10:
            time.sleep(3.5)
            before = proxy.memory()
        s = socket.create_connection(("127.0.0.1", proxy.port), 5)
        if tls:
            s = context.wrap_socket(s)
        s.sendall(request)
        data = b""
        while len(data.partition(b"\r\n\r\n")[2]) < 128:
            part = s.recv(4096)
            if not part:
                raise Void("an idle connection was closed")
            data += part
        held.append(s)
    time.sleep(3.5)
    each = (proxy.memory() - before) / (count - count // 10)
    for s in held:
        s.close()
    return Round(bytes_each=each)

#!/usr/bin/env python3
"""How evenly do sessions of uneven users spread? Through remora, HAProxy and nginx in the same run.

1,000 sessions over 4 backends; each makes one request, and the rest of 10,000 falls to them by Zipf's law (the
most active user makes about an eighth of all). Requests come in a random order, 16 at a time, each session over a
connection of its own. The figure is max/mean of the requests that the backends got: 1.00 is even. Five seeds, the
same for everybody.

    bench/load/evenness.py [--seeds N] [--requests N] [--sessions N]

Debian's nginx has no sticky cookies: it hashes a header that names the user.
"""

import argparse
import asyncio
import multiprocessing
import os
import random
import shutil
import subprocess
import tempfile
import time

BACKENDS = [18191, 18192, 18193, 18194]
CONCURRENCY = 16


class Origin(asyncio.Protocol):
    """Answers every head with 200, and counts."""

    def __init__(self, index, counts):
        self.index, self.counts, self.held = index, counts, b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.held += data
        heads = self.held.count(b"\r\n\r\n")
        if heads:
            self.held = self.held[self.held.rindex(b"\r\n\r\n") + 4 :]
            self.counts[self.index] += heads
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" * heads)


def serve(counts):
    async def main():
        loop = asyncio.get_running_loop()
        for i, port in enumerate(BACKENDS):
            await loop.create_server(lambda i=i: Origin(i, counts), "127.0.0.1", port)
        await asyncio.Event().wait()

    asyncio.run(main())


class Client:
    """One user: a connection, and the cookie that keeps the session."""

    def __init__(self, number):
        self.number, self.cookie, self.streams = number, None, None
        self.lock = asyncio.Lock()

    async def ask(self, port):
        async with self.lock:
            if self.streams is None:
                self.streams = await asyncio.open_connection("127.0.0.1", port)
            reader, writer = self.streams
            cookie = f"Cookie: {self.cookie}\r\n" if self.cookie else ""
            writer.write(f"GET / HTTP/1.1\r\nHost: x\r\nX-User: u{self.number}\r\n{cookie}\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            if not head.startswith("HTTP/1.1 200"):
                raise RuntimeError("a request failed, which voids the run: " + head.split("\r\n")[0])
            await reader.readexactly(2)
            for line in head.split("\r\n"):
                if line.lower().startswith("set-cookie:"):
                    self.cookie = line[11:].split(";")[0].strip()

    def close(self):
        if self.streams:
            self.streams[1].close()


async def run_once(port, seed, sessions, requests):
    draw = random.Random(seed)
    weights = [1 / (rank + 1) for rank in range(sessions)]
    order = list(range(sessions)) + draw.choices(range(sessions), weights, k=requests - sessions)
    draw.shuffle(order)
    clients = [Client(i) for i in range(sessions)]
    at = iter(order)

    async def worker():
        for who in at:
            await clients[who].ask(port)

    await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))
    for client in clients:
        client.close()


def proxies(folder):
    """name -> (command, port). One listener and process for each way."""
    out = {}
    backends = ", ".join(f"127.0.0.1:{p}" for p in BACKENDS)
    for i, policy in enumerate(["least_requests", "round_robin", "random_two", "peak_ewma"]):
        port = 18200 + i
        path = f"{folder}/remora-{policy}.yaml"
        with open(path, "w") as f:
            f.write(
                f"state_dir: {folder}/state\nworkers: 1\nadmin: off\nlog: {{level: warn, access: {{format: 'off'}}}}\n"
                f"listeners: [127.0.0.1:{port}]\n"
                f"pools: {{app: {{balance: {policy}, affinity: cookie, backends: [{backends}]}}}}\n"
            )
        name = f"remora {policy}" + (" (default)" if i == 0 else "")
        out[name] = (["build/release/remora", "run", "-c", path], port)
    for i, policy in enumerate(["roundrobin", "leastconn", "random(2)"]):
        port = 18220 + i
        path = f"{folder}/haproxy-{i}.cfg"
        servers = "".join(f"  server b{p} 127.0.0.1:{p} cookie b{p}\n" for p in BACKENDS)
        with open(path, "w") as f:
            f.write(
                "global\n  nbthread 1\n  maxconn 4000\ndefaults\n  mode http\n  timeout connect 2s\n  timeout client 75s\n"
                f"  timeout server 60s\nfrontend web\n  bind 127.0.0.1:{port}\n  default_backend app\nbackend app\n"
                f"  balance {policy}\n  cookie SRV insert indirect nocache\n{servers}"
            )
        out[f"haproxy cookie, {policy}"] = (["haproxy", "-db", "-q", "-f", path], port)
    servers = " ".join(f"server 127.0.0.1:{p};" for p in BACKENDS)
    path = f"{folder}/nginx.conf"
    with open(path, "w") as f:
        f.write(
            f"worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;\n"
            "events { worker_connections 4000; }\n"
            f"http {{ access_log off; keepalive_requests 1000000; upstream app {{ hash $http_x_user consistent; {servers} keepalive 64; }}\n"
            "server { listen 127.0.0.1:18240; location / { proxy_pass http://app; proxy_http_version 1.1;\n"
            '  proxy_set_header Connection ""; } } }\n'
        )
    out["nginx hash consistent"] = (["nginx", "-c", path], 18240)
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=10000)
    parser.add_argument("--sessions", type=int, default=1000)
    options = parser.parse_args()
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
    folder = tempfile.mkdtemp()
    counts = multiprocessing.Array("q", len(BACKENDS), lock=False)
    origin = multiprocessing.Process(target=serve, args=(counts,), daemon=True)
    origin.start()
    rows = {}
    try:
        for seed in range(1, options.seeds + 1):
            for name, (command, port) in proxies(folder).items():
                # A fresh process for each seed: nothing is known of the sessions of the last one.
                process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                try:
                    time.sleep(0.4)
                    before = list(counts)
                    asyncio.run(run_once(port, seed, options.sessions, options.requests))
                    got = [after - was for after, was in zip(counts, before)]
                    rows.setdefault(name, []).append(max(got) / (sum(got) / len(got)))
                finally:
                    process.terminate()
                    process.wait()
            print(f"seed {seed} of {options.seeds}", flush=True)
    finally:
        origin.terminate()
        shutil.rmtree(folder)
    print(f"\n{options.sessions} sessions, {options.requests} requests by Zipf's law, 4 backends; max/mean of their requests")
    print(f"{'':32} {'median':>7} {'worst':>7}   by seed")
    for name, values in rows.items():
        ordered = sorted(values)
        each = " ".join(f"{v:.3f}" for v in values)
        print(f"{name:32} {ordered[len(ordered) // 2]:7.3f} {ordered[-1]:7.3f}   {each}")


if __name__ == "__main__":
    main()

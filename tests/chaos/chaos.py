#!/usr/bin/env python3
"""Minutes of mixed, broken and hostile traffic against the real binary, from one seed.

    tests/chaos/chaos.py [--binary PATH] [--seed N] [--seconds S] [--phases a,b]

The seed chooses the configuration and each step of the schedule; what the kernel and the clock add cannot be chosen, so
a seed repeats a kind of run rather than a run. Judged: the process lives and ends with 0, no sanitizer speaks, no client
gets another's answer, all counters return to zero, and afterwards requests are served, failover included.
"""

import argparse
import asyncio
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time

import backends
import clients
import proxy
import setup
import wire

PHASES = ["mixed", "mixed", "bursts", "bursts", "tunnels", "reloads", "quiet"]


class Chaos:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.random = random.Random(f"{options.seed}")
        self.setup = setup.Setup(self.random, folder)
        self.client_tls = self.setup.client_context()
        self.prefixes = self.setup.prefixes()
        self.backends = [backends.Backend(f"b{i}", self.setup.backend_context(), self.setup.affinity) for i in range(self.setup.backends)]
        self.counts, self.faults, self.ids, self.jar = {}, [], 0, []
        self.proxy, self.port, self.admin, self.phase = None, 0, 0, "mixed"

    # What visits ask of their world

    def count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    def wrong(self, what):
        self.faults.append(f"[{self.phase}] {what}")

    def new_id(self):
        self.ids += 1
        return f"n{self.ids}"

    def session(self, chooser):
        """The fields of a session that some client has, or of none."""
        return chooser.choice(self.jar) if self.jar and chooser.random() < 0.5 else {}

    def remember(self, fields, chooser):
        new = {}
        if "set-cookie" in fields:
            new["Cookie"] = fields["set-cookie"].split(";")[0]
        if "mcp-session-id" in fields:
            new["Mcp-Session-Id"] = fields["mcp-session-id"]
        if new and len(self.jar) < 50:
            self.jar.append(new)
        elif new:
            self.jar[chooser.randrange(50)] = new

    # The admin's side

    async def api(self, method, path, body=None):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.admin)
        try:
            text = json.dumps(body) if body is not None else ""
            fields = f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n" if body is not None else ""
            writer.write(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n{text}".encode())
            status, _, answer = await asyncio.wait_for(wire.read_response(reader, method), 10)
            return status, answer.decode()
        finally:
            wire.close(writer)

    async def wish(self, pool, backend, wanted):
        try:
            await self.api("PATCH", f"/api/v1/pools/{pool}/backends/{backend}", {"admin": wanted})
            self.count(f"wish {wanted}")
        except wire.ACCIDENTS:
            self.count("admin accidents")

    async def members(self):
        _, text = await self.api("GET", "/api/v1/pools")
        return [b for pool in json.loads(text)["pools"] for b in pool["backends"]]

    # Actors: each goes on until the end

    def going(self):
        return time.monotonic() < self.end

    async def visitor(self, number):
        chooser = random.Random(f"{self.options.seed} visitor {number}")
        while self.going():
            if self.phase == "quiet":
                await asyncio.sleep(0.1)
            elif self.phase == "bursts":
                if number == 0:
                    await clients.burst(self, chooser)
                    await asyncio.sleep(chooser.choice([0.2, 1.1, 1.3]))
                elif number < 3:  # a little of everything beside it
                    await clients.visit(self, chooser, chooser.choice(clients.EVERYDAY))
                    await asyncio.sleep(chooser.uniform(0.5, 3))
                else:
                    await asyncio.sleep(0.1)
            elif self.phase == "tunnels":
                kinds = [clients.opens_a_tunnel] * 3 + [clients.talks_nonsense, clients.talks_nonsense, clients.keeps_alive]
                await clients.visit(self, chooser, chooser.choice(kinds))
            else:
                await clients.visit(self, chooser, chooser.choice(clients.ALL))

    async def conductor(self):
        """One phase after another; backends change their moods."""
        chooser = random.Random(f"{self.options.seed} conductor")
        while self.going():
            self.phase = chooser.choice(self.options.phases)
            self.count(f"phase {self.phase}")
            if self.phase == "tunnels":  # a backend that is being restarted, and WebSockets that come back
                await self.backends[0].feel("refusing")
            elif self.phase != "quiet":
                for b in self.backends:
                    await b.feel(chooser.choice(backends.MOODS) if chooser.random() < 0.5 else "fine")
                await chooser.choice(self.backends).feel("fine")
            await asyncio.sleep({"quiet": chooser.uniform(1, 2.5), "bursts": chooser.uniform(6, 12)}.get(self.phase, chooser.uniform(2, 6)))

    async def operator(self):
        chooser = random.Random(f"{self.options.seed} operator")
        while self.going():
            await asyncio.sleep(chooser.uniform(0.1, 0.6) if self.phase == "reloads" else chooser.uniform(1, 6))
            deed = chooser.choice(["reload", "reload", "reload", "wish", "ready", "ready"])
            pool, backend = chooser.choice(self.prefixes)[1:], chooser.choice(self.backends)
            if deed == "reload":
                self.proxy.write(self.setup.yaml(self.backends, chooser))
                self.proxy.signal(signal.SIGHUP)
                self.count("reloads")
            elif deed == "wish":
                await self.wish(pool, backend.name, chooser.choice(["drain", "maint"]))
            else:
                await self.wish(pool, backend.name, "ready")

    async def restarter(self):
        chooser = random.Random(f"{self.options.seed} restarter")
        while self.setup.hot_restarts and self.going():
            await asyncio.sleep(chooser.uniform(5, 20))
            self.proxy.signal(signal.SIGUSR2)
            self.count("hot restarts")

    async def watcher(self):
        """Ends the run as soon as the process does."""
        while self.going():
            await asyncio.sleep(0.1)
            self.proxy.reap()
            self.proxy.follow()  # afterwards: the one that took over said so before the former one ended
            if self.proxy.pid not in self.proxy.alive or any(code != 0 for code in self.proxy.ended.values()):
                self.faults.append(f"[{self.phase}] a process ended after {time.monotonic() - self.begin:.0f} s: {self.proxy.ended}")
                self.end = 0

    # The judgment

    async def becomes(self, what, test, limit=15):
        end = time.monotonic() + limit
        while True:
            try:
                said = await test()
                if said is None:
                    return
            except wire.ACCIDENTS as error:
                said = repr(error)
            if time.monotonic() > end:
                self.faults.append(f"{what}: {said}")
                return
            await asyncio.sleep(0.1)

    async def counters(self):
        """None: all are at zero."""
        busy = [f"{b['pool']}/{b['id']}: {b['in_flight']} in flight" for b in await self.members() if b["in_flight"] != 0]
        _, text = await self.api("GET", "/metrics")
        busy += [line for line in re.findall(r"^remora_connections\{.*", text, re.M) if not line.endswith(" 0")]
        return busy or None

    async def in_service(self):
        bad = [f"{b['pool']}/{b['id']}" for b in await self.members() if not b["accepts_new"]]
        return bad or None

    async def plain(self, times, what):
        """Each of these requests is answered, whatever was before."""
        chooser = random.Random(f"{self.options.seed} {what}")
        for _ in range(times):
            v = clients.Visit(self, chooser)
            try:
                await v.open()
                target = v.target("ok", "ok", 10)
                await v.send(f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
                status, _ = await v.answer("GET", target)
                if status != 200:
                    self.faults.append(f"{what}: {status} for {target}")
            except (*wire.ACCIDENTS, wire.Wrong) as error:
                self.faults.append(f"{what}: {error!r}")
            finally:
                if v.writer is not None:
                    wire.close(v.writer)

    async def judge(self):
        """With everything calm again: nothing is left over, and everything works."""
        self.phase = "judgment"
        self.proxy.follow()
        for b in self.backends:
            await b.feel("fine")
        self.proxy.write(self.setup.yaml(self.backends, self.random, calm=True))
        self.proxy.signal(signal.SIGHUP)
        for pool in self.prefixes:
            for b in self.backends:
                await self.wish(pool[1:], b.name, "ready")
        await self.becomes("counters do not return to zero", self.counters)
        await self.becomes("backends do not return", self.in_service, 40)
        await self.plain(50, "after the chaos")
        await self.backends[0].feel("refusing")
        await self.plain(20, "failover")
        await self.becomes("counters do not return to zero", self.counters)

    async def run(self):
        for b in self.backends:
            await b.start()
        self.proxy = proxy.Proxy(self.options.binary, self.folder, self.setup.yaml(self.backends, self.random))
        self.port, self.admin = await self.proxy.ready()
        self.begin = time.monotonic()
        self.end = self.begin + self.options.seconds
        actors = [self.conductor(), self.operator(), self.restarter()] + [self.visitor(i) for i in range(24)]
        tasks = [asyncio.create_task(a) for a in actors]
        await self.watcher()
        for t in tasks:
            t.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception) and not isinstance(outcome, wire.ACCIDENTS):
                raise outcome
        if not self.faults:
            await self.judge()
        if not await self.proxy.end(2 + 15):
            self.faults.append("SIGTERM: it did not end in time")
        self.faults += self.proxy.faults()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default="build/asan/remora")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--phases", type=lambda text: text.split(","), default=PHASES, help="only these")
    options = parser.parse_args()
    options.binary = os.path.abspath(options.binary)
    folder = tempfile.mkdtemp(prefix="remora-chaos-")
    chaos = Chaos(options, folder)
    print(f"chaos: seed {options.seed}, {options.seconds:.0f} s\n  {chaos.setup.say()}", flush=True)
    try:
        asyncio.run(chaos.run())
    finally:
        if chaos.proxy is not None:
            for pid in chaos.proxy.alive:
                os.kill(pid, signal.SIGKILL)
    print("  " + ", ".join(f"{what} {n}" for what, n in sorted(chaos.counts.items())))
    print(f"  served {sum(b.served for b in chaos.backends)}, hot restarts done {chaos.proxy.restarts}")
    if not chaos.faults:
        shutil.rmtree(folder, ignore_errors=True)
        print("chaos: fine")
        return 0
    print(f"chaos: FAILED; repeat with ./dev chaos {options.seed} {options.seconds:.0f}; kept: {folder}")
    for fault in chaos.faults[:30]:
        print("  " + fault)
    print(chaos.proxy.report())
    return 1


if __name__ == "__main__":
    sys.exit(main())

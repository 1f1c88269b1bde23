#!/usr/bin/env python3
"""How remora's cost per request grows: with workers, backends, sessions in the table, and connections.

    bench/load/curves.py [--rounds N] [--seconds S] [--curves a,b] [--out FOLDER]

CPU time per small keep-alive request, medians; the points of a curve are measured in turn, round by round. With --out:
curves.json, curves.md and curves.svg.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile

import clients
import proxies
from proxies import Site

LOGIN = """local n = 0
request = function() n = n + 1; return wrk.format("GET", "/login/" .. n % {count}) end
"""
RETURN = """math.randomseed({count})
request = function() return wrk.format("GET", "/128", {{["Cookie"] = "SID=" .. math.random(0, {count} - 1)}}) end
"""


def changed(path, *changes):
    with open(path) as f:
        text = f.read()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    with open(path, "w") as f:
        f.write(text)


def learned(site, port, folder, extra):
    started = proxies.remora(site, port, folder, extra)
    changed(f"{folder}/remora.yaml", ("affinity: none", "affinity: {kind: app_cookie, name: SID}"), ("admin: off", "admin: off\nstore: {capacity: 2000000}"))
    return started


def queued(site, port, folder, extra):
    """Thousands of requests at once wait in line, or each would want a backend connection: there are not so many descriptors."""
    started = proxies.remora(site, port, folder, extra)
    changed(f"{folder}/remora.yaml", *((f"127.0.0.1:{p}", f"{{address: '127.0.0.1:{p}', max_in_flight: 300}}") for p in site.ports()), ("affinity: none", "affinity: none, idle_connections: 300"))
    return started


class Point:
    def __init__(self, label, site=Site(), connections=64, sessions=0, way=None):
        self.label, self.site, self.connections, self.sessions, self.way = label, site, connections, sessions, way

    def start(self, port, folder, name, cores):
        way = (self.way or (learned if self.sessions else queued if self.connections > 64 else proxies.remora), "")
        self.folder, self.load_cores = folder, cores
        # With several workers the load shares their cores: there are no others.
        mine = cores[0] | cores[1] if self.site.workers > 1 else cores[0]
        self.proxy = proxies.Proxy(f"{name}-{self.label}".replace(",", ""), way, self.site, port, folder, name, mine)
        for _ in range(100):
            try:
                if clients.ask(port, "/128")[0] == 200:
                    break
            except OSError:
                pass
            clients.time.sleep(0.05)
        if self.sessions:
            self.lua = f"{folder}/{port}.lua"
            for script, seconds in ((LOGIN, max(1, self.sessions // 20000)), (RETURN, 0)):
                with open(self.lua, "w") as f:
                    f.write(script.format(count=self.sessions))
                if seconds:
                    self.measure(seconds)

    def measure(self, seconds):
        """CPU microseconds per request. Many connections take long to open: that is measured too, and taken off."""
        opening = (0, 0)
        if self.connections >= 1000:
            opening = self.used_and_served(3)
            seconds = 3 + max(3, seconds)
        used, served = self.used_and_served(seconds)
        return (used - opening[0]) / (served - opening[1])

    def used_and_served(self, seconds):
        before = self.proxy.cpu_us()
        if self.sessions:
            got = clients.scripted(self.proxy.port, self.lua, seconds, self.load_cores[1])
        else:
            got = clients.wrk(self.proxy.port, self.folder, seconds, "/128", connections=self.connections, cores=self.load_cores[1])
        return self.proxy.cpu_us() - before, got.requests


CURVES = {
    "workers": ("workers", lambda: [Point(str(n), Site(workers=n)) for n in (1, 2)]),
    "backends": ("backends", lambda: [Point(f"{n:,}", Site(backends=n)) for n in (3, 50, 500, 5000)]),
    "floor": ("backends, the floor", lambda: [Point(f"{n:,}", Site(backends=n), way=proxies.spread) for n in (3, 50, 500, 5000)]),
    "sessions": ("sessions in the table", lambda: [Point(f"{n:,}", sessions=n) for n in (1000, 10_000, 100_000, 1_000_000)]),
    "connections": ("connections", lambda: [Point(f"{n:,}", connections=n) for n in (10, 100, 1000, 5000, 15_000)]),
}


def measure(name, options, folder, cores):
    """label -> median CPU microseconds per request."""
    points = CURVES[name][1]()
    found = {p.label: [] for p in points}
    started = []
    try:
        for i, point in enumerate(points):
            started.append(point)
            point.start(18080 + i, folder, name, cores)
            point.measure(1)
        for _ in range(options.rounds):
            for point in points:
                found[point.label].append(point.measure(options.seconds))
    finally:
        for point in started:
            if hasattr(point, "proxy"):
                point.proxy.stop()
    return {label: statistics.median(values) for label, values in found.items()}


def table(results):
    return "\n".join(
        f"| {CURVES[name][0]} | " + " | ".join(found) + " |\n|---|" + "---|" * len(found) + "\n| us CPU per request | "
        + " | ".join(f"{v:.1f}" for v in found.values()) + " |\n"
        for name, found in results.items()
    )  # fmt: skip


def picture(results):
    """One small chart beside another, on one scale that begins at nothing."""
    width, height, gap = 210, 150, 30
    most = max(v for found in results.values() for v in found.values()) * 1.15
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {len(results) * (width + gap) + 40} {height + 90}" '
        'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>'
        '<text x="12" y="20" font-size="14" fill="#222">CPU per small keep-alive request, in microseconds</text>'
    ]
    for i, (name, found) in enumerate(results.items()):
        left, top = 30 + i * (width + gap), 45
        step = (width - 40) / max(1, len(found) - 1)
        at = [(left + 20 + j * step, top + height - v / most * height) for j, v in enumerate(found.values())]
        out.append(
            f'<line x1="{left}" y1="{top + height}" x2="{left + width}" y2="{top + height}" stroke="#999"/>'
            f'<polyline fill="none" stroke="#1a7f5a" stroke-width="2" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in at)}"/>'
            f'<text x="{left + width / 2}" y="{top + height + 36}" text-anchor="middle" fill="#222">{CURVES[name][0]}</text>'
        )
        for (x, y), (label, v) in zip(at, found.items()):
            out.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#1a7f5a"/>'
                f'<text x="{x:.1f}" y="{y - 8:.1f}" text-anchor="middle" fill="#222">{v:.1f}</text>'
                f'<text x="{x:.1f}" y="{top + height + 16}" text-anchor="middle" fill="#555" font-size="10">{label}</text>'
            )
    return "".join(out) + "</svg>\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--curves", default=",".join(CURVES), help="only these: " + ", ".join(CURVES))
    parser.add_argument("--out", help="a folder for curves.json, curves.md and curves.svg")
    options = parser.parse_args()
    wanted = options.curves.split(",")
    if unknown := set(wanted) - set(CURVES):
        parser.error(f"no such curve: {', '.join(unknown)}")
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
    cpus = sorted(os.sched_getaffinity(0))
    cores = ({cpus[0]}, set(cpus[1:2]) or {cpus[0]})
    folder = tempfile.mkdtemp()
    proxies.make_certificate(folder)
    origin = proxies.start_origin([*proxies.ORIGIN_PORTS, *range(proxies.FIRST_OF_MANY, proxies.FIRST_OF_MANY + 5000)], 1, cores[1])
    results = {}
    try:
        for name in wanted:
            results[name] = measure(name, options, folder, cores)
            print(name + ":  " + "  ".join(f"{label} {value:.1f}" for label, value in results[name].items()), flush=True)
    finally:
        origin.send_signal(signal.SIGTERM)
        origin.wait()
        shutil.rmtree(folder, ignore_errors=True)
    if options.out:
        os.makedirs(options.out, exist_ok=True)
        with open(f"{options.out}/curves.json", "w") as f:
            json.dump({"rounds": options.rounds, "seconds": options.seconds, "cpu_us": results}, f, indent=1)
            f.write("\n")
        with open(f"{options.out}/curves.md", "w") as f:
            f.write(table(results))
        with open(f"{options.out}/curves.svg", "w") as f:
            f.write(picture(results))


if __name__ == "__main__":
    sys.exit(main())

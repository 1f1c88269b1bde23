#!/usr/bin/env python3
"""remora and its peers in one run: the same origin, one core for the proxy, one for the load, rounds interleaved.

    bench/load/run.py [--rounds N] [--seconds S] [--rows a,b] [--before BINARY] [--out FOLDER]

CPU time per request is the figure to compare; times also depend on what else the machine does. Every row begins with
requests whose answers are looked at, and an error in a round voids the row. What comes out: a table here, and with --out
load.json, load.md and load.svg.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time

import clients
import proxies
import report
from rows import ROWS


SESSIONS = 128


def expected_length(path):
    number = path.rsplit("/", 1)[-1]
    return int(number) if number.isdigit() else 128


def ask_once(proxy, row):
    path = "/128" if row.kind == "echo" else row.path
    if row.site.h2:
        return clients.ask_h2(proxy.port, path, row.site.tls, row.fields, b"x" * row.body if row.body else None)
    return clients.ask(proxy.port, path, row.site.tls)


def look(proxy, row):
    """What a client gets is right; returns the cookies that keep so many sessions, none where the row wants none."""
    last = None
    for _ in range(100):
        try:
            status, fields, body = ask_once(proxy, row)
            break
        except OSError as error:
            last = error
            time.sleep(0.05)
    else:
        raise clients.Void(f"{proxy.name} does not answer: {last}\n{proxy.said()}")
    wanted = b"x" * (row.body if row.grpc else expected_length("/128" if row.kind == "echo" else row.path))
    if status != 200 or body != wanted:
        raise clients.Void(f"{proxy.name}: {status}, {len(body)} bytes instead of {len(wanted)}\n{proxy.said()}")
    if row.grpc and clients.grpc_status(proxy.port, row.path, proxy.folder, row.fields, wanted) != 0:
        raise clients.Void(f"{proxy.name}: no grpc-status\n{proxy.said()}")
    if not row.site.cookie:
        return []
    if proxy.name.startswith("nginx"):  # hashes whatever the client sends
        return [f"session={i}" for i in range(SESSIONS)]
    many = clients.H2_CONNECTIONS if row.site.h2 else SESSIONS
    sessions = [ask_once(proxy, row)[1].get("set-cookie", "").partition(";")[0] for _ in range(many)]
    if not all(sessions):
        raise clients.Void(f"{proxy.name} gave no cookie")
    return sessions


def run_row(row, options, folder, cores):
    """name -> list of rounds, each {cpu_us, p50_us, p99_us, rate, bytes_each, failed}."""
    running, rounds = [], {}
    try:
        for i, name in enumerate([*row.ways, "before"] if options.before else row.ways):
            proxy = proxies.Proxy(name, proxies.WAYS[name], row.site, 18080 + i, folder, row.name, cores[0])
            running.append((proxy, None))
            running[-1] = (proxy, look(proxy, row))
        once = row.kind == "idle"
        for number in range(1 if once else options.rounds + 1):
            for proxy, sessions in running[number % len(running) :] + running[: number % len(running)]:
                before = proxy.cpu_us()
                # The first round only warms.
                seconds = options.seconds if number > 0 or once else 1
                got = row.measure(proxy, folder, max(seconds, 5) if row.kind == "reload" else seconds, sessions, cores[1])
                used = proxy.cpu_us() - before
                if number == 0 and not once:
                    continue
                rounds.setdefault(proxy.name, []).append(
                    {
                        "cpu_us": used / got.requests if got.requests else 0,
                        "rate": got.requests / got.seconds if got.seconds else 0,
                        "p50_us": got.p50_us,
                        "p99_us": got.p99_us,
                        "bytes_each": got.bytes_each,
                        "failed": got.failed,
                    }
                )
    finally:
        for proxy, _ in running:
            proxy.stop()
    return rounds


def medians(row, rounds):
    """name -> its medians, and `ratio`: remora's figure divided by this one's, the median of what each round gave.
    Both stood in the same round, so a machine that grows slower from round to round moves neither."""

    def ratio(all_):
        pairs = zip(rounds["remora"], all_)
        return statistics.median(ours[row.figure] / r[row.figure] if r[row.figure] else float("nan") for ours, r in pairs)

    return {
        name: {key: statistics.median(r[key] for r in all_) for key in all_[0]}
        | {"failed": sum(r["failed"] for r in all_), "ratio": ratio(all_)}
        for name, all_ in rounds.items()
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--rows", help="only these, by name: " + ", ".join(row.name for row in ROWS))
    parser.add_argument("--out", help="a folder for load.json, load.md and load.svg")
    parser.add_argument("--before", metavar="BINARY", help="another remora in each row, and how many times as much as it this one needs")
    options = parser.parse_args()
    wanted = options.rows.split(",") if options.rows else [row.name for row in ROWS]
    if unknown := set(wanted) - {row.name for row in ROWS}:
        parser.error(f"no such row: {', '.join(unknown)}")
    if options.before:
        proxies.add_before(options.before)
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
    cpus = sorted(os.sched_getaffinity(0))
    cores = ({cpus[0]}, set(cpus[1:2]) or {cpus[0]})
    folder = tempfile.mkdtemp()
    proxies.make_certificate(folder)
    many = max(row.site.backends for row in ROWS)
    ports = [*proxies.ORIGIN_PORTS, *range(proxies.FIRST_OF_MANY, proxies.FIRST_OF_MANY + many)]
    origins = [proxies.start_origin(ports, 1, cores[1]), *proxies.start_h2_origin(folder, cores[1])]
    results, voided = [], False
    try:
        for row in ROWS:
            if row.name not in wanted:
                continue
            try:
                results.append((row, medians(row, run_row(row, options, folder, cores))))
                print(report.line(*results[-1]), flush=True)
            except clients.Void as error:
                voided = True
                print(f"{row.title}: void: {error}", file=sys.stderr, flush=True)
    finally:
        for origin in origins:
            origin.terminate()
            origin.wait()
        shutil.rmtree(folder, ignore_errors=True)
    if options.out:
        report.write(options.out, results, options)
    sys.exit(1 if voided else 0)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Loads for the compiler to learn from: an instrumented remora serves the rows of the bench and writes what it ran.

    bench/load/train.py BINARY FOLDER     FOLDER gets one .profraw a row; `./dev profile` merges them
"""

import os
import shutil
import sys
import tempfile

import proxies
import run
from rows import ROWS

LESSONS = (
    "plain", "cookie", "browser", "headers", "connect", "64k", "chunked", "post", "tls", "tls-64k", "handshake", "500-cookie", "echo",
    "h2_small", "h2_cookie", "h2c_64k", "grpc_unary",
)  # fmt: skip


def main():
    proxies.REMORA, out = sys.argv[1], os.path.abspath(sys.argv[2])
    os.environ["LLVM_PROFILE_FILE"] = f"{out}/remora-%p.profraw"
    cpus = sorted(os.sched_getaffinity(0))
    cores = ({cpus[0]}, set(cpus[1:2]) or {cpus[0]})
    folder = tempfile.mkdtemp()
    proxies.make_certificate(folder)
    ports = [*proxies.ORIGIN_PORTS, *range(proxies.FIRST_OF_MANY, proxies.FIRST_OF_MANY + 500)]
    origins = [proxies.start_origin(ports, 1, cores[1]), *proxies.start_h2_origin(folder, cores[1])]
    try:
        for row in ROWS:
            if row.name not in LESSONS:
                continue
            proxy = proxies.Proxy("remora", proxies.WAYS["remora"], row.site, 18080, folder, row.name, cores[0])
            try:
                sessions = run.look(proxy, row)
                print(f"{row.title}: {row.measure(proxy, proxy.folder, 2, sessions, cores[1]).requests} requests", flush=True)
            finally:
                proxy.stop()
    finally:
        for origin in origins:
            origin.terminate()
            origin.wait()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()

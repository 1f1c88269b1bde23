"""remora, nginx, HAProxy and nghttpx, each at its best documented settings, in front of the same origin.

A Site says what is wanted; each proxy has a function that writes its configuration for it. One worker, one thread, pinned
to one core, no access log.
"""

import dataclasses
import functools
import os
import signal
import subprocess
import time

REMORA = "build/release/remora"
ORIGIN_PORTS = [18091, 18092, 18093]
H2_ORIGIN_PORTS = [18094, 18095, 18096]  # nghttpd
FIRST_OF_MANY = 19000  # the origin listens on thousands of ports there, for rows with that many backends


@dataclasses.dataclass(frozen=True)
class Site:
    tls: bool = False
    cookie: bool = False  # remora and HAProxy: a cookie of their own; nginx hashes the client's
    backends: int = 3
    connections: int = 4000
    workers: int = 1
    h2: bool = False  # from clients: with prior knowledge, or by ALPN with tls
    h2_backends: bool = False

    def ports(self):
        if self.h2_backends:
            return H2_ORIGIN_PORTS
        if self.backends <= len(ORIGIN_PORTS):
            return ORIGIN_PORTS[: self.backends]
        return range(FIRST_OF_MANY, FIRST_OF_MANY + self.backends)


def remora(site, port, folder, extra, binary=None):
    tls = f", tls: {{certificates: [{{cert: {folder}/site.crt, key: {folder}/site.key}}]}}" if site.tls else ""
    tls += ", h2c: on" if site.h2 and not site.tls else ""
    protocol = ", protocol: h2" if site.h2_backends else ""
    backends = ", ".join(f"127.0.0.1:{p}" for p in site.ports())
    path = f"{folder}/remora.yaml"
    with open(path, "w") as f:
        f.write(
            f"state_dir: {folder}/state\nworkers: {site.workers}\nadmin: off\nlog: {{access: off}}\n"
            f"listeners: [{{bind: 127.0.0.1:{port}{tls}{extra}}}]\n"
            f"pools: {{app: {{affinity: {'cookie' if site.cookie else 'none'}, backends: [{backends}]{protocol}}}}}\n"
        )
    return [binary or REMORA, "run", "-c", path], signal.SIGHUP


def haproxy(site, port, folder, extra):
    tls = f" ssl crt {folder}/site.pem" + (" alpn h2" if site.h2 else "") if site.tls else ""
    tls += " proto h2" if site.h2 and not site.tls else ""
    cookie = "  cookie SRV insert indirect nocache httponly\n" if site.cookie else ""
    protocol = " proto h2" if site.h2_backends else ""
    servers = "".join(
        f"  server a{i} 127.0.0.1:{p}{protocol}{f' cookie a{i}' if site.cookie else ''}\n" for i, p in enumerate(site.ports())
    )
    path = f"{folder}/haproxy.cfg"
    with open(path, "w") as f:
        f.write(
            f"global\n  nbthread {site.workers}\n  maxconn {min(site.connections, 9900)}\n  ssl-default-bind-options ssl-min-ver TLSv1.2\n"
            f"defaults\n  mode http\n  timeout connect 2s\n  timeout client 75s\n  timeout server 60s\n  timeout tunnel 1h\n"
            f"  option forwardfor\n  http-reuse always\n{extra}"
            f"frontend web\n  bind 127.0.0.1:{port}{tls}\n  default_backend app\n"
            f"backend app\n  balance leastconn\n{cookie}{servers}"
        )
    return ["haproxy", "-W", "-db", "-f", path], signal.SIGUSR2


def nginx(site, port, folder, extra):
    tls = f" ssl; ssl_certificate {folder}/site.crt; ssl_certificate_key {folder}/site.key; ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:s:10m" if site.tls else ""
    h2 = " http2" if site.h2 else ""
    choice = "hash $http_cookie consistent;" if site.cookie else ""
    servers = " ".join(f"server 127.0.0.1:{p};" for p in site.ports())
    location = (
        "grpc_pass grpc://app;"
        if site.h2_backends
        else "proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;\n"
        "proxy_set_header Connection $connection_upgrade; proxy_set_header Host $host; proxy_set_header X-Forwarded-For\n"
        "$proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;"
    )
    path = f"{folder}/nginx.conf"
    with open(path, "w") as f:
        f.write(
            f"worker_processes {site.workers}; worker_rlimit_nofile 20000; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;\n"
            f"events {{ worker_connections {max(4000, site.connections + 4000)}; }}\n"
            "http { access_log off; keepalive_requests 1000000000; map $http_upgrade $connection_upgrade { default upgrade; '' ''; }\n"
            f"upstream app {{ {choice} {servers} keepalive {1024 if site.h2 else max(64, site.backends)}; keepalive_requests 1000000000; }}\n"
            f"server {{ listen 127.0.0.1:{port}{h2}{tls}; client_body_buffer_size 32k; {extra}\n"
            f"location / {{ {location} }} }} }}\n"
        )
    return ["nginx", "-c", path], signal.SIGHUP


def nghttpx(site, port, folder, extra):
    protocol = ";;proto=h2" if site.h2_backends else ""
    affinity = ";affinity=cookie;affinity-cookie-name=SRV" if site.cookie else ""
    backends = [f"--backend=127.0.0.1,{p}{protocol or ';;proto=http/1.1'}{affinity}" for p in site.ports()]
    frontend = f"--frontend=127.0.0.1,{port}{'' if site.tls else ';no-tls'}"
    files = [f"{folder}/site.key", f"{folder}/site.crt"] if site.tls else []
    return ["nghttpx", "--conf=/dev/null", "--workers=1", "--single-thread", "--no-ocsp", "--no-server-push", "--add-x-forwarded-for",
            "--backend-keep-alive-timeout=1m", "--frontend-http2-max-concurrent-streams=128", f"--errorlog-file={folder}/error.log",
            frontend, *backends, *files], signal.SIGHUP  # fmt: skip


def floor(site, port, folder, extra):
    """What any proxy pays at least: bytes copied (or spliced) between two sockets, without any HTTP."""
    return ["build/release/remora-bench-floor", str(port), str(ORIGIN_PORTS[0]), *extra.split()], signal.SIGHUP


def spread(site, port, folder, extra):
    """The floor when each request meets the backend connection that rested longest, one for each backend and client."""
    connections = max(64, site.backends)
    return ["build/release/remora-bench-floor", str(port), str(site.ports()[0]), "spread", str(connections), str(site.backends)], signal.SIGHUP


# Bodies: what their manuals offer for long ones. The best of a peer's ways counts.
SMALL = {"remora": (remora, ""), "haproxy": (haproxy, ""), "nginx": (nginx, "")}
H2 = SMALL | {"nghttpx": (nghttpx, "")}
LONG = SMALL | {
    "haproxy-splice": (haproxy, "  option splice-auto\n"),
    "nginx-buffers": (nginx, "proxy_buffer_size 64k; proxy_buffers 16 64k; proxy_busy_buffers_size 128k;"),
    "nginx-unbuffered": (nginx, "proxy_buffering off; proxy_buffer_size 64k; proxy_buffers 4 64k; proxy_busy_buffers_size 64k; proxy_request_buffering off;"),
}
WAYS = LONG | H2 | {"floor": (floor, ""), "floor-splice": (floor, "splice"), "floor-spread": (spread, "")}


def add_before(binary):
    """Another remora, of before a change, is a way of its own."""
    WAYS["before"] = (functools.partial(remora, binary=os.path.abspath(binary)), "")


class Proxy:
    """A running process, on a core of its own when there are two."""

    def __init__(self, name, way, site, port, folder, row, cores):
        self.name, self.port = name, port
        self.folder = f"{folder}/{row}/{name}"
        os.makedirs(self.folder)
        for file in ("site.crt", "site.key", "site.pem"):
            os.symlink(f"{folder}/{file}", f"{self.folder}/{file}")
        command, self.reload_signal = way[0](site, port, self.folder, way[1])
        with open(f"{self.folder}/log", "w") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, preexec_fn=lambda: os.sched_setaffinity(0, cores)
            )

    def reload(self):
        self.process.send_signal(self.reload_signal)

    def pids(self):
        found, at = [self.process.pid], 0
        while at < len(found):
            for task in tasks(found[at]):
                try:
                    with open(f"/proc/{found[at]}/task/{task}/children") as f:
                        found += [int(pid) for pid in f.read().split()]
                except FileNotFoundError:
                    pass
            at += 1
        return found

    def cpu_us(self):
        """Time on a core, of all threads of all its processes."""
        total = 0
        for pid in self.pids():
            for task in tasks(pid):
                try:
                    with open(f"/proc/{pid}/task/{task}/schedstat") as f:
                        total += int(f.read().split()[0])
                except (FileNotFoundError, ProcessLookupError):
                    pass
        return total / 1000

    def memory(self):
        """Resident bytes of its own, of all its processes."""
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/smaps_rollup") as f:
                for line in f:
                    if line.startswith("Pss_Anon:"):
                        total += int(line.split()[1]) * 1024
        return total

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def said(self):
        with open(f"{self.folder}/log") as f:
            return f.read()[-2000:]


def tasks(pid):
    try:
        return os.listdir(f"/proc/{pid}/task")
    except FileNotFoundError:
        return []


def start_origin(ports, threads, cores):
    text = ",".join(str(p) for p in ports)
    process = subprocess.Popen(
        ["build/release/remora-bench-origin", text, str(threads)],
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    time.sleep(0.3)
    return process


def start_h2_origin(folder, cores):
    """nghttpd: files of so many bytes, by POST too, and a gRPC status in trailers."""
    os.makedirs(f"{folder}/files")
    with open(f"{folder}/files/128", "w") as f:
        f.write("x" * 128)
    command = ["nghttpd", "--no-tls", "-d", f"{folder}/files", "-a", "127.0.0.1", "-m", "128"]
    started = []
    for i, port in enumerate(H2_ORIGIN_PORTS):
        trailer = ["--trailer=grpc-status: 0"]
        started.append(subprocess.Popen([*command, *trailer, str(port)], preexec_fn=lambda: os.sched_setaffinity(0, cores)))
    return started


def make_certificate(folder):
    """One ECDSA P-256 certificate for all."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-keyout", f"{folder}/site.key", "-out", f"{folder}/site.crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    with open(f"{folder}/site.pem", "w") as out:
        for part in ("site.crt", "site.key"):
            with open(f"{folder}/{part}") as f:
                out.write(f.read())

"""What a seed makes of the configuration."""

import os
import ssl
import subprocess

AFFINITIES = {
    "cookie": "{kind: cookie, name: POOL}",
    "html": "[{kind: cookie, name: POOL}, {kind: url_rewrite, style: path, name: rsid, rewrite: [location, html]}]",
    "app_cookie": "{kind: app_cookie, name: APP, path_parameter: app}",
    "app_token": "{kind: app_cookie, name: APP, carry: token}",
    "header": "{kind: header, name: Mcp-Session-Id, learn: true}",
    "ip_hash": "ip_hash",
    "state": "{kind: cookie, name: POOL}",
    "none": None,
}
PROBES = {
    "off": "off",
    "tcp": "tcp",
    "path": "{path: /ok/ok/1/probe, interval: 300ms, timeout: 500ms, rise: 1, fall: 2}",
}


def certificate(folder):
    cert, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-out", cert, "-keyout", key],
        check=True, capture_output=True)  # fmt: skip
    return cert, key


class Setup:
    """The facts that stay as long as the process; the rest of a file is chosen anew with each reload."""

    def __init__(self, random, folder):
        self.folder = folder
        self.affinity = random.choice(list(AFFINITIES))
        self.client_tls = random.random() < 0.25
        self.backend_tls = random.random() < 0.25
        self.workers = random.choice([1, 1, 2])
        self.backends = random.randint(2, 4)
        self.max_in_flight = random.choice([None, None, 2, 8])
        self.per_client = random.random() < 0.15
        self.two_pools = random.random() < 0.5 and self.affinity != "app_token"  # its cookie has one name
        self.health = random.choice(["off", "off", "path", "tcp"])
        self.hot_restarts = random.random() < 0.4
        self.response = random.choice(["1s", "1s", "1s", "500ms", "1500ms"])
        self.access = random.choice(["combined", "json"])
        self.cert, self.key = certificate(folder) if self.client_tls or self.backend_tls else (None, None)

    def say(self):
        hidden = ("cert", "key", "folder")
        return " ".join(f"{name}={value}" for name, value in vars(self).items() if name not in hidden)

    def client_context(self):
        if not self.client_tls:
            return None
        context = ssl.create_default_context(cafile=self.cert)
        context.check_hostname = False
        return context

    def backend_context(self):
        if not self.backend_tls:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        return context

    def pool(self, name, backends, random, calm):
        lines = [f"  {name}:"]
        limit = f", max_in_flight: {self.max_in_flight}" if self.max_in_flight else ""
        lines.append("    backends:")
        lines += [f"      - {{id: {b.name}, address: 127.0.0.1:{b.port}{limit}}}" for b in backends]
        affinity = AFFINITIES[self.affinity]
        if affinity:
            lines.append(f"    affinity: {affinity.replace('POOL', name)}")
        if self.affinity == "state":
            lines.append("    session: {state: on, idle_timeout: 5s}")
        if self.backend_tls:
            lines.append(f"    tls: {{ca: {self.cert}, verify: on}}")
        eject = "off" if random.random() < 0.4 else "{consecutive_failures: 5, for: 500ms}"
        lines.append(f"    health: {{probe: {PROBES[self.health]}, eject: {eject}}}")
        response = self.response if calm else random.choice([self.response] * 3 + ["300ms", "2s"])
        lines.append(f"    timeouts: {{connect: {random.choice(['300ms', '1s'])}, response: {response}, read: 1s, write: 1s, queue: {random.choice(['200ms', '1s'])}}}")
        lines.append(f"    idle_connections: {random.choice([64, 64, 2, 0]) if not calm else 64}")
        lines.append(f"    failover: {{attempts: {random.choice([2, 3, 5]) if not calm else 3}, retry_on: [connect, refused, reset, timeout, 502, 503, 504], budget: {random.choice(['20%', '100%'])}}}")
        return lines

    def yaml(self, backends, random, calm=False):
        """The file. `calm`: without the changes that make a request fail by themselves."""
        kept = backends if calm or len(backends) < 3 or random.random() < 0.5 else random.sample(backends, len(backends) - 1)
        tls = f", tls: {{certificates: [{{cert: {self.cert}, key: {self.key}}}]}}" if self.client_tls else ""
        per_client = ", per_client: {requests_per_second: 200, connections: 100}" if self.per_client and not calm else ""
        timeouts = "header: 2s, body: 1s, idle: 3s, write: 1s, tunnel: 3s"
        lines = [
            f"workers: {self.workers}",
            "state_dir: none",
            "shutdown_grace: 2s",
            "keys: [{env: REMORA_CHAOS_KEY}]",
            "admin: 127.0.0.1:0",
            f"log: {{access: {{format: {self.access}, output: {self.folder}/access.log}}}}",
            "listeners:",
            f"  - {{bind: 127.0.0.1:0, timeouts: {{{timeouts}}}{tls}{per_client}}}",
            "routes:",
            "  - {path: /gone, redirect: {to: /elsewhere}}",
        ]
        if self.two_pools:
            lines.append("  - {path: /two, pool: two}")
        lines += ["  - {path: /one, pool: one}", "pools:"]
        lines += self.pool("one", kept, random, calm)
        if self.two_pools:
            lines += self.pool("two", backends[:2], random, calm)
        return "\n".join(lines) + "\n"

    def prefixes(self):
        return ["/one", "/two"] if self.two_pools else ["/one"]

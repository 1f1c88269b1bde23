"""The rows of the table: what is asked, of which site, and what remora's figure may be beside the best peer's."""

import dataclasses

import clients
from proxies import H2, LONG, SMALL, Site

BROWSER = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Accept-Language: en-GB,en-US;q=0.9,en;q=0.8,de;q=0.7",
    "Cache-Control: no-cache",
    "Pragma: no-cache",
    'Sec-Ch-Ua: "Chromium";v="130", "Google Chrome";v="130", "Not?A_Brand";v="99"',
    "Sec-Ch-Ua-Mobile: ?0",
    'Sec-Ch-Ua-Platform: "Linux"',
    "Sec-Fetch-Dest: document",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Site: same-origin",
    "Sec-Fetch-User: ?1",
    "Upgrade-Insecure-Requests: 1",
    "Referer: https://shop.example/category/shoes?page=3&sort=price",
    "X-Requested-With: XMLHttpRequest",
)
BROWSER_COOKIES = "_ga=GA1.2.1234567890.1700000000; theme=dark; consent=yes; basket=8f14e45fceea167a5a36dedd4bea2543"


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    title: str
    at_most: float  # remora's figure divided by the best peer's
    figure: str = "cpu_us"  # or p50_us, bytes_each, failed
    site: Site = Site()
    path: str = "/128"
    ways: tuple = tuple(SMALL)
    kind: str = "requests"  # handshake, resume, echo, idle, reload
    fields: tuple = ()
    body: int = 0
    grpc: bool = False
    connections: int = 64

    def measure(self, proxy, folder, seconds, sessions, cores):
        """One round: a clients.Round, or clients.Void. `sessions`: the cookie of each, from look()."""
        if self.kind in ("handshake", "resume"):
            return clients.handshakes(proxy.port, seconds, self.path, self.kind == "resume", cores)
        if self.kind == "echo":
            return clients.echo(proxy.port, seconds, self.connections)
        if self.kind == "idle":
            return clients.idle(proxy, self.connections, self.site.tls, self.site.h2)
        if self.site.h2:
            return clients.h2load(
                proxy.port, folder, seconds, self.path, self.site.tls, self.fields, b"x" * self.body, cores, sessions
            )
        others = f"; {BROWSER_COOKIES}" if self.fields else ""
        cookies = [session + others for session in sessions]
        load = (proxy.port, folder, seconds, self.path, self.site.tls, self.connections, self.fields, self.body, cores)
        if self.kind == "reload":
            return clients.under_reloads(proxy, seconds, load, cookies)
        return clients.wrk(*load, cookies=cookies)


GRPC = ("Content-Type: application/grpc", "TE: trailers", "User-Agent: grpc-c++/1.51.1")
OVER_TLS, PLAIN = Site(tls=True, h2=True), Site(h2=True)
CLOSE = ("Connection: close",)
LONG_WAYS = tuple(LONG)
H2_LONG = (*LONG_WAYS, "nghttpx")
FLOOR = ("floor",)
FLOORS = ("floor", "floor-splice")
ROWS = (
    Row("plain", "small keep-alive", 0.85, ways=(*SMALL, *FLOOR)),
    Row("cookie", "small keep-alive, cookie affinity", 0.85, site=Site(cookie=True)),
    Row("browser", "browser-sized headers, cookie affinity", 0.85, site=Site(cookie=True), fields=BROWSER),
    Row("headers", "12 more response headers", 0.85, path="/headers/128"),
    Row("connect", "a new connection per request", 0.9, fields=CLOSE),
    Row("64k", "64 KiB bodies", 0.8, path="/65536", ways=(*LONG_WAYS, *FLOORS)),
    Row("1m", "1 MiB bodies", 0.8, path="/1048576", ways=(*LONG_WAYS, *FLOORS)),
    Row("chunked", "16 KiB in chunks of 4 KiB", 0.9, path="/chunked/16384", ways=LONG_WAYS),
    Row("post", "POST of 16 KiB", 0.9, body=16384, ways=LONG_WAYS),
    Row("tls", "TLS, small keep-alive", 0.85, site=Site(tls=True)),
    Row("tls-64k", "TLS, 64 KiB bodies", 1.0, site=Site(tls=True), path="/65536", ways=LONG_WAYS),
    Row("handshake", "TLS, full handshake and a request", 0.95, site=Site(tls=True), kind="handshake"),
    Row("resume", "TLS, resumed handshake and a request", 0.95, site=Site(tls=True), kind="resume"),
    Row("500", "500 backends", 1.0, site=Site(backends=500), ways=(*SMALL, "floor-spread")),
    Row("500-cookie", "500 backends, cookie affinity", 1.0, site=Site(backends=500, cookie=True)),
    Row("echo", "WebSocket echo", 1.0, kind="echo", ways=(*SMALL, *FLOOR)),
    Row("one", "one connection (latency)", 1.0, figure="p50_us", connections=1, ways=(*SMALL, *FLOOR)),
    Row("idle", "memory of an idle connection", 1.0, figure="bytes_each", site=Site(connections=9900), kind="idle", connections=9500),
    Row("idle-tls", "memory of an idle TLS connection", 1.0, figure="bytes_each", site=Site(tls=True), kind="idle", connections=2000),
    Row("h2_small", "HTTP/2 over TLS, small", 0.9, site=OVER_TLS, ways=tuple(H2)),
    Row("h2_64k", "HTTP/2 over TLS, 64 KiB bodies", 0.85, site=OVER_TLS, path="/65536", ways=H2_LONG),
    Row("h2_headers", "HTTP/2 over TLS, 12 more response headers", 0.9, site=OVER_TLS, path="/headers/128", ways=tuple(H2)),
    Row("h2_cookie", "HTTP/2 over TLS, cookie affinity", 0.9, site=Site(tls=True, h2=True, cookie=True), ways=tuple(H2)),
    Row("h2c", "HTTP/2 without TLS, small", 0.9, site=PLAIN, ways=tuple(H2)),
    Row("h2c_64k", "HTTP/2 without TLS, 64 KiB bodies", 0.85, site=PLAIN, path="/65536", ways=H2_LONG),
    Row("grpc_unary", "gRPC, unary calls", 0.9, site=Site(h2=True, h2_backends=True), fields=GRPC, body=128, grpc=True, ways=tuple(H2)),
    Row("h2_backends", "HTTP/2 to HTTP/2 backends", 0.9, site=Site(h2=True, h2_backends=True), ways=tuple(H2)),
    Row("idle_h2", "memory of an idle HTTP/2 connection", 1.1, figure="bytes_each", site=Site(h2=True, connections=9900), kind="idle", connections=9500, ways=tuple(H2)),
    Row("reload", "ten reloads under load", 1.0, figure="p99_us", site=Site(cookie=True), kind="reload"),
)  # fmt: skip

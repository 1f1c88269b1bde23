// `health` of a pool: probes, ejection, slow start.

#include <algorithm>

#include "config/sections.h"
#include "util/text.h"

namespace remora::config {

namespace {

void read_expect(const Value& v, Probe& out) {
  out.expect.clear();
  for_each_item(v, true, [&](const Value& item) {
    const auto text = scalar(item);
    if (!text) return;
    const auto dash = text->find('-');
    const auto from = parse_decimal(std::string_view(*text).substr(0, dash));
    const auto to =
        dash == std::string::npos ? from : parse_decimal(std::string_view(*text).substr(dash + 1));
    if (!from || !to || *from < 100 || *to > 599 || *from > *to)
      return item.bad(quoted(item) + " is not a status or a range (200, 200-399)");
    out.expect.emplace_back(static_cast<std::uint16_t>(*from), static_cast<std::uint16_t>(*to));
  });
}

void read_grpc_service(const Value& v, Probe& out) {
  constexpr std::size_t longest = 1024;
  out.kind = ProbeKind::grpc;
  read_value(v, out.grpc_service);
  const auto printable = [](char c) { return c > ' ' && c < 0x7f; };
  if (out.grpc_service.size() > longest ||
      !std::all_of(out.grpc_service.begin(), out.grpc_service.end(), printable))
    v.bad("must be the name of a service (package.Service), or \"\" for the whole server");
}

void read_probe(const Value& v, Probe& out) {
  const auto path = [](const Value& x, std::string& o) {
    read_value(x, o);
    if (o.empty() || o.front() != '/') x.bad("a probe's path begins with '/'");
    for (const char c : o)
      if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f)
        return x.bad("a path cannot hold spaces or control characters");
  };
  if (v.node.IsScalar()) {
    if (is_off(v)) return;
    const auto text = scalar(v);
    if (!text) return;
    if (*text == "tcp") {
      out.kind = ProbeKind::tcp;
    } else if (text->front() == '/') {
      out.kind = ProbeKind::http;
      path(v, out.path);
    } else {
      v.bad("must be a path, tcp or off");
    }
    return;
  }
  Map m(v);
  out.kind = ProbeKind::http;
  if (const auto service = m.get("grpc"); service && !service->is_null()) {
    read_grpc_service(*service, out);
    refuse_keys(v, {"path", "expect"}, "is for HTTP: this probe calls grpc.health.v1");
  } else if (const auto p = m.get("path")) {
    if (p->node.IsScalar() && p->node.Scalar() == "tcp")
      out.kind = ProbeKind::tcp;
    else
      path(*p, out.path);
  } else {
    out.kind = ProbeKind::tcp;
  }
  m.read_with("interval", out.interval, read_positive);
  m.read_with("timeout", out.timeout, read_positive);
  m.read("rise", out.rise);
  m.read("fall", out.fall);
  m.read_with("expect", out, [](const Value& x, Probe& o) { read_expect(x, o); });
  if (const auto host = m.get("host"); host && !host->is_null()) read_value(*host, out.host);
  m.read_with("jitter", out.jitter, read_percent);
  if (out.kind == ProbeKind::tcp)
    refuse_keys(v, {"expect", "host"}, "is for HTTP: this probe only connects (give it a `path: /healthz`)");
  if (out.rise == 0 || out.fall == 0) v.bad("rise and fall must be at least 1");
  if (out.interval < Millis(10)) v.bad("interval must be at least 10ms");
}

void read_eject(const Value& v, Eject& out) {
  if (is_off(v)) {
    out.consecutive_failures = 0;
    return;
  }
  Map m(v);
  m.read("consecutive_failures", out.consecutive_failures);
  m.read_with("for", out.length, read_positive);
  m.read_with("max_share", out.max_share, read_percent);
  if (out.consecutive_failures == 0)
    v.bad("consecutive_failures must be at least 1; `eject: off` turns it off");
}

}  // namespace

void read_health(const Value& v, Pool& out) {
  if (v.node.IsScalar()) return read_probe(v, out.probe);
  Map m(v);
  if (const auto probe = m.get("probe")) read_probe(*probe, out.probe);
  m.read_with("eject", out.eject, read_eject);
  m.read("slow_start", out.slow_start);
  m.read_with("panic", out.panic, read_percent);
}

}  // namespace remora::config

#!/usr/bin/env bash
# Small keep-alive requests through remora, HAProxy and nginx in one run: same origin, one core for the proxy, rounds
# interleaved. Prints medians, and remora's CPU per request as a ratio to each peer.
#
#   bench/load/run.sh [ROUNDS] [SECONDS]      default 5 rounds of 3 seconds
#
# remora and HAProxy keep sessions with a cookie of their own, which the client sends with each request. Debian's nginx
# has no sticky cookies: it runs plain round robin and ip_hash.
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-5}
seconds=${2:-3}
folder=$(mktemp -d)
pids=()
stop() {
  kill "${pids[@]}" 2>/dev/null || true
  wait 2>/dev/null || true
  rm -rf "$folder"
}
trap stop EXIT

origin=18091,18092,18093
backends=$(printf '127.0.0.1:%s, ' 18091 18092 18093)
if [ "$(nproc)" -gt 1 ]; then proxy_core=(taskset -c 0) load_core=(taskset -c 1); else proxy_core=() load_core=(); fi

cat >"$folder/remora.yaml" <<YAML
state_dir: $folder/state
workers: 1
admin: off
log: {access: off}
listeners: [127.0.0.1:18080]
pools: {app: {affinity: cookie, backends: [${backends%, }]}}
YAML
cat >"$folder/haproxy.cfg" <<CFG
global
  nbthread 1
  maxconn 4000
defaults
  mode http
  timeout connect 2s
  timeout client 75s
  timeout server 60s
  option forwardfor
  http-reuse always
frontend web
  bind 127.0.0.1:18081
  default_backend app
backend app
  balance leastconn
  cookie SRV insert indirect nocache httponly
  server a1 127.0.0.1:18091 cookie a1
  server a2 127.0.0.1:18092 cookie a2
  server a3 127.0.0.1:18093 cookie a3
CFG
server() {
  echo "server { listen 127.0.0.1:$1; location / { proxy_pass http://$2; proxy_http_version 1.1; proxy_set_header Connection \"\";
    proxy_set_header Host \$host; proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto \$scheme; } }"
}
upstream() { echo "upstream $1 { $2 server 127.0.0.1:18091; server 127.0.0.1:18092; server 127.0.0.1:18093; keepalive 64; keepalive_requests 1000000000; }"; }
cat >"$folder/nginx.conf" <<CFG
worker_processes 1;
daemon off;
pid $folder/nginx.pid;
error_log $folder/nginx.log;
events { worker_connections 4000; }
http {
  access_log off;
  keepalive_requests 1000000000;
  $(upstream plain "")
  $(upstream hashed "ip_hash;")
  $(server 18082 plain)
  $(server 18083 hashed)
}
CFG

build/release/remora-bench-origin $origin 2 &
pids+=($!)
"${proxy_core[@]}" build/release/remora run -c "$folder/remora.yaml" 2>"$folder/remora.log" &
pids+=($!)
remora=$!
"${proxy_core[@]}" haproxy -db -f "$folder/haproxy.cfg" >"$folder/haproxy.log" 2>&1 &
pids+=($!)
haproxy=$!
"${proxy_core[@]}" nginx -c "$folder/nginx.conf" 2>"$folder/nginx.err" &
pids+=($!)
nginx=$!
sleep 1
nginx_worker=$(pgrep -P "$nginx" | head -n 1)

ticks() { awk '{print $14 + $15}' "/proc/$1/stat"; }
measure() {  # NAME PORT PID
  local cookie before after out
  cookie=$(curl -sS -D - -o /dev/null "http://127.0.0.1:$2/128" | tr -d '\r' | awk -F'[ ;]' 'tolower($1) == "set-cookie:" {print $2}')
  before=$(ticks "$3")
  out=$("${load_core[@]}" wrk -t1 -c64 -d"${seconds}s" --latency -H "Cookie: ${cookie:-none=1}" "http://127.0.0.1:$2/128")
  after=$(ticks "$3")
  if grep -qE 'Non-2xx|Socket errors' <<<"$out"; then
    echo "bench: errors make this row void ($1):" >&2
    echo "$out" >&2
    exit 1
  fi
  awk -v name="$1" -v ticks=$((after - before)) -v hz="$(getconf CLK_TCK)" '
    function us(t) { return t ~ /us$/ ? t + 0 : t ~ /ms$/ ? t * 1000 : t * 1000000 }
    /50%/ {p50 = us($2)} /99%/ {p99 = us($2)} / requests in / {n = $1} /Requests\/sec/ {rate = $2}
    END {printf "%s %.3f %.0f %.0f %.0f\n", name, ticks / hz * 1e6 / n, rate, p50, p99}' <<<"$out" >>"$folder/rows"
}
for round in $(seq "$rounds"); do
  echo "round $round of $rounds" >&2
  measure remora 18080 "$remora"
  measure haproxy 18081 "$haproxy"
  measure nginx 18082 "$nginx_worker"
  measure nginx-ip_hash 18083 "$nginx_worker"
done

median() { awk -v name="$1" -v column="$2" '$1 == name {print $column}' "$folder/rows" | sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }
mine=$(median remora 2)
echo
echo "small keep-alive requests, 64 connections, 128-byte bodies; medians of $rounds rounds of $seconds s"
printf '%-14s %12s %12s %10s %10s %18s\n' proxy 'CPU us/req' 'requests/s' 'p50 us' 'p99 us' 'remora CPU ratio'
for name in remora haproxy nginx nginx-ip_hash; do
  cpu=$(median "$name" 2)
  printf '%-14s %12s %12s %10s %10s %18s\n' "$name" "$cpu" "$(median "$name" 3)" "$(median "$name" 4)" "$(median "$name" 5)" \
    "$(awk -v a="$mine" -v b="$cpu" 'BEGIN {printf "%.2f", a / b}')"
done

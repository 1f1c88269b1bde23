// The configuration as plain values: defaults and units here, YAML only in src/config.
//
// Built once by the loader, then only read; no member refers to the file. Members are named after the YAML
// keys, in snake_case. Durations of zero mean "none" only where the comment says so.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace remora {
struct AffinitySettings;  // remora/affinity_kind.h
}

namespace remora::config {

using Millis = std::chrono::milliseconds;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

/// host:port, [v6]:port or unix:/path, taken apart.
struct Address {
  enum class Kind : std::uint8_t { tcp, unix_path } kind = Kind::tcp;
  std::string host;  // or the path of the unix socket
  std::uint16_t port = 0;
  std::string text() const;
  bool operator==(const Address&) const = default;
};

/// Who may connect to a unix socket that remora listens on.
struct SocketAccess {
  std::uint32_t mode = 0660;           // read and write for owner and group
  std::optional<std::uint32_t> group;  // none: the process's own group
  bool operator==(const SocketAccess&) const = default;
};

/// An address block, IPv4 or IPv6. IPv4 is stored as v4-mapped IPv6, so that one comparison serves both. The
/// block that holds only the unknown address stands for peers of unix sockets (`unix`).
struct Cidr {
  std::uint8_t bytes[16] = {};
  std::uint8_t bits = 128;
};

enum class LogLevel : std::uint8_t { trace, debug, info, warn, error };
enum class LogFormat : std::uint8_t { text, json };
enum class AccessFormat : std::uint8_t { combined, json, off };

struct Log {
  LogLevel level = LogLevel::info;
  LogFormat format = LogFormat::text;
  std::string output = "stderr";  // stderr | stdout | path
  AccessFormat access_format = AccessFormat::combined;
  std::string access_output = "stdout";
};

struct Admin {
  std::optional<Address> bind = Address{Address::Kind::tcp, "127.0.0.1", 9900};  // none: off
  std::string token;                                                             // empty: none
  bool read_only = false;                                                        // no changes over HTTP
  SocketAccess access;                                                           // if `bind` is a unix socket
};

struct Certificate {
  std::string cert, key;  // PEM files
};

enum class ClientAuth : std::uint8_t { off, optional, required };

/// A version of HTTP that clients choose by ALPN.
enum class Alpn : std::uint8_t { h2, http11 };

struct ListenerTls {
  std::vector<Certificate> certificates;  // the first one serves clients without a matching SNI
  int min_version = 12;                   // 12 or 13
  std::string client_ca;
  ClientAuth client_auth = ClientAuth::off;
  bool tickets = true;
  std::vector<Alpn> alpn = {Alpn::h2, Alpn::http11};  // in order of preference; never empty
};

/// HTTP/2 from clients.
struct Http2 {
  std::uint32_t max_concurrent_streams = 128;
  std::size_t stream_window = 256 * 1024;       // bytes that a client may send ahead on a stream
  std::size_t connection_window = 1024 * 1024;  // and on all streams of a connection
  bool operator==(const Http2&) const = default;
};

struct ListenerTimeouts {
  Millis header = seconds(10);  // for the whole request head, and for the TLS handshake
  Millis body = seconds(30);    // without a byte of the request body
  Millis idle = seconds(75);    // between requests
  Millis write = seconds(30);   // without progress of the response
  Millis tunnel = hours(1);     // without a byte either way
};

struct ListenerLimits {
  std::uint32_t connections = 20000;
  std::size_t header_bytes = 32 * 1024;
  std::uint32_t headers = 100;
  std::size_t target_bytes = 16 * 1024;
  std::optional<std::uint64_t> body_bytes;
  /// Lowest average rate of a request body in bytes per second, once `timeouts.body` has passed. Only time in
  /// which remora waits for the client counts. 0: none.
  std::uint64_t body_rate = 240;
};

struct PerClient {
  std::optional<std::uint32_t> connections;
  std::optional<double> requests_per_second;
  std::optional<std::uint32_t> burst;  // for both rates; default: one second's worth of each
  std::optional<double> new_sessions_per_second = std::nullopt;
  bool any() const { return connections || requests_per_second || new_sessions_per_second; }
};

struct Listener {
  std::string name;
  Address bind;
  SocketAccess access;   // if `bind` is a unix socket
  bool v6_only = false;  // for [::]: another listener has IPv4 on this port; false: takes both
  std::optional<ListenerTls> tls;
  bool h2c = false;  // HTTP/2 without TLS, by prior knowledge
  Http2 h2;
  bool proxy_protocol = false;
  /// Peers whose PROXY line is accepted; connections from others are refused. As written, else
  /// trusted_proxies, else loopback. Peers over a unix socket are always accepted.
  std::vector<Cidr> proxy_protocol_from;
  std::vector<Cidr> trusted_proxies;
  /// Request fields that only trusted proxies may send, in addition to the fields that are always stripped
  /// from other clients. Lower case; a final `*` matches any ending.
  std::vector<std::string> strip_client_headers;
  ListenerTimeouts timeouts;
  ListenerLimits limits;
  PerClient per_client;
  std::string request_id = "X-Request-Id";  // empty: off

  /// Whether clients can choose this version of HTTP here.
  bool speaks(Alpn version) const noexcept;
};

struct HeaderEdits {
  std::vector<std::pair<std::string, std::string>> set;
  std::vector<std::string> remove;
  bool empty() const { return set.empty() && remove.empty(); }
};

struct PoolTimeouts {
  Millis connect = seconds(2);
  Millis response = seconds(60);  // until the response head
  Millis read = seconds(60);      // without a byte of the response body
  Millis write = seconds(30);     // without progress of the request
  Millis queue = seconds(5);
};

/// A route may shorten or lengthen some of its pool's timeouts.
struct RouteTimeouts {
  std::optional<Millis> connect, response, read, write, queue;
};

struct Redirect {
  std::string to;  // {scheme} {host} {port} {authority} {uri} {path} {query}
  std::uint16_t status = 308;
};

struct Route {
  std::string host;        // exact, *.suffix or empty for any; lower case
  std::string path = "/";  // matches whole segments
  std::vector<std::string> methods;
  std::vector<std::pair<std::string, std::string>> headers;  // must be present and equal
  std::string pool;
  std::vector<std::pair<std::string, std::uint32_t>> split;  // pool, weight
  std::optional<Redirect> redirect;
  bool affinity = true;
  std::vector<std::string> upgrades = {"websocket"};  // protocols that Upgrade may name
  std::string strip_prefix;
  HeaderEdits request_headers, response_headers;
  RouteTimeouts timeouts;
  std::string verifier;       // name of a JWT verifier; empty: none
  bool auth_required = true;  // a request without a token is refused
  /// Lets CORS preflights, which cannot carry a token (Fetch standard), pass to the app without a token and
  /// without claims.
  bool auth_passes_preflights = true;
};

enum class UrlStyle : std::uint8_t { path, query };

/// One affinity kind: its name, and its settings as its own code read them.
struct Affinity {
  std::string kind;
  std::shared_ptr<const AffinitySettings> settings;
};

enum class SaveMode : std::uint8_t { async, sync };
enum class OnMissing : std::uint8_t { continue_, reject };

/// Hand-off: state that the app gives remora to keep with its session.
struct State {
  std::size_t max_bytes = 4096;  // after decoding
  SaveMode save = SaveMode::async;
  Millis fetch_timeout{50};
  OnMissing on_missing = OnMissing::continue_;
};

enum class OnLost : std::uint8_t { reassign, reject };
enum class OnFull : std::uint8_t { reject, move };

/// Moves idle sessions off backends with more than their share. Off unless configured.
struct Rebalance {
  Millis min_idle = seconds(60);
  double moves_per_second = 10;
  double threshold = 1.25;     // times the mean load
  bool without_state = false;  // the app keeps nothing in memory that a move would lose
};

struct Session {
  std::optional<Millis> idle_timeout = minutes(30);
  Millis max_lifetime = hours(12);
  OnLost on_lost = OnLost::reassign;
  OnFull on_full = OnFull::reject;
  std::uint16_t reject_status = 503;
  std::string reject_body;
  bool announce = true;
  std::optional<State> state;  // none: off
  std::optional<Rebalance> rebalance;
};

enum class ProbeKind : std::uint8_t { off, tcp, http, grpc };

struct Probe {
  ProbeKind kind = ProbeKind::off;
  std::string path = "/";
  std::string host;          // empty: the backend's address
  std::string grpc_service;  // empty: the server as a whole
  Millis interval = seconds(2);
  Millis timeout = seconds(1);
  std::uint16_t rise = 2, fall = 3;
  std::vector<std::pair<std::uint16_t, std::uint16_t>> expect = {{200, 399}};
  double jitter = 0.2;
  bool operator==(const Probe&) const = default;
};

/// When live traffic takes a backend out of service.
struct Eject {
  std::uint16_t consecutive_failures = 5;  // 0: off
  Millis length = seconds(10);             // `for`; doubles when repeated
  double max_share = 0.5;                  // share of a pool's backends that may be ejected at once
};

/// Failures of an attempt, as named in `retry_on`.
struct RetryOn {
  bool connect = false, refused = false, reset = false, timeout = false;
  bool s502 = false, s503 = false, s504 = false;
  bool grpc_unavailable = false;
};

struct Failover {
  std::uint16_t attempts = 3;
  /// Without `timeout` and 504: they mean that a server is busy, not dead, and a request that keeps one
  /// server busy would keep the next one busy, too.
  RetryOn retry_on{true, true, true, false, true, true, false};
  std::uint16_t bound_same_backend = 1;
  RetryOn bound_retry_on{true, true, true, false, false, false, false};
  std::size_t replay_body = 64 * 1024;
  double budget = 0.2;
  /// When a request has waited this long, its backend is probed at once, to tell a slow page from a hung
  /// server. None: the smaller of one second and a third of the response timeout; 0: never.
  std::optional<Millis> suspect_after;
};

enum class AdminState : std::uint8_t { ready, drain, maint };

/// What becomes of a backend's open streams (tunnels, event streams, long responses) at the end of its drain,
/// and in maintenance.
enum class DrainStreams : std::uint8_t { end, keep };

struct Drain {
  DrainStreams streams = DrainStreams::end;
  Millis spread = seconds(10);  // they are ended one after the other, over this time
};

/// Which addresses of a name to use: all, or those of one family if there are any.
enum class Prefer : std::uint8_t { any, ipv4, ipv6 };

/// A backend entry that stands for many: each address in the DNS answer is a backend.
struct Discovery {
  bool srv = false;             // SRV records: port, weight and priority come from them
  Millis refresh = seconds(5);  // shortest time between two lookups; a longer TTL of the records wins
  Millis hold = minutes(5);     // how long a vanished address may keep its sessions
  Prefer prefer = Prefer::any;
  bool operator==(const Discovery&) const = default;
};

/// The backend's address is a name, and all its addresses are this one server, wherever it moves.
struct Follow {
  Millis refresh = seconds(5);  // as in Discovery
  Prefer prefer = Prefer::any;
  bool operator==(const Follow&) const = default;
};

struct Backend {
  std::string id;
  Address address;
  std::optional<Discovery> discovery;  // set: `address` is looked up, and this entry itself serves nobody
  std::string ip;                      // discovered: the address found; empty: `address` is used
  bool leaving = false;                // discovered: no longer in the DNS answer
  std::optional<Follow> follow;        // set if `address` is a name
  std::vector<std::string> ips;  // with `follow`: current addresses, in the order of trial; empty: unknown
  std::uint32_t weight = 1;
  bool backup = false;
  std::optional<std::uint32_t> max_in_flight;
  AdminState admin = AdminState::ready;
};

/// The version of HTTP towards backends.
enum class BackendProtocol : std::uint8_t {
  http1,
  h2,         // by ALPN, or without TLS by prior knowledge
  automatic,  // what the backend chooses by ALPN; HTTP/1.1 without TLS
};

struct BackendTls {
  std::string ca;  // empty: the system's
  bool verify = true;
  std::string server_name;  // for SNI and verification; empty: the host of the backend or store node
  std::string cert, key;
  bool operator==(const BackendTls&) const = default;
};

enum class Balance : std::uint8_t { round_robin, least_requests, random_two, peak_ewma, first };
enum class Forwarded : std::uint8_t { x, rfc7239, both, off };
enum class HostMode : std::uint8_t { client, backend, literal };

struct Pool {
  std::string name;
  std::vector<Backend> backends;
  std::optional<BackendTls> tls;
  BackendProtocol protocol = BackendProtocol::automatic;
  Balance balance = Balance::least_requests;
  std::vector<Affinity> affinity;  // tried in order; empty: none
  Session session;
  Probe probe;
  Eject eject;
  Millis slow_start{0};  // 0: none
  double panic = 0;      // below this share of backends in service, all are used
  Drain drain;
  Failover failover;
  PoolTimeouts timeouts;
  std::uint32_t idle_connections = 64;
  HeaderEdits headers;
  Forwarded forwarded = Forwarded::x;
  bool via = true;  // remora's own Via, in requests and their responses
  HostMode host = HostMode::client;
  std::string host_literal;
};

enum class JwtAlgorithm : std::uint8_t {
  hs256,
  hs384,
  hs512,
  rs256,
  rs384,
  rs512,
  ps256,
  ps384,
  ps512,
  es256,
  es384,
  eddsa
};

/// One named verifier of JWTs.
struct Jwt {
  std::string name;
  std::vector<JwtAlgorithm> algorithms;
  // Exactly one of these:
  std::string secret;      // shared, for HMAC
  std::string public_key;  // PEM file
  std::string jwks_file;
  std::string jwks_url;
  Millis refresh = minutes(10);   // between two fetches of jwks_url
  std::optional<BackendTls> tls;  // for jwks_url; none: the system's authorities
  std::string issuer, audience;   // empty: any
  Millis leeway = seconds(30);
  enum class Carrier : std::uint8_t { bearer, cookie, query };
  std::vector<std::pair<Carrier, std::string>> from = {
      {Carrier::bearer, ""}};  // with the name of the cookie or parameter
  std::vector<std::pair<std::string, std::string>> required_claims, forward_claims;
  /// Claims by which tokens can be revoked: a token is refused if the store lists the value of one as
  /// revoked.
  std::vector<std::string> revocation_claims;  // empty: off
  bool revocation_denies_on_error = false;     // refuse tokens while the store cannot be asked
};

enum class StoreKind : std::uint8_t { memory, redis, memcached };
enum class RedisMode : std::uint8_t { single, sentinel, cluster };

/// One server of a store.
struct StoreNode {
  Address address;
  bool tls = false;
  std::string user, password;  // empty: none
  /// The login was configured for the other side (sentinels, or the master). If this side needs none, that is
  /// no error.
  bool login_is_shared = false;
  std::uint32_t database = 0;
  bool operator==(const StoreNode&) const = default;
};

struct Store {
  StoreKind kind = StoreKind::memory;
  std::size_t capacity = 1000000;         // sessions kept in this process
  std::size_t memory_bytes = 256U << 20;  // bytes of state kept in this process
  std::string index_key;                  // empty: derived from the first key (random without keys)
  Millis cache_ttl = seconds(2);          // how long this process trusts its copy of a session
  Millis timeout{50};                     // of one operation
  RedisMode redis_mode = RedisMode::single;
  std::string redis_master = "mymaster";  // the master's name at the sentinels
  /// With `sentinel`: the login at the master; the sentinels' own login is in `nodes`.
  std::string redis_master_user, redis_master_password;
  bool redis_master_login_is_shared = false;
  std::vector<StoreNode> nodes;   // with `sentinel`: the sentinels
  std::optional<BackendTls> tls;  // of rediss:// nodes
  std::string prefix = "remora";
  bool shared() const noexcept { return kind != StoreKind::memory; }
  bool operator==(const Store&) const = default;
};

/// Where apps read and write their sessions' state.
struct SessionApi {
  Address bind;
  std::string token;  // empty: a unix socket, protected by its permissions
  SocketAccess access;
  bool operator==(const SessionApi&) const = default;
};

struct Config {
  std::string text, hash;  // the file as it was read, and the first 16 hex digits of its SHA-256
  std::string shown;       // the same configuration for display: secrets hidden, no comments
  std::vector<std::string> secret_files;      // files named by {file: F}
  std::vector<std::string> dns_servers;       // ip or ip:port; empty: the system's
  std::optional<std::uint32_t> workers;       // none: auto
  std::string state_dir = "/var/lib/remora";  // empty: none
  Millis shutdown_delay{0};
  Millis shutdown_grace = seconds(30);
  std::vector<std::string> keys;  // 32 bytes each, decoded; the first seals
  Admin admin;
  Log log;
  Store store;
  std::optional<SessionApi> session_api;  // none: off
  std::vector<Jwt> jwt;
  std::vector<Listener> listeners;
  std::vector<Route> routes;
  std::vector<Pool> pools;
};

}  // namespace remora::config

// The sections of the file, one reader each. Internal to src/config.
#pragma once

#include "config/loader.h"
#include "config/reader.h"

namespace remora::config {

void read_listeners(const Value& v, std::vector<Listener>& out);
void read_store(const Value& v, Store& out);
void read_backend_tls(const Value& v, std::optional<BackendTls>& out);
void read_jwt(const Value& v, std::vector<Jwt>& out);
void read_routes(const Value& v, std::vector<Route>& out);
void read_pool(const std::string& name, const Value& v, Kinds kinds, Pool& out);
void read_affinity(const Value& v, std::string_view pool, Kinds kinds, std::vector<Affinity>& out);

void read_header_edits(const Value& v, HeaderEdits& out);
void read_header_pairs(const Value& v, std::vector<std::pair<std::string, std::string>>& out);
void read_cidr(const Value& v, std::vector<Cidr>& out);
/// Names of fields that framing and routing depend on cannot be edited.
bool editable_field(const Value& v, const std::string& name);
/// `mode` and `group` of a map whose `bind` was read.
void read_socket_access(Map& m, const Address& bind, SocketAccess& out);
/// What of a listener's keys says nothing because its peers come over a unix socket, or do not.
void socket_doubts(const Config& config, std::vector<std::string>& out);
bool readable_file(const Value& v, const std::string& path);

/// What one section alone cannot see: names that must exist, pairs that must not clash.
void cross_check(const Value& root, Config& config);
/// `localhost` or an address of this machine's loopback; not a name that only begins like one.
bool is_loopback(const std::string& host) noexcept;
/// Issued cookies that other hosts of the same domain can plant.
void cookie_doubts(const Config& config, std::vector<std::string>& out);
/// A secret that serves two purposes.
void key_doubts(const Config& config, std::vector<std::string>& out);
/// What was given and changes nothing, as only the whole file shows.
void idle_keys(const Config& config, std::vector<std::string>& out);
/// Refuses each of these keys that is there.
void refuse_keys(const Value& map, std::initializer_list<const char*> keys, std::string_view why);

}  // namespace remora::config

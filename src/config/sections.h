// Reader functions, one for each section of the file. Internal to src/config.
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
void read_health(const Value& v, Pool& out);
void read_fallback(const Value& v, std::optional<Fallback>& out);
/// Checks the pools that fallbacks name: they exist, do not lead in a circle, and keep their tokens apart.
void check_fallbacks(const Value& root, const Config& config);
void read_affinity(const Value& v, std::string_view pool, Kinds kinds, std::vector<Affinity>& out);

void read_header_edits(const Value& v, HeaderEdits& out);
void read_header_pairs(const Value& v, std::vector<std::pair<std::string, std::string>>& out);
void read_cidr(const Value& v, std::vector<Cidr>& out);
/// False for fields that framing and routing depend on; those cannot be edited. Reports an error then.
bool editable_field(const Value& v, const std::string& name);
/// Reads the `mode` and `group` keys of a map whose `bind` has been read.
void read_socket_access(Map& m, const Address& bind, SocketAccess& out);
/// Warns about listener keys that have no effect because the peers use a Unix socket, or because they do not.
void socket_warnings(const Config& config, std::vector<std::string>& out);
bool readable_file(const Value& v, const std::string& path);

/// Checks across sections: names that must exist, settings that conflict.
void cross_check(const Value& root, Config& config);
/// True for `localhost` and literal loopback addresses, not for names that merely start like one.
bool is_loopback(const std::string& host) noexcept;
/// Warns about issued cookies that other hosts of the same domain can plant.
void cookie_warnings(const Config& config, std::vector<std::string>& out);
/// Warns about a secret that is used for two purposes.
void key_warnings(const Config& config, std::vector<std::string>& out);
/// Warns about keys that have no effect, as seen from the whole file.
void idle_keys(const Config& config, std::vector<std::string>& out);
/// Reports an error for each of these keys that is present.
void refuse_keys(const Value& map, std::initializer_list<const char*> keys, std::string_view why);

}  // namespace remora::config

#include "net/name_channel.h"

#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>

#include "net/address.h"
#include "util/unique_fd.h"

namespace remora {

namespace {

constexpr int timeout_ms = 1000, tries = 2;

[[noreturn]] void refuse(int rc) {
  throw std::runtime_error(std::string("c-ares: ") + ::ares_strerror(rc));
}

void set_up_library() {
  static const int rc = ::ares_library_init(ARES_LIB_INIT_ALL);
  if (rc != ARES_SUCCESS) refuse(rc);
}

}  // namespace

NameChannel::NameChannel(const std::vector<std::string>& servers, const NameFiles& files) {
  set_up_library();
  ares_options options{};
  options.timeout = timeout_ms;
  options.tries = tries;
  std::string resolv_conf = files.resolv_conf;
  options.resolvconf_path = resolv_conf.data();
  const int rc =
      ::ares_init_options(&channel_, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_RESOLVCONF);
  if (rc != ARES_SUCCESS) refuse(rc);
  std::string list;
  for (const std::string& s : servers) list += (list.empty() ? "" : ",") + s;
  if (!list.empty() && ::ares_set_servers_ports_csv(channel_, list.c_str()) != ARES_SUCCESS) {
    ::ares_destroy(channel_);
    throw std::runtime_error("dns.servers: cannot be used: " + list);
  }
  read_settings();
}

NameChannel::~NameChannel() {
  ::ares_destroy(channel_);
}

void NameChannel::read_settings() {
  ares_options now{};
  int mask = 0;
  if (::ares_save_options(channel_, &now, &mask) == ARES_SUCCESS) {
    ndots = now.ndots;
    for (int i = 0; i < now.ndomains; ++i) domains.emplace_back(now.domains[i]);
    if (now.lookups != nullptr && *now.lookups != '\0') lookups = now.lookups;
  }
  ::ares_destroy_options(&now);
}

bool has_way_to(const std::string& ip) {
  const auto endpoint = resolve({config::Address::Kind::tcp, ip, 53});
  if (!endpoint) return false;
  const UniqueFd socket(::socket(endpoint->family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return socket && ::connect(socket.get(), endpoint->get(), endpoint->size) == 0;
}

}  // namespace remora

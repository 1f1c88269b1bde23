// DNS lookups for the server's parts. An interface, so that tests can answer by hand.
//
// Threading: the loop's thread. Answers arrive there, never from within ask().
#pragma once

#include <boost/asio/io_context.hpp>
#include <optional>
#include <string>
#include <vector>

#include "net/resolver.h"

namespace remora {

class NameLookup {
 public:
  virtual ~NameLookup() = default;
  virtual void ask(const std::string& name, bool srv, Resolver::Heard heard) = 0;
};

/// One resolver for all parts, created by the first lookup, so that a server without names needs no resolver
/// thread.
class SharedResolver final : public NameLookup {
 public:
  /// `servers`: ip:port; empty: the system's name servers.
  SharedResolver(boost::asio::io_context& home, std::vector<std::string> servers)
      : home_(home), servers_(std::move(servers)) {}
  /// Throws std::runtime_error if the resolver cannot be set up.
  void ask(const std::string& name, bool srv, Resolver::Heard heard) override {
    if (closed_) return;
    if (!resolver_) resolver_.emplace(home_, servers_);
    resolver_->ask(name, srv, std::move(heard));
  }
  /// No answers arrive after this.
  void close() {
    closed_ = true;
    resolver_.reset();
  }

 private:
  boost::asio::io_context& home_;
  const std::vector<std::string> servers_;
  std::optional<Resolver> resolver_;
  bool closed_ = false;
};

}  // namespace remora

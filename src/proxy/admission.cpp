#include "proxy/admission.h"

#include "http/grpc.h"
#include "proxy/edits.h"
#include "proxy/preflight.h"
#include "proxy/redirect.h"
#include "proxy/websocket_key.h"
#include "util/text.h"

namespace remora {

using Kind = Failure::Kind;
using FailSide = Failure::Side;

bool Admission::admit() {
  request_.arrival.client = request_.arrival.peer;
  request_.arrival.secure = client_.is_secure();
  request_.arrival.trusted = false;
  if (!connection_.listener->config.trusted_proxies.empty())
    resolve_arrival(request_.head.fields, connection_.listener->config.trusted_proxies, request_.arrival);
  // A proxy may send several clients' requests over this connection, even from the same address. So behind a
  // proxy, authenticated backend connections are kept only for a request that authenticates itself again.
  if (connector_.has_reserved()) {
    const bool by_proxy = request_.arrival.trusted || request_.comes_through_unknown_proxies();
    if (!connector_.reserved_for(request_.arrival.client) || (by_proxy && !request_.head.connection_auth))
      connector_.drop_reserved();
  }
  const bool fits = request_.head.version != Version::http2 || fits_connection();
  const std::vector<std::string>& stripped = connection_.listener->config.strip_client_headers;
  if (!stripped.empty() && !request_.arrival.trusted) drop_stripped(request_.head.fields, stripped);

  const std::string& id_name = connection_.listener->config.request_id;
  if (!id_name.empty()) {
    if (request_.arrival.trusted)
      for (const Field& f : request_.head.fields)
        if (iequals(f.name, id_name) && !f.value.empty()) request_.id.text = f.value;
    request_.id.from_client = !request_.id.text.empty();
    if (!request_.id.from_client) {
      for (std::size_t i = 0; i < sizeof request_.id.made; i += 16)
        write_hex(worker_.random.next(), request_.id.made + i);
      request_.id.text = {request_.id.made, sizeof request_.id.made};
    }
  }
  if (is_grpc_request(request_.head) && !take_grpc_deadline()) return false;
  if (!fits) return false;
  if (!connection_.listener->config.per_client.requests_per_second || request_.arrival.client.is_unknown())
    return true;
  reply_.retry_after = connection_.listener->shared->limits.request(request_.arrival.client, request_.began);
  if (reply_.retry_after == 0) return true;
  connection_.refuse(Refusal::requests, request_.arrival.client,
                     "over the rate of per_client.requests_per_second allows");
  reply_.status = 429;
  return false;
}

/// gRPC: its client's deadline bounds the whole exchange. False: it is malformed.
bool Admission::take_grpc_deadline() {
  request_.grpc = true;
  const GrpcTimeout timeout = read_grpc_timeout(request_.head);
  if (timeout.malformed) reply_.status = 400;
  if (timeout.value && *timeout.value < Clock::Steady::max() - request_.began)
    request_.deadline = request_.began + *timeout.value;
  return !timeout.malformed;
}

bool Admission::find_route() {
  const Routed routed = choose_route(*request_.snapshot->shared, request_.head, memory_.arena);
  if (routed.refused != nullptr) {
    attempt_.fail(FailSide::self, Kind::ambiguous_target);
    connection_.refuse(Refusal::head, request_.arrival.client, routed.refused);
    turn_.spend();  // the check costs as much as several requests
    return false;
  }
  request_.route = routed.route;
  if (request_.route == nullptr) {
    reply_.status = 404;
    return false;
  }
  if (!request_.head.tunnel) return true;
  request_.head.tunnel = passes_upgrade(request_.head.fields, request_.route->config);
  return request_.head.version != Version::http2 || extends_connect();
}

/// An extended CONNECT (RFC 8441). False: its protocol may not pass. Unlike an Upgrade it cannot be served as
/// a plain request, because its client takes every 2xx for the tunnel.
bool Admission::extends_connect() {
  if (!request_.head.tunnel) {
    reply_.status = 501;
    return false;
  }
  if (!iequals(chosen_protocol(request_.head.fields), "websocket")) return true;
  const std::uint64_t high = worker_.random.next(), low = worker_.random.next();
  request_.websocket_accept = give_websocket_key(request_.head.fields, high, low, memory_.arena);
  return true;
}

/// What HTTP/2 alone can get wrong. False: refused.
bool Admission::fits_connection() {
  if (!connection_.serves(request_.head.host)) {
    reply_.status = 421;
    return false;
  }
  if (!request_.head.connection_auth || !connection_.listener->config.speaks(config::Alpn::http11))
    return true;
  attempt_.fail(FailSide::client, Kind::http1_required);
  return false;
}

bool Admission::authenticate() {
  for (const std::size_t index : request_.route->verifiers) {
    const JwtVerifier& verifier = *request_.snapshot->shared->verifiers[index];
    const FoundToken found = find_token(request_.head.fields, request_.head.query, verifier.rules);
    JwtVerdict verdict{found.outcome, nullptr};
    if (found.outcome == JwtOutcome::fine)
      verdict = worker_.tokens.verify(found.token, verifier.rules, *verifier.keys, verifier.keys_id,
                                      turn_.wall_now());
    (*verifier.counts)[worker_.index].count(verdict.outcome);
    if (verdict.outcome == JwtOutcome::key && !verifier.rules.jwks_url.empty())
      worker_.report_unknown_key(verifier.rules.jwks_url);
    if (verdict.outcome == JwtOutcome::fine) {
      request_.may_be_revoked = request_.may_be_revoked || !verifier.rules.revocation_claims.empty();
      memory_.passed.add(verifier, std::move(verdict.claims));
      continue;
    }
    if (index != request_.route->auth) continue;
    if (const auto refused = refusal(verifier, verdict.outcome, request_.route->config.auth_required)) {
      if (request_.route->config.auth_passes_preflights && is_cors_preflight(request_.head)) continue;
      turn_.spend();  // verifying a signature costs as much as several requests
      reply_.status = refused->status;
      reply_.challenge = refused->value;
      return false;
    }
  }
  return true;
}

bool Admission::redirects() {
  const auto& redirect = request_.route->config.redirect;
  if (!redirect) return false;
  RedirectReply reply = redirect_reply(*redirect, request_.head, request_.arrival.secure);
  reply_.status = reply.status;
  reply_.location = std::move(reply.location);
  return true;
}

Task<bool> Admission::check_revocation() {
  for (std::size_t i = 0; i < memory_.passed.size();) {
    const JwtVerifier& verifier = memory_.passed.verifier(i);
    JwtOutcome outcome = JwtOutcome::fine;
    if (!verifier.rules.revocation_claims.empty())
      outcome = co_await look_for_revoked(verifier, memory_.passed.claims(i));
    if (outcome == JwtOutcome::fine) {
      ++i;
      continue;
    }
    (*verifier.counts)[worker_.index].count(outcome);
    const auto& verifiers = request_.snapshot->shared->verifiers;
    if (request_.route->auth < verifiers.size() && verifiers[request_.route->auth].get() == &verifier) {
      const auto refused = refusal(verifier, outcome, true);
      reply_.status = refused->status;
      reply_.challenge = refused->value;
      co_return false;
    }
    memory_.passed.drop(i);
  }
  co_return true;
}

Task<JwtOutcome> Admission::look_for_revoked(const JwtVerifier& verifier, const JwtClaims& claims) {
  bool any = false;
  for (const std::string& claim : verifier.rules.revocation_claims) {
    const auto text = claims.texts.find(claim);
    if (text == claims.texts.end()) continue;
    any = true;
    if (const auto known = worker_.revocations.find(text->second, turn_.now())) {
      if (*known) co_return JwtOutcome::revoked;
      continue;
    }
    const StoreCall call = records_.store_call(worker_.store_timeout);
    const Result<bool> revoked = co_await worker_.sessions->revoked(text->second, call);
    worker_.memory->store.count(outcome_of(revoked));
    if (revoked.has_value()) {
      worker_.revocations.put(text->second, *revoked, turn_.now());
      if (*revoked) co_return JwtOutcome::revoked;
    } else if (verifier.rules.revocation_denies_on_error) {
      co_return JwtOutcome::unchecked;
    }
  }
  // A token without such a claim could never be revoked.
  co_return any ? JwtOutcome::fine : JwtOutcome::claims;
}

}  // namespace remora

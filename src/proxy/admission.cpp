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
  request().arrival.client = request().arrival.peer;
  request().arrival.secure = client().is_secure();
  request().arrival.trusted = false;
  if (!connection().listener->config.trusted_proxies.empty())
    resolve_arrival(request().head.fields, connection().listener->config.trusted_proxies, request().arrival);
  // A proxy may send several clients' requests over this connection, even from the same address. So behind a
  // proxy, authenticated backend connections are kept only for a request that authenticates itself again.
  if (connector().has_reserved()) {
    const bool by_proxy = request().arrival.trusted || request().comes_through_unknown_proxies();
    if (!connector().reserved_for(request().arrival.client) || (by_proxy && !request().head.connection_auth))
      connector().drop_reserved();
  }
  const bool fits = request().head.version != Version::http2 || fits_connection();
  const std::vector<std::string>& stripped = connection().listener->config.strip_client_headers;
  if (!stripped.empty() && !request().arrival.trusted) drop_stripped(request().head.fields, stripped);

  const std::string& id_name = connection().listener->config.request_id;
  if (!id_name.empty()) {
    if (request().arrival.trusted)
      for (const Field& f : request().head.fields)
        if (iequals(f.name, id_name) && !f.value.empty()) request().id.text = f.value;
    request().id.from_client = !request().id.text.empty();
    if (!request().id.from_client) {
      for (std::size_t i = 0; i < sizeof request().id.made; i += 16)
        write_hex(worker().random.next(), request().id.made + i);
      request().id.text = {request().id.made, sizeof request().id.made};
    }
  }
  if (is_grpc_request(request().head) && !take_grpc_deadline()) return false;
  if (!fits) return false;
  if (!connection().listener->config.per_client.requests_per_second || request().arrival.client.is_unknown())
    return true;
  reply().retry_after =
      connection().listener->shared->limits.request(request().arrival.client, request().began);
  if (reply().retry_after == 0) return true;
  connection().refuse(Refusal::requests, request().arrival.client,
                      "over the rate of per_client.requests_per_second allows");
  reply().status = 429;
  return false;
}

/// gRPC: its client's deadline bounds the whole exchange. False: it is malformed.
bool Admission::take_grpc_deadline() {
  request().grpc = true;
  const GrpcTimeout timeout = read_grpc_timeout(request().head);
  if (timeout.malformed) reply().status = 400;
  if (timeout.value && *timeout.value < Clock::Steady::max() - request().began)
    request().deadline = request().began + *timeout.value;
  return !timeout.malformed;
}

bool Admission::find_route() {
  const Routed routed = choose_route(*request().snapshot->shared, request().head, memory().arena);
  if (routed.refused != nullptr) {
    attempt().fail(FailSide::self, Kind::ambiguous_target);
    connection().refuse(Refusal::head, request().arrival.client, routed.refused);
    turn().spend();  // the check costs as much as several requests
    return false;
  }
  request().route = routed.route;
  if (request().route == nullptr) {
    reply().status = 404;
    return false;
  }
  if (!request().head.tunnel) return true;
  request().head.tunnel = passes_upgrade(request().head.fields, request().route->config);
  return request().head.version != Version::http2 || extends_connect();
}

/// An extended CONNECT (RFC 8441). False: its protocol may not pass. Unlike an Upgrade it cannot be served as
/// a plain request, because its client takes every 2xx for the tunnel.
bool Admission::extends_connect() {
  if (!request().head.tunnel) {
    reply().status = 501;
    return false;
  }
  if (!iequals(chosen_protocol(request().head.fields), "websocket")) return true;
  const std::uint64_t high = worker().random.next(), low = worker().random.next();
  request().websocket_accept = give_websocket_key(request().head.fields, high, low, memory().arena);
  return true;
}

/// What HTTP/2 alone can get wrong. False: refused.
bool Admission::fits_connection() {
  if (!connection().serves(request().head.host)) {
    reply().status = 421;
    return false;
  }
  if (!request().head.connection_auth || !connection().listener->config.speaks(config::Alpn::http11))
    return true;
  attempt().fail(FailSide::client, Kind::http1_required);
  return false;
}

bool Admission::authenticate() {
  for (const std::size_t index : request().route->verifiers) {
    const JwtVerifier& verifier = *request().snapshot->shared->verifiers[index];
    const FoundToken found = find_token(request().head.fields, request().head.query, verifier.rules);
    JwtVerdict verdict{found.outcome, nullptr};
    if (found.outcome == JwtOutcome::fine)
      verdict = worker().tokens.verify(found.token, verifier.rules, *verifier.keys, verifier.keys_id,
                                       turn().wall_now());
    (*verifier.counts)[worker().index].count(verdict.outcome);
    if (verdict.outcome == JwtOutcome::key && !verifier.rules.jwks_url.empty())
      worker().report_unknown_key(verifier.rules.jwks_url);
    if (verdict.outcome == JwtOutcome::fine) {
      request().may_be_revoked = request().may_be_revoked || !verifier.rules.revocation_claims.empty();
      memory().passed.add(verifier, std::move(verdict.claims));
      continue;
    }
    if (index != request().route->auth) continue;
    if (const auto refused = refusal(verifier, verdict.outcome, request().route->config.auth_required)) {
      if (request().route->config.auth_passes_preflights && is_cors_preflight(request().head)) continue;
      turn().spend();  // verifying a signature costs as much as several requests
      reply().status = refused->status;
      reply().challenge = refused->value;
      return false;
    }
  }
  return true;
}

bool Admission::redirects() {
  const auto& redirect = request().route->config.redirect;
  if (!redirect) return false;
  RedirectReply made = redirect_reply(*redirect, request().head, request().arrival.secure);
  reply().status = made.status;
  reply().location = std::move(made.location);
  return true;
}

Task<bool> Admission::check_revocation() {
  for (std::size_t i = 0; i < memory().passed.size();) {
    const JwtVerifier& verifier = memory().passed.verifier(i);
    JwtOutcome outcome = JwtOutcome::fine;
    if (!verifier.rules.revocation_claims.empty())
      outcome = co_await look_for_revoked(verifier, memory().passed.claims(i));
    if (outcome == JwtOutcome::fine) {
      ++i;
      continue;
    }
    (*verifier.counts)[worker().index].count(outcome);
    const auto& verifiers = request().snapshot->shared->verifiers;
    if (request().route->auth < verifiers.size() && verifiers[request().route->auth].get() == &verifier) {
      const auto refused = refusal(verifier, outcome, true);
      reply().status = refused->status;
      reply().challenge = refused->value;
      co_return false;
    }
    memory().passed.drop(i);
  }
  co_return true;
}

Task<JwtOutcome> Admission::look_for_revoked(const JwtVerifier& verifier, const JwtClaims& claims) {
  bool any = false;
  for (const std::string& claim : verifier.rules.revocation_claims) {
    const auto text = claims.texts.find(claim);
    if (text == claims.texts.end()) continue;
    any = true;
    if (const auto known = worker().revocations.find(text->second, turn().now())) {
      if (*known) co_return JwtOutcome::revoked;
      continue;
    }
    const StoreCall call = records_.store_call(worker().store_timeout);
    const Result<bool> revoked = co_await worker().sessions->revoked(text->second, call);
    worker().memory->store.count(outcome_of(revoked));
    if (revoked.has_value()) {
      worker().revocations.put(text->second, *revoked, turn().now());
      if (*revoked) co_return JwtOutcome::revoked;
    } else if (verifier.rules.revocation_denies_on_error) {
      co_return JwtOutcome::unchecked;
    }
  }
  // A token without such a claim could never be revoked.
  co_return any ? JwtOutcome::fine : JwtOutcome::claims;
}

}  // namespace remora

// Rows of the table of keys: pools, their sessions and their affinity.

#include "config/key_table.h"

namespace remora::config {

std::vector<Row> of_pools() {
  const auto discovered = [](const std::string& t) { return whole("", "", "", t, ""); };
  const auto found = [](const Config& c) { return b(c).discovery.value_or(Discovery{}); };
  const auto t = [](const Config& c) { return p(c).tls.value_or(BackendTls{}); };
  const std::string pair = "cert: " + file + ", key: " + file;
  const std::string names = "e2e/discovery_test.cpp Dns.EveryAddressIsABackendAndNewOnesJoin";
  const std::string down = "e2e/failover_test.cpp Probes.ADeadBackendLeavesServiceAndReturns";
  const auto probe = [](const std::string& x) { return pool("health: {probe: {path: /h, " + x + "}}"); };
  const std::string edits = "e2e/forwarding_test.cpp Forwarding.ConfiguredEditsApplyToBothHeads";
  return {
      {"pools", "", {}, "e2e/forwarding_test.cpp Routing.TheMostSpecificRouteWins"},
      {"pools.*", "", {}, "e2e/forwarding_test.cpp Routing.TheMostSpecificRouteWins"},
      {"pools.*.backends", "", {}, "e2e/failover_test.cpp UnderLoad.KilledAndRefusing"},
      {"pools.*.backends.id", backend("id: x"), [](auto& c) { return b(c).id == "x"; },
       "e2e/admin_test.cpp Api.ShowsPoolsBackendsAndTheirThreeFacts"},
      {"pools.*.backends.address", whole("", "", "", "address: 127.0.0.1:2", ""),
       [](auto& c) { return b(c).address.port == 2; }, "e2e/failover_test.cpp UnderLoad.KilledAndRefusing"},
      {"pools.*.backends.weight", backend("weight: 3"), [](auto& c) { return b(c).weight == 3; },
       "e2e/admin_test.cpp Weight.ZeroKeepsBoundSessionsOnly"},
      {"pools.*.backends.backup", backend("backup: true"), [](auto& c) { return b(c).backup; },
       "balance/balance_test.cpp EachPolicy.UsesBackupsOnlyWhenNobodyElseIsLeft"},
      {"pools.*.backends.max_in_flight", backend("max_in_flight: 3"),
       [](auto& c) { return b(c).max_in_flight == 3U; },
       "e2e/failover_test.cpp MaxInFlight.OthersWaitInLineAndAreServed"},
      {"pools.*.backends.admin", backend("admin: drain"),
       [](auto& c) { return b(c).admin == AdminWish::drain; },
       "e2e/failover_test.cpp CookieSession.DrainAndWeightZeroKeepBoundSessionsMaintMovesThem"},
      {"pools.*.backends.dns", discovered("dns: \"n:1\""), [](auto& c) { return b(c).discovery.has_value(); },
       names},
      {"pools.*.backends.dns_srv", discovered("dns_srv: _h._tcp.n"), [=](auto& c) { return found(c).srv; },
       "e2e/discovery_test.cpp Dns.ServiceRecordsBringPortsWeightsAndBackups"},
      {"pools.*.backends.refresh", discovered("dns: \"n:1\", refresh: 3s"),
       [=](auto& c) { return found(c).refresh == seconds(3); },
       "e2e/discovery_test.cpp Dns.NamesAreNotAskedForMoreOftenThanTheirRecordsLive"},
      {"pools.*.backends.hold", discovered("dns: \"n:1\", hold: 3s"),
       [=](auto& c) { return found(c).hold == seconds(3); },
       "e2e/discovery_test.cpp Dns.AfterHoldASessionMovesBecauseItsBackendWasRemoved"},
      {"pools.*.protocol",
       pool("protocol: http1"),
       {},
       "config/loader_test.cpp Config.MistakesInListenersRoutesAndPools"},  // its one value
      {"pools.*.tls", pool("tls: on"), [](auto& c) { return p(c).tls.has_value(); },
       "e2e/tls_test.cpp BackendTls.IsVerifiedByDefault"},
      {"pools.*.tls.ca", pool("tls: {ca: " + file + "}"), [=](auto& c) { return !t(c).ca.empty(); },
       "e2e/tls_test.cpp BackendTls.IsVerifiedByDefault"},
      {"pools.*.tls.verify", pool("tls: {verify: off}"), [=](auto& c) { return !t(c).verify; },
       "e2e/tls_test.cpp BackendTls.IsVerifiedByDefault"},
      {"pools.*.tls.server_name", pool("tls: {server_name: n}"),
       [=](auto& c) { return t(c).server_name == "n"; }, "e2e/tls_test.cpp BackendTls.IsVerifiedByDefault"},
      {"pools.*.tls.cert", pool("tls: {" + pair + "}"), [=](auto& c) { return !t(c).cert.empty(); },
       "e2e/tls_test.cpp BackendTls.ClientCertificateIsShown"},
      {"pools.*.tls.key", pool("tls: {" + pair + "}"), [=](auto& c) { return !t(c).key.empty(); },
       "e2e/tls_test.cpp BackendTls.ClientCertificateIsShown"},
      {"pools.*.balance", pool("balance: first"), [](auto& c) { return p(c).balance == Balance::first; },
       "balance/balance_test.cpp First.FillsInOrder"},
      {"pools.*.health", pool("health: /h"), [](auto& c) { return p(c).probe.kind == ProbeKind::http; },
       down},
      {"pools.*.health.probe", pool("health: {probe: tcp}"),
       [](auto& c) { return p(c).probe.kind == ProbeKind::tcp; }, down},
      {"pools.*.health.probe.path", probe("rise: 2"), [](auto& c) { return p(c).probe.path == "/h"; }, down},
      {"pools.*.health.probe.interval", probe("interval: 9s"),
       [](auto& c) { return p(c).probe.interval == seconds(9); },
       "e2e/probes_test.cpp Detection.OfAKilledProcess"},
      {"pools.*.health.probe.timeout", probe("timeout: 9s"),
       [](auto& c) { return p(c).probe.timeout == seconds(9); },
       "e2e/probes_test.cpp Detection.OfAStoppedProcess"},
      {"pools.*.health.probe.rise", probe("rise: 9"), [](auto& c) { return p(c).probe.rise == 9; },
       "pool/queue_test.cpp HealthTracker.FlipsAfterRiseAndFallAndAtOnceFromUnknown"},
      {"pools.*.health.probe.fall", probe("fall: 9"), [](auto& c) { return p(c).probe.fall == 9; },
       "pool/queue_test.cpp HealthTracker.FlipsAfterRiseAndFallAndAtOnceFromUnknown"},
      {"pools.*.health.probe.expect", probe("expect: 204"),
       [](auto& c) { return p(c).probe.expect.front().first == 204; },
       "health/service_test.cpp Probes.JudgeTheFirstBytesOfAnAnswer"},
      {"pools.*.health.probe.host", probe("host: h"), [](auto& c) { return p(c).probe.host == "h"; },
       "e2e/keys_test.cpp ProbeHost.IsTheOneOfTheFile"},
      {"pools.*.health.probe.jitter", probe("jitter: 9%"), [](auto& c) { return p(c).probe.jitter < 0.1; },
       "config/keys_test.cpp Keys.OfAPool"},
      {"pools.*.health.eject", pool("health: {eject: off}"),
       [](auto& c) { return p(c).eject.consecutive_failures == 0; },
       "e2e/health_test.cpp Ejection.ByFailedConnectionsCostsOneStreakAndThenNothing"},
      {"pools.*.health.eject.consecutive_failures", pool("health: {eject: {consecutive_failures: 3}}"),
       [](auto& c) { return p(c).eject.consecutive_failures == 3; },
       "e2e/health_test.cpp Ejection.ByFailedConnectionsCostsOneStreakAndThenNothing"},
      {"pools.*.health.eject.for", pool("health: {eject: {for: 3s}}"),
       [](auto& c) { return p(c).eject.length == seconds(3); },
       "e2e/health_test.cpp Ejection.EndsByTimeAndBacksOff"},
      {"pools.*.health.eject.max_share", pool("health: {eject: {max_share: 30%}}"),
       [](auto& c) { return p(c).eject.max_share < 0.4; },
       "e2e/health_test.cpp Ejection.NeverTakesMoreThanItsShare"},
      {"pools.*.health.slow_start", pool("health: {slow_start: 3s}"),
       [](auto& c) { return p(c).slow_start == seconds(3); },
       "e2e/health_test.cpp SlowStart.GivesABackendThatReturnsASmallShareAtFirst"},
      {"pools.*.health.panic", pool("health: {panic: 30%}"), [](auto& c) { return p(c).panic > 0; },
       "e2e/health_test.cpp Panic.UsesAllRatherThanTheFewThatProbesLike"},
      {"pools.*.failover", "", {}, "e2e/failover_test.cpp Retry.ARefusedConnectionGoesElsewhereForAnyMethod"},
      {"pools.*.failover.attempts", pool("failover: {attempts: 2}"),
       [](auto& c) { return p(c).failover.attempts == 2; },
       "e2e/failover_test.cpp Retry.ARefusedConnectionGoesElsewhereForAnyMethod"},
      {"pools.*.failover.retry_on", pool("failover: {retry_on: [connect]}"),
       [](auto& c) { return !p(c).failover.retry_on.reset; },
       "e2e/failover_test.cpp Retry.StatusesAreRetriedForIdempotentMethodsAndPassedOnAtTheEnd"},
      {"pools.*.failover.bound", "", {}, "e2e/failover_test.cpp Retry.ABoundSessionSeesItsBackendsOwnErrors"},
      {"pools.*.failover.bound.same_backend",
       pool("affinity: cookie\n    failover: {bound: {same_backend: 3}}"),
       [](auto& c) { return p(c).failover.bound_same_backend == 3; },
       "e2e/failover_test.cpp CookieSession.MovesOnceWhenItsBackendDiesAndDoesNotReturn"},
      {"pools.*.failover.bound.retry_on",
       pool("affinity: cookie\n    failover: {bound: {retry_on: [connect]}}"),
       [](auto& c) { return !p(c).failover.bound_retry_on.reset; },
       "e2e/failover_test.cpp Retry.ABoundSessionSeesItsBackendsOwnErrors"},
      {"pools.*.failover.replay_body", pool("failover: {replay_body: 1KiB}"),
       [](auto& c) { return p(c).failover.replay_body == 1024; },
       "e2e/failover_test.cpp Retry.PutBodiesAreReplayedUpToTheLimit"},
      {"pools.*.failover.budget", pool("failover: {budget: 3%}"),
       [](auto& c) { return p(c).failover.budget < 0.1; },
       "e2e/failover_test.cpp Retry.TheBudgetBoundsAStorm"},
      {"pools.*.timeouts", "", {}, "e2e/failover_test.cpp Timeouts.AHungBackendIsA504WithinTheTimeout"},
      {"pools.*.timeouts.connect", pool("timeouts: {connect: 3s}"),
       [](auto& c) { return p(c).timeouts.connect == seconds(3); }, "config/keys_test.cpp Keys.OfAPool"},
      {"pools.*.timeouts.response", pool("timeouts: {response: 3s}"),
       [](auto& c) { return p(c).timeouts.response == seconds(3); },
       "e2e/failover_test.cpp Timeouts.AHungBackendIsA504WithinTheTimeout"},
      {"pools.*.timeouts.read", pool("timeouts: {read: 3s}"),
       [](auto& c) { return p(c).timeouts.read == seconds(3); },
       "e2e/failover_test.cpp Timeouts.AStalledResponseBodyIsVisiblyBroken"},
      {"pools.*.timeouts.write", pool("timeouts: {write: 3s}"),
       [](auto& c) { return p(c).timeouts.write == seconds(3); },
       "e2e/keys_test.cpp BackendThatDoesNotRead.IsGivenUpAfterTheWriteTimeout"},
      {"pools.*.timeouts.queue", pool("timeouts: {queue: 3s}"),
       [](auto& c) { return p(c).timeouts.queue == seconds(3); },
       "e2e/failover_test.cpp MaxInFlight.AFullBackendIs503AfterTheQueueTimeoutOrAMove"},
      {"pools.*.idle_connections", pool("idle_connections: 3"),
       [](auto& c) { return p(c).idle_connections == 3; },
       "e2e/keys_test.cpp IdleConnections.NoneAreKeptWhereTheFileSaysSo"},
      {"pools.*.headers", "", {}, edits},
      {"pools.*.headers.set", pool("headers: {set: {X: \"1\"}}"),
       [](auto& c) { return p(c).headers.set.size() == 1; }, edits},
      {"pools.*.headers.remove", pool("headers: {remove: [X]}"),
       [](auto& c) { return p(c).headers.remove.size() == 1; }, edits},
      {"pools.*.forwarded", pool("forwarded: off"), [](auto& c) { return p(c).forwarded == Forwarded::off; },
       "e2e/keys_test.cpp ForwardedFields.AreThoseThatThePoolWants"},
      {"pools.*.host", pool("host: backend"), [](auto& c) { return p(c).host == HostMode::backend; },
       "e2e/forwarding_test.cpp Forwarding.HostModes"},
  };
}

std::vector<Row> of_sessions() {
  const auto state = [](const Config& c) { return p(c).session.state.value_or(State{}); };
  const auto moves = [](const Config& c) { return p(c).session.rebalance.value_or(Rebalance{}); };
  const auto rebalance = [](const std::string& x) {
    return session("rebalance: {without_state: on" + x + "}");
  };
  const std::string busy =
      "e2e/session_moves_test.cpp Rebalance.MovesOnlyIdleSessionsOffABackendWithMoreThanItsShare";
  const std::string bounded = "e2e/session_moves_test.cpp Rebalance.IsBoundedInItsRateAndOffUnlessAskedFor";
  return {
      {"pools.*.session",
       "",
       {},
       "e2e/session_life_test.cpp Lifetime.ASessionThatWasIdleForTooLongBeginsAnewAndSaysWhy"},
      {"pools.*.session.idle_timeout", session("idle_timeout: none"),
       [](auto& c) { return !p(c).session.idle_timeout; },
       "e2e/session_life_test.cpp Lifetime.ASessionThatWasIdleForTooLongBeginsAnewAndSaysWhy"},
      {"pools.*.session.max_lifetime", session("max_lifetime: 1h"),
       [](auto& c) { return p(c).session.max_lifetime == hours(1); },
       "e2e/session_life_test.cpp Lifetime.EndsAtItsMaximumHoweverActive"},
      {"pools.*.session.on_lost", session("on_lost: reject"),
       [](auto& c) { return p(c).session.on_lost == OnLost::reject; },
       "e2e/failover_test.cpp CookieSession.OnLostRejectAnswersAndClears"},
      {"pools.*.session.on_full", session("on_full: move"),
       [](auto& c) { return p(c).session.on_full == OnFull::move; },
       "e2e/failover_test.cpp MaxInFlight.AFullBackendIs503AfterTheQueueTimeoutOrAMove"},
      {"pools.*.session.reject", "", {}, "e2e/failover_test.cpp CookieSession.OnLostRejectAnswersAndClears"},
      {"pools.*.session.reject.status", session("on_lost: reject, reject: {status: 410}"),
       [](auto& c) { return p(c).session.reject_status == 410; },
       "e2e/session_moves_test.cpp McpSession.ThatIsLostAnswers404UntilTheClientBeginsAnew"},
      {"pools.*.session.reject.body", session("on_lost: reject, reject: {body: x}"),
       [](auto& c) { return p(c).session.reject_body == "x"; },
       "e2e/failover_test.cpp CookieSession.OnLostRejectAnswersAndClears"},
      {"pools.*.session.announce", session("announce: false"), [](auto& c) { return !p(c).session.announce; },
       "e2e/guards_test.cpp Affinity.IsOffWhereARouteSaysSo"},
      {"pools.*.session.state", session("state: on"), [](auto& c) { return p(c).session.state.has_value(); },
       "e2e/stores_test.cpp HandOff.AServersDeathLogsNobodyOutAndTheStateArrivesByteForByte"},
      {"pools.*.session.state.max_bytes", session("state: {max_bytes: 9B}"),
       [=](auto& c) { return state(c).max_bytes == 9; },
       "e2e/stores_test.cpp HandOff.WhatIsTooLargeOrNoBase64IsRefusedWholeAndHarmsNothing"},
      {"pools.*.session.state.replay", session("state: {replay: on_move}"),
       [](auto& c) { return p(c).session.state.has_value(); },
       "e2e/stores_test.cpp HandOff.AServersDeathLogsNobodyOutAndTheStateArrivesByteForByte"},  // its one
                                                                                                // value
      {"pools.*.session.state.save", session("state: {save: sync}"),
       [=](auto& c) { return state(c).save == SaveMode::sync; },
       "e2e/stores_test.cpp HandOff.AServersDeathLogsNobodyOutAndTheStateArrivesByteForByte"},
      {"pools.*.session.state.fetch_timeout", session("state: {fetch_timeout: 9s}"),
       [=](auto& c) { return state(c).fetch_timeout == seconds(9); },
       "e2e/stores_test.cpp HandOffWithoutItsStore.SaysSoOrAnswers503ButNeverPretendsThatTheSessionIsNew"},
      {"pools.*.session.state.on_missing", session("state: {on_missing: reject}"),
       [=](auto& c) { return state(c).on_missing == OnMissing::reject; },
       "e2e/stores_test.cpp HandOffWithoutItsStore.SaysSoOrAnswers503ButNeverPretendsThatTheSessionIsNew"},
      {"pools.*.session.rebalance", rebalance(""), [](auto& c) { return p(c).session.rebalance.has_value(); },
       bounded},
      {"pools.*.session.rebalance.min_idle", rebalance(", min_idle: 9s"),
       [=](auto& c) { return moves(c).min_idle == seconds(9); }, busy},
      {"pools.*.session.rebalance.moves_per_second", rebalance(", moves_per_second: 3"),
       [=](auto& c) { return moves(c).moves_per_second < 4; }, bounded},
      {"pools.*.session.rebalance.threshold", rebalance(", threshold: 9"),
       [=](auto& c) { return moves(c).threshold > 8; }, busy},
      {"pools.*.session.rebalance.without_state", rebalance(""),
       [=](auto& c) { return moves(c).without_state; }, busy},
  };
}

/// Each kind reads its own keys into settings that only it knows: here they are read, and elsewhere shown.
std::vector<Row> of_affinity() {
  const auto a = [](const std::string& x) { return pool("affinity: {" + x + "}"); };
  const auto own_cookie = [](const char* name) {
    return [name](const Config& c) {
      return !p(c).affinity.empty() && p(c).affinity.front().settings->own_cookie == name;
    };
  };
  const std::string attributes = "affinity/cookie_test.cpp CookieAffinity.AttributesFollowTheConfiguration";
  const auto cookie = [&](const std::string& x) { return a("kind: cookie, " + x); };
  const Shows rejects = [](const Config& c) {
    return !p(c).affinity.empty() && p(c).affinity.front().settings->rejects_unknown;
  };
  const auto urls = [](std::size_t n) {
    return [n](const Config& c) {
      return !p(c).affinity.empty() && p(c).affinity.front().settings->url_secrets.size() == n;
    };
  };
  const std::string v = "jwt: {v: {algorithms: [HS256], keys: {secret: {env: KEYS_TEST_TEXT}}}}";
  return {
      {"pools.*.affinity",
       "",
       {},
       "e2e/sessions_test.cpp Sticky.TwoHundredClientsByFiftyRequestsNeverChangeBackend"},
      {"pools.*.affinity.kind", a("kind: ip_hash"),
       [](auto& c) { return !p(c).affinity.empty() && p(c).affinity.front().kind == "ip_hash"; },
       "affinity/kinds_test.cpp Registry.HoldsEachKindOnceUnderItsYamlName"},
      {"pools.*.affinity.name", cookie("name: n"), own_cookie("n"), attributes},
      {"pools.*.affinity.path", cookie("path: /x"), {}, attributes},
      {"pools.*.affinity.domain", cookie("domain: x.test"), {}, attributes},
      {"pools.*.affinity.secure", cookie("secure: on"), {}, attributes},
      {"pools.*.affinity.http_only", cookie("http_only: false"), {}, attributes},
      {"pools.*.affinity.same_site", cookie("same_site: strict"), {}, attributes},
      {"pools.*.affinity.partitioned", cookie("partitioned: true"), {}, attributes},
      {"pools.*.affinity.max_age", cookie("max_age: 1h"), {}, attributes},
      {"pools.*.affinity.ipv4_prefix",
       a("kind: ip_hash, ipv4_prefix: 8"),
       {},
       "affinity/kinds_test.cpp Kinds.IpHashMasksBothFamilies"},
      {"pools.*.affinity.ipv6_prefix",
       a("kind: ip_hash, ipv6_prefix: 8"),
       {},
       "affinity/kinds_test.cpp Kinds.IpHashMasksBothFamilies"},
      {"pools.*.affinity.bounded_load",
       a("kind: ip_hash, bounded_load: 2"),
       {},
       "balance/balance_test.cpp BoundedLoad.CapsABackendAtItsShareAndSpillsOverInTheKeysOwnOrder"},
      {"pools.*.affinity.style", a("kind: url_rewrite, style: query"), urls(1),
       "affinity/kinds_test.cpp UrlRewrite.RecognisesItsTokenAndHidesIt"},
      {"pools.*.affinity.rewrite",
       a("kind: url_rewrite, rewrite: [html]"),
       {},
       "affinity/kinds_test.cpp UrlRewrite.RewritesPagesOnlyWhenAskedAndAble"},
      {"pools.*.affinity.path_parameter", a("kind: app_cookie, name: x, path_parameter: y"), urls(1),
       "affinity/kinds_test.cpp Kinds.AppCookieFindsTheIdInCookiePathAndQuery"},
      {"pools.*.affinity.query_parameter", a("kind: app_cookie, name: x, query_parameter: y"), urls(1),
       "affinity/kinds_test.cpp Kinds.AppCookieFindsTheIdInCookiePathAndQuery"},
      {"pools.*.affinity.route_separator",
       a("kind: app_cookie, route_separator: \".\""),
       {},
       "affinity/kinds_test.cpp Kinds.AppCookieHonoursTheServerThatAnIdNames"},
      {"pools.*.affinity.carry", a("kind: app_cookie, name: x, carry: token"), own_cookie("x-r"),
       "affinity/kinds_test.cpp CompanionCookie.SaysWhereTheSessionLivesWithoutAnyStore"},
      {"pools.*.affinity.on_unknown", a("kind: app_cookie, on_unknown: reject"), rejects,
       "e2e/session_moves_test.cpp LearnedSession.AnUnknownIdIsRejectedWhereTheFileSaysSo"},
      {"pools.*.affinity.learn", a("kind: header, name: X, learn: true, on_unknown: reject"), rejects,
       "affinity/kinds_test.cpp Kinds.HeaderIsHashedUnlessItIsLearned"},
      {"pools.*.affinity.verifier", whole(v, "", "", "", "affinity: {kind: jwt_claim, verifier: v}"),
       [](auto& c) { return !p(c).affinity.empty() && p(c).affinity.front().settings->verifier == "v"; },
       "e2e/jwt_test.cpp Jwt.AClaimKeepsItsUsersTogether"},
      {"pools.*.affinity.claim",
       whole(v, "", "", "", "affinity: {kind: jwt_claim, verifier: v, claim: x}"),
       {},
       "affinity/kinds_test.cpp Kinds.JwtClaimHashesWhatTheVerifierVouchesFor"},
  };
}

}  // namespace remora::config

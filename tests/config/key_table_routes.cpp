// Rows of the table of keys: routes and verifiers.

#include "config/key_table.h"

namespace remora::config {

std::vector<Row> of_routes() {
  const std::string split = whole("", "", "{path: /, split: {a: 3}}", "", "");
  const std::string redirect = whole("", "", "{path: /, redirect: {to: /x, status: 302}}", "", "");
  const auto timeout = [](const std::string& key) { return route("timeouts: {" + key + ": 3s}"); };
  const std::string edits = "e2e/forwarding_test.cpp Forwarding.ConfiguredEditsApplyToBothHeads";
  return {
      {"routes", "", {}, "e2e/forwarding_test.cpp Routing.TheMostSpecificRouteWins"},
      {"routes.host", route("host: h"), [](auto& c) { return r(c).host == "h"; },
       "e2e/forwarding_test.cpp Routing.TheMostSpecificRouteWins"},
      {"routes.path", whole("", "", "{path: /x, pool: a}", "", ""), [](auto& c) { return r(c).path == "/x"; },
       "e2e/forwarding_test.cpp Routing.TheMostSpecificRouteWins"},
      {"routes.methods", route("methods: [GET]"), [](auto& c) { return r(c).methods.size() == 1; },
       "e2e/forwarding_test.cpp Routing.TheMostSpecificRouteWins"},
      {"routes.headers", "", {}, "e2e/forwarding_test.cpp Routing.TheMostSpecificRouteWins"},
      {"routes.headers.*", route("headers: {X: \"1\"}"), [](auto& c) { return r(c).headers.size() == 1; },
       "e2e/forwarding_test.cpp Routing.TheMostSpecificRouteWins"},
      {"routes.headers.set", "", {}, edits},
      {"routes.headers.set.*", route("headers: {set: {X: \"1\"}}"),
       [](auto& c) { return r(c).request_headers.set.size() == 1; }, edits},
      {"routes.headers.remove", route("headers: {remove: [X]}"),
       [](auto& c) { return r(c).request_headers.remove.size() == 1; }, edits},
      {"routes.response_headers", "", {}, edits},
      {"routes.response_headers.set", route("response_headers: {set: {X: \"1\"}}"),
       [](auto& c) { return r(c).response_headers.set.size() == 1; },
       "e2e/guards_test.cpp ResponseHeaders.AreOnAnswersOfOurOwnToo"},
      {"routes.response_headers.remove", route("response_headers: {remove: [X]}"),
       [](auto& c) { return r(c).response_headers.remove.size() == 1; }, edits},
      {"routes.pool", "", {}, "e2e/forwarding_test.cpp Routing.TheMostSpecificRouteWins"},
      {"routes.redirect", redirect, [](auto& c) { return r(c).redirect.has_value(); },
       "e2e/jwt_test.cpp Jwt.ARedirectIsForThoseWhoMayIn"},
      {"routes.redirect.to", redirect, [](auto& c) { return r(c).redirect && r(c).redirect->to == "/x"; },
       "proxy/redirect_test.cpp Redirect.APathThatBeginsWithTwoSlashesStaysAPath"},
      {"routes.redirect.status", redirect,
       [](auto& c) { return r(c).redirect && r(c).redirect->status == 302; },
       "e2e/jwt_test.cpp Jwt.ARedirectIsForThoseWhoMayIn"},
      {"routes.split", "", {}, "e2e/forwarding_test.cpp Routing.ASplitFollowsItsWeightsAndTheToken"},
      {"routes.split.*", split,
       [](auto& c) { return r(c).split.size() == 1 && r(c).split.front().second == 3; },
       "e2e/forwarding_test.cpp Routing.ASplitFollowsItsWeightsAndTheToken"},
      {"routes.affinity", route("affinity: off"), [](auto& c) { return !r(c).affinity; },
       "e2e/guards_test.cpp Affinity.IsOffWhereARouteSaysSo"},
      {"routes.strip_prefix", route("strip_prefix: /x"), [](auto& c) { return r(c).strip_prefix == "/x"; },
       edits},
      {"routes.upgrades", route("upgrades: []"), [](auto& c) { return r(c).upgrades.empty(); },
       "e2e/guards_test.cpp Upgrades.ARouteMayNameOthers"},
      {"routes.timeouts", "", {}, "config/keys_test.cpp Keys.OfARoutesTimeouts"},
      {"routes.timeouts.connect", timeout("connect"),
       [](auto& c) { return r(c).timeouts.connect.has_value(); },
       "e2e/guards_test.cpp RouteTimeouts.CountInsteadOfThePools"},
      {"routes.timeouts.response", timeout("response"),
       [](auto& c) { return r(c).timeouts.response.has_value(); },
       "e2e/guards_test.cpp RouteTimeouts.CountInsteadOfThePools"},
      {"routes.timeouts.read", timeout("read"), [](auto& c) { return r(c).timeouts.read.has_value(); },
       "e2e/guards_test.cpp RouteTimeouts.CountInsteadOfThePools"},
      {"routes.timeouts.write", timeout("write"), [](auto& c) { return r(c).timeouts.write.has_value(); },
       "e2e/guards_test.cpp RouteTimeouts.CountInsteadOfThePools"},
      {"routes.timeouts.queue", timeout("queue"), [](auto& c) { return r(c).timeouts.queue.has_value(); },
       "e2e/guards_test.cpp RouteTimeouts.CountInsteadOfThePools"},
      {"routes.auth", jwt(""), [](auto& c) { return r(c).verifier == "v"; },
       "e2e/jwt_test.cpp Jwt.OnlyAValidTokenPassesAndTheAnswerSaysWhy"},
      {"routes.auth.verifier", jwt(""), [](auto& c) { return r(c).verifier == "v"; },
       "e2e/jwt_test.cpp Jwt.OnlyAValidTokenPassesAndTheAnswerSaysWhy"},
      {"routes.auth.required",
       "",
       {},
       "e2e/jwt_test.cpp Jwt.NotRequiredLetsTheTokenlessThroughButNotBadTokens"},
      {"routes.auth.preflight", "", {}, "e2e/jwt_test.cpp Jwt.APreflightPassesWithoutATokenAndIsNobody"},
  };
}

std::vector<Row> of_verifiers() {
  const std::string rules = "auth/jwt_test.cpp Rules.IssuerAndAudienceMustFit";
  const std::string shared = whole(
      "store: {kind: redis, index_key: {env: KEYS_TEST_TEXT}}\njwt: {v: {algorithms: [HS256], keys: {secret: "
      "{env: "
      "KEYS_TEST_TEXT}}, revocation: {claims: [jti], on_error: deny}}}",
      "", "{path: /, pool: a, auth: v}", "", "");
  return {
      {"jwt", "", {}, "e2e/jwt_test.cpp Jwt.OnlyAValidTokenPassesAndTheAnswerSaysWhy"},
      {"jwt.*", jwt(""), [](auto& c) { return c.jwt.size() == 1; },
       "e2e/jwt_test.cpp Jwt.OnlyAValidTokenPassesAndTheAnswerSaysWhy"},
      {"jwt.*.algorithms", jwt(""), [](auto& c) { return j(c) && j(c)->algorithms.size() == 1; },
       "auth/jwt_test.cpp Algorithms.VerifyWhatTheirKeySignedAndNothingElse"},
      {"jwt.*.keys", "", {}, "auth/jwt_test.cpp Algorithms.VerifyWhatTheirKeySignedAndNothingElse"},
      {"jwt.*.keys.secret", jwt(""), [](auto& c) { return j(c) && !j(c)->secret.empty(); },
       "e2e/jwt_test.cpp Jwt.OnlyAValidTokenPassesAndTheAnswerSaysWhy"},
      {"jwt.*.keys.secret.env", jwt(""), [](auto& c) { return j(c) && !j(c)->secret.empty(); },
       "e2e/jwt_test.cpp Jwt.OnlyAValidTokenPassesAndTheAnswerSaysWhy"},
      {"jwt.*.keys.public_key", keys_of("public_key: " + file),
       [](auto& c) { return j(c) && !j(c)->public_key.empty(); },
       "auth/jwt_test.cpp Algorithms.VerifyWhatTheirKeySignedAndNothingElse"},
      {"jwt.*.keys.jwks_file", keys_of("jwks_file: " + file),
       [](auto& c) { return j(c) && !j(c)->jwks_file.empty(); },
       "e2e/jwt_test.cpp Jwt.KeysAreReadAgainWithAReload"},
      {"jwt.*.keys.jwks_url", keys_of("jwks_url: \"https://i/k\""),
       [](auto& c) { return j(c) && !j(c)->jwks_url.empty(); },
       "e2e/jwt_test.cpp KeySet.IsFetchedAndRotatedInTheBackground"},
      {"jwt.*.keys.refresh", keys_of("jwks_url: \"https://i/k\", refresh: 3s"),
       [](auto& c) { return j(c) && j(c)->refresh == seconds(3); },
       "e2e/jwt_test.cpp KeySet.IsFetchedAndRotatedInTheBackground"},
      {"jwt.*.issuer", jwt(", issuer: i"), [](auto& c) { return j(c) && j(c)->issuer == "i"; }, rules},
      {"jwt.*.audience", jwt(", audience: i"), [](auto& c) { return j(c) && j(c)->audience == "i"; }, rules},
      {"jwt.*.leeway", jwt(", leeway: 3s"), [](auto& c) { return j(c) && j(c)->leeway == seconds(3); },
       "auth/jwt_test.cpp Rules.LeewayCountsOnBothEnds"},
      {"jwt.*.from", "", {}, "auth/jwt_test.cpp Finding.TakesOneTokenFromWhereItMayBe"},
      {"jwt.*.from.cookie", jwt(", from: [{cookie: n}]"),
       [](auto& c) { return j(c) && j(c)->from.front().first == Jwt::Carrier::cookie; },
       "e2e/jwt_test.cpp Jwt.CookiesAndParametersCarryThemAndLogsMaskThem"},
      {"jwt.*.from.query", jwt(", from: [{query: n}]"),
       [](auto& c) { return j(c) && j(c)->from.front().first == Jwt::Carrier::query; },
       "e2e/jwt_test.cpp Jwt.CookiesAndParametersCarryThemAndLogsMaskThem"},
      {"jwt.*.required_claims", "", {}, "e2e/jwt_test.cpp Jwt.RequiredClaimsMissingAreInsufficientScope"},
      {"jwt.*.required_claims.*", jwt(", required_claims: {a: b}"),
       [](auto& c) { return j(c) && j(c)->required_claims.size() == 1; },
       "e2e/jwt_test.cpp Jwt.RequiredClaimsMissingAreInsufficientScope"},
      {"jwt.*.forward_claims", "", {}, "e2e/jwt_test.cpp Jwt.ClaimsAreForwardedInHeadersThatNoClientCanSet"},
      {"jwt.*.forward_claims.*", jwt(", forward_claims: {a: X-B}"),
       [](auto& c) { return j(c) && j(c)->forward_claims.size() == 1; },
       "e2e/jwt_test.cpp Jwt.ClaimsAreForwardedInHeadersThatNoClientCanSet"},
      {"jwt.*.revocation", "", {}, "e2e/jwt_test.cpp Jwt.ATokenIsRefusedWhileItsIdIsInTheStoreOfRevokedOnes"},
      {"jwt.*.revocation.claims", shared, [](auto& c) { return j(c) && j(c)->revocation_claims.size() == 1; },
       "e2e/jwt_test.cpp Jwt.ATokenIsRefusedWhileItsIdIsInTheStoreOfRevokedOnes"},
      {"jwt.*.revocation.on_error", shared, [](auto& c) { return j(c) && j(c)->revocation_denies_on_error; },
       "e2e/jwt_test.cpp Jwt.ATokenIsRefusedWhileItsIdIsInTheStoreOfRevokedOnes"},
  };
}

}  // namespace remora::config

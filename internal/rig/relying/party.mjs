// openid-client as an application uses it. Standard input: {issuer, client_id,
// client_secret ("" for a public client), redirect_uri, post_logout_redirect_uri,
// cookie}. Standard output: what it saw.
import * as client from "openid-client";
import { readFileSync } from "node:fs";

const to = JSON.parse(readFileSync(0, "utf8"));
const config = await client.discovery(new URL(to.issuer), to.client_id, undefined,
  to.client_secret ? client.ClientSecretBasic(to.client_secret) : client.None(), { execute: [client.allowInsecureRequests] });
const browse = (url) => fetch(url, { redirect: "manual", headers: { cookie: to.cookie } });

const verifier = client.randomPKCECodeVerifier(), state = client.randomState(), nonce = client.randomNonce();
const begin = client.buildAuthorizationUrl(config, {
  redirect_uri: to.redirect_uri, scope: "openid profile email groups offline_access", state, nonce,
  code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256",
});
const sent = await browse(begin);
const back = new URL(sent.headers.get("location"));
// It checks state, nonce, iss (RFC 9207), the signature and every claim.
const tokens = await client.authorizationCodeGrant(config, back, { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true, maxAge: 3600 });
const claims = tokens.claims();
const info = await client.fetchUserInfo(config, tokens.access_token, claims.sub);
const next = await client.refreshTokenGrant(config, tokens.refresh_token);
const out = { claims, info, refreshed: next.claims().sub, rotated: next.refresh_token !== tokens.refresh_token, expires: tokens.expiresIn() };
if (to.client_secret) out.active = (await client.tokenIntrospection(config, next.access_token)).active;

// A code of a mixed-up provider is not redeemed.
const mixed = new URL(back);
mixed.searchParams.set("iss", "https://evil.example");
out.mixup = await client.authorizationCodeGrant(config, mixed, { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce }).then(() => "taken", (e) => e.code);

await client.tokenRevocation(config, next.refresh_token);
out.revoked = await client.refreshTokenGrant(config, next.refresh_token).then(() => "still good", (e) => e.error);
const bye = await browse(client.buildEndSessionUrl(config, { id_token_hint: tokens.id_token, post_logout_redirect_uri: to.post_logout_redirect_uri, state: "bye" }));
out.bye = bye.headers.get("location");
out.gone = new URL((await browse(client.buildAuthorizationUrl(config, {
  redirect_uri: to.redirect_uri, scope: "openid", state, prompt: "none", code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256",
}))).headers.get("location")).searchParams.get("error");
console.log(JSON.stringify(out));

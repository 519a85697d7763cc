// Asks a provider for everything and prints what it answered, in a form in which two
// providers can be compared. Standard input: {issuer, client_id, client_secret,
// redirect_uri, cookie}; without an issuer, npm's oidc-provider is started and asked.
import { readFileSync } from "node:fs";
import { createHash, randomBytes } from "node:crypto";

const to = JSON.parse(readFileSync(0, "utf8"));
let stop = () => {};
if (!to.issuer) await start();

const document = await (await fetch(to.issuer + "/.well-known/openid-configuration")).json();
const verifier = randomBytes(32).toString("base64url");
const challenge = createHash("sha256").update(verifier).digest("base64url");
const jar = new Map(to.cookie ? [to.cookie.split("=")] : []);

const good = () => ({
  client_id: to.client_id, redirect_uri: to.redirect_uri, response_type: "code", scope: "openid profile email offline_access", state: "st", nonce: "no",
  code_challenge: challenge, code_challenge_method: "S256", prompt: "consent",
});

async function ask(url, body) {
  const headers = { cookie: [...jar].map(([k, v]) => `${k}=${v}`).join("; ") };
  const r = await fetch(url, { redirect: "manual", headers, method: body ? "POST" : "GET", body: body && new URLSearchParams(body) });
  for (const c of r.headers.getSetCookie()) {
    const [pair] = c.split(";");
    jar.set(pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1));
  }
  return r;
}

// authorize goes on until the application has its answer, or a page is shown.
async function authorize(parameters) {
  let r = await ask(document.authorization_endpoint + "?" + parameters);
  for (let n = 0; n < 12; n++) {
    const at = r.headers.get("location");
    if (at) {
      const u = new URL(at, to.issuer);
      if (u.href.startsWith(to.redirect_uri)) return { at: u };
      r = await ask(u);
      if (u.pathname.startsWith("/interaction/") && r.status === 200) {
        const page = await r.text();
        const prompt = /name="prompt" value="(\w+)"/.exec(page)[1];
        r = await ask(u.href, prompt === "login" ? { prompt, login: "anna", password: "x" } : { prompt });
      }
      continue;
    }
    return { page: r.status };
  }
  return { page: "round and round" };
}

const answered = (a) => (a.at ? { redirect: Object.fromEntries([...a.at.searchParams].filter(([k]) => k !== "error_description").map(([k, v]) => [k, k === "code" ? "…" : v.replace(to.issuer, "ISSUER")])) } : { page: a.page });

const out = { discovery: {}, authorize: {}, token: {}, userinfo: {}, good: {} };
for (const [k, v] of Object.entries(document)) out.discovery[k] = JSON.parse(JSON.stringify(v).replaceAll(to.issuer, "ISSUER"));

for (const [name, change] of Object.entries({
  "good": {}, "no client": { client_id: null }, "unknown client": { client_id: "nobody" }, "no redirect URI": { redirect_uri: null }, "another redirect URI": { redirect_uri: to.redirect_uri + "/" },
  "no response type": { response_type: null }, "implicit": { response_type: "id_token" }, "unknown response type": { response_type: "x" }, "no scope": { scope: null }, "scope without openid": { scope: "profile" },
  "unknown scope beside": { scope: "openid x" }, "no PKCE": { code_challenge: null, code_challenge_method: null }, "plain": { code_challenge_method: "plain" }, "unknown method": { code_challenge_method: "x" },
  "short challenge": { code_challenge: "short" }, "request": { request: "x.y.z" }, "request_uri": { request_uri: "https://x.example/" }, "registration": { registration: "{}" },
  "none and login": { prompt: "none login" }, "unknown prompt": { prompt: "x" }, "max_age": { max_age: "x" }, "response_mode": { response_mode: "x" }, "hint": { id_token_hint: "x.y.z" },
})) {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries({ ...good(), ...change })) if (v !== null) q.set(k, v);
  out.authorize[name] = answered(await authorize(q));
}
{
  const q = new URLSearchParams(good());
  q.append("nonce", "again");
  out.authorize["a parameter twice"] = answered(await authorize(q));
}

const basic = "Basic " + Buffer.from(`${to.client_id}:${to.client_secret}`).toString("base64");
async function token(body, headers = { authorization: basic }) {
  const r = await fetch(document.token_endpoint, { method: "POST", headers, body: new URLSearchParams(body) });
  return { r, json: await r.json() };
}
const code = async () => (await authorize(new URLSearchParams(good()))).at.searchParams.get("code");
const redeem = (code, change = {}) => {
  const all = { grant_type: "authorization_code", code, redirect_uri: to.redirect_uri, code_verifier: verifier, ...change };
  return Object.fromEntries(Object.entries(all).filter(([, v]) => v !== null));
};
const told = ({ r, json }) => ({ status: r.status, error: json.error, challenge: (r.headers.get("www-authenticate") || "").split(" ")[0], cache: r.headers.get("cache-control") });

const one = await code();
out.token["no grant type"] = told(await token({}));
out.token["unknown grant type"] = told(await token({ grant_type: "password" }));
out.token["no code"] = told(await token(redeem(one, { code: null })));
out.token["unknown code"] = told(await token(redeem("x")));
out.token["wrong verifier"] = told(await token(redeem(await code(), { code_verifier: "x".repeat(43) })));
out.token["no verifier"] = told(await token(redeem(await code(), { code_verifier: null })));
out.token["wrong redirect URI"] = told(await token(redeem(await code(), { redirect_uri: "https://x.example/" })));
out.token["no client"] = told(await token(redeem(one), {}));
out.token["wrong secret"] = told(await token(redeem(one), { authorization: "Basic " + Buffer.from(to.client_id + ":x").toString("base64") }));
out.token["unknown client"] = told(await token(redeem(one), { authorization: "Basic " + Buffer.from("x:x").toString("base64") }));
out.token["two proofs"] = told(await token(redeem(one, { client_id: to.client_id, client_secret: to.client_secret })));
out.token["unknown refresh token"] = told(await token({ grant_type: "refresh_token", refresh_token: "x" }));
out.token["no refresh token"] = told(await token({ grant_type: "refresh_token" }));
out.token["not a form"] = told(await (async () => { const r = await fetch(document.token_endpoint, { method: "POST", headers: { authorization: basic, "content-type": "application/json" }, body: "{}" }); return { r, json: await r.json() }; })());

const { r, json } = await token(redeem(one));
const parse = (t, i) => JSON.parse(Buffer.from(t.split(".")[i], "base64url"));
out.good = {
  status: r.status, type: r.headers.get("content-type").split(";")[0], cache: r.headers.get("cache-control"), keys: Object.keys(json).sort(), token_type: json.token_type, scope: json.scope.split(" ").sort(),
  header: Object.fromEntries(Object.entries(parse(json.id_token, 0)).map(([k, v]) => [k, k === "kid" ? "…" : v])), claims: Object.keys(parse(json.id_token, 1)).sort(), audience: parse(json.id_token, 1).aud === to.client_id,
};
const info = await fetch(document.userinfo_endpoint, { headers: { authorization: "Bearer " + json.access_token } });
out.good.userinfo = { status: info.status, type: info.headers.get("content-type").split(";")[0], claims: Object.keys(await info.json()).sort() };
const next = await token({ grant_type: "refresh_token", refresh_token: json.refresh_token });
out.good.refreshed = { keys: Object.keys(next.json).sort(), claims: Object.keys(parse(next.json.id_token, 1)).sort() };
out.token["code twice"] = told(await token(redeem(one)));
out.token["refresh token of a code used twice"] = told(await token({ grant_type: "refresh_token", refresh_token: next.json.refresh_token }));
const jwks = await (await fetch(document.jwks_uri)).json();
out.good.keys_of_a_key = Object.keys(jwks.keys.find((k) => k.kty === "RSA")).sort();
out.good.private = jwks.keys.some((k) => k.d);

for (const [name, headers] of Object.entries({ "no token": {}, "unknown token": { authorization: "Bearer x" }, "of a code used twice": { authorization: "Bearer " + json.access_token } })) {
  const r = await fetch(document.userinfo_endpoint, { headers });
  const challenge = r.headers.get("www-authenticate") || "";
  out.userinfo[name] = { status: r.status, challenge: challenge.split(" ")[0], error: (/error="(\w+)"/.exec(challenge) || [])[1] };
}
console.log(JSON.stringify(out));
stop();

async function start() {
  console.info = console.warn = () => {}; // it tells that it is no production set-up
  const { default: Provider } = await import("oidc-provider");
  const { createServer } = await import("node:http");
  const server = createServer((q, a) => handle(q, a));
  let handle;
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  to.issuer = "http://127.0.0.1:" + server.address().port;
  Object.assign(to, { client_id: "app", client_secret: "a secret of some length, for a test", redirect_uri: "https://app.example/callback", cookie: "" });
  const provider = new Provider(to.issuer, {
    clients: [{ client_id: to.client_id, client_secret: to.client_secret, redirect_uris: [to.redirect_uri], grant_types: ["authorization_code", "refresh_token"], response_types: ["code"] }],
    pkce: { required: () => true },
    claims: { openid: ["sub", "sid"], email: ["email", "email_verified"], profile: ["name", "given_name", "family_name", "preferred_username", "locale", "updated_at"] },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, email: "anna@sun.example", email_verified: true, name: "Anna Person", given_name: "Anna", family_name: "Person", preferred_username: "anna", locale: "nl", updated_at: 1 }) }),
    features: { revocation: { enabled: true }, introspection: { enabled: true }, backchannelLogout: { enabled: true }, rpInitiatedLogout: { enabled: true } },
    cookies: { keys: [randomBytes(16).toString("hex")] },
  });
  handle = provider.callback();
  stop = () => { server.close(); server.closeAllConnections(); };
}

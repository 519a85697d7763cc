// Administrators and what is theirs: invitations, their own account with its
// second factors, API keys, set-up links and the settings.
import { createHmac } from "node:crypto";
import { open, flow, check, looked, seen, gone } from "./lib.mjs";

const password = "four words make one";

// code is what an authenticator app shows (RFC 6238).
function code(secret, at = Date.now()) {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  let bits = "";
  for (const c of secret.replace(/[\s=]/g, "")) bits += alphabet.indexOf(c).toString(2).padStart(5, "0");
  const key = Buffer.from(bits.match(/.{8}/g).map((b) => parseInt(b, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(at / 30000)));
  const mac = createHmac("sha1", key).update(counter).digest();
  const from = mac[19] & 15;
  return String((mac.readUInt32BE(from) & 0x7fffffff) % 1000000).padStart(6, "0");
}

async function authenticator(page) {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("WebAuthn.enable");
  const { authenticatorId } = await cdp.send("WebAuthn.addVirtualAuthenticator", {
    options: { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true } });
  return { cdp, authenticatorId };
}

// invited makes an administrator by the console, and gives their browser.
export async function invited(page, email, role, organization) {
  await page.goto("/admins/invite");
  await page.fill("#f-email", email);
  await page.fill("#f-name", email.split("@")[0]);
  await page.selectOption("#f-role", role);
  await page.selectOption("#f-organization", organization);
  await page.click("main button.main");
  const link = await page.textContent(".secret code");
  const theirs = await open();
  await theirs.goto(link);
  await theirs.fill("#f-password", password);
  await theirs.fill("#f-again", password);
  await theirs.click("button.main");
  await theirs.waitForURL("/");
  return theirs;
}

export async function flows(page) {
  await flow("admins: somebody is invited, and their role changed", async () => {
    await page.goto("/admins");
    await looked(page, "admins");
    await page.click("text=Invite somebody");
    await page.waitForURL("/admins/invite");
    await looked(page, "admins-invite");
    await page.fill("#f-email", "tom@example.com");
    await page.selectOption("#f-role", "administrator");
    await page.selectOption("#f-organization", "sample");
    await page.click("main button.main");
    await page.locator(".secret code").waitFor();
    await looked(page, "admins-link");
    await page.goto("/admins");
    check((await page.textContent("main")).includes("tom@example.com"), "the open invitation is in the list");
    await page.click("button:has-text('Take back')");
    check(await gone(page, "text=Open invitations"), "and can be taken back");
    const lee = await invited(page, "lee@example.com", "administrator", "sample");
    await page.goto("/admins");
    await page.click("text=lee@example.com");
    await page.waitForURL(/\/admins\/./);
    await looked(page, "admin");
    await page.selectOption("#f-role", "auditor");
    await page.click("button:has-text('Change the role')");
    await lee.goto("/people");
    check(lee.url().includes("/signin"), "whose role is changed is signed out");
    await lee.context().close();
  });

  await flow("admins: an auditor sees no button", async () => {
    const eve = await invited(page, "eve@example.com", "auditor", "");
    for (const path of ["/admins", "/apikeys", "/setups", "/settings", "/profile"]) {
      await eve.goto(path);
      check(path === "/profile" || await eve.locator("main form, main .button.main").count() === (path === "/settings" ? 1 : 0), `${path}: an auditor reads`);
    }
    check((await eve.goto("/apikeys/new")).status() === 403, "and makes no keys");
    await eve.context().close();
  });

  await flow("admins: own account, password, app, passkey, sessions", async () => {
    const kim = await invited(page, "kim@example.com", "operator", "");
    await kim.goto("/profile");
    await looked(kim, "profile-new");
    await kim.fill("#f-old", "not the password");
    await kim.fill("#f-password", password + " more");
    await kim.fill("#f-again", password + " more");
    await kim.click("button:has-text('Change the password')");
    check(await seen(kim, "#password .trouble"), "the old password has to be right");
    await kim.fill("#f-old", password);
    await kim.fill("#f-password", password + " more");
    await kim.fill("#f-again", password + " more");
    await kim.click("button:has-text('Change the password')");
    await kim.locator(".said").waitFor();

    await kim.click("#app button");
    await looked(kim, "profile-app");
    const secret = await kim.inputValue("input[name=secret]");
    await kim.fill("#f-code", "000000");
    await kim.click("main button.main");
    check(await seen(kim, ".trouble") && await seen(kim, ".qr"), "a wrong code leaves the picture");
    await kim.fill("#f-code", code(secret));
    await kim.click("main button.main");
    await kim.locator(".codes li").first().waitFor();
    check(await kim.locator(".codes li").count() === 10, "ten recovery codes are shown");
    const recovery = await kim.locator(".codes li").first().textContent();
    await looked(kim, "profile-codes");

    const { cdp, authenticatorId } = await authenticator(kim);
    await kim.goto("/profile");
    await kim.fill("#passkeys #f-name", "Laptop");
    await kim.click("text=Make a passkey");
    await kim.locator("#passkeys li:has-text('Laptop')").waitFor();
    const { credentials } = await cdp.send("WebAuthn.getCredentials", { authenticatorId });
    check(credentials.length === 1 && credentials[0].isResidentCredential, "the browser holds the passkey");
    await looked(kim, "profile");

    await kim.click(".me summary");
    await kim.click("text=Sign out");
    await kim.waitForURL("/signin");
    await kim.click("text=Use a passkey");
    await kim.waitForURL("/");
    check(true, "a passkey signs in alone");
    await kim.goto("/confirm?next=/admins");
    await looked(kim, "confirm");
    await kim.click("text=Use a passkey");
    await kim.waitForURL("/admins");
    check(true, "and confirms");
    await kim.goto("/confirm?next=/profile");
    await kim.fill("#f-code", "123456");
    await kim.click("main button.main:has-text('Go on')");
    check(await seen(kim, ".trouble"), "a wrong code does not");
    await kim.fill("#f-code", recovery.trim());
    await kim.click("main button.main:has-text('Go on')");
    await kim.waitForURL("/profile");

    const other = await open();
    await other.goto("/signin");
    await other.fill("#f-email", "kim@example.com");
    await other.fill("#f-password", password + " more");
    await other.click("button.main");
    await other.waitForURL(/\/signin\/code/);
    await looked(other, "signin-code");
    await other.fill("#f-code", code(secret, Date.now() + 30000));
    await other.click("button.main");
    await other.waitForURL("/");
    await kim.goto("/profile");
    check(await kim.locator("#sessions tbody tr").count() === 2, "both sessions are listed");
    await kim.click("#sessions tbody button");
    await gone(kim, "#sessions tbody tr:nth-child(2)");
    await other.goto("/people");
    check(other.url().includes("/signin"), "a session that is ended is out");
    await other.context().close();
    kim.on("dialog", (d) => d.accept());
    await kim.click("#passkeys .little.risk");
    check(await gone(kim, "#passkeys li"), "a passkey is removed");
    await kim.click("text=Sign out everywhere");
    await kim.waitForURL("/signin");
    await kim.context().close();
  });

  await flow("admins: an API key, one is made, used and ended", async () => {
    await page.goto("/apikeys");
    await looked(page, "apikeys-none");
    await page.click("text=New key");
    await looked(page, "apikeys-new");
    await page.fill("#f-name", "The shop");
    await page.selectOption("#f-scope", "organization:sample:read-only");
    await page.click("main button.main");
    const key = await page.textContent(".secret code");
    await looked(page, "apikeys-made");
    const ask = () => fetch(process.env.BASE + "/api/v1/accounts?limit=1", { headers: { Authorization: `Bearer ${key}` } });
    check((await ask()).status === 200, "the key opens the API");
    await page.goto("/apikeys");
    check(!(await page.content()).includes(key), "the key is shown once");
    await looked(page, "apikeys");
    page.once("dialog", (d) => d.accept());
    await page.click("button:has-text('End')");
    await page.locator(".badge:has-text('revoked')").waitFor();
    check((await ask()).status === 401, "an ended key opens nothing");
  });

  await flow("admins: a set-up link, and what its guest sees", async () => {
    await page.goto("/setups");
    await looked(page, "setups-none");
    await page.click("text=New link");
    await page.waitForURL("/setups/new");
    await looked(page, "setups-new");
    await page.fill("#f-alias", "customer");
    await page.selectOption("#f-kind", "ldap");
    await page.selectOption("#f-organization", "other");
    await page.fill("#f-note", "Jo of Another One");
    await page.click("main button.main");
    const link = await page.textContent(".secret code");
    await looked(page, "setups-made");
    const jo = await open();
    await jo.goto(link);
    await looked(jo, "setup-door");
    await jo.click("button:has-text('Begin')");
    await jo.waitForURL("/setup");
    await looked(jo, "setup-home-new");
    check(await jo.locator("nav, .search").count() === 0, "a guest has no navigation");
    check((await jo.goto("/people")).status() === 404 && (await jo.goto("/connections/demo")).status() === 404, "and nothing but the connection");
    await jo.goto("/");
    check(jo.url().endsWith("/setup"), "the first page is theirs");
    await jo.click("text=Fill in");
    await jo.waitForURL("/setup/connection");
    check(await jo.locator("#f-alias, #match, #group-limits, #group-schedule").count() === 0, "alias, limits and schedule are not theirs");
    await jo.fill("#backend-ldap-addr", process.env.DIRECTORY);
    await jo.fill("#backend-ldap-bind-dn", process.env.BIND_DN);
    await jo.fill("#backend-ldap-bind-password", process.env.BIND_PASSWORD);
    await jo.click("#group-sign-in button[name=test]");
    await jo.locator("#test-sign-in .holds.good").first().waitFor();
    await jo.click("#test-sign-in button[value^=fill]");
    await jo.waitForFunction(() => document.querySelector("#backend-ldap-base-dn").value !== "");
    await jo.fill("#backend-ldap-sync-filter", "(&(objectClass=inetOrgPerson)(uid=a*))");
    await looked(jo, "setup-form");
    await jo.click("button:has-text('Make the connection')");
    await jo.waitForURL("/setup");
    check(!(await jo.content()).includes(process.env.BIND_PASSWORD), "the password is not shown");
    await jo.click("button:has-text('Check')");
    await jo.locator("#doctor .holds.good").first().waitFor();
    await jo.click("button:has-text('Make a plan')");
    await jo.waitForURL(/\/setup\/plans\//, { timeout: 60000 });
    await jo.locator("tbody tr").first().waitFor();
    check((await jo.textContent("main")).includes("waits for the operator"), "the plan waits for the operator");
    await looked(jo, "setup-plan");
    await jo.click(".crumbs a");
    await looked(jo, "setup-home");
    await page.goto("/plans?connection=customer");
    check(await page.locator("tbody tr").count() === 1, "who has the plan in the list");
    await page.goto("/setups");
    await looked(page, "setups");
    page.once("dialog", (d) => d.accept());
    await page.click("button:has-text('Revoke')");
    await page.waitForURL("/setups");
    await jo.goto("/setup");
    check(jo.url().includes("/signin"), "a link that is revoked is out at once");
    await jo.goto(link);
    check((await jo.textContent("h1")).includes("not good any more"), "and leads nowhere");
    await jo.context().close();
  });

  await flow("admins: settings", async () => {
    await page.goto("/settings");
    await looked(page, "settings");
    check((await page.textContent("main")).includes("SQLite"), "they say which database it is");
    await page.click("main button:has-text('Dark')");
    await page.waitForURL("/settings");
    check(await page.getAttribute("html", "data-theme") === "dark", "the colours are one's own choice");
    await page.click("main button:has-text('As the system')");
    await page.waitForURL("/settings");
  });
}

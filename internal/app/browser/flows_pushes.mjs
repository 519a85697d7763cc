// Connections that identity providers push to: one is made, its token goes into the
// provider's form, the provider tries it, and what it asked for is looked at.
import { flow, check, looked, base } from "./lib.mjs";

export async function flows(page) {
  await flow("pushes: an identity provider is let in, and tries the connection", async () => {
    const secret = async () => (await page.locator(".secret code").last().textContent()).trim();
    const ask = (method, path, token, data) => page.request.fetch(`/scim/v2/entra${path}`, { method, maxRedirects: 0, data: data && JSON.stringify(data),
      headers: { "Authorization": `Bearer ${token}`, "User-Agent": "Okta SCIM Client 1.0.0", ...(data && { "Content-Type": "application/scim+json" }) } });

    await page.goto("/new-connection");
    await page.click("a.card[href='/new-connection/scim']");
    await page.waitForURL("/new-connection/scim");
    await page.fill("#f-alias", "entra");
    await page.selectOption("#organization", "other");
    await looked(page, "push-form");
    await page.click("button:has-text('Make the connection')");
    await page.waitForURL("/connections/entra/provisioning");
    check((await page.textContent("main")).includes("Nothing came yet"), "nothing came yet");
    await looked(page, "push-new");

    await page.fill("#f-name", "Okta of Another One");
    await page.click("button:has-text('Make it')");
    const token = await secret();
    check(token.startsWith("rcp_"), "the token is shown once");
    await looked(page, "push-token");
    await page.click("a:has-text('I have put it in')");
    await page.waitForURL(/provisioning\/test/);
    await page.locator("progress").waitFor();
    await looked(page, "push-waiting");
    check((await ask("GET", "/Users?filter=userName%20eq%20%22jane%40other.example%22&startIndex=1&count=100", token)).status() === 200, "the provider is let in");
    await page.locator("text=The connection works").waitFor();
    check(true, "the page that waits shows it, by itself");
    await looked(page, "push-tested");

    const jane = { schemas: ["urn:ietf:params:scim:schemas:core:2.0:User"], userName: "jane@other.example", externalId: "00u1", active: true, password: "topsecret", name: { givenName: "Jane", familyName: "Doe" },
      emails: [{ primary: true, type: "work", value: "jane@other.example" }] };
    check((await ask("POST", "/Users", token, jane)).status() === 201, "the provider pushes somebody");
    check((await ask("POST", "/Users", token, jane)).status() === 409, "and the same one again is a conflict");
    check((await ask("GET", "/Users", "rcp_wrong")).status() === 401, "a wrong token is refused");
    await page.goto("/connections/entra/provisioning/log");
    for (let n = 0; n < 50 && await page.locator("tbody tr").count() < 4; n++) await page.reload();
    await looked(page, "push-log");
    await page.click(".tabs a:has-text('Failed')");
    await page.locator(".tabs a[aria-current]:has-text('Failed')").waitFor();
    check(await page.locator("tbody tr").count() === 2, "those that failed are two");
    await page.click("tr:has-text('409') a");
    await page.locator("pre").first().waitFor();
    const bodies = await page.textContent("main");
    check(!bodies.includes("Jane") && !bodies.includes("topsecret") && bodies.includes("J…"), "what it says of people is shortened");
    await looked(page, "push-request");

    await page.goto("/connections/entra/provisioning");
    await page.click("button:has-text('Make another one')");
    const next = await secret();
    check(next !== token && (await ask("GET", "/Users", token)).status() === 200, "after a rotation both tokens are good");
    await page.goto("/connections/entra/provisioning");
    page.once("dialog", (d) => d.accept());
    await page.click("tr:has-text('replaced') button:has-text('End')");
    await page.waitForURL("/connections/entra/provisioning");
    check((await ask("GET", "/Users", token)).status() === 401 && (await ask("GET", "/Users", next)).status() === 200, "the old one is ended at once");

    await page.selectOption("#f-kind", "oauth");
    await page.click("button:has-text('Make it')");
    const facts = await page.locator(".secret code").allTextContents();
    await looked(page, "push-oauth");
    const grant = await page.request.post("/scim/v2/entra/oauth/token", { form: { grant_type: "client_credentials", client_id: facts[3], client_secret: facts[4] } });
    check(grant.status() === 200 && (await ask("GET", "/Users", (await grant.json()).access_token)).status() === 200, "the OAuth client gets an access token that lets it in");
    check(facts[0].startsWith(base), "the tenant URL is below the public address");
    await page.goto("/connections/entra/provisioning");
    await looked(page, "push");
    await page.goto("/connections/entra");
    await looked(page, "push-connection");
    page.once("dialog", (d) => d.accept());
    await page.click("details:has-text('Dangerous') summary");
    await page.fill("#alias", "entra");
    await page.click("button:has-text('Take it away')");
    await page.waitForURL("/connections");
    check((await ask("GET", "/Users", next)).status() >= 400, "with the connection goes its token");
    await page.goto("/connections/entra");
    await page.locator("text=was taken away").waitFor();
    check((await page.locator("a[href='/people?connection=entra']").count()) === 1, "what is left of it is still found");
    await looked(page, "connection-gone");
  });
}

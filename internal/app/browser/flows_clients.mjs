// Applications that people sign in to: one is registered in the console, and somebody
// comes from it with the password of the directory and goes back to it.
import { createHash, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { open, flow, check, looked, base } from "./lib.mjs";

export async function flows(page) {
  await flow("clients: an application is registered, and signs somebody in", async () => {
    const arrived = [];
    const app = createServer((req, res) => { arrived.push(new URL(req.url, "http://app")); res.end("<title>the application</title>welcome"); });
    await new Promise((done) => app.listen(0, "127.0.0.1", done));
    const back = `http://127.0.0.1:${app.address().port}/callback`;

    await page.goto("/clients");
    await looked(page, "clients-none");
    await page.click("main a:has-text('client') >> nth=0");
    await page.waitForURL(/new-client/);
    await looked(page, "client-new");
    await page.fill("#f-name", "Timesheets");
    await page.fill("#f-redirects", back);
    await page.click("main button.main");
    await page.locator(".secret code").first().waitFor();
    await looked(page, "client-secret");
    await page.goto("/clients");
    await looked(page, "clients");
    await page.click("tbody a >> nth=0");
    await page.waitForURL(/\/clients\/./);
    await looked(page, "client");
    check(await page.locator(".secret").count() === 0, "the secret is shown once");
    const id = decodeURIComponent(new URL(page.url()).pathname.split("/")[2]);

    const verifier = randomBytes(32).toString("base64url");
    const ask = new URL("/oauth2/authorize", base);
    const params = { response_type: "code", client_id: id, redirect_uri: back, scope: "openid email", state: "s1", nonce: "n1", connection: "demo",
      code_challenge: createHash("sha256").update(verifier).digest("base64url"), code_challenge_method: "S256" };
    for (const [k, v] of Object.entries(params)) ask.searchParams.set(k, v);
    const person = await page.request.get("/people?status=active").then((r) => r.text()).then((t) => t.match(/[\w.+-]+@example\.org/)[0]);
    const them = await open();
    await them.goto(ask.toString());
    check((await them.textContent("main")).includes("Timesheets"), "the sign-in page names the application");
    await looked(them, "login-application");
    await them.fill("#login", person);
    await them.fill("#password", "not it");
    await them.click("main button");
    await them.locator(".trouble").waitFor();
    await them.fill("#password", "open sesame");
    await Promise.all([them.waitForURL(/callback/), them.click("main button")]);
    const answer = arrived.find((u) => u.pathname === "/callback");
    check(answer && answer.searchParams.get("state") === "s1" && !!answer.searchParams.get("code"), "the person goes back to the application with a code");
    await them.goto(ask.toString());
    check(them.url().startsWith(back), "who is signed in is not asked again");
    const bad = new URL(ask);
    bad.searchParams.set("redirect_uri", back + "/elsewhere");
    await them.goto(bad.toString());
    check(them.url().startsWith(base), "an address that is not registered is not gone to");
    await looked(them, "oauth-problem");
    await them.goto("/oauth2/logout");
    await looked(them, "oauth-logout");
    await them.context().close();
    app.close();
  });
}

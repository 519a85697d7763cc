import { open, flow, check, looked, done, seen } from "./lib.mjs";
import { flows as plain } from "./flows_plain.mjs";
import { flows as clients } from "./flows_clients.mjs";
import { flows as agents } from "./flows_agents.mjs";
import { flows as pushes } from "./flows_pushes.mjs";
import { flows as targets } from "./flows_targets.mjs";
import { flows as roles } from "./flows_roles.mjs";
import { flows as work } from "./flows_work.mjs";
import { flows as people } from "./flows_people.mjs";
import { flows as admins } from "./flows_admins.mjs";
import { flows as signin } from "./flows_signin.mjs";

const password = "correct horse battery";
const page = await open();

async function signIn(on, email, secret = password) {
  await on.goto("/signin");
  await on.fill("#f-email", email);
  await on.fill("#f-password", secret);
  await on.click("button.main");
  await on.waitForURL("/");
}

await flow("the first operator comes by the one-time link", async () => {
  await page.goto("/");
  check(page.url().endsWith("/welcome"), "before there is anybody, the first page says where the link is");
  await looked(page, "first");
  await page.goto(process.env.LINK);
  await looked(page, "welcome");
  await page.fill("#f-email", "ada@example.com");
  await page.fill("#f-name", "Ada Byron");
  await page.fill("#f-password", "short");
  await page.fill("#f-again", "short");
  await page.click("button.main");
  check(await seen(page, ".trouble"), "a short password is refused, with the reason");
  await page.fill("#f-password", password);
  await page.fill("#f-again", password);
  await page.click("button.main");
  await page.waitForURL("/");
  check((await page.textContent("h1")).includes("Overview"), "and leads to the overview");
  const again = await open();
  await again.goto(process.env.LINK);
  check((await again.textContent("h1")).includes("not good any more"), "the link is good once");
  await again.context().close();
});

await flow("sign-in", async () => {
  await page.click(".me summary");
  await page.click("text=Sign out");
  await page.waitForURL("/signin");
  await looked(page, "signin");
  await page.fill("#f-email", "ada@example.com");
  await page.fill("#f-password", "wrong wrong wrong");
  await page.click("button.main");
  check(await seen(page, ".trouble"), "a wrong password is told");
  await signIn(page, "ada@example.com");
});

await flow("look: overview", async () => {
  await page.goto("/");
  await looked(page, "overview");
});

await flow("look: people", async () => {
  await page.goto("/people");
  await looked(page, "people");
  await page.goto("/people?connection=demo"); // people made by hand have IDs by chance, and may come first
  const name = (await page.textContent("tbody tr:nth-child(3) .person span:last-child")).trim().split(" ")[0];
  await page.fill("#q", name);
  await page.waitForURL(/q=/);
  await page.locator("tbody tr").first().waitFor();
  check((await page.textContent("tbody")).includes(name), `the search finds ${name} without a reload`);
  await page.locator("tbody .person").first().click();
  await page.waitForURL(/\/people\/[0-9a-f-]{36}/);
  await looked(page, "person");
  await page.click("main a:has-text('Why?')");
  await page.locator("#why .steps li").first().waitFor();
  check(await page.locator("#why .holds.good").count() > 2, "the trace shows every step");
  await looked(page, "person-why");
  await page.goto("/why");
  await page.fill("#who", "nobody.at.all");
  await page.click("main button.main");
  await page.locator("#answer .card").first().waitFor();
  await looked(page, "why");
});

await flow("look: groups", async () => {
  await page.goto("/groups");
  await looked(page, "groups");
  await page.locator("tbody a").first().click();
  await page.waitForURL(/\/groups\/./);
  await looked(page, "group");
});

await flow("look: runs and plans", async () => {
  await page.goto("/runs");
  await looked(page, "runs");
  await page.locator("tbody a.mono").first().click();
  await page.waitForURL(/\/runs\/./);
  await looked(page, "run");
  await page.goto("/plans");
  await looked(page, "plans");
  await page.locator("tbody a.mono").first().click();
  await page.waitForURL(/\/plans\/./);
  await looked(page, "plan");
});

await flow("look: the forms of vendors' directories", async () => {
  for (const [kind, title] of [["entra", "Microsoft Entra ID"], ["okta", "Okta"], ["google", "Google Workspace"]]) {
    await page.goto("/connections");
    await page.click("text=New connection");
    await page.click(`a.card:has-text('${title}')`);
    await page.locator(`#backend-${kind}-people`).waitFor();
    check(await page.inputValue(`#backend-${kind}-people`) !== "all", `${title}: people are those of groups unless somebody says otherwise`);
    await looked(page, `form-${kind}`);
  }
});

await flow("a connection is made, tested part by part", async () => {
  await page.goto("/connections");
  await looked(page, "connections");
  await page.click("text=New connection");
  await looked(page, "new-connection");
  await page.click("a.card:has-text('LDAP')");
  await page.fill("#f-alias", "branch");
  await page.selectOption("#organization", "other");
  await page.fill("#backend-ldap-addr", "ldap://127.0.0.1:1");
  await page.click("#group-address button[name=test]");
  await page.locator("#test-address .holds.bad").first().waitFor();
  check(true, "an address where nobody listens gets a red light, in place");
  check(await page.inputValue("#f-alias") === "branch", "and the form stays as it is");
  await page.fill("#backend-ldap-addr", process.env.DIRECTORY);
  await page.fill("#backend-ldap-bind-dn", process.env.BIND_DN);
  await page.fill("#backend-ldap-bind-password", "wrong");
  await page.click("#group-sign-in button[name=test]");
  await page.locator("#test-sign-in .holds.bad").first().waitFor();
  check(!(await page.content()).includes(`value="${process.env.BIND_PASSWORD}"`), "a wrong password gets a red light");
  await page.fill("#backend-ldap-bind-password", process.env.BIND_PASSWORD);
  await page.click("#group-sign-in button[name=test]");
  await page.locator("#test-sign-in .holds.good").first().waitFor();
  await page.click("#test-sign-in button[value^=fill]");
  await page.waitForFunction(() => document.querySelector("#backend-ldap-base-dn").value !== "");
  check(await page.inputValue("#backend-ldap-base-dn") === process.env.SUFFIX, "the base is filled in by what the server says");
  await page.fill("#backend-ldap-sync-filter", "(&(objectClass=inetOrgPerson)(uid=a*))");
  await page.click("#group-people button[name=test]");
  await page.locator("#test-people .badge").first().waitFor();
  check(/such as/.test(await page.textContent("#test-people")), "the test of people counts them and names some");
  await looked(page, "connection-form");
  await page.click("button:has-text('Make the connection')");
  await page.waitForURL("/connections/branch");
  await looked(page, "connection-new");
  await page.click("button:has-text('Plan only')");
  await page.waitForURL(/\/plans\//, { timeout: 60000 });
  await page.locator("tbody tr").first().waitFor();
  await looked(page, "plan-waits");
  await page.check("input[name=exclude] >> nth=0");
  page.once("dialog", (d) => d.accept());
  await page.click("button[value=approve]");
  await page.waitForURL(/\/runs\//);
  await page.locator("h1 .badge:has-text('applied')").waitFor({ timeout: 60000 });
  check(true, "the plan is approved less one row, and the run ends before one's eyes");
  await page.goto("/connections/branch/edit");
  check(await page.inputValue("#backend-ldap-bind-password") === "", "the password is not rendered back");
  await page.fill("#backend-ldap-sync-filter", "(&(objectClass=inetOrgPerson)(uid=b*))");
  await page.click("button[value=preview]");
  await page.locator("#preview .card").waitFor({ timeout: 60000 });
  check(/would wait for a person/.test(await page.textContent("#preview")), "a change of the filter is previewed as what would wait for a person");
  await looked(page, "connection-preview");
  await page.fill("#limits-removals", "lots");
  await page.click("button.main[value=save]");
  await page.locator(".field.bad").first().waitFor();
  check((await page.textContent(".field.bad")).includes("share"), "a value that cannot be is told where it stands");
  await page.fill("#limits-removals", "");
});

await people(page, { base: process.env.BASE });
await signin(page);
await work(page, { password, base: process.env.BASE });
await admins(page);
await clients(page);
await agents(page);
await pushes(page);
await targets(page);
await roles(page);
await plain(page, { password });
await done();

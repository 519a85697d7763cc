import { open, flow, check, looked, done } from "./lib.mjs";

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
  check(await page.locator(".trouble").isVisible(), "a short password is refused, with the reason");
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
  check(await page.locator(".trouble").isVisible(), "a wrong password is told");
  await signIn(page, "ada@example.com");
});

await flow("overview", async () => {
  await page.goto("/");
  await looked(page, "overview");
});

await flow("people", async () => {
  await page.goto("/people");
  await looked(page, "people");
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

await flow("groups", async () => {
  await page.goto("/groups");
  await looked(page, "groups");
  await page.locator("tbody a").first().click();
  await page.waitForURL(/\/groups\/./);
  await looked(page, "group");
});

await flow("runs and plans", async () => {
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

await done();

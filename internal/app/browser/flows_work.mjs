// Mapping over live entries, events and audit, webhooks, organizations, and one
// person read now.
import { flow, check, looked } from "./lib.mjs";
import { createServer } from "node:http";

export async function flows(page) {
  await flow("work: the mapping of a declared connection", async () => {
    await page.goto("/connections/demo");
    await page.click("main a:has-text('Mapping')");
    await page.locator("#person .raw").waitFor();
    await looked(page, "mapping");
    await page.locator(".picks button").nth(1).click();
    await page.locator("#person [name=picked]:not([value=''])").waitFor({ state: "attached" });
    const name = await page.textContent("#person h2");
    await page.selectOption("[name='how.title']", "expr");
    await page.fill("#what-title", "upper(title)");
    await page.locator("#result-title ins").waitFor();
    const raised = await page.textContent("#result-title ins");
    check(raised === raised.toUpperCase(), `a rule is tried on ${name} while it is typed: ${raised}`);
    check((await page.textContent("#person h2")) === name, "whoever was picked stays");
    check(await page.evaluate(() => document.activeElement.id) === "what-title", "and the place where one types stays");
    await page.fill("#what-title", "upper(");
    await page.locator("#result-title .wrong").waitFor();
    check(true, "what is wrong with an expression stands at its rule");
    await looked(page, "mapping-wrong");
    await page.fill("#what-title", "upper(title)");
    await page.locator("#result-title ins").waitFor();
    await page.click("button[value=count]");
    await page.locator("#tally table").first().waitFor({ timeout: 60000 });
    check(/Changes/.test(await page.textContent("#tally")), "over everybody it is counted how many change");
    check((await page.textContent("#yaml")).includes("title: {expr: 'upper(title)'}"), "and what to write into rollcall.yaml is there");
    check(await page.locator("#result-email").count() === 1, "the results stay where they are");
    await page.fill("[name='own.0']", "desk");
    await page.fill("[name='own.0.what']", "employeeNumber");
    await page.locator("#result-own-0 ins").waitFor();
    await page.click("text=Another one");
    await page.locator("#what-desk").waitFor();
    check(await page.inputValue("#what-desk") === "employeeNumber", "a custom attribute gets a row of its own");
    await page.fill("#who", "nobody.at.all");
    await page.locator("#person .none").waitFor();
    await page.fill("#who", name);
    await page.locator("#person .raw").waitFor();
    await page.fill("#scope", 'department == "nowhere"');
    await page.locator("#verdict .badge:has-text('out of scope')").waitFor();
    check(true, "the scope is tried as well");
    await page.fill("#scope", "nosuch ==");
    await page.locator("#wrong-scope .wrong").waitFor();
    await page.fill("#scope", "");
    await page.click("button[value=preview]");
    await page.locator("#preview .card").waitFor({ timeout: 60000 });
    check(/would wait for a person/.test(await page.textContent("#preview")), "what it would do is planned before anything is saved");
    await looked(page, "mapping-counted-full");
  });

  await flow("work: organizations", async () => {
    await page.goto("/organizations");
    await page.click("summary:has-text('New organization')");
    await page.fill("#f-id", "north");
    await page.fill("#f-name", "North <script>");
    await page.fill("#f-licence", "lots");
    await page.click("button:has-text('Make the organization')");
    await page.locator(".trouble").waitFor();
    check(await page.inputValue("#f-name") === "North <script>", "a licence limit that is no number is told, and the form stays");
    await looked(page, "organizations");
    await page.fill("#f-licence", "3");
    await page.click("button:has-text('Make the organization')");
    await page.waitForURL("/organizations/north");
    check((await page.textContent("h1")) === "North <script>", "a name is shown as text");
    await looked(page, "organization");
    await page.fill("#f-licence", "");
    await page.click("button:has-text('Save')");
    await page.locator(".said").waitFor();
    check((await page.textContent("main")).includes("no limit"), "the licence limit can be taken away");
    await page.goto("/organizations/sample");
    check(await page.locator("#f-licence").count() === 0, "one of rollcall.yaml is read-only");
    await looked(page, "organization-declared");
    await page.goto("/organizations/north");
    await page.click("summary:has-text('Dangerous')");
    await page.fill("#id", "south");
    await page.click("button.risk");
    await page.locator(".trouble").waitFor();
    await page.click("summary:has-text('Dangerous')");
    await page.fill("#id", "north");
    await page.click("button.risk");
    await page.waitForURL("/organizations");
    check(!(await page.textContent("tbody")).includes("north"), "an empty one is taken away when its name is typed");
  });

  await flow("work: webhooks", async () => {
    const receiver = await listen();
    await page.goto("/webhooks");
    await looked(page, "webhooks-none");
    await page.click("text=New webhook");
    await page.fill("#f-url", "ftp://example.com");
    await page.click("button:has-text('Make the webhook')");
    await page.locator(".trouble").waitFor();
    await page.fill("#f-url", receiver.url);
    await page.fill("#f-description", "The portal");
    await page.check("input[value='account.*']");
    await looked(page, "webhook-form");
    await page.click("button:has-text('Make the webhook')");
    await page.locator(".secret code").waitFor();
    const secret = await page.textContent(".secret code");
    check(secret.startsWith("whsec_"), "its secret is shown");
    await page.click("text=I have kept it");
    await page.waitForURL(/\/webhooks\/wh/);
    const at = page.url();
    check(!(await page.content()).includes(secret), "once");
    await page.click("text=Send a test message");
    await page.waitForURL(/\/deliveries\//);
    for (let i = 0; i < 50 && !(await page.locator(".line li").count()); i++) {
      await page.waitForTimeout(300);
      await page.reload();
    }
    check((await page.textContent(".line")).includes("taken <b>"), "the delivery has the attempt, with the beginning of the answer");
    check((await page.textContent("main")).includes('"webhook.test"'), "and the body that was sent");
    check(receiver.got.length > 0 && receiver.got[0].includes("webhook.test"), "and it came");
    await looked(page, "delivery");
    await page.click("text=Send again");
    await page.locator(".said").waitFor();
    await page.goto(at);
    await page.fill("#f-after", "0");
    page.once("dialog", (d) => d.accept());
    await page.click("form[action$=since] button");
    await page.locator(".said").waitFor();
    await looked(page, "webhook");
    await page.selectOption("#overlap", "24");
    await page.click("text=Make another secret");
    await page.locator(".secret code").waitFor();
    check((await page.textContent(".secret code")) !== secret, "another secret is another one");
    await looked(page, "webhook-secret");
    await page.goto(at);
    await page.click("text=Switch off");
    await page.locator("h1 .badge.bad").waitFor();
    await page.goto("/webhooks");
    await looked(page, "webhooks");
    receiver.close();
  });

  await flow("work: events and audit", async () => {
    await page.goto("/events");
    await looked(page, "events");
    const before = await page.textContent("tbody tr:first-child .sub");
    await page.click("text=Older");
    await page.waitForURL(/cursor=/);
    check((await page.textContent("tbody tr:first-child .sub")) !== before, "the feed goes back page by page");
    await page.goto("/events?about=runs");
    check((await page.textContent("tbody")).includes("run.applied"), "it is narrowed to runs");
    await page.goto("/events?about=audit");
    check(/admin\.signed_in/.test(await page.textContent("tbody")), "the audit log has who signed in");
    await page.fill("#actor", "ada@example.com");
    await page.waitForURL(/actor=/);
    await page.locator("#exports a[href*='actor=ada']").first().waitFor();
    await looked(page, "audit");
    const [file] = await Promise.all([page.waitForEvent("download"), page.locator("main a:has-text('CSV')").click()]);
    check(/^events-.*\.csv$/.test(file.suggestedFilename()), "and is exported");
  });

  await flow("work: one person is read now", async () => {
    await page.goto("/people?connection=demo");
    await page.locator("tbody .person").first().click();
    await page.waitForURL(/\/people\/[0-9a-f-]{36}/);
    await page.click("text=Read this person now");
    await page.waitForURL(/\/runs\//);
    await page.locator("h1 .badge:has-text('applied')").waitFor({ timeout: 60000 });
    check(/person/.test(await page.textContent(".head")), "the run is of one person");
    await looked(page, "run-person");
    await page.goto("/why?connection=demo&who=nobody.at.all");
    check(await page.locator("#answer button").count() === 0, "nobody that nothing is known of can be read");
    await page.goto("/people?connection=demo");
    const user = (await page.textContent("tbody tr:nth-child(2) .person .sub")).trim();
    await page.goto("/why?connection=demo&who=" + encodeURIComponent(user));
    await page.click("#answer button");
    await page.waitForURL(/\/runs\//);
    await page.locator("h1 .badge:has-text('applied')").waitFor({ timeout: 60000 });
    check((await page.textContent("main")).includes("One person was read"), "somebody is read from the question why, and the run says whom");
  });
}

// listen receives webhooks on loopback.
async function listen() {
  const got = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (d) => { body += d; });
    request.on("end", () => { got.push(body); response.end("taken <b>indeed</b>"); });
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  return { got, url: `http://127.0.0.1:${server.address().port}/hook`, close: () => server.close() };
}

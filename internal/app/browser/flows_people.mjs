// The org chart, groups, people's origins, disputes and adoption, and the overview.
import { open, flow, check, looked } from "./lib.mjs";

export async function flows(page, { base }) {
  await flow("org chart", async () => {
    const began = Date.now();
    await page.goto("/orgchart?organization=sample");
    await page.locator("#tree [role=treeitem]").first().waitFor();
    console.log(`     the chart opens in ${Date.now() - began} ms`);
    check(/10,|9,/.test(await page.textContent(".head p")), "the chart says how many people it has");
    const size = (await (await page.request.get(`${base}/orgchart?organization=sample`)).body()).length;
    check(size < 100_000, `the page has ${size} bytes`);
    await looked(page, "orgchart");
    const closed = page.locator('#tree [aria-expanded="false"]').first();
    const id = await closed.getAttribute("data-id");
    const before = await page.locator("#tree [role=treeitem]").count();
    await closed.locator("> .box > .twist").click();
    await page.locator(`#tree li[data-id="${id}"][aria-expanded="true"]`).waitFor();
    check(await page.locator("#tree [role=treeitem]").count() > before, "a click on the number opens the branch in place");
    await page.locator(`#tree li[data-id="${id}"] > .box > .twist`).click();
    await page.locator(`#tree li[data-id="${id}"][aria-expanded="false"]`).waitFor();
    check(true, "and another closes it");
    await page.keyboard.press("Home");
    await page.keyboard.press("ArrowDown");
    check(await page.evaluate(() => document.activeElement.getAttribute("role")) === "treeitem", "arrow keys move");
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("ArrowLeft");
    const was = await page.evaluate(() => document.getElementById("tree").getBoundingClientRect().height);
    await page.keyboard.press("-");
    await page.keyboard.press("-");
    check(await page.evaluate(() => document.getElementById("tree").getBoundingClientRect().height) < was, "minus makes it smaller");
    await page.keyboard.press("0");
    const name = (await page.locator("#tree .who").nth(5).textContent()).trim();
    await page.fill("main #q", name);
    await page.click("main .filters button");
    await page.locator("#tree li.here").waitFor();
    check((await page.textContent("#tree li.here > .box > .who")).includes(name.split(" ")[0]), "the search goes to the person");
    await looked(page, "orgchart-found");
    const rest = page.locator("#tree .rest > a").first();
    if (await rest.count()) {
      const had = await page.locator("#tree [role=treeitem]").count();
      await rest.click();
      await page.waitForFunction((n) => document.querySelectorAll("#tree [role=treeitem]").length > n, had);
      check(await page.locator("#tree li.here").count() === 1, "the others come, and who was found stays");
    }
  });

  await flow("wide org chart", async () => {
    await page.goto("/orgchart?organization=wide");
    await page.locator("#tree [role=treeitem]").first().waitFor();
    check(/1 cycle/.test(await page.textContent(".notice")), "people who lead each other are told");
    await looked(page, "orgchart-wide");
    await page.locator('#tree li[role=treeitem][aria-expanded="true"]').first().focus();
    await page.keyboard.press("ArrowLeft");
    check(await page.evaluate(() => document.activeElement.getAttribute("aria-expanded")) === "false", "the left key closes");
    await page.keyboard.press("ArrowRight");
    await page.reload();
    await page.locator("#tree [role=treeitem]").first().waitFor();
    const more = page.locator("#tree li.rest > a").first();
    let count = await page.locator("#tree [role=treeitem]").count();
    while (await more.count()) {
      const began = Date.now();
      const answered = page.waitForResponse(/part=1/);
      await more.click();
      const bytes = (await (await answered).body()).length;
      await page.waitForFunction((n) => document.querySelectorAll("#tree [role=treeitem]").length > n, count);
      const now = await page.locator("#tree [role=treeitem]").count();
      console.log(`     ${now - count} more in ${Date.now() - began} ms, ${bytes} bytes`);
      check(bytes < 100_000, "a piece is smaller than 100 kB");
      count = now;
    }
    check(await page.locator("#tree > li:first-child > ul > li").count() === 450, "all 450 reports come, each once");
    check(new Set(await page.locator("#tree li[data-id]").evaluateAll((all) => all.map((x) => x.dataset.id))).size === await page.locator("#tree li[data-id]").count(), "nobody stands there twice");
    await page.locator("#tree [role=treeitem]").first().focus();
    await page.keyboard.press("ArrowDown");
    const at = await page.evaluate(() => document.activeElement.getAttribute("aria-label"));
    await page.keyboard.type("Person 4");
    check(at !== await page.evaluate(() => document.activeElement.getAttribute("aria-label")), "typing a name goes there");
    await page.keyboard.press("End");
    await page.keyboard.press("Home");
    await page.keyboard.press("ArrowLeft");
    const began = Date.now();
    await page.keyboard.press("ArrowRight");
    await page.locator('#tree > li:first-child[aria-expanded="true"]').waitFor();
    console.log(`     opened again in ${Date.now() - began} ms`);
  });

  await flow("org chart and groups without scripts", async () => {
    const plain = await open({ javaScriptEnabled: false, storageState: await page.context().storageState() });
    await plain.goto("/orgchart?organization=sample");
    const name = await plain.locator("#tree ul .who").first().textContent();
    await plain.locator("#tree ul .twist").first().click();
    await plain.waitForURL(/at=/);
    check((await plain.textContent("#tree li.here > .box > .who")) === name, "a number leads to the chart of that person");
    check(await plain.locator("#tree li.here > ul > li").count() > 1, "with their reports");
    await plain.goto("/orgchart?organization=wide");
    await plain.locator("#tree .rest a").first().click();
    await plain.waitForURL(/offset=/);
    check(await plain.locator("#tree li.here > ul > li").count() > 100, "and the others come by a link");
    await plain.fill("main #q", "person 007");
    await plain.click("main .filters button");
    check((await plain.textContent("#tree li.here > .box > .who")).includes("007"), "the search works");
    await plain.goto("/disputes?connection=demo&kind=dispute");
    check(await plain.locator("tbody tr").count() > 5, "disputes are listed");
    await plain.context().close();
  });

  await flow("a person's origin", async () => {
    await page.goto("/people?connection=demo");
    await page.locator("tbody .person").nth(2).click();
    await page.waitForURL(/\/people\/[0-9a-f-]{36}/);
    check(/attribute\s+mail/.test(await page.textContent(".origin")), "a field names its attribute");
    await page.click("summary:has-text('As the directory has it')");
    check(/employeeNumber|mail|uid/.test(await page.textContent("details.card[open] table")), "the raw attributes unfold");
    await looked(page, "person-raw");
    await page.goto("/people?connection=local");
    await page.locator("tbody .person").first().click();
    await page.locator(".origin").waitFor();
    check(/given here/.test(await page.textContent(".origin")), "a local account's fields were given here");
    await looked(page, "person-local");
  });

  // connect makes a connection of the directory in an organization.
  async function connect(alias, organization, filter, match) {
    await page.goto("/new-connection/ldap");
    await page.fill("#f-alias", alias);
    await page.selectOption("#organization", organization);
    await page.fill("#backend-ldap-addr", process.env.DIRECTORY);
    await page.fill("#backend-ldap-bind-dn", process.env.BIND_DN);
    await page.fill("#backend-ldap-bind-password", process.env.BIND_PASSWORD);
    await page.fill("#backend-ldap-base-dn", process.env.SUFFIX);
    await page.fill("#backend-ldap-sync-filter", filter);
    await page.fill("#match", match);
    await page.click("button:has-text('Make the connection')");
    await page.waitForURL(`/connections/${alias}`);
  }
  async function plan(alias) {
    await page.goto(`/connections/${alias}`);
    await page.click("button:has-text('Plan only')");
    await page.waitForURL(/\/plans\//, { timeout: 60000 });
  }

  await flow("disputes and adoption", async () => {
    await page.goto("/disputes");
    await page.locator("main h2").first().waitFor();
    await looked(page, "disputes");
    await connect("adopter", "other", "(&(objectClass=inetOrgPerson)(uid=c*))", "email, username");
    await plan("adopter");
    await page.goto("/disputes?connection=adopter");
    check(/could be taken over/.test(await page.textContent("#found")), "accounts that agree with an entry are told");
    await looked(page, "disputes-mismatch");
    await page.goto("/adoption");
    await looked(page, "adoption-choose");
    await page.click("tr:has-text('adopter') >> text=Choose");
    await page.click("button:has-text('See who would be taken over')");
    await page.waitForURL(/plan=/, { timeout: 60000 });
    check(/3 accounts would be taken over/.test(await page.textContent("#report")), "the report names three accounts");
    check(/By hand/.test(await page.textContent("#report")), "and what would change of them");
    await looked(page, "adoption-report");
    await page.click("button:has-text('Take over')");
    await page.waitForURL(/\/plans\//, { timeout: 60000 });
    check(/leave out the rows/.test(await page.textContent(".said")), "taking over leads to a plan that waits");
    await page.goto(`${page.url().split("?")[0]}?action=link`);
    page.once("dialog", (d) => d.accept());
    await page.click("button[value=approve]");
    await page.waitForURL(/\/runs\//);
    await page.locator("h1 .badge:has-text('applied')").waitFor({ timeout: 60000 });
    const run = page.url();
    await page.goto("/adoption?connection=adopter");
    await looked(page, "adoption-on");
    await page.click("button:has-text('Put it back')");
    await page.locator(".said").waitFor();
    check(!(await page.content()).includes("takes over accounts of other providers now"), "the setting is put back");
    await page.goto(run);
    await page.click("button:has-text('See what undoing it would do')");
    await page.waitForURL(/\/plans\//);
    check((await page.textContent("main")).includes("By hand"), "and undoing it would bring the old values back");
  });

  await flow("disputes of two connections", async () => {
    await connect("second", "sample", "(&(objectClass=inetOrgPerson)(uid=d*))", "email");
    await plan("second");
    await page.goto("/disputes?connection=second");
    await looked(page, "disputes-overlap");
    await page.click("text=Decide who owns them");
    await page.waitForURL(/overlap/);
    await page.check("input[value=own]");
    await page.click("button[value=preview]");
    await page.locator("#report").waitFor({ timeout: 60000 });
    await looked(page, "overlap");
    await page.click("button[value=save]");
    await page.waitForURL(/\/plans\//, { timeout: 60000 });
    check(/overlap: own/.test(await page.textContent(".said")), "the choice is saved, and the plan waits");
  });
}

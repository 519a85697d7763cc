// What holds for the console as a whole: it works without scripts, shows what a
// directory holds as text, and is no larger than it has to be.
import { open, flow, check, looked } from "./lib.mjs";

export async function flows(page, { password }) {
  await flow("names that look like pages are text", async () => {
    await page.goto("/new-connection/csv");
    await page.fill("#f-alias", "table");
    await page.selectOption("#organization", "other");
    await page.selectOption("#backend-csv-upload", "true");
    await page.selectOption("#backend-csv-passwords", "none");
    await page.click("button:has-text('Make the connection')");
    await page.waitForURL("/connections/table");
    const evil = `<img src=x onerror=alert(1)>`;
    let alerts = 0;
    page.on("dialog", (d) => { alerts++; d.dismiss(); });
    await page.setInputFiles("#file", { name: "people.csv", mimeType: "text/csv", buffer: Buffer.from(`username,first_name,last_name,email,title\nevil,"${evil}","<script>alert(2)</script>",evil@example.org,"{{.}} '"\n`) });
    await page.click("text=Give it this file");
    await page.waitForURL(/\/runs\//);
    await page.locator("h1 .badge:has-text('applied')").waitFor({ timeout: 60000 });
    check((await page.textContent("tbody")).includes(evil), "a file is given, its run ends, and its page shows the name as it stands");
    await page.goto("/people?q=evil%40example.org");
    await page.locator("tbody .person").first().click();
    await page.waitForURL(/\/people\/./);
    check((await page.textContent("h1")).includes(evil), "so does the person's");
    await looked(page, "person-strange");
    check(alerts === 0, "nothing of it runs");
  });

  await flow("without scripts", async () => {
    const plain = await open({ javaScriptEnabled: false });
    await plain.goto("/people");
    await plain.fill("#f-email", "ada@example.com");
    await plain.fill("#f-password", password);
    await plain.click("button.main");
    check(plain.url().endsWith("/people"), "sign-in leads back to the page that was asked for");
    await plain.fill("#q", "smith");
    await plain.click("main .filters button");
    check((await plain.textContent("tbody")).toLowerCase().includes("smith"), "the search works");
    await plain.goto("/connections/demo");
    await plain.click("button:has-text('Check')");
    check(await plain.locator("#doctor .steps li").count() > 3, "the check answers");
    await plain.click("button:has-text('Plan only')");
    check(/\/plans\//.test(plain.url()), "a plan is made");
    await plain.goto("/connections/branch/edit");
    await plain.click("#group-people button[name=test]");
    check(await plain.locator("#test-people .steps li").count() > 0, "a part of the form is tested");
    await plain.goto("/");
    await plain.locator(".me summary").click();
    await plain.click("text=Dark colours");
    check(await plain.getAttribute("html", "data-theme") === "dark", "colours are chosen");
    await plain.context().close();
  });

  await flow("by keyboard", async () => {
    await page.goto("/people");
    await page.keyboard.press("Tab");
    check((await page.evaluate(() => document.activeElement.textContent)) === "Skip to the page", "the first stop leads past the navigation");
    await page.keyboard.press("Enter");
    check(await page.evaluate(() => document.activeElement.id) === "main", "to the page");
    await page.keyboard.press("/");
    check(await page.evaluate(() => document.activeElement.id) === "everywhere", "a slash leads to the search");
    await page.keyboard.type("smith");
    await page.keyboard.press("Enter");
    await page.waitForURL(/q=smith/);
  });
}

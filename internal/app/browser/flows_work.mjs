// Mapping over live entries, events and audit, webhooks, organizations, and one
// person read now.
import { open, flow, check, looked } from "./lib.mjs";

export async function flows(page) {
  await flow("work: the mapping of a declared connection", async () => {
    await page.goto("/connections/demo");
    await page.click("main a:has-text('Mapping')");
    await page.locator("#person .raw").waitFor();
    await looked(page, "mapping");
    await page.locator(".picks button").nth(1).click();
    await page.waitForFunction(() => document.querySelectorAll("#person h2").length === 1);
    const name = await page.textContent("#person h2");
    await page.selectOption("[name='how.title']", "expr");
    await page.fill("#what-title", "upper(title)");
    await page.locator("#result-title ins").waitFor();
    const raised = await page.textContent("#result-title ins");
    check(raised === raised.toUpperCase(), `a rule is tried on ${name} while it is typed: ${raised}`);
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
    await page.evaluate(() => document.querySelector("#tally").scrollIntoView());
    await looked(page, "mapping-counted-full");
  });
}

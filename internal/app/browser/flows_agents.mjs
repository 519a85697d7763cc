// Agents in customers' networks: one is made, its secret is seen once, changed, and
// the agent revoked and forgotten.
import { flow, check, looked } from "./lib.mjs";

export async function flows(page) {
  await flow("agents: one is made, gets another secret, is revoked and forgotten", async () => {
    const secret = async () => (await page.locator(".secret code").first().textContent()).trim();
    await page.goto("/agents");
    await looked(page, "agents-none");
    await page.goto("/connections/demo");
    await page.click("main a:has-text('New agent')");
    await page.waitForURL(/new-agent/);
    check(await page.inputValue("#f-connection") === "demo", "the connection it was asked for on is chosen");
    await page.fill("#f-name", "dc1.example.org");
    await looked(page, "agent-new");
    await page.click("main button.main");
    await page.locator(".secret code").first().waitFor();
    const first = await secret();
    check(/^agt_\w+:rcg_/.test(first), "client ID and secret are shown");
    const lines = await page.locator(".secret code").allTextContents();
    check(lines.length === 5 && lines.slice(1).every((l) => l.includes(new URL(page.url()).host) && !l.includes("rcg_")), "the lines that install it know the server, and not the secret");
    await looked(page, "agent-secret");
    await page.click("a:has-text('I have kept it')");
    await page.waitForURL(/\/agents\/agt_/);
    check(await page.locator(".secret").count() === 0 && (await page.textContent("h1")).includes("new"), "the secret is shown once");
    await looked(page, "agent");
    await page.selectOption("#overlap", "24");
    await page.click("button:has-text('Make another secret')");
    await page.locator(".secret code").first().waitFor();
    check(await secret() !== first, "another secret is shown");
    await looked(page, "agent-secret-again");
    await page.goto("/agents");
    await looked(page, "agents");
    await page.goto("/connections/demo");
    await looked(page, "connection-agents");
    await page.click("main a:has-text('dc1.example.org')");
    await page.click("summary:has-text('Dangerous things')");
    page.once("dialog", (d) => d.dismiss());
    await page.click("button:has-text('Revoke it')");
    check(!(await page.textContent("h1")).includes("revoked"), "who thinks again has revoked nothing");
    page.once("dialog", (d) => d.accept());
    await page.click("button:has-text('Revoke it')");
    await page.locator("h1 .badge:has-text('revoked')").waitFor();
    check(await page.locator("button:has-text('Revoke it')").count() === 0, "and it is revoked");
    await looked(page, "agent-revoked");
    await page.goto("/connections/demo");
    check((await page.textContent("main")).includes("nobody signs in by it"), "who revoked the last one is told what that means");
    await looked(page, "connection-agents-revoked");
    await page.click("main a[href^='/agents?connection']");
    await page.click("main a:has-text('dc1.example.org')");
    page.once("dialog", (d) => d.accept());
    await page.click("button:has-text('Forget it')");
    await page.waitForURL(/\/agents$/);
    check(await page.locator("main a:has-text('dc1.example.org')").count() === 0, "it is off the list");
  });
}

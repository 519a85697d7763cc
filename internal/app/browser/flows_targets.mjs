// Applications that accounts are pushed to: one is made, what could not be pushed is
// looked at, and what somebody changed there is found and pushed again.
import { flow, check, looked } from "./lib.mjs";
import { createServer } from "node:http";
import { randomUUID } from "node:crypto";

export async function flows(page) {
  await flow("targets: an application is kept in step", async () => {
    const app = await application();
    page.removeAllListeners("dialog"); // an answer that nobody asked for, of a flow before, would answer ours too
    await page.goto("/targets");
    await looked(page, "targets-none");
    await page.click("text=New target");
    await page.waitForURL("/new-target");
    await page.fill("#f-name", "Timesheets");
    await page.fill("#f-url", "ftp://timesheets.example.com");
    await page.selectOption("#f-organization", "other");
    await page.fill("#f-secret", "token-of-timesheets");
    await page.click("button:has-text('Begin to push')");
    await page.locator(".trouble").waitFor();
    check(await page.inputValue("#f-secret") === "", "the secret is not rendered back");
    await looked(page, "target-form");
    await page.fill("#f-url", app.url);
    await page.fill("#f-secret", "token-of-timesheets");
    await page.click("button:has-text('Begin to push')");
    await page.waitForURL(/\/targets\/[^/]+$/);
    const at = new URL(page.url()).pathname;
    for (let n = 0; n < 100 && !(app.users.size > 1 && (await page.textContent("main")).includes("no more seats")); n++) {
      await page.waitForTimeout(300);
      await page.goto(at + "?state=failed");
    }
    check(app.users.size > 1, `${app.users.size} people were pushed`);
    check((await page.textContent("main")).includes("no more seats"), "who could not be is told with the application's own words");
    await looked(page, "target");

    const [first, second] = app.users.values();
    first.displayName = "Somebody else";
    app.users.delete(second.id);
    app.users.set("stray", { id: "stray", userName: "stray@elsewhere.example", active: true });
    await page.click("button:has-text('Compare')");
    await page.locator("#report table").first().waitFor();
    const report = await page.textContent("#report");
    check(/different/.test(report) && /missing/.test(report) && /left alone/.test(report), "what is different, missing and not ours is found");
    await looked(page, "target-drift");
    page.once("dialog", (d) => d.accept());
    await page.click("button:has-text('Push it again')");
    await page.locator("text=pushed again").waitFor();
    for (let n = 0; n < 100 && first.displayName === "Somebody else"; n++) await page.waitForTimeout(300);
    check(first.displayName !== "Somebody else", "and is pushed again");
    await page.goto("/targets");
    await looked(page, "targets");
    await page.goto(at);
    await page.click("details:has-text('Dangerous') summary");
    page.once("dialog", (d) => d.accept());
    await page.click("button:has-text('Take it away')");
    await page.waitForURL("/targets");
    app.close();
  });
}

// application is a SCIM server of the simplest kind, with seats for all but one.
async function application() {
  const users = new Map();
  let refused = "";
  const server = createServer((request, answer) => {
    let body = "";
    request.on("data", (piece) => { body += piece; });
    request.on("end", () => {
      const url = new URL(request.url, "http://x");
      const [, kind, id] = url.pathname.split("/");
      const say = (status, o) => { answer.writeHead(status, { "Content-Type": "application/scim+json" }); answer.end(o && JSON.stringify(o)); };
      if (kind !== "Users") return say(kind === "Groups" && request.method === "GET" && !id ? 200 : kind === "Groups" ? 501 : 404, { totalResults: 0, Resources: [] });
      const sent = body && JSON.parse(body);
      if (request.method === "POST") {
        refused = refused || sent.userName;
        if (sent.userName === refused) return say(400, { schemas: ["urn:ietf:params:scim:api:messages:2.0:Error"], status: "400", detail: "there are no more seats" });
        const made = { ...sent, id: randomUUID() };
        users.set(made.id, made);
        return say(201, made);
      }
      if (!id) {
        const wanted = /^(userName|externalId) eq "(.*)"$/.exec(url.searchParams.get("filter") ?? "");
        const found = [...users.values()].filter((u) => !wanted || String(u[wanted[1]]).toLowerCase() === wanted[2].toLowerCase());
        const from = Number(url.searchParams.get("startIndex") ?? 1) - 1;
        return say(200, { totalResults: found.length, startIndex: from + 1, Resources: found.slice(from, from + 100) });
      }
      const user = users.get(id);
      if (!user) return say(404, { status: "404" });
      if (request.method === "PUT") Object.assign(user, sent, { id });
      if (request.method === "PATCH") for (const op of sent.Operations) if (op.path && !/[[.]/.test(op.path)) user[op.path] = op.value; else if (!op.path) Object.assign(user, op.value);
      if (request.method === "DELETE") users.delete(id);
      say(request.method === "DELETE" ? 204 : 200, request.method === "DELETE" ? undefined : user);
    });
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  return { users, url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

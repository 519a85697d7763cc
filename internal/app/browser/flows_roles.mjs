// The console as those see it who may not do everything: every page they are led
// to opens, shows what is theirs alone, and has no button that is not for them.
import { flow, check, fail, reachable } from "./lib.mjs";
import { invited } from "./flows_admins.mjs";

const most = 60;

// shape is a path without what names one thing, so that of each kind one page is
// looked at.
function shape(href) {
  const url = new URL(href, "http://x");
  return url.pathname.replace(/\/[^/]*[0-9-][^/]*(?=\/|$)/g, "/*") + [...url.searchParams.keys()].sort().map((k) => `?${k}`).join("");
}

// walk follows every link from the first page, one of each shape.
async function walk(page, seen) {
  const met = new Map([["/", "/"]]);
  let n = 0;
  for (const [kind, href] of met) { // it grows while it is gone through
    if (++n > most) break;
    const answer = await page.goto(href);
    if (answer.status() !== 200) {
      fail(`${href} is led to, and answers ${answer.status()}`);
      continue;
    }
    await seen(href);
    await reachable(page, href.slice(0, 80));
    const links = await page.locator("a[href^='/']:not([download])").evaluateAll((list) => list.map((a) => a.getAttribute("href")));
    for (const link of links) {
      if (/^\/(api|signout)|export|format=/.test(link)) continue;
      if (!met.has(shape(link))) met.set(shape(link), link);
    }
  }
  return n;
}

export async function flows(page) {
  await flow("roles: an organization's administrator is led to what is theirs", async () => {
    const olga = await invited(page, "olga@example.com", "administrator", "other");
    const n = await walk(olga, async (href) => {
      const text = await olga.textContent("body");
      check(!/Sample Company|Wide Company/.test(text), `${href}: nothing of other tenants`);
    });
    check(n > 12, `${n} kinds of pages`);
    for (const path of ["/connections/demo", "/connections/demo/edit", "/plans?connection=demo", "/runs?connection=demo"]) {
      const status = (await olga.goto(path)).status();
      check(status === 404 || await olga.locator("main tbody tr").count() === 0, `${path}: a stranger's connection is none (${status})`);
    }
    await olga.context().close();
  });

  await flow("roles: an auditor of one organization reads", async () => {
    const audrey = await invited(page, "audrey@example.com", "auditor", "sample");
    const n = await walk(audrey, async (href) => {
      const buttons = await audrey.locator("main form[method=post] button, main form[method=post] input[type=checkbox]").count();
      check(buttons === 0 || /^\/profile|^\/settings/.test(href), `${href}: no button that would be refused`);
      check(!/Another One|Wide Company/.test(await audrey.textContent("body")), `${href}: nothing of other tenants`);
    });
    check(n > 20, `${n} kinds of pages`);
    await audrey.context().close();
  });
}

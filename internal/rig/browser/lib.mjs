// What browser scripts share: a browser, checks that say what they looked at, and
// pictures of pages.
import { chromium } from "playwright-core";
import { createRequire } from "node:module";
import { readFileSync, mkdirSync } from "node:fs";

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
export const base = process.env.BASE;
const pictures = process.env.PICTURES;
let failures = 0;

export const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

// open is a fresh browser profile with one page. Errors of the page and of its
// security policy are failures.
export async function open(options = {}) {
  const context = await browser.newContext({ baseURL: base, viewport: { width: 1360, height: 860 }, reducedMotion: "reduce", ...options });
  const page = await context.newPage();
  page.on("pageerror", (e) => fail(`${page.url()}: ${e}`));
  page.on("console", (m) => { if (m.type() === "error" && !/Failed to load resource/.test(m.text())) fail(`${page.url()}: ${m.text()}`); });
  page.setDefaultTimeout(20000);
  await following(page, options.javaScriptEnabled !== false);
  return page;
}

// following has page.click wait for the page that a click leads to, which it does not
// by itself: whatever looks at a page next would look at the one before, or at none.
// Without scripts every click leads to one; locator.click is for those that do not.
async function following(page, scripts) {
  const click = page.click.bind(page);
  if (!scripts) {
    page.click = async (...args) => {
      await Promise.all([page.waitForEvent("framenavigated"), click(...args)]);
      await page.waitForLoadState();
    };
    return;
  }
  await page.addInitScript(() => {
    window.navigation.addEventListener("navigate", (e) => { window.leaving = !e.destination.sameDocument; });
  });
  page.click = async (...args) => {
    await click(...args);
    await page.waitForFunction(() => !window.leaving && document.readyState === "complete");
  };
}

export function fail(words) {
  failures++;
  console.log(`FAIL ${words}`);
}

export function check(holds, words) {
  if (holds) console.log(`ok   ${words}`);
  else fail(words);
}

// seen waits for something to be there, gone for it to be there no longer: what a click
// leads to comes when it comes. Both tell whether it did.
export const seen = (page, selector) => page.locator(selector).first().waitFor().then(() => true, () => false);
export const gone = (page, selector) => page.locator(selector).first().waitFor({ state: "detached" }).then(() => true, () => false);

// flow runs one story; the others go on when it breaks.
export async function flow(name, story) {
  if (process.env.ONLY && !/^(the first|sign)/.test(name) && !name.includes(process.env.ONLY)) return;
  console.log(`==== ${name}`);
  try {
    await story();
  } catch (e) {
    fail(`${name}: ${e.stack || e}`);
    for (const page of browser.contexts().flatMap((c) => c.pages())) {
      console.log(`     it stood at ${page.url()}: ${(await page.locator("main").innerText({ timeout: 1000 }).catch(() => "")).slice(0, 600)}`);
    }
  }
}

// reachable fails for everything axe finds wrong with a page (WCAG 2.2 A and AA, and
// its best practices).
export async function reachable(page, name) {
  // The policy of the pages keeps scripts out that are not theirs: axe comes by the
  // debugger, as its own world.
  await page.evaluate(axeSource);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  for (const v of found.violations) fail(`${name}: axe ${v.id} (${v.impact}): ${v.help}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(" | ")}`);
  if (!found.violations.length) console.log(`ok   ${name}: axe finds nothing`);
}

// picture keeps what a page looks like, light and dark, wide and narrow, where
// pictures are asked for.
export async function picture(page, name) {
  if (!pictures) return;
  mkdirSync(pictures, { recursive: true });
  for (const [shape, size] of [["wide", { width: 1360, height: 860 }], ["narrow", { width: 390, height: 844 }]]) {
    await page.setViewportSize(size);
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      await page.screenshot({ path: `${pictures}/${name}-${shape}-${colorScheme}.png`, fullPage: shape === "narrow" ? true : name.endsWith("-full") });
    }
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize({ width: 1360, height: 860 });
}

// looked is both, and whether the page fits: into 100 kB, on a desk and in a hand.
export async function looked(page, name) {
  const size = await page.evaluate(() => document.documentElement.outerHTML.length);
  if (size > 100_000) fail(`${name}: the page has ${size} letters`);
  for (const width of [390, 1360]) {
    await page.setViewportSize({ width, height: 860 });
    const [has, wants] = await page.evaluate(() => [innerWidth, document.documentElement.scrollWidth]);
    check(wants <= has, `${name}: nothing sticks out at ${width}${wants > has ? `, but ${wants - has} pixels` : ""}`);
  }
  await reachable(page, name);
  await picture(page, name);
}

export async function done() {
  await browser.close();
  console.log(failures ? `${failures} failed` : "all good");
  process.exit(failures ? 1 : 0);
}

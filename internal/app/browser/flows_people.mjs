// The org chart, groups, people's origins, disputes and adoption, and the overview.
import { flow, check, looked } from "./lib.mjs";

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
}

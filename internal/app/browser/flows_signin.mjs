// What people see who sign in to applications: right and wrong passwords, a new one
// by a link, and all of it without scripts.
import { open, flow, check, looked } from "./lib.mjs";

const door = "/login/local?organization=other";
const given = "a password that was given";
const own = "seven kettles orbit slowly";

async function signIn(page, name, password) {
  await page.fill("#login", name);
  await page.fill("#password", password);
  await page.click("button:has-text('Sign in')");
}

export async function flows(page) {
  await flow("sign-in of people", async () => {
    const one = await open({ javaScriptEnabled: false });
    await one.goto(door);
    check((await one.textContent("main")).includes("Another One"), "the page says whose it is");
    await signIn(one, "doris", "a wrong one");
    check((await one.textContent("[role=alert]")).includes("wrong"), "a wrong password is said to be wrong");
    check((await one.inputValue("#login")) === "doris" && (await one.inputValue("#password")) === "", "the name stays and the password does not");
    await signIn(one, "doris", given);
    await one.waitForURL("/login/done");
    check((await one.textContent("main")).includes("Doris Door"), "the right one lets in, without scripts");
    await one.click("button:has-text('Sign out')");
    check((await one.textContent("h1")).includes("signed out"), "and out again");
    await one.goto("/login/done");
    check(!one.url().endsWith("/login/done"), "who is out has to sign in");
    await one.context().close();

    const two = await open();
    await two.goto(door);
    await looked(two, "login");
    await signIn(two, "nobody", "nothing");
    await looked(two, "login-wrong");
    await two.goto("/login?organization=other");
    await two.goto("/login");
    await two.fill("#login", "somebody@nowhere.example");
    await two.click("button");
    await looked(two, "login-find");
    await two.goto("/login/nowhere");
    await looked(two, "login-nowhere");
    await two.context().close();
  });

  await flow("sign-in of people by their directory", async () => {
    const one = await open({ javaScriptEnabled: false });
    await one.goto("/login/demo");
    await signIn(one, process.env.PERSON, "a wrong one");
    check((await one.textContent("[role=alert]")).includes("wrong"), "the directory says that a password is wrong");
    await signIn(one, process.env.PERSON, process.env.EVERYBODYS);
    await one.waitForURL("/login/done");
    check((await one.textContent("h1")).includes("signed in"), "and that it is right");
    await one.context().close();

    const two = await open();
    await two.goto("/login/gone");
    await signIn(two, "anna", "right or not");
    check((await two.textContent("[role=alert]")).includes("not tried"), "nobody's password is wrong when the directory is away");
    await looked(two, "login-unreachable");
    await two.click("button:has-text('Try again')");
    check((await two.inputValue("#login")) === "anna", "who tries again types no name");
    await two.context().close();
  });

  await flow("sign-in with a password by a link", async () => {
    await page.goto("/people?q=doris");
    await page.locator("tbody .person").first().click();
    await page.waitForURL(/\/people\/./);
    await page.click("button:has-text('Make a password link')");
    const link = (await page.textContent("#password-link")).trim();
    check(/\/login\/password\/rw_/.test(link), "the console makes a link");
    const other = await open();
    await other.goto(link);
    await looked(other, "login-link");
    await other.fill("#new", own);
    await other.fill("#again", own);
    await other.click("button");
    await looked(other, "login-chosen");
    await other.click("text=Sign in");
    await signIn(other, "doris", own);
    await other.waitForURL("/login/done");
    await looked(other, "login-done");
    await other.goto(link);
    check((await other.textContent("main")).includes("not good any more"), "the link is good once");
    await other.context().close();
  });
}

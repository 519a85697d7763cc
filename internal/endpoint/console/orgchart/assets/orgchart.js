// The org chart: branches that open and close in place, keys as trees have them
// (WAI-ARIA Authoring Practices, "Tree View"), and its size. Without this script the
// numbers are links to the chart of one person.
"use strict";
(() => {
  const tree = document.getElementById("tree");
  if (!tree) return;
  const chart = document.getElementById("chart");
  const own = (li, selector) => li.querySelector(`:scope > ${selector}`);
  const under = (li) => own(li, "ul");
  const items = (list) => [...list.children];
  const opens = (li) => !!own(li, ".box > .twist");
  const isOpen = (li) => li.getAttribute("aria-expanded") === "true";

  // dress gives people of a list the roles of a tree's items.
  function dress(list, level) {
    const all = items(list);
    all.forEach((li, i) => {
      li.setAttribute("role", "treeitem");
      li.setAttribute("aria-level", level);
      li.setAttribute("aria-posinset", i + 1);
      li.setAttribute("aria-setsize", all.length);
      if (!li.hasAttribute("tabindex")) li.tabIndex = -1;
      li.querySelectorAll(":scope > a, :scope > .box > a").forEach((a) => { a.tabIndex = -1; });
      if (opens(li) && !li.hasAttribute("aria-expanded")) li.setAttribute("aria-expanded", String(li.hasAttribute("data-open") && !!under(li)));
      if (!li.hasAttribute("aria-label")) {
        const words = own(li, ".box") ? [".who", "span", "i", ".twist"].flatMap((s) => [...li.querySelectorAll(`:scope > .box > ${s}`)].map((x) => x.textContent + (s === ".twist" ? " reports" : ""))) : [li.textContent];
        li.setAttribute("aria-label", words.map((w) => w.trim()).filter(Boolean).join(", "));
      }
      const list = under(li);
      if (list) {
        list.setAttribute("role", "group");
        dress(list, level + 1);
      }
    });
  }

  // load brings a piece of the chart from the server; null where that went wrong.
  async function load(at, offset) {
    const query = new URLSearchParams({ part: "1", organization: tree.dataset.organization });
    if (at) query.set("at", at);
    if (offset) query.set("offset", offset);
    const answer = await fetch(`/orgchart?${query}`, { headers: { Accept: "text/html" } });
    if (!answer.ok || answer.redirected) return null;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    return page.getElementById(`below-${at || "top"}`);
  }

  async function open(li) {
    if (!opens(li) || isOpen(li)) return;
    if (!under(li)) {
      li.setAttribute("aria-busy", "true");
      const fresh = await load(li.dataset.id).catch(() => null);
      li.removeAttribute("aria-busy");
      if (!fresh) {
        location.href = own(li, ".box > .twist").href;
        return;
      }
      fresh.removeAttribute("id");
      fresh.setAttribute("role", "group");
      li.append(fresh);
      dress(fresh, Number(li.getAttribute("aria-level")) + 1);
    }
    under(li).hidden = false;
    li.setAttribute("aria-expanded", "true");
  }

  function close(li) {
    const list = under(li);
    if (!list || !isOpen(li)) return;
    const inside = list.contains(document.activeElement);
    list.hidden = true;
    li.setAttribute("aria-expanded", "false");
    if (inside) focus(li);
  }

  // rest puts the others in the place of the line that stands for them. Who is
  // there already, with their branch open, stays as they are.
  async function rest(li) {
    const link = own(li, "a");
    const list = li.parentElement;
    li.setAttribute("aria-busy", "true");
    const fresh = await load(link.dataset.rest, link.dataset.offset).catch(() => null);
    if (!fresh) {
      location.href = link.href;
      return;
    }
    const there = new Map(items(list).filter((x) => x.dataset.id).map((x) => [x.dataset.id, x]));
    let first = null;
    for (const one of items(fresh)) {
      const known = there.get(one.dataset.id);
      list.insertBefore(known || one, link.dataset.offset ? li : null);
      if (!known) first ||= one;
    }
    li.remove();
    dress(list, Number(list.parentElement.getAttribute("aria-level") || 0) + 1);
    if (first) focus(first);
  }

  function focus(li) {
    tree.querySelectorAll('[tabindex="0"]').forEach((x) => { x.tabIndex = -1; });
    li.tabIndex = 0;
    li.focus({ preventScroll: true });
    (own(li, ".box") || li).scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  const shown = () => [...tree.querySelectorAll('[role="treeitem"]')].filter((li) => !li.parentElement.closest("ul[hidden]"));
  const parent = (li) => li.parentElement.closest('[role="treeitem"]');
  let typed = "";
  let last = 0;

  tree.addEventListener("keydown", async (e) => {
    const li = e.target.closest('[role="treeitem"]');
    if (!li || e.ctrlKey || e.altKey || e.metaKey) return;
    const all = shown();
    const at = all.indexOf(li);
    let to = null;
    switch (e.key) {
      case "ArrowDown": to = all[at + 1]; break;
      case "ArrowUp": to = all[at - 1]; break;
      case "Home": to = all[0]; break;
      case "End": to = all.at(-1); break;
      case "ArrowRight":
        e.preventDefault();
        if (opens(li) && !isOpen(li)) await open(li);
        else if (under(li)) to = items(under(li))[0];
        break;
      case "ArrowLeft":
        if (isOpen(li)) close(li);
        else to = parent(li);
        break;
      case "Enter":
      case " ":
        e.preventDefault();
        if (li.classList.contains("rest")) await rest(li);
        else if (opens(li) && !isOpen(li)) await open(li);
        else if (e.key === " ") close(li);
        else own(li, ".box > .who").click();
        return;
      case "*":
        for (const one of items(li.parentElement)) await open(one);
        return;
      default: {
        if (e.key.length !== 1 || /[+\-0]/.test(e.key)) return;
        typed = e.timeStamp - last < 700 ? typed + e.key : e.key;
        last = e.timeStamp;
        const from = typed.length > 1 ? at : at + 1;
        const wanted = typed.toLowerCase();
        to = [...all.slice(from), ...all.slice(0, from)].find((x) => (x.getAttribute("aria-label") || "").toLowerCase().startsWith(wanted));
      }
    }
    if (to) focus(to);
    if (to || /^Arrow|Home|End/.test(e.key)) e.preventDefault();
  });

  tree.addEventListener("click", (e) => {
    if (e.ctrlKey || e.metaKey || e.shiftKey) return;
    const li = e.target.closest("li");
    if (e.target.closest(".twist")) {
      e.preventDefault();
      focus(li);
      if (isOpen(li)) close(li);
      else open(li);
    } else if (e.target.closest("[data-rest]")) {
      e.preventDefault();
      rest(li);
    } else if (li && !e.target.closest("a")) {
      focus(li);
    }
  });

  // The size. It is kept in this browser.
  const sizes = [0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.15, 1.3, 1.5, 1.8];
  let size = 6;
  try {
    const kept = sizes.indexOf(Number(localStorage.getItem("rollcall-zoom")));
    if (kept >= 0) size = kept;
  } catch { /* a browser that keeps nothing */ }
  function zoom(by) {
    size = by === 0 ? 6 : Math.max(0, Math.min(sizes.length - 1, size + by));
    resize();
  }
  function resize() {
    tree.style.zoom = sizes[size];
    document.querySelector('[data-zoom="0"]').textContent = `${Math.round(sizes[size] * 100)} %`;
    try {
      localStorage.setItem("rollcall-zoom", sizes[size]);
    } catch { /* the same */ }
  }
  chart.addEventListener("wheel", (e) => {
    if (!e.ctrlKey) return;
    e.preventDefault();
    zoom(e.deltaY < 0 ? 1 : -1);
  }, { passive: false });
  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.altKey || e.metaKey || e.target.closest?.("input, textarea, select")) return;
    if (e.key === "+" || e.key === "=") zoom(1);
    else if (e.key === "-") zoom(-1);
    else if (e.key === "0") zoom(0);
  });
  document.querySelectorAll("[data-zoom]").forEach((b) => b.addEventListener("click", () => zoom(Number(b.dataset.zoom))));
  document.querySelector("[data-fold]").addEventListener("click", () => {
    tree.querySelectorAll('[role="treeitem"]').forEach(close);
    const first = tree.querySelector('[role="treeitem"]');
    if (first) focus(first);
  });

  tree.setAttribute("role", "tree");
  tree.setAttribute("aria-label", "Who reports to whom");
  chart.removeAttribute("tabindex"); // the tree itself takes the keys
  dress(tree, 1);
  const here = tree.querySelector("li.here");
  (here || tree.querySelector("li")).tabIndex = 0;
  document.getElementById("zoom").hidden = false;
  document.getElementById("keys").hidden = false;
  resize();
  if (here) own(here, ".box").scrollIntoView({ block: "nearest", inline: "center" });
})();

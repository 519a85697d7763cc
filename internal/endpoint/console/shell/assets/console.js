// What the console does better with scripts than without; every page works
// without them. Attributes say what: nothing here knows a page.
//
//   form data-swap="id"    the form is sent in the background and the element with
//                          that id is taken from the answer; more ids by spaces. On a
//                          button it is for that button alone
//   [data-live=url]        a stream of server-sent events: each "part" event is HTML
//                          that becomes the element's content; "end" loads the page anew
//   form data-auto         sent when a field in it changes; data-auto=ms waits that long
//                          for more
//   [data-copy=text]       a button that copies
//   [data-check-all=name]  a box that ticks all boxes of that name
//   [data-print]           a button that prints the page
//   [data-confirm=words]   asks before a form is sent
"use strict";
(() => {
  const all = (selector, root = document) => root.querySelectorAll(selector);

  async function swap(form, button) {
    const ids = (button?.dataset.swap || form.dataset.swap).split(" ");
    const places = ids.map((id) => document.getElementById(id)).filter(Boolean);
    places.forEach((p) => p.setAttribute("aria-busy", "true"));
    const turn = form.turn = (form.turn || 0) + 1; // what was asked before comes too late
    const data = new FormData(form, button);
    const get = form.method === "get";
    const url = new URL(button?.getAttribute("formaction") || form.getAttribute("action") || location.href, location.href);
    if (get) url.search = new URLSearchParams(data).toString();
    const multipart = form.enctype === "multipart/form-data";
    try {
      const answer = await fetch(url, { method: get ? "GET" : "POST", body: get ? undefined : multipart ? data : new URLSearchParams(data), headers: { Accept: "text/html" } });
      if (answer.redirected && new URL(answer.url).pathname !== location.pathname) {
        location.href = answer.url;
        return;
      }
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (turn !== form.turn) return;
      let done = 0;
      for (const place of places) {
        const fresh = page.getElementById(place.id);
        if (fresh) {
          place.replaceWith(fresh);
          ready(fresh);
          done++;
        }
      }
      if (!done) document.body.replaceWith(page.body);
      if (get) history.replaceState(null, "", url);
    } catch {
      form.removeAttribute("data-swap");
      button?.removeAttribute("data-swap");
      form.requestSubmit(button);
    } finally {
      if (turn === form.turn) places.forEach((p) => p.removeAttribute("aria-busy"));
    }
  }

  function live(el) {
    const stream = new EventSource(el.dataset.live);
    stream.addEventListener("part", (e) => { el.innerHTML = e.data; });
    stream.addEventListener("end", () => { stream.close(); location.reload(); });
    addEventListener("pagehide", () => stream.close());
  }

  function ready(root) {
    all("[data-live]", root).forEach(live);
    if (root.dataset?.live) live(root);
  }

  let pause;
  document.addEventListener("submit", (e) => {
    clearTimeout(pause); // what was typed goes along
    const words = e.submitter?.dataset.confirm || e.target.dataset.confirm;
    if (words && !confirm(words)) {
      e.preventDefault();
    } else if (e.submitter?.dataset.swap || e.target.dataset.swap) {
      e.preventDefault();
      swap(e.target, e.submitter);
    }
  });
  document.addEventListener("input", (e) => {
    const form = e.target.form;
    if (!form || !form.hasAttribute("data-auto")) return;
    clearTimeout(pause);
    pause = setTimeout(() => form.requestSubmit(), Number(form.dataset.auto) || (e.target.type === "search" ? 250 : 0));
  });
  document.addEventListener("change", (e) => {
    const name = e.target.dataset?.checkAll;
    if (name) all(`input[name="${CSS.escape(name)}"]`, e.target.form).forEach((b) => { b.checked = e.target.checked; });
  });
  document.addEventListener("click", async (e) => {
    if (e.target.closest("[data-print]")) print();
    const copy = e.target.closest("[data-copy]");
    if (copy) {
      await navigator.clipboard.writeText(copy.dataset.copy);
      const was = copy.textContent;
      copy.textContent = "Copied";
      setTimeout(() => { copy.textContent = was; }, 1500);
    }
    all("details[data-menu][open]").forEach((d) => { if (!d.contains(e.target)) d.open = false; });
  });
  document.addEventListener("keydown", (e) => {
    if (e.key === "Escape") all("details[data-menu][open]").forEach((d) => { d.open = false; });
    const typing = e.target.closest?.("input, textarea, select, [contenteditable]");
    if (e.key === "/" && !typing) {
      document.querySelector("[data-slash]")?.focus();
      e.preventDefault();
    }
  });
  ready(document);
})();

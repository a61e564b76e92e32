"use strict";
// Everything works without this file but for what moves: live updates, keys, copying, the theme.
(() => {
  const say = (text) => { const place = document.getElementById("say"); if (place) place.textContent = text; };

  // --- live: parts marked data-live are taken from the same page, asked for again when something changed ---
  let asking = false, again = false, last = 0;
  const EVERY = 1000; // least time between two looks, in ms
  async function refresh() {
    if (asking || document.hidden) { again = true; return; }
    const early = last + EVERY - Date.now();
    if (early > 0) { asking = true; setTimeout(() => { asking = false; refresh(); }, early); return; }
    asking = true; again = false; last = Date.now();
    try {
      const answer = await fetch(location.pathname + location.search, { headers: { accept: "text/html" } });
      if (answer.ok) take(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch { /* the stream tells whether the server is there */ }
    asking = false;
    if (again || document.body.hasAttribute("data-stale")) setTimeout(refresh, again ? 0 : EVERY);
  }
  function take(fresh) {
    document.body.toggleAttribute("data-stale", fresh.body.hasAttribute("data-stale"));
    for (const old of document.querySelectorAll("[data-live]")) {
      const made = fresh.getElementById(old.id);
      if (made && made.innerHTML !== shown.get(old.id)) swap(old, made);
    }
    times();
  }
  function swap(old, made) {
    const text = made.innerHTML;
    const focus = old.contains(document.activeElement) ? path(document.activeElement, old) : null;
    if (focus && /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) return; // somebody types
    const open = [...old.querySelectorAll("details")].map((each) => each.open);
    const scrolls = [...old.querySelectorAll(".scroll, pre")].map((each) => [each.scrollLeft, each.scrollTop]);
    old.replaceChildren(...made.childNodes);
    shown.set(old.id, text);
    [...old.querySelectorAll("details")].forEach((each, n) => { if (n in open) each.open = open[n]; });
    [...old.querySelectorAll(".scroll, pre")].forEach((each, n) => { if (scrolls[n]) [each.scrollLeft, each.scrollTop] = scrolls[n]; });
    if (focus) focus.reduce((at, n) => at && at.children[n], old)?.focus({ preventScroll: true });
    filter();
  }
  function path(node, top) {
    const found = [];
    for (; node !== top; node = node.parentElement) found.unshift([...node.parentElement.children].indexOf(node));
    return found;
  }
  const shown = new Map([...document.querySelectorAll("[data-live]")].map((each) => [each.id, each.innerHTML]));
  const where = document.body.dataset.events;
  if (where) {
    const light = document.getElementById("live"), text = document.getElementById("live-text");
    const stream = new EventSource(where);
    stream.onopen = () => { light.hidden = false; light.classList.remove("lost"); if (text.textContent !== "live") { text.textContent = "live"; refresh(); } };
    stream.onerror = () => { light.hidden = false; light.classList.add("lost"); text.textContent = "server gone"; };
    stream.addEventListener("changed", refresh);
    addEventListener("pagehide", () => stream.close());
  }
  document.addEventListener("visibilitychange", () => { if (!document.hidden && again) refresh(); });
  if (document.body.hasAttribute("data-stale")) setTimeout(refresh, 300);

  // --- times in the reader's own zone ---
  function times() {
    for (const each of document.querySelectorAll("time[datetime]")) {
      const at = new Date(each.dateTime);
      if (!each.title && !isNaN(at)) { each.title = each.textContent; each.textContent = at.toLocaleString([], { dateStyle: "medium", timeStyle: "short" }); }
    }
  }
  times();

  // --- theme: as the system has it, dark, light ---
  function turn() {
    const root = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const order = dark ? [undefined, "light", "dark"] : [undefined, "dark", "light"];
    const next = order[(order.indexOf(root.dataset.theme) + 1) % 3];
    if (next) root.dataset.theme = next; else delete root.dataset.theme;
    try { if (next) localStorage.setItem("orch-theme", next); else localStorage.removeItem("orch-theme"); } catch { /* off */ }
    say(next ? `${next} theme` : "the system's theme");
  }
  document.getElementById("theme")?.addEventListener("click", turn);

  // --- finding in a list that is here as a whole; selects that show at once ---
  function filter() {
    for (const field of document.querySelectorAll("[data-filter]")) {
      const text = field.value.toLowerCase();
      for (const each of document.querySelectorAll(field.dataset.filter)) each.hidden = !each.textContent.toLowerCase().includes(text);
    }
  }
  document.addEventListener("input", (happened) => { if (happened.target.matches("[data-filter]")) filter(); });
  document.addEventListener("change", (happened) => { if (happened.target.matches("[data-submit]")) happened.target.form.requestSubmit(); });

  // --- copying ---
  async function copy(text) {
    try { await navigator.clipboard.writeText(text); } catch {
      const area = document.createElement("textarea");
      area.value = text; document.body.append(area); area.select(); document.execCommand("copy"); area.remove();
    }
  }
  document.addEventListener("click", async (happened) => {
    const button = happened.target.closest("[data-copy], [data-copy-from]");
    if (!button) return;
    let text;
    if (button.dataset.copy) text = document.getElementById(button.dataset.copy).textContent;
    else {
      const answer = await fetch(button.dataset.copyFrom);
      if (!answer.ok) { say("It could not be read; try again"); return; }
      text = await answer.text();
    }
    await copy(text);
    const before = button.textContent;
    button.textContent = "Copied"; say("Copied");
    setTimeout(() => { button.textContent = before; }, 1500);
  });

  // --- keys ---
  const help = document.getElementById("keys");
  document.getElementById("help")?.addEventListener("click", () => help.showModal());
  const go = (selector) => document.querySelector(selector)?.click();
  document.addEventListener("keydown", (happened) => {
    if (happened.ctrlKey || happened.metaKey || happened.altKey || help.open) return;
    if (happened.target.closest("input, select, textarea")) { if (happened.key === "Escape") happened.target.blur(); return; }
    const cell = happened.target.closest("[data-keys] a, [data-keys] td");
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[happened.key];
    if (cell && step && move(cell, step)) { happened.preventDefault(); return; }
    if (happened.key === "/") { const field = document.querySelector(".find"); if (field) { field.focus(); happened.preventDefault(); } }
    else if (happened.key === "h") location.href = "/";
    else if (happened.key === "t") turn();
    else if (happened.key === "?") help.showModal();
    else if (happened.key === "[") go("a[rel=prev]");
    else if (happened.key === "]") go("a[rel=next]");
    else if (/^[1-9]$/.test(happened.key)) document.querySelectorAll(".tabs a")[happened.key - 1]?.click();
  });
  function move(link, [down, right]) {
    let row = link.closest("tr");
    const column = link.closest("td, th"), index = [...row.children].indexOf(column);
    const body = [...row.parentElement.rows];
    let y = body.indexOf(row), x = index;
    for (;;) {
      y += down; x += right;
      row = body[y];
      if (!row || x < 0 || x >= row.children.length) return false;
      // Rows of nested headers may be shorter: columns are counted from the right there.
      const at = down ? row.children.length - (body[body.indexOf(link.closest("tr"))].children.length - index) : x;
      const target = row.children[at]?.querySelector("a");
      if (target) { target.focus(); return true; }
    }
  }
})();

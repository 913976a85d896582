// Keeps the live part of a page fresh without loading the page again. The page works without this script, too.
"use strict";
(() => {
  // What was just done is said once, not again when the page is loaded anew.
  const here = new URL(location.href);
  if (here.searchParams.has("done")) {
    here.searchParams.delete("done");
    history.replaceState(null, "", here);
  }
  if (!live()) return; // nothing on this page changes by itself

  const every = 15000; // milliseconds between two refreshes when nothing happens
  const least = 250; // between two refreshes, whatever happens
  const most = 600; // the same where something happens all the time: a change is still shown within a second
  const settled = 60000; // how old a page is before a newer monitor makes it load anew
  const patience = 8000; // for one answer
  const quiet = 10000; // hidden for so long, a page listens no more
  const { root, now, units: words } = document.body.dataset;
  const units = words.split(" ");
  const notice = document.getElementById("notice");
  const say = document.getElementById("say");
  const fresh = document.getElementById("fresh");
  const search = document.getElementById("search");
  const build = live().dataset.build;
  let skew = Number(now) - Date.now(); // how far the server's clock is ahead of ours
  let refreshed = Date.now(), asked = refreshed, pause = least;
  let trouble = ""; // which notice is shown: "lost", "broken" or none
  let busy = false, again = false, next = 0;
  let stream = null, retry = 0, fails = 0, hiding = 0;

  function live() { return document.getElementById("live"); }

  // short must say what words.short in Go says.
  function short(ms) {
    const s = Math.max(0, Math.floor(ms / 1000));
    const pair = (a, i, b) => a + " " + units[i] + (b ? " " + b + " " + units[i - 1] : "");
    if (s < 60) return s + " " + units[0];
    if (s < 3600) return pair(Math.floor(s / 60), 1, s % 60);
    if (s < 86400) return pair(Math.floor(s / 3600), 2, Math.floor(s % 3600 / 60));
    return pair(Math.floor(s / 86400), 3, Math.floor(s % 86400 / 3600));
  }

  // tick brings ages up to date below an element. It touches only what changed.
  function tick(below) {
    const now = Date.now() + skew;
    for (const e of below.querySelectorAll("[data-at]")) {
      const at = Number(e.dataset.at);
      if (at) setText(e, short(now - at));
    }
  }

  function setText(e, text) {
    if (e.textContent !== text) e.textContent = text;
  }

  // morph makes a look like b and keeps what is equal, so that focus, selection and scrolling survive.
  function morph(a, b) {
    if (a.isEqualNode(b)) return;
    if (a.nodeType !== b.nodeType || a.nodeName !== b.nodeName) {
      a.replaceWith(document.adoptNode(b));
      return;
    }
    if (a.nodeType !== Node.ELEMENT_NODE) {
      a.nodeValue = b.nodeValue;
      return;
    }
    const open = a.nodeName === "DETAILS" && a.open; // the reader opened it
    for (const { name } of [...a.attributes]) if (!b.hasAttribute(name)) a.removeAttribute(name);
    for (const { name, value } of b.attributes) if (a.getAttribute(name) !== value) a.setAttribute(name, value);
    if (open) a.open = true;
    morphChildren(a, b);
  }

  // morphChildren finds elements with a data-key again wherever they moved to.
  function morphChildren(a, b) {
    const keyed = new Map();
    for (const e of a.children) if (e.dataset.key) keyed.set(e.dataset.key, e);
    let at = a.firstChild;
    for (const want of [...b.childNodes]) {
      const key = want.nodeType === Node.ELEMENT_NODE && want.dataset.key;
      let have = key ? keyed.get(key) : at;
      if (key) keyed.delete(key);
      else while (have && have.dataset && have.dataset.key) have = have.nextSibling;
      if (!have) {
        a.insertBefore(document.adoptNode(want), at);
        continue;
      }
      if (have !== at) a.insertBefore(have, at);
      const after = have.nextSibling, changed = key && have.className !== want.className;
      morph(have, want);
      if (changed) flash(have);
      at = after;
    }
    while (at) {
      const after = at.nextSibling;
      at.remove();
      at = after;
    }
  }

  // flash points at a row whose state changed.
  function flash(row) {
    row.animate?.([{ backgroundColor: "var(--flash)" }, {}], { duration: 3000, easing: "ease-out" });
  }

  function show() {
    const old = short(Date.now() - refreshed);
    setText(notice, trouble ? notice.dataset[trouble].replace("{age}", old) : "");
    const bad = trouble !== "" || !("table" in live().dataset);
    const listening = stream && stream.readyState === EventSource.OPEN;
    document.documentElement.classList.toggle("trouble", bad);
    document.documentElement.classList.toggle("live", !bad && Boolean(listening));
    setText(fresh.lastElementChild, listening && !bad ? fresh.dataset.live : fresh.dataset.wait);
  }

  function accept(part) {
    if (part.dataset.build !== build && mayReload()) {
      location.reload(); // the monitor was updated: this script may not fit it any more
      return;
    }
    tick(part);
    const focus = document.activeElement;
    morph(live(), part);
    if (focus?.isConnected && focus !== document.activeElement) focus.focus({ preventScroll: true });
    document.title = part.dataset.title || document.title;
    setText(say, part.dataset.summary);
    fresh.title = new Date(Date.now() + skew).toISOString().slice(0, 19).replace("T", " ") + " UTC";
    pause = Date.now() - refreshed < 2 * most ? Math.min(most, pause + 50) : least;
    refreshed = Date.now();
    trouble = "";
  }

  // mayReload says no while somebody writes, and to a page that is new: replicas of two versions may answer by turns while
  // the monitor is updated.
  function mayReload() {
    const written = (e) => e.type === "checkbox" ? e.checked !== e.defaultChecked : e.value !== e.defaultValue;
    return performance.now() > settled &&
      ![...document.querySelectorAll('form[method="post"] :is(input, textarea)')].some(written);
  }

  async function refresh() {
    if (busy) {
      again = true; // what happened meanwhile may be missing in the answer
      return;
    }
    busy = true;
    again = false;
    asked = Date.now();
    const address = location.href;
    try {
      const answer = await fetch(address, {
        headers: { "X-Live": "1" }, cache: "no-store", redirect: "error", signal: AbortSignal.timeout(patience),
      });
      const part = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
      if (address !== location.href) {
        again = true; // the search went on meanwhile
      } else if (answer.status === 401) {
        location.reload(); // the session is over: the monitor asks to sign in
      } else if (part && answer.status !== 503) {
        skew = Number(answer.headers.get("X-Monitor-Now")) - Date.now();
        accept(part);
      } else {
        // A page that never had data already says why; else the old data stays.
        trouble = "table" in live().dataset ? (part ? "broken" : "lost") : "";
      }
    } catch {
      trouble = "lost";
    } finally {
      busy = false;
      show();
      schedule(again ? pause : every + Math.random() * 3000);
    }
  }

  // schedule refreshes after so long, unless that is to happen earlier already.
  function schedule(ms) {
    clearTimeout(next);
    next = document.hidden ? 0 : setTimeout(refresh, ms);
  }

  // news refreshes at once, but not more often than it may.
  function news() {
    schedule(Math.max(0, asked + pause - Date.now()));
  }

  function listen() {
    clearTimeout(retry);
    if (stream || document.hidden) return;
    stream = new EventSource(root + "api/events?brief");
    stream.onopen = () => { fails = 0; news(); show(); };
    for (const kind of ["news", "reset"]) stream.addEventListener(kind, news);
    stream.onerror = () => {
      unlisten();
      // Pages must not come back all at once.
      retry = setTimeout(listen, Math.min(30000, 1000 * 2 ** fails++) * (0.5 + Math.random()));
      news();
    };
  }

  function unlisten() {
    clearTimeout(retry);
    stream?.close();
    stream = null;
    show();
  }

  addEventListener("pagehide", unlisten);
  document.addEventListener("submit", () => { unlisten(); clearTimeout(next); }); // the answer is another page
  addEventListener("pageshow", (e) => { if (e.persisted) { listen(); news(); } });
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiding);
    if (document.hidden) {
      hiding = setTimeout(() => { unlisten(); clearTimeout(next); }, quiet);
    } else {
      listen();
      news();
    }
  });

  // Searching shows what matches while one types.
  let typing = 0;
  search?.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      const query = new URLSearchParams([...new FormData(search)].filter(([, value]) => value.trim()));
      history.replaceState(null, "", query.size ? "?" + query : location.pathname);
      refresh();
    }, 250);
  });

  setText(say, live().dataset.summary);
  document.title = live().dataset.title || document.title;
  show();
  setInterval(() => { if (!document.hidden) { tick(live()); show(); } }, 1000);
  schedule(every);
  listen();
})();

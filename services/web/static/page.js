// Keeps the table fresh without loading the page again. The page works without this script, too.
"use strict";
(() => {
  const every = 5000; // milliseconds between two refreshes
  const patience = 8000; // for one answer
  const notice = document.getElementById("notice");
  const say = document.getElementById("say");
  const fresh = document.getElementById("fresh");
  const units = document.body.dataset.units.split(" ");
  const build = live().dataset.build;
  let skew = Number(document.body.dataset.now) - Date.now(); // how far the server's clock is ahead of ours
  let refreshed = Date.now();
  let trouble = ""; // which notice is shown: "lost", "broken" or none
  let busy = false;

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

  // tick brings ages up to date below root. It touches only what changed.
  function tick(root) {
    const now = Date.now() + skew;
    for (const e of root.querySelectorAll("[data-at]")) {
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
    for (const { name } of [...a.attributes]) if (!b.hasAttribute(name)) a.removeAttribute(name);
    for (const { name, value } of b.attributes) if (a.getAttribute(name) !== value) a.setAttribute(name, value);
    const from = [...a.childNodes], to = [...b.childNodes];
    to.forEach((child, i) => i < from.length ? morph(from[i], child) : a.append(document.adoptNode(child)));
    from.slice(to.length).forEach((child) => child.remove());
  }

  function show() {
    const old = short(Date.now() - refreshed);
    setText(notice, trouble ? notice.dataset[trouble].replace("{age}", old) : "");
    const bad = trouble !== "" || !("table" in live().dataset);
    document.documentElement.classList.toggle("trouble", bad);
    document.documentElement.classList.toggle("live", !bad);
  }

  function accept(next) {
    if (next.dataset.build !== build) {
      location.reload(); // the monitor was updated: this script may not fit it any more
      return;
    }
    tick(next);
    morph(live(), next);
    document.title = next.dataset.title || document.title;
    setText(say, next.dataset.summary);
    setText(fresh.lastElementChild, fresh.dataset.text.replace("{time}", new Date(Date.now() + skew).toISOString().slice(11, 19) + " UTC"));
    refreshed = Date.now();
    trouble = "";
  }

  async function refresh() {
    if (busy) return;
    busy = true;
    try {
      const answer = await fetch("table" + location.search, { cache: "no-store", redirect: "error", signal: AbortSignal.timeout(patience) });
      const next = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
      if (answer.ok && next) {
        skew = Number(answer.headers.get("X-Monitor-Now")) - Date.now();
        accept(next);
      } else {
        // A page that never had a table already says why; else the old table stays.
        trouble = "table" in live().dataset ? (answer.status === 503 && next ? "broken" : "lost") : "";
      }
    } catch {
      trouble = "lost";
    } finally {
      busy = false;
      show();
    }
  }

  setText(say, live().dataset.summary);
  document.title = live().dataset.title || document.title;
  setText(fresh.lastElementChild, fresh.dataset.text.replace("{time}", fresh.lastElementChild.textContent));
  show();
  setInterval(() => { tick(live()); show(); }, 1000);
  setInterval(refresh, every);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
})();

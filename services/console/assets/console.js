// Keeps the parts of a page that change up to date: listens for changes, fetches
// the parts again and puts them in place. Without it a reload does the same.
"use strict";

// One box chooses all requests of the page.
document.addEventListener("change", (event) => {
  if (event.target.id !== "choose-all") return;
  for (const box of document.querySelectorAll("input[name=request]")) box.checked = event.target.checked;
});

// With the focus in a row, j and k go to the next and the one before, and x
// chooses it.
document.addEventListener("keydown", (event) => {
  const row = event.target.closest?.("#rows tbody tr");
  if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
  const other = { j: row.nextElementSibling, k: row.previousElementSibling }[event.key];
  if (other) other.querySelector("a").focus();
  if (event.key === "x") row.querySelector("input[name=request]")?.click();
});

// A decision is sent once, however often its button is pressed. Who comes back to
// the page may decide again.
const sent = new WeakSet();
document.addEventListener("submit", (event) => {
  if (event.target.method !== "post") return;
  if (sent.has(event.target)) event.preventDefault();
  sent.add(event.target);
  event.target.setAttribute("aria-busy", "true");
});
window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload(); // what stood there may have changed since
});

(() => {
  const { live, events } = document.body.dataset;
  if (!live || !events || !window.EventSource) return;
  const status = document.getElementById("live-status");
  const say = (text, trouble) => {
    if (!status || status.textContent === text) return;
    status.textContent = text;
    status.classList.toggle("trouble", Boolean(trouble));
  };

  // A part somebody is typing in stays as it is until they are done.
  const inUse = (part) =>
    [...part.querySelectorAll("input:not([type=hidden]), select, textarea")].some(
      (field) =>
        field === document.activeElement ||
        (field.tagName === "SELECT"
          ? [...field.options].some((o) => o.selected !== o.defaultSelected) && field.selectedIndex > 0
          : field.type === "checkbox"
            ? field.checked !== field.defaultChecked
            : field.value !== field.defaultValue),
    );

  // What has the focus has it again in what takes its place: by its id, or as the
  // same link or button, of several that are alike the one at the same place.
  const named = (el) => [el.tagName, el.getAttribute("href"), el.form?.getAttribute("action"), el.textContent.trim()].join(" ");
  const alike = (part, name) => [...part.querySelectorAll("a, button, summary, [tabindex]")].filter((el) => named(el) === name);
  const placeOf = (el, part) => ({ id: el.id, name: named(el), at: alike(part, named(el)).indexOf(el) });
  const found = ({ id, name, at }, part) => (id ? document.getElementById(id) : null) || alike(part, name)[at];

  const replace = (fresh) => {
    const old = document.getElementById(fresh.id);
    if (!old || old.innerHTML === fresh.innerHTML || inUse(old)) return;
    const open = [...old.querySelectorAll("details[open]")].map((d) => d.id);
    const focused = old.contains(document.activeElement) ? placeOf(document.activeElement, old) : undefined;
    for (const id of open) fresh.querySelector("#" + CSS.escape(id))?.setAttribute("open", "");
    old.replaceWith(document.adoptNode(fresh));
    if (focused) found(focused, fresh)?.focus({ preventScroll: true });
  };

  let fetching = false;
  let again = false;
  const refresh = async () => {
    if (fetching) {
      again = true;
      return;
    }
    fetching = true;
    try {
      const answer = await fetch(live, { headers: { Accept: "text/html" }, credentials: "same-origin" });
      if (answer.status === 401) {
        say("Signed out; reload to sign in", true);
        signedOut = true;
        stream.close();
        return;
      }
      if (!answer.ok) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      page.querySelectorAll("[data-part]").forEach(replace);
      if (stream.readyState === EventSource.OPEN) say("Live", false);
    } catch {
      say("Not up to date; trying again", true);
    } finally {
      fetching = false;
      if (again) {
        again = false;
        refresh();
      }
    }
  };

  // A browser comes back by itself when a stream breaks, but not when it is
  // answered with an error, as a proxy does while the console starts anew. Then a
  // new stream is opened, later each time, and by each page at its own moment.
  let stream;
  let tries = 0;
  let signedOut = false;
  const listen = () => {
    stream = new EventSource(events);
    // What changed between the page and the stream is fetched when it opens.
    stream.addEventListener("open", () => {
      tries = 0;
      refresh();
    });
    stream.addEventListener("change", refresh);
    stream.addEventListener("error", (event) => {
      if (signedOut) return;
      say("Not up to date; trying again", true);
      if (event.target.readyState !== EventSource.CLOSED) return;
      const wait = Math.min(1000 * 2 ** tries++, 60000);
      setTimeout(() => signedOut || listen(), wait / 2 + Math.random() * wait);
      refresh(); // it says whether one is still signed in
    });
  };
  listen();
  // Changes are told. What only time changes, such as days that are left, is
  // fetched now and then while somebody looks.
  setInterval(() => document.hidden || signedOut || refresh(), 300000);
  document.addEventListener("visibilitychange", () => document.hidden || signedOut || refresh());
})();

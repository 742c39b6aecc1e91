"use strict";
// The theme, where the reader is, and what print opens.
(() => {
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const themes = { auto: "◐ Auto", light: "☀ Light", dark: "☾ Dark" };
  const names = Object.keys(themes);
  const show = () => {
    const name = root.dataset.theme ?? "auto";
    button.textContent = themes[name];
    button.setAttribute("aria-label", `Theme: ${name}`);
  };
  button.addEventListener("click", () => {
    const name = names[(names.indexOf(root.dataset.theme ?? "auto") + 1) % names.length];
    if (name === "auto") delete root.dataset.theme;
    else root.dataset.theme = name;
    try {
      if (name === "auto") localStorage.removeItem("deltatune-theme");
      else localStorage.setItem("deltatune-theme", name);
    } catch {
      // It holds as long as the page is open.
    }
    show();
  });
  show();
  button.hidden = false;
})();
(() => {
  const links = new Map(
    [...document.querySelectorAll("body > nav a")].map((link) => [link.hash.slice(1), link]),
  );
  const sections = [...document.querySelectorAll("main > section")];
  let current = null;
  const mark = () => {
    const line = 0.3 * innerHeight;
    const past = sections.filter((section) => section.getBoundingClientRect().top <= line);
    const next = past.length ? links.get(past[past.length - 1].id) : null;
    if (next === current) return;
    current?.removeAttribute("aria-current");
    next?.setAttribute("aria-current", "true");
    current = next;
    // The list alone moves, never the page.
    if (next) next.closest("ul").scrollLeft = next.offsetLeft - next.closest("ul").clientWidth / 3;
  };
  let waiting = false;
  addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; mark(); });
  }, { passive: true });
  mark();
})();
(() => {
  // A link into what is folded opens it.
  const reveal = () => {
    let element = null;
    try {
      element = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    } catch {
      return;
    }
    let folded = element?.closest("details:not([open])");
    if (!folded) return;
    while (folded) {
      folded.open = true;
      folded = folded.parentElement.closest("details:not([open])");
    }
    element.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  reveal();
  // Paper has nothing to click.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const one of opened) one.open = true;
  });
  addEventListener("afterprint", () => {
    for (const one of opened) one.open = false;
    opened = [];
  });
})();

"use strict";
(() => {
  const element = document.getElementById("island");
  if (!element) return;
  const island = JSON.parse(element.textContent);
  const pageSize = 12;
  for (const section of document.querySelectorAll("[data-examples]")) {
    const facts = island[section.dataset.examples];
    const list = section.querySelector(".list");
    const items = [...list.children].map((element, place) => ({ element, place, ...facts[place] }));
    const tools = section.querySelector(".tools");
    const buttons = [...tools.querySelectorAll("button")];
    const search = tools.querySelector("input");
    const order = tools.querySelector("select");
    const count = tools.querySelector("output");
    const all = section.querySelector(".all");
    let side = "all";
    let whole = false;
    const show = () => {
      const wanted = search.value.trim().toLowerCase();
      let matching = 0;
      let shown = 0;
      for (const item of items) {
        item.text ??= item.element.textContent.toLowerCase();
        const fits = (side === "all" || item.side === side) && item.text.includes(wanted);
        matching += fits;
        const visible = fits && (whole || matching <= pageSize);
        item.element.hidden = !visible;
        shown += visible;
      }
      count.textContent = shown < matching ? `${shown} of ${matching} shown` : `${matching} shown`;
      all.hidden = shown === matching;
      all.textContent = `Show all ${matching}`;
    };
    for (const button of buttons) {
      button.addEventListener("click", () => {
        side = button.value;
        whole = false;
        for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
        show();
      });
    }
    search.addEventListener("input", show);
    order.addEventListener("change", () => {
      const turn = order.value === "losses" ? -1 : 1;
      items.sort((a, b) => turn * (a.place - b.place));
      for (const item of items) list.append(item.element);
      show();
    });
    all.addEventListener("click", () => { whole = true; show(); });
    tools.hidden = false;
    show();
  }
})();

// Sorting of tables marked with data-sortable. A button in each heading sorts up, then down, then as
// it was. The groups of a table move as wholes, by the first of their rows; without groups its rows
// do. Equal ones keep their order, and what has no value comes last both ways.
"use strict";
(() => {
  const words = new Intl.Collator("en", { numeric: true });
  const turns = { none: "ascending", ascending: "descending", descending: "none" };

  const valueOf = (cell, isNumber) => {
    if (cell.dataset.sort !== undefined) return Number(cell.dataset.sort);
    return isNumber ? undefined : (cell.title || cell.textContent).trim();
  };

  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a < b ? -1 : Number(a > b);
    return words.compare(a, b);
  };

  const sorted = (items, column, isNumber, direction) => {
    const keyed = items.map((item) => ({ item, value: valueOf(item.row.cells[column], isNumber) }));
    const known = keyed.filter(({ value }) => value !== undefined);
    const unknown = keyed.filter(({ value }) => value === undefined);
    const sign = direction === "descending" ? -1 : 1;
    if (direction === "none") return items;
    known.sort((a, b) => sign * compare(a.value, b.value));
    return [...known, ...unknown].map(({ item }) => item);
  };

  for (const table of document.querySelectorAll("table[data-sortable]")) {
    const bodies = [...table.tBodies];
    const grouped = bodies.length > 1;
    const parent = grouped ? table : bodies[0];
    const items = grouped
      ? bodies.map((body) => ({ element: body, row: body.querySelector("tr:not(.group)") }))
      : [...bodies[0].querySelectorAll("tr:not(.group)")].map((row) => ({ element: row, row }));
    const headings = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
    headings.forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      heading.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const direction = turns[heading.getAttribute("aria-sort")];
        for (const other of headings) other.setAttribute("aria-sort", "none");
        heading.setAttribute("aria-sort", direction);
        const isNumber = heading.classList.contains("number");
        const order = sorted(items, column, isNumber, direction);
        const foot = grouped ? table.tFoot : null;
        for (const { element } of order) parent.insertBefore(element, foot);
      });
    });
  }
})();

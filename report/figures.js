"use strict";
// Each figure can be saved as an SVG that stands alone, in the colors that it has on the page.
(() => {
  const standalone = (svg) => {
    const copy = svg.cloneNode(true);
    const originals = [svg, ...svg.querySelectorAll("*")];
    [copy, ...copy.querySelectorAll("*")].forEach((element, place) => {
      const painted = getComputedStyle(originals[place]);
      for (const name of ["fill", "stroke"]) {
        if (element.style.getPropertyValue(name)) element.style.setProperty(name, painted[name]);
      }
    });
    const page = getComputedStyle(document.body);
    const ground = document.createElementNS(svg.namespaceURI, "rect");
    ground.setAttribute("width", "100%");
    ground.setAttribute("height", "100%");
    ground.style.fill = page.backgroundColor;
    copy.insertBefore(ground, copy.querySelector(":scope > g"));
    copy.removeAttribute("class");
    copy.style.fontFamily = page.fontFamily;
    copy.style.color = page.color;
    return new XMLSerializer().serializeToString(copy);
  };
  const fileName = (svg) => {
    const title = svg.querySelector("title")?.textContent ?? "";
    return `${title.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "") || "figure"}.svg`;
  };
  for (const figure of document.querySelectorAll("figure")) {
    const drawn = [...figure.querySelectorAll("svg")];
    if (!drawn.length) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "save";
    button.textContent = "Save as SVG";
    button.setAttribute("aria-label", `Save as SVG: ${drawn[0].querySelector("title")?.textContent}`);
    button.addEventListener("click", () => {
      const svg = drawn.find((one) => one.getClientRects().length) ?? drawn[0];
      const url = URL.createObjectURL(new Blob([standalone(svg)], { type: "image/svg+xml" }));
      const link = document.createElement("a");
      link.href = url;
      link.download = fileName(svg);
      link.click();
      setTimeout(() => URL.revokeObjectURL(url), 1000);
    });
    figure.append(button);
  }
})();

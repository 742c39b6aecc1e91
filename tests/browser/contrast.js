// Contrast of the text in drawings: a line for each text that is below what WCAG 2 asks for. Run in
// the page; axe leaves drawings out. The background of a text is what is drawn below its middle.
(limit) => {
  const CANVAS = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const colors = new Map();
  // [red, green, blue, opacity] from 0 to 1, of whatever a browser calls a color.
  const color = (text) => {
    if (!colors.has(text)) {
      CANVAS.clearRect(0, 0, 1, 1);
      CANVAS.fillStyle = "#000";
      CANVAS.fillStyle = text;
      CANVAS.fillRect(0, 0, 1, 1);
      colors.set(text, [...CANVAS.getImageData(0, 0, 1, 1).data].map((part) => part / 255));
    }
    return colors.get(text);
  };
  const over = ([r, g, b, a], below) =>
    [r, g, b].map((part, place) => part * a + below[place] * (1 - a));
  const luminance = (rgb) => rgb
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
  const ratio = (a, b) => {
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
  const opacity = (element) => {
    let product = 1;
    for (let one = element; one; one = one.parentElement) product *= getComputedStyle(one).opacity;
    return product;
  };
  const paper = (element) => {
    const layers = [];
    for (let one = element; one; one = one.parentElement) {
      layers.push(color(getComputedStyle(one).backgroundColor));
    }
    const dark = getComputedStyle(document.documentElement).colorScheme.startsWith("dark");
    return layers.reduceRight((below, layer) => over(layer, below), dark ? [0, 0, 0] : [1, 1, 1]);
  };
  const fill = (element) => {
    const style = getComputedStyle(element);
    const [r, g, b, a] = style.fill === "none" ? [0, 0, 0, 0] : color(style.fill);
    return [r, g, b, a * style.fillOpacity * opacity(element)];
  };

  const faults = [];
  for (const svg of document.querySelectorAll("svg")) {
    if (!svg.checkVisibility()) continue;
    const below = paper(svg);
    const drawn = [...svg.querySelectorAll("path, rect, circle, ellipse, polygon, text")]
      .filter((one) => !one.closest("defs, clipPath, marker, symbol, pattern"));
    drawn.forEach((text, place) => {
      if (text.tagName !== "text" || !text.textContent.trim() || !text.checkVisibility()) return;
      const { x, y, width, height } = text.getBBox();
      const middle = new DOMPoint(x + width / 2, y + height / 2)
        .matrixTransform(text.getScreenCTM());
      const background = drawn.slice(0, place)
        .filter((one) => one.tagName !== "text" && one.isPointInFill(
          middle.matrixTransform(one.getScreenCTM().inverse())))
        .reduce((color, one) => over(fill(one), color), below);
      const size = parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().d;
      const bold = getComputedStyle(text).fontWeight >= 700;
      const least = size >= 24 || (bold && size >= 18.66) ? 3 : 4.5;
      const has = ratio(over(fill(text), background), background);
      if (has < least) {
        const section = text.closest("section[id]");
        faults.push(`${has.toFixed(2)} of ${least}: “${text.textContent.trim().slice(0, 40)}”`
          + ` in ${section ? `#${section.id}` : "the page"}, ${getComputedStyle(text).fill} on `
          + `rgb(${background.map((part) => Math.round(255 * part)).join(", ")})`);
      }
    });
  }
  return [...new Set(faults)].slice(0, limit ?? 40);
}

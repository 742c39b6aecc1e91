// Boxes that overlap or are clipped in a page as it is drawn: a line for each. Run in the page.
//
// Looked at are lines of text, and boxes such as pictures and buttons. A box is in order if a reader
// can see all of it, perhaps by scrolling a part of the page that scrolls.
(limit) => {
  const BOXES = "svg, img, button, input, select, textarea, meter, progress, canvas";
  const TOLERANCE = 1.5; // CSS pixels: rounding, and letters that reach out of their line
  const ON_PAPER = matchMedia("print").matches;
  const WIDTH = document.documentElement.clientWidth;
  const faults = [];

  const name = (element) => {
    const parts = [];
    for (let one = element; one && parts.length < 3; one = one.parentElement) {
      const classes = typeof one.className === "string" ? one.className : one.getAttribute("class");
      const kind = classes ? `.${classes.trim().split(/\s+/)[0]}` : "";
      parts.unshift(`${one.tagName.toLowerCase()}${one.id ? `#${one.id}` : kind}`);
      if (one.id) break;
    }
    const section = element.closest("section[id]");
    const within = section && section !== element ? `in #${section.id} ` : "";
    return within + parts.join(" > ");
  };
  const quote = (text) => `“${text.trim().replace(/\s+/g, " ").slice(0, 40)}”`;
  const shown = (element) =>
    element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const intersection = (a, b) => {
    const left = Math.max(a.left, b.left);
    const top = Math.max(a.top, b.top);
    const right = Math.min(a.right, b.right);
    const bottom = Math.min(a.bottom, b.bottom);
    return { left, top, right, bottom, width: right - left, height: bottom - top };
  };

  // What cuts an element: ancestors that hide what reaches out of them, and those that scroll.
  const styles = new Map();
  const style = (element) => {
    if (!styles.has(element)) styles.set(element, getComputedStyle(element));
    return styles.get(element);
  };
  const cutters = new Map();
  const cutting = (element) => {
    if (!element || element === document.body || element === document.documentElement) return [];
    if (!cutters.has(element)) {
      const { overflowX, overflowY } = style(element);
      const cuts = overflowX !== "visible" || overflowY !== "visible";
      const own = cuts && !(element instanceof SVGElement && element.ownerSVGElement)
        ? [{ element, overflowX, overflowY }] : [];
      // A point that cuts is for screen readers alone.
      const invisible = cuts && element.offsetWidth <= 1 && element.offsetHeight <= 1;
      cutters.set(element, [...(invisible ? [{ invisible }] : own),
        ...cutting(element.parentElement)]);
    }
    return cutters.get(element);
  };
  // The part of a rectangle that is in view at first; null if it is scrolled out of sight.
  const visible = (rectangle, element, what) => {
    let rest = rectangle;
    for (const { element: cutter, overflowX, overflowY, invisible } of cutting(element)) {
      if (invisible) return null;
      const box = cutter.getBoundingClientRect();
      const beyondX = rest.left < box.left - TOLERANCE || rest.right > box.right + TOLERANCE;
      const beyondY = rest.top < box.top - TOLERANCE || rest.bottom > box.bottom + TOLERANCE;
      const scrolls = (overflow) => !ON_PAPER && ["auto", "scroll"].includes(overflow);
      // Three dots say that there is more.
      const dots = style(cutter).textOverflow === "ellipsis"
        || style(cutter).webkitLineClamp !== "none";
      if (((beyondX && !scrolls(overflowX)) || (beyondY && !scrolls(overflowY))) && !dots
        && cutter !== element.closest("svg")) {
        faults.push(`clipped: ${what} (${name(element)}) by ${name(cutter)}`);
        return null;
      }
      rest = intersection(rest, box);
      if (rest.width <= 0 || rest.height <= 0) return null;
    }
    return rest;
  };

  // Corners of a box, in order; drawn text may be turned.
  const corners = ({ left, top, right, bottom }) =>
    [[left, top], [right, top], [right, bottom], [left, bottom]];
  const drawn = (text) => {
    const { x, y, width, height } = text.getBBox();
    const matrix = text.getScreenCTM();
    // A letter fills about the middle two thirds of its line.
    const box = { left: x, right: x + width, top: y + height / 6, bottom: y + (height * 5) / 6 };
    return corners(box).map(([px, py]) => {
      const point = new DOMPoint(px, py).matrixTransform(matrix);
      return [point.x, point.y];
    });
  };
  const bounds = (points) => {
    const xs = points.map(([x]) => x);
    const ys = points.map(([, y]) => y);
    const [left, right] = [Math.min(...xs), Math.max(...xs)];
    const [top, bottom] = [Math.min(...ys), Math.max(...ys)];
    return { left, right, top, bottom, width: right - left, height: bottom - top };
  };
  // Convex shapes are apart if a side of one of them divides them (separating axes).
  const apart = (a, b) => [a, b].some((shape) => shape.some(([x, y], place) => {
    const [nextX, nextY] = shape[(place + 1) % shape.length];
    const length = Math.hypot(nextX - x, nextY - y) || 1;
    const axis = [(nextY - y) / length, (x - nextX) / length];
    const along = (points) => points.map(([px, py]) => px * axis[0] + py * axis[1]);
    const [one, other] = [along(a), along(b)];
    return Math.min(Math.max(...one) - Math.min(...other), Math.max(...other) - Math.min(...one))
      <= TOLERANCE;
  }));

  const items = [];
  const add = (what, element, points, isBox = false) => {
    const box = bounds(points);
    // A link that keyboards reach waits above or left of the page until it has the focus.
    if (box.right > 0 && box.bottom + scrollY > 0) items.push({ what, element, points, box, isBox });
  };

  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || !shown(element) || element.closest("script, style, svg, select, noscript")) {
      continue;
    }
    const range = document.createRange();
    range.selectNodeContents(node);
    // Where blanks are kept, the one at which a line ends hangs out of it.
    const hangs = style(element).whiteSpace === "pre-wrap" ? 0.4 * parseFloat(style(element).fontSize) : 0;
    for (const line of range.getClientRects()) {
      if (line.width <= 1 + hangs || line.height < 1) continue;
      const text = intersection(line, { ...line.toJSON(), right: line.right - hangs });
      const rest = visible(text, element, quote(node.data));
      if (!rest) continue;
      const inset = (rest.bottom - rest.top) / 6;
      const { left, right, top, bottom } = rest;
      add(quote(node.data), element,
        corners({ left, right, top: top + inset, bottom: bottom - inset }));
    }
  }
  for (const text of document.querySelectorAll("svg text")) {
    if (!text.textContent.trim() || !shown(text) || text.closest("defs")) continue;
    const points = drawn(text);
    const what = quote(text.textContent);
    const canvas = text.closest("svg").getBoundingClientRect();
    const box = bounds(points);
    if (box.left < canvas.left - TOLERANCE || box.right > canvas.right + TOLERANCE
      || box.top < canvas.top - TOLERANCE || box.bottom > canvas.bottom + TOLERANCE) {
      faults.push(`outside its picture: ${what} (${name(text)})`);
    }
    if (visible(box, text, what)) add(what, text, points);
  }
  for (const element of document.querySelectorAll(BOXES)) {
    if (!shown(element) || element.parentElement.closest("svg")) continue;
    const box = element.getBoundingClientRect();
    if (box.width < 1 || box.height < 1) continue;
    const rest = visible(box, element, element.tagName.toLowerCase());
    if (rest) add(element.tagName.toLowerCase(), element, corners(rest), true);
  }

  items.sort((a, b) => a.box.top - b.box.top);
  const open = [];
  for (const item of items) {
    for (let place = open.length - 1; place >= 0; place -= 1) {
      const other = open[place];
      if (other.box.bottom <= item.box.top) {
        open.splice(place, 1);
        continue;
      }
      const { width, height } = intersection(item.box, other.box);
      if (width <= TOLERANCE || height <= TOLERANCE || apart(item.points, other.points)) continue;
      // A box holds what is in it.
      const nested = [[item, other], [other, item]].some(([outer, inner]) =>
        outer.isBox && outer.element.contains(inner.element));
      // Chromium has two boxes for a line that ends in three dots.
      const same = item.element === other.element && item.what === other.what;
      if (nested || same || style(item.element).position === "fixed") continue;
      faults.push(`overlap of ${width.toFixed(0)} × ${height.toFixed(0)} px: ${other.what} `
        + `(${name(other.element)}) and ${item.what} (${name(item.element)})`);
    }
    open.push(item);
  }

  if (document.documentElement.scrollWidth > WIDTH) {
    const widest = [...document.body.querySelectorAll("*")]
      .filter((one) => one.getBoundingClientRect().right > WIDTH && !cutting(one).length).pop();
    faults.push(`the page is ${document.documentElement.scrollWidth} px wide on ${WIDTH} px`
      + (widest ? `: ${name(widest)}` : ""));
  }
  for (const { what, element, box } of items) {
    if (box.right > WIDTH + TOLERANCE || box.left < -TOLERANCE) {
      faults.push(`beyond the screen: ${what} (${name(element)})`);
    }
  }
  return [...new Set(faults)].slice(0, limit ?? 40);
}

"use strict";
// The example browser of the report: a windowed list of examples, with search, filters and links.
//
// The examples lie in the page as base64 of gzip of JSON, see scripts/deltatune/report/island.py.
// Every text of a model reaches the page as a text node. What needs no page is in `browser`, which
// tests load by themselves; `start` at the end has the page.

const browser = (() => {
  const COMPARED = 600; // words of a text that are compared; nothing beyond is highlighted
  const REPEATS = 60000; // pairs of equal words above which texts are compared as bags
  const SIDES = { b: "better", s: "unchanged", w: "worse", u: "unscored" };
  const ANY = Object.freeze({
    experiment: "", task: "", seed: "", outcome: "", right: "", disagree: "", truncated: "",
    empty: "", min: "", max: "", shortest: "", longest: "", q: "", sort: "gain", marks: "",
  });

  // ------------------------------------------------------------------ texts

  /** A text without case and accents, to be searched. */
  function fold(text) {
    // eslint-disable-next-line no-control-regex
    if (/^[\x00-\x7f]*$/.test(text)) return text.toLowerCase();
    return text.normalize("NFKD")
      .replace(/[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670]/g, "")
      .toLowerCase().replace(/ß/g, "ss").replace(/ς/g, "σ");
  }

  /** The folded words of a query, all of which an example has to have. */
  function queryWords(query) {
    return [...new Set(fold(query).split(/\s+/).filter(Boolean))];
  }

  const WORD = new RegExp(
    "\\s+|[\\p{sc=Han}\\p{sc=Hiragana}\\p{sc=Katakana}\\p{sc=Thai}]\\p{M}*" +
    "|(?:(?![\\p{sc=Han}\\p{sc=Hiragana}\\p{sc=Katakana}\\p{sc=Thai}])[\\p{L}\\p{M}\\p{N}_])+" +
    "|[^\\s\\p{L}\\p{M}\\p{N}_]+", "gu");

  /** Words, punctuation and runs of space: joined again they are the text. */
  function words(text) {
    return text.match(WORD) ?? [];
  }

  /** For each of two lists of words, whether each word is part of their longest common one. */
  function common(ours, theirs) {
    const kept = [new Uint8Array(ours.length), new Uint8Array(theirs.length)];
    let start = 0;
    const end = Math.min(ours.length, theirs.length);
    while (start < end && ours[start] === theirs[start]) {
      kept[0][start] = kept[1][start] = 1;
      start += 1;
    }
    let tail = 0;
    while (tail < end - start && ours.at(-1 - tail) === theirs.at(-1 - tail)) {
      tail += 1;
      kept[0][ours.length - tail] = kept[1][theirs.length - tail] = 1;
    }
    const rows = ours.length - tail - start;
    const columns = theirs.length - tail - start;
    if (repeats(ours.slice(start, start + rows), theirs.slice(start, start + columns))) {
      const there = [new Set(theirs), new Set(ours)];
      [ours, theirs].forEach((list, which) => list.forEach((word, n) => {
        if (there[which].has(word)) kept[which][n] = 1;
      }));
      return kept;
    }
    const width = columns + 1;
    const longest = new Uint16Array((rows + 1) * width);
    for (let i = rows - 1; i >= 0; i -= 1) {
      for (let j = columns - 1; j >= 0; j -= 1) {
        longest[i * width + j] = ours[start + i] === theirs[start + j]
          ? longest[(i + 1) * width + j + 1] + 1
          : Math.max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
      }
    }
    for (let i = 0, j = 0; i < rows && j < columns;) {
      if (ours[start + i] === theirs[start + j]) {
        kept[0][start + i] = kept[1][start + j] = 1;
        i += 1;
        j += 1;
      } else if (longest[(i + 1) * width + j] >= longest[i * width + j + 1]) i += 1;
      else j += 1;
    }
    return kept;
  }

  /** Whether words repeat without end ("the the the …"), so that no order of them means much. */
  function repeats(ours, theirs) {
    const times = new Map();
    for (const word of theirs) times.set(word, (times.get(word) ?? 0) + 1);
    return ours.reduce((sum, word) => sum + (times.get(word) ?? 0), 0) > REPEATS;
  }

  /**
   * Pieces of a text, each with whether it differs from the other text: [[text, differs], …].
   * Case and space do not count; beyond COMPARED words nothing is compared, and nothing differs.
   */
  function differing(text, other) {
    const tokens = words(text);
    const places = [];
    tokens.forEach((token, n) => { if (/\S/.test(token)) places.push(n); });
    places.length = Math.min(places.length, COMPARED);
    const theirs = words(other).filter((token) => /\S/.test(token)).slice(0, COMPARED);
    const [kept] = common(
      places.map((n) => tokens[n].toLowerCase()), theirs.map((token) => token.toLowerCase()));
    const differs = new Uint8Array(tokens.length);
    places.forEach((n, k) => {
      differs[n] = 1 - kept[k];
      // The space between two words that differ differs too.
      if (k && differs[n] && differs[places[k - 1]]) differs.fill(1, places[k - 1], n);
    });
    const pieces = [];
    tokens.forEach((token, n) => {
      if (pieces.length && pieces.at(-1)[1] === Boolean(differs[n])) pieces.at(-1)[0] += token;
      else pieces.push([token, Boolean(differs[n])]);
    });
    return pieces;
  }

  // ---------------------------------------------------------------- numbers

  /** 12,345.60 with a true minus sign; a dash where there is no number. */
  function number(value, decimals = 2) {
    if (value === null || value === undefined || !Number.isFinite(value)) return "–";
    const text = value.toLocaleString("en-US", {
      minimumFractionDigits: decimals, maximumFractionDigits: decimals,
    });
    return /[1-9]/.test(text) ? text.replace("-", "−") : text.replace("-", "");
  }

  function signed(value, decimals = 2) {
    const text = number(value, decimals);
    return value > 0 && /[1-9]/.test(text) ? `+${text}` : text;
  }

  /** So many decimals that a change is not written as zero. */
  function decimals(delta, side, least = 2, most = 5) {
    let count = least;
    while (side !== "s" && count < most && delta && !/[1-9]/.test(delta.toFixed(count))) count += 1;
    return count;
  }

  const count = (value) => value.toLocaleString("en-US");

  // --------------------------------------------------------------- examples

  /** base64 of gzip of JSON → the tables. */
  async function unpack(base64) {
    const text = atob(base64);
    const bytes = new Uint8Array(text.length);
    for (let n = 0; n < text.length; n += 1) bytes[n] = text.charCodeAt(n);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text()).tables;
  }

  /** The part of a link that names an example. */
  function keyOf(table, row) {
    const middle = table.outputs === "continuations" ? "continuation-" : "";
    return `${table.task}-${middle}${table.id[row]}`;
  }

  /** The lists of the browser, one for each experiment on a task, each with its items. */
  function listsOf(tables) {
    const lists = [];
    for (const table of tables) {
      for (const experiment of table.experiments) {
        const list = { table, experiment, task: table.task, name: experiment.name };
        list.gains = [gains(table, experiment.tuned)].concat(
          experiment.tuned.map((system) => gains(table, [system])));
        list.items = table.id.map((_, row) => ({ list, row }));
        lists.push(list);
      }
    }
    return lists;
  }

  /** Of each example how much better the mean over these systems is; NaN where one has no score. */
  function gains(table, systems) {
    const sign = table.higher ? 1 : -1;
    return Float64Array.from(table.id, (_, row) => {
      const scores = [table.base, ...systems].map((system) => system.score?.[row] ?? NaN);
      const mean = scores.slice(1).reduce((sum, score) => sum + score, 0) / systems.length;
      return sign * (mean - scores[0]);
    });
  }

  /** One line of a prompt, without the words with which all prompts of its table begin. */
  function excerpt(table, row) {
    table.opening ??= openingOf(table.prompt);
    return table.prompt[row].slice(table.opening, table.opening + 300).replace(/\s+/g, " ");
  }

  /** Characters of the words that all texts begin with; 0 where there is one text, or none else. */
  function openingOf(texts) {
    if (texts.length < 2) return 0;
    let length = texts[0].length;
    for (const text of texts) {
      let same = 0;
      while (same < length && text[same] === texts[0][same]) same += 1;
      length = same;
    }
    while (length && /\S/.test(texts[0][length - 1])) length -= 1;
    return texts.some((text) => !text.slice(length).trim()) ? 0 : length;
  }

  /** Which tuned systems a state is of: one seed's, or all; [] where the list lacks the seed. */
  function systemsOf(list, state) {
    const { seeds, tuned } = list.experiment;
    return state.seed === "" ? tuned : tuned.filter((_, n) => String(seeds[n]) === state.seed);
  }

  function gainOf(item, state) {
    const place = state.seed === "" ? 0
      : 1 + item.list.experiment.seeds.findIndex((seed) => String(seed) === state.seed);
    return item.list.gains[place][item.row];
  }

  function sideOf(item, state) {
    const of = state.seed === "" ? item.list.experiment : systemsOf(item.list, state)[0];
    return of.side[item.row];
  }

  /** Characters of what was put out, or of the text where nothing is: whole, also if it is cut. */
  function lengthOf(item, state) {
    const { table } = item.list;
    const size = (of, name) => of[name][item.row].length + (of[`${name}_left`][item.row] ?? 0);
    if (table.outputs === "labels" || table.outputs === "text") return size(table, "prompt");
    const sizes = systemsOf(item.list, state).map((system) => size(system, "output"));
    return sizes.reduce((sum, one) => sum + one, 0) / sizes.length;
  }

  /** Whether flags of systems are all, some or none of them set; null where nobody knows. */
  function flags(systems, name, row) {
    if (!systems.length || systems.some((system) => system[name] === undefined)) return null;
    const set = systems.filter((system) => system[name][row] === "1").length;
    return set === systems.length ? "all" : set ? "some" : "none";
  }

  /** Whether the seeds do not all say the same of an example: better, unchanged or worse; right. */
  function seedsDisagree(item) {
    const { tuned } = item.list.experiment;
    const differ = (name) => tuned.some((one) => one[name]?.[item.row] !== tuned[0][name]?.[item.row]);
    return differ("side") || differ("right");
  }

  /** The folded texts of an item: those of its record, and those of each of its systems. */
  function searched(item) {
    const { table, experiment } = item.list;
    table.folded ??= new Array(table.id.length);
    // Each by itself: joined, megabytes would be copied once more.
    table.folded[item.row] ??= [String(table.id[item.row]), table.prompt[item.row],
      table.reference[item.row], table.base.output?.[item.row] ?? ""].map(fold);
    const texts = [...table.folded[item.row]];
    for (const system of experiment.tuned) {
      if (!system.output) continue;
      system.folded ??= new Array(table.id.length);
      texts.push(system.folded[item.row] ??= fold(system.output[item.row]));
    }
    return texts;
  }

  const RIGHT = {
    right: (tuned) => tuned === "all",
    wrong: (tuned) => tuned === "none",
    gained: (tuned, base) => base === "none" && tuned !== "none",
    lost: (tuned, base) => base === "all" && tuned !== "all",
  };

  /** The test that items pass by a state, its outcome and range of differences apart. */
  function filter(state) {
    const query = queryWords(state.q);
    const shortest = state.shortest === "" ? -Infinity : Number(state.shortest);
    const longest = state.longest === "" ? Infinity : Number(state.longest);
    return (item) => {
      const { row, list } = item;
      const systems = systemsOf(list, state);
      if (!systems.length) return false;
      if (state.right) {
        const tuned = flags(systems, "right", row);
        const base = flags([list.table.base], "right", row);
        if (tuned === null || !RIGHT[state.right](tuned, base)) return false;
      }
      if (state.disagree && !seedsDisagree(item)) return false;
      for (const name of ["truncated", "empty"]) {
        if (state[name] && !["all", "some"].includes(flags(systems, name, row))) return false;
      }
      if (shortest > -Infinity || longest < Infinity) {
        const length = lengthOf(item, state);
        if (length < shortest || length > longest) return false;
      }
      if (!query.length) return true;
      const texts = searched(item);
      return query.every((word) => texts.some((text) => text.includes(word)));
    };
  }

  /** The lists that a state is of. */
  function chosen(lists, state) {
    return lists.filter((list) => (!state.experiment || list.name === state.experiment)
      && (!state.task || list.task === state.task));
  }

  /**
   * What a state shows of the lists: items in their order; counts {better, unchanged, worse,
   * unscored} and gains of all that pass the filters but that of the outcome and the range.
   */
  function select(lists, state) {
    const passes = filter(state);
    const counts = { better: 0, unchanged: 0, worse: 0, unscored: 0 };
    const min = state.min === "" ? -Infinity : Number(state.min);
    const max = state.max === "" ? Infinity : Number(state.max);
    const items = [];
    const gains = [];
    for (const list of chosen(lists, state)) {
      for (const item of list.items) {
        if (!passes(item)) continue;
        const side = SIDES[sideOf(item, state)];
        const gain = gainOf(item, state);
        counts[side] += 1;
        gains.push(gain);
        if (state.outcome && side !== state.outcome) continue;
        if ((state.min !== "" || state.max !== "") && !(gain >= min && gain <= max)) continue;
        items.push(item);
      }
    }
    return { items: sort(items, state), counts, gains };
  }

  const collator = new Intl.Collator("en", { numeric: true });

  /** In the order of a state; gains of one metric are not compared with those of another. */
  function sort(items, state) {
    const metrics = [...new Set(items.map(({ list }) => list.table.metric))];
    const sign = state.sort === "loss" ? 1 : -1;
    const keyed = items.map((item) => {
      const { table } = item.list;
      if (state.sort === "id") return { item, group: 0, key: String(table.id[item.row]) };
      if (state.sort === "length") return { item, group: 0, key: -lengthOf(item, state) };
      const gain = gainOf(item, state);
      const key = Number.isNaN(gain) ? Infinity : sign * gain;
      return { item, group: metrics.indexOf(table.metric), key };
    });
    if (state.sort === "id") keyed.sort((a, b) => collator.compare(a.key, b.key));
    else if (state.sort !== "record") {
      keyed.sort((a, b) => a.group - b.group || compare(a.key, b.key));
    }
    return keyed.map(({ item }) => item);
  }

  const compare = (a, b) => (a === b ? 0 : a - b);

  /**
   * Bars over finite gains: [{low, high, count}, …], of equal width, or one for each level where few
   * differ. low, high: the least and the largest gain in it, so that this range is the bar.
   */
  function histogram(gains, bars = 21) {
    const finite = Float64Array.from(gains.filter(Number.isFinite)).sort();
    if (!finite.length) return [];
    const levels = [...new Set(finite)];
    const width = (finite.at(-1) - finite[0]) / bars;
    const placeOf = levels.length <= 12
      ? (gain) => levels.indexOf(gain)
      : (gain) => Math.min(bars - 1, Math.floor((gain - finite[0]) / width));
    const size = levels.length <= 12 ? levels.length : bars;
    const result = Array.from({ length: size }, () => ({ low: null, high: null, count: 0 }));
    for (const gain of finite) {
      const bar = result[placeOf(gain)];
      bar.low ??= gain;
      bar.high = gain;
      bar.count += 1;
    }
    return result;
  }

  // ------------------------------------------------------------------ links

  /** #examples?… → a state, #example-KEY?… → that with `key`; null for any other place. */
  function parse(hash) {
    const [place, query = ""] = hash.replace(/^#/, "").split(/\?(.*)/s);
    const named = new URLSearchParams(query);
    const state = { ...ANY };
    for (const name of Object.keys(ANY)) if (named.has(name)) state[name] = named.get(name);
    if (!/^(gain|loss|length|id|record)$/.test(state.sort)) state.sort = ANY.sort;
    if (state.right && !RIGHT[state.right]) state.right = "";
    for (const name of ["min", "max", "shortest", "longest"]) {
      if (state[name] !== "" && Number.isNaN(Number(state[name]))) state[name] = "";
    }
    if (place === "examples") return query ? { state } : null;
    if (!place.startsWith("example-")) return null;
    try {
      return { state, key: decodeURIComponent(place.slice("example-".length)) };
    } catch {
      return null; // a lone percent sign
    }
  }

  /** The part of the address that is this state. */
  function format(state) {
    const named = new URLSearchParams();
    for (const [name, value] of Object.entries(ANY)) {
      if (state[name] !== value) named.set(name, state[name]);
    }
    return `#examples?${named}`;
  }

  /** The part of the address that leads to an example. */
  function link(item) {
    const key = encodeURIComponent(keyOf(item.list.table, item.row));
    return `#example-${key}?${new URLSearchParams({ experiment: item.list.name })}`;
  }

  return {
    ANY, SIDES, chosen, count, decimals, differing, excerpt, format, gainOf, histogram, keyOf, link,
    listsOf, number, openingOf, parse, queryWords, searched, select, sideOf, signed, systemsOf,
    unpack, words,
  };
})();

// --------------------------------------------------------------------- page

(() => {
  /** An element with a class and texts or elements in it. */
  function element(name, css, ...inside) {
    const made = document.createElement(name);
    if (css) made.className = css;
    made.append(...inside);
    return made;
  }

  /** A list of which only the rows that can be seen are in the page. `render` makes a row's element. */
  class WindowedList {
    constructor(box, render) {
      this.box = box;
      this.canvas = box.firstElementChild;
      this.render = render;
      this.items = [];
      this.open = new Map(); // item → height of its body
      this.nodes = new Map(); // item → element
      this.places = new Map(); // item → place
      this.current = null;
      this.sizes = new ResizeObserver((entries) => this.measured(entries));
      box.addEventListener("scroll", () => this.draw(), { passive: true });
      new ResizeObserver(() => this.draw()).observe(box);
    }

    show(items) {
      this.items = items;
      this.places = new Map(items.map((item, place) => [item, place]));
      if (!this.places.has(this.current)) this.current = items[0] ?? null;
      this.clear();
      this.box.scrollTop = 0;
      this.draw();
    }

    clear() {
      for (const node of this.nodes.values()) node.remove();
      this.nodes.clear();
      this.sizes.disconnect();
    }

    get rowHeight() {
      return parseFloat(getComputedStyle(this.canvas).getPropertyValue("--row")) || 40;
    }

    /** [place, height of the body] of the open rows, in their order. */
    opened() {
      const rows = [...this.open].filter(([item]) => this.places.has(item));
      return rows.map(([item, height]) => [this.places.get(item), height]).sort((a, b) => a[0] - b[0]);
    }

    draw() {
      const row = this.rowHeight;
      const opened = this.opened();
      const top = (place) => opened.reduce((sum, [at, height]) => sum + (at < place ? height : 0),
        place * row);
      // The place at a height: past open rows, what is above is less than it seems.
      const at = (y) => {
        let above = 0;
        for (const [place, height] of opened) {
          if (place * row + above + row + height > y) {
            return Math.min(place, Math.floor((y - above) / row));
          }
          above += height;
        }
        return Math.floor((y - above) / row);
      };
      this.canvas.style.height = `${top(this.items.length)}px`;
      const first = Math.max(0, at(this.box.scrollTop) - 6);
      const last = Math.min(this.items.length - 1, at(this.box.scrollTop + this.box.clientHeight) + 6);
      const places = [];
      for (let place = first; place <= last; place += 1) places.push(place);
      // What has the focus stays, or the keyboard would lose its place.
      const focused = [...this.nodes].find(([, node]) => node.contains(document.activeElement))?.[0];
      const kept = this.places.get(focused);
      if (kept !== undefined && kept < first) places.unshift(kept);
      if (kept !== undefined && kept > last) places.push(kept);
      const wanted = new Set(places.map((place) => this.items[place]));
      for (const [item, node] of this.nodes) {
        if (!wanted.has(item)) {
          this.sizes.unobserve(node);
          node.remove();
          this.nodes.delete(item);
        }
      }
      let next = this.canvas.firstElementChild;
      for (const place of places) {
        const item = this.items[place];
        let node = this.nodes.get(item);
        if (!node) {
          node = this.render(item, place, this.items.length, this.open.has(item));
          this.nodes.set(item, node);
          this.canvas.insertBefore(node, next);
          this.sizes.observe(node);
        } else next = node.nextElementSibling;
        node.style.top = `${top(place)}px`;
        node.firstElementChild.tabIndex = item === this.current ? 0 : -1;
      }
    }

    measured(entries) {
      const row = this.rowHeight;
      let changed = false;
      for (const { target } of entries) {
        const [item] = [...this.nodes].find(([, node]) => node === target) ?? [];
        if (!item || !this.open.has(item)) continue;
        const height = Math.max(0, target.getBoundingClientRect().height - row);
        changed ||= Math.abs(height - this.open.get(item)) > 0.5;
        this.open.set(item, height);
      }
      if (changed) this.draw();
    }

    /** Open or close a row; its element is made anew, and keeps the focus. */
    toggle(item, open = !this.open.has(item)) {
      if (open) this.open.set(item, this.open.get(item) ?? 0);
      else this.open.delete(item);
      const node = this.nodes.get(item);
      const focused = node?.firstElementChild === document.activeElement;
      if (node) {
        this.sizes.unobserve(node);
        node.remove();
        this.nodes.delete(item);
      }
      this.current = item;
      this.draw();
      this.measured([...this.nodes].map(([, target]) => ({ target })));
      if (focused) this.nodes.get(item)?.firstElementChild.focus({ preventScroll: true });
    }

    /** Bring a row into the box, and give it the focus where that is asked. */
    reveal(item, { focus = false, start = false } = {}) {
      const place = this.places.get(item);
      if (place === undefined) return;
      const row = this.rowHeight;
      const above = this.opened().filter(([at]) => at < place);
      const top = place * row + above.reduce((sum, [, height]) => sum + height, 0);
      const { scrollTop, clientHeight } = this.box;
      if (start || top < scrollTop) this.box.scrollTop = top;
      else if (top + row > scrollTop + clientHeight) this.box.scrollTop = top + row - clientHeight;
      this.current = item;
      this.draw();
      if (focus) this.nodes.get(item).firstElementChild.focus({ preventScroll: true });
    }
  }

  /** A text with what differs from another one in it; long ones are folded. */
  function shownText(text, left, other, css) {
    const PREVIEW = 600;
    const box = element("div", "text");
    box.dir = "auto";
    if (!text.trim()) {
      box.append(element("span", "none", "(empty)"));
      return box;
    }
    const pieces = other === null ? [[text, false]] : browser.differing(text, other);
    const note = left
      ? [element("span", "cut", `… ${browser.count(left)} more characters are not on this page.`)]
      : [];
    let into = box;
    let length = 0;
    const fold = element("details", "more",
      element("summary", "", `… show all ${browser.count(text.length)} characters`));
    for (const [piece, differs] of pieces) {
      const room = text.length > PREVIEW ? Math.max(0, PREVIEW - length) : Infinity;
      for (const part of [piece.slice(0, room), piece.slice(room === Infinity ? piece.length : room)]) {
        if (part) into.append(differs ? element("span", css, part) : part);
        length += part.length;
        if (text.length > PREVIEW && length >= PREVIEW && into === box) into = fold;
      }
    }
    if (into === fold) box.append(fold);
    into.append(...note);
    return box;
  }

  /** As much of a label as a closed row shows. */
  function shortLabel(text = "") {
    const MOST = 40;
    return text.length > MOST ? `${[...text.slice(0, MOST)].slice(0, -1).join("")}…` : text;
  }

  /** What a row says while it is closed. */
  function rowHead(item, state, several) {
    const { table, experiment } = item.list;
    const side = browser.sideOf(item, state);
    const gain = browser.gainOf(item, state);
    const delta = Number.isNaN(gain) ? null : gain * (table.higher ? 1 : -1);
    const digits = browser.decimals(delta, side);
    const mean = (systems) => systems.reduce((sum, one) => sum + (one.score?.[item.row] ?? NaN), 0)
      / systems.length;
    const tuned = browser.systemsOf(item.list, state);
    const labels = [...new Set(tuned.map((system) => shortLabel(system.output?.[item.row])))].join(", ");
    const scores = table.outputs === "labels"
      ? `${shortLabel(table.base.output[item.row])} → ${labels}`
      : table.metric
        ? `${browser.number(mean([table.base]), digits)} → ${browser.number(mean(tuned), digits)}`
        : "continuation";
    const head = element("button", "head",
      element("span", "delta", browser.signed(delta, digits)), element("span", "scores", scores));
    if (several) head.append(element("span", "who", `${experiment.name} · ${table.task}`));
    const excerpt = element("span", "excerpt", browser.excerpt(table, item.row));
    excerpt.dir = "auto";
    head.append(excerpt);
    head.type = "button";
    return head;
  }

  /** What a system put out, under its name and scores. */
  function outputBlock(item, system, name, compareWith) {
    const { table } = item.list;
    const { row } = item;
    const css = system === table.base ? "name" : "name is-tuned";
    const facts = [name];
    const score = system.score?.[row];
    if (score !== undefined) {
      facts.push(browser.number(score, browser.decimals(score, "")));
    }
    if (system.right && table.outputs === "answers" && system.right[row] === "1") facts.push("exact");
    for (const flag of ["truncated", "empty"]) if (system[flag]?.[row] === "1") facts.push(flag);
    const block = element("div", "", element("span", css, facts.join(", ")));
    if (table.outputs === "labels") {
      const mark = system.right[row] === "1" ? "✓" : "✗";
      const shares = (system.shares?.[row] ?? []).map(([label, share]) => (
        `${table.labels[label]} ${(100 * share).toFixed(share < 0.1 ? 1 : 0)}%`));
      block.append(element("div", "text", `${mark} ${system.output[row]}`),
        element("div", "note", shares.join(" · ")));
    } else if (system.output) {
      block.append(shownText(system.output[row], system.output_left[row], compareWith, "x"));
    }
    return block;
  }

  /** What an open row shows: prompt, reference, and the outputs of base and tuned. */
  function rowBody(item, state) {
    const { table, experiment } = item.list;
    const { row } = item;
    const reference = table.outputs === "answers" ? table.reference[row] : null;
    const tuned = browser.systemsOf(item.list, state);
    const between = state.marks === "base" || reference === null;
    const names = { text: "text of the window", labels: "text" };
    const body = element("div", "body", element("div", "",
      element("span", "name", `${names[table.outputs] ?? "prompt"}, ${table.task} ${table.id[row]}`),
      shownText(table.prompt[row], table.prompt_left[row], null, "")));
    if (table.outputs === "labels") {
      body.append(element("div", "", element("span", "name", "label"),
        shownText(table.reference[row], 0, null, "")));
    } else if (reference !== null) {
      body.append(element("div", "", element("span", "name", "reference"),
        shownText(reference, table.reference_left[row],
          between ? null : tuned[0].output[row], "missed")));
    }
    const base = table.base.output?.[row] ?? "";
    const pair = element("div", "pair",
      outputBlock(item, table.base, "base", between ? tuned[0].output?.[row] ?? "" : reference));
    for (const system of tuned) {
      const seed = experiment.seeds[experiment.tuned.indexOf(system)];
      pair.append(outputBlock(item, system, `tuned, seed ${seed}`, between ? base : reference));
    }
    body.append(pair);
    return body;
  }

  /** A button that puts the address of an example on the clipboard. */
  function copyButton(item) {
    const button = element("button", "copy", "Copy link");
    button.type = "button";
    button.addEventListener("click", async () => {
      const address = location.href.replace(/#.*/s, "") + browser.link(item);
      try {
        await navigator.clipboard.writeText(address);
        button.textContent = "Link copied";
      } catch {
        // Without a clipboard the address is where it can be copied by hand.
        setHash(browser.link(item), false);
        button.textContent = "The link is in the address bar";
      }
    });
    return button;
  }

  /** Put a state into the address; some frames have no address of their own. */
  function setHash(hash, push) {
    try {
      history[push ? "pushState" : "replaceState"](null, "", hash);
    } catch {
      return false;
    }
    return true;
  }

  class Browser {
    constructor(root, lists) {
      this.lists = lists;
      this.root = root;
      this.form = root.querySelector("form");
      this.output = root.querySelector("output");
      this.bars = root.querySelector(".histogram");
      this.ends = root.querySelector(".ends");
      this.tally = root.querySelector(".tally");
      this.links = new Map();
      for (const list of lists) {
        for (const item of list.items) {
          const key = browser.keyOf(list.table, item.row);
          if (this.links.has(key)) this.links.get(key).push(item);
          else this.links.set(key, [item]);
        }
      }
      this.list = new WindowedList(root.querySelector(".box"), (...of) => this.row(...of));
      this.state = { ...browser.ANY, experiment: lists[0].name, task: lists[0].task };
      this.fill("experiment", lists.map((list) => list.name));
      this.fill("task", lists.map((list) => list.task));
      this.fill("seed", lists.flatMap((list) => list.experiment.seeds.map(String)));
      this.listen();
    }

    fill(name, values) {
      for (const value of new Set(values)) this.form.elements[name].append(new Option(value, value));
    }

    listen() {
      this.form.addEventListener("submit", (event) => event.preventDefault());
      this.form.addEventListener("input", ({ target }) => {
        const typed = target.type === "search" || target.type === "number";
        const given = Object.fromEntries(new FormData(this.form));
        const boxes = Object.fromEntries(
          [...this.form.querySelectorAll("[type=checkbox]")].map((box) => [box.name, box.checked ? "1" : ""]));
        this.change({ ...given, ...boxes }, !typed);
      });
      this.form.addEventListener("click", ({ target }) => {
        if (target.name === "outcome") this.change({ outcome: target.value });
        if (target.name === "clear") {
          const { experiment, task, seed, sort, marks } = this.state;
          this.change({ ...browser.ANY, experiment, task, seed, sort, marks });
        }
      });
      this.bars.addEventListener("click", ({ target }) => {
        const bar = target.closest("button");
        if (!bar) return;
        const range = bar.getAttribute("aria-pressed") === "true"
          ? { min: "", max: "" } : { min: bar.dataset.low, max: bar.dataset.high };
        this.change(range);
        this.bars.querySelector(`[data-low="${CSS.escape(bar.dataset.low)}"]`)?.focus();
      });
      this.list.box.addEventListener("keydown", (event) => this.key(event));
      addEventListener("hashchange", () => this.follow());
    }

    key(event) {
      if (!event.target.classList.contains("head") || event.ctrlKey || event.metaKey || event.altKey) return;
      const steps = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, Home: -Infinity, End: Infinity };
      if (!(event.key in steps)) return;
      event.preventDefault();
      const last = this.list.items.length - 1;
      const place = this.list.places.get(this.list.current) + steps[event.key];
      this.list.reveal(this.list.items[Math.min(last, Math.max(0, place))], { focus: true });
    }

    /** Another state by what somebody did here: it goes into the address. */
    change(changes, push = true) {
      this.state = { ...this.state, ...changes };
      setHash(browser.format(this.state), push);
      this.show();
    }

    /** Go where the address says. */
    follow() {
      const place = browser.parse(location.hash);
      if (!place) return;
      if (place.key !== undefined) this.goTo(place);
      else {
        this.state = place.state;
        this.show();
        this.root.closest("section").scrollIntoView({ block: "nearest" });
      }
    }

    /** Open an example: no filter hides it, and it stands at the top of the list. */
    goTo({ key, state }) {
      const items = this.links.get(key) ?? [];
      const named = (name) => items.find((item) => item.list.name === name);
      const item = named(state.experiment) ?? named(this.state.experiment) ?? items[0];
      if (!item) {
        this.output.textContent = `Example ${key} is not carried on this page.`;
        this.root.scrollIntoView();
        return;
      }
      const { name, task } = item.list;
      this.state = { ...browser.ANY, experiment: name, task, sort: this.state.sort, marks: this.state.marks };
      this.show();
      this.list.toggle(item, true);
      this.list.reveal(item, { start: true, focus: true });
      this.list.box.scrollIntoView({ block: "center" });
    }

    show() {
      const { state } = this;
      for (const control of this.form.elements) {
        if (!(control.name in browser.ANY) || control.type === "button") continue;
        if (control.type === "checkbox") control.checked = state[control.name] === "1";
        else if (control.value !== state[control.name]) control.value = state[control.name];
      }
      const more = ["right", "disagree", "truncated", "empty", "min", "max", "shortest", "longest", "marks"];
      if (more.some((name) => state[name])) this.form.querySelector("details").open = true;
      const { items, counts, gains } = browser.select(this.lists, state);
      const all = counts.better + counts.unchanged + counts.worse + counts.unscored;
      for (const button of this.form.querySelectorAll("[name=outcome]")) {
        button.setAttribute("aria-pressed", String(button.value === state.outcome));
        button.querySelector("span").textContent =
          browser.count(button.value ? counts[button.value] : all);
      }
      const lists = browser.chosen(this.lists, state);
      const scored = lists.filter((list) => list.table.metric);
      this.several = new Set(lists.map((list) => `${list.name}\n${list.task}`)).size > 1;
      this.list.box.hidden = !items.length;
      this.list.show(items);
      this.output.textContent = this.counted(items.length, lists);
      this.tally.textContent = scored.length === 1 ? talliedWords(scored[0]) : "";
      this.drawBars(scored, gains);
    }

    counted(count, lists) {
      const carried = lists.reduce((sum, list) => sum + list.items.length, 0);
      const tested = lists.reduce((sum, list) => sum + list.table.tested, 0);
      const of = tested > carried ? ` carried, of ${browser.count(tested)} tested` : "";
      return lists.length
        ? `${browser.count(count)} of ${browser.count(carried)}${of}`
        : "This experiment was not evaluated on this task.";
    }

    drawBars(lists, gains) {
      const metrics = new Set(lists.map((list) => list.table.metric));
      const bars = metrics.size === 1 ? browser.histogram(gains) : [];
      this.bars.hidden = this.ends.hidden = bars.length < 2;
      const full = bars.filter((bar) => bar.count);
      const ends = [full[0]?.low, full.at(-1)?.high].map((gain) => (
        browser.signed(gain, browser.decimals(gain, ""))));
      const words = [ends[0], "gain", ends[1]];
      this.ends.replaceChildren(...words.map((one) => element("span", "", one)));
      const most = Math.max(...bars.map((bar) => bar.count));
      this.bars.replaceChildren(...bars.map((bar) => {
        const side = bar.low > 1e-9 ? "better" : bar.high < -1e-9 ? "worse" : "unchanged";
        const fill = element("span", `fill ${bar.count ? side : ""}`);
        fill.style.height = `${bar.count ? Math.max(4, (100 * bar.count) / most) : 0}%`;
        const button = element("button", "", fill);
        button.type = "button";
        button.disabled = !bar.count;
        if (bar.count) {
          const digits = Math.max(...[bar.low, bar.high].map((gain) => browser.decimals(gain, "")));
          const ends = [...new Set([bar.low, bar.high].map((gain) => browser.signed(gain, digits)))];
          Object.assign(button.dataset, { low: bar.low, high: bar.high });
          button.title = `${browser.count(bar.count)} with a gain of ${ends.join(" to ")}`;
          button.setAttribute("aria-label", button.title);
          button.setAttribute("aria-pressed", String(
            this.state.min === String(bar.low) && this.state.max === String(bar.high)));
        } else button.setAttribute("aria-label", "none");
        return button;
      }));
    }

    row(item, place, size, open) {
      const side = browser.SIDES[browser.sideOf(item, this.state)];
      const head = rowHead(item, this.state, this.several);
      const node = element("div", `example ${side}`, head);
      node.setAttribute("role", "listitem");
      node.setAttribute("aria-setsize", size);
      node.setAttribute("aria-posinset", place + 1);
      head.setAttribute("aria-expanded", String(open));
      head.addEventListener("click", () => this.list.toggle(item));
      head.addEventListener("focus", () => { this.list.current = item; });
      if (open) {
        const body = rowBody(item, this.state);
        body.append(copyButton(item));
        node.append(body);
      }
      return node;
    }
  }

  /** What became of all examples of a list that were tested, carried or not. */
  function talliedWords({ table, experiment }) {
    const { counts } = experiment;
    if (!("better" in counts)) return "";
    const sides = ["better", "unchanged", "worse"].map((side) => `${browser.count(counts[side])} ${side}`);
    const words = `Of all ${browser.count(table.tested)} ${table.unit}, by ${table.metric}: ${sides.join(", ")}`;
    if (!("right_base" in counts)) return `${words}.`;
    // Some are not written as none, nor most as all.
    const share = (right) => {
      const percent = (100 * right) / table.tested;
      const rest = Math.min(percent, 100 - percent);
      return `${percent.toFixed(rest > 0 && rest < 0.05 ? 3 : 1)}%`;
    };
    const what = table.outputs === "labels" ? "right" : "exact";
    return `${words}; ${what}: base ${share(counts.right_base)}, tuned ${share(counts.right_tuned)}.`;
  }

  /** Fold texts for the search while nothing else is to be done. */
  function foldAhead(lists) {
    const items = lists.flatMap((list) => list.items);
    let next = 0;
    const idle = globalThis.requestIdleCallback ?? ((work) => setTimeout(work, 50));
    const work = () => {
      const end = performance.now() + 12;
      while (next < items.length && performance.now() < end) browser.searched(items[next++]);
      if (next < items.length) idle(work);
    };
    idle(work);
  }

  async function start() {
    const island = document.getElementById("examples-data");
    const root = document.getElementById("browser");
    if (!island || !root) return;
    if (!globalThis.DecompressionStream) {
      document.getElementById("browser-needs").hidden = false;
      return;
    }
    const tables = await browser.unpack(island.textContent);
    island.remove();
    const lists = browser.listsOf(tables);
    if (!lists.length) return;
    root.hidden = false;
    // Paper has the examples that need no script.
    const few = document.querySelector("#examples .static");
    few.remove();
    addEventListener("beforeprint", () => root.after(few));
    addEventListener("afterprint", () => few.remove());
    const shown = new Browser(root, lists);
    shown.show();
    shown.follow();
    // A cell of the matrix leads to its examples, and without this script to its words.
    for (const link of document.querySelectorAll("a[data-examples]")) link.href = link.dataset.examples;
    root.dataset.ready = "true";
    foldAhead(lists);
  }

  if (typeof module === "object") module.exports = browser;
  else start();
})();

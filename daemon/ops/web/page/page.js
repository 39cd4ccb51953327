(() => {
  "use strict";
  const root = document.documentElement;
  const at = (id) => document.getElementById(id);
  const made = (tag, names = "", text = "") => {
    const element = document.createElement(tag);
    if (names) element.className = names;
    // All that comes from outside becomes text here, and nowhere markup.
    if (text) element.textContent = text;
    return element;
  };

  // --- Figures as people read them ---
  const NOTHING = "\u2013";
  const grouped = (text) => {
    const [whole, rest] = text.split(".");
    const long = whole.replace(/\B(?=(\d{3})+$)/g, ",");
    return (rest ? `${long}.${rest}` : long).replace("-", "\u2212");
  };
  const decimals = (value) => {
    const text = String(+value.toPrecision(12));
    if (text.includes("e")) return value && Math.abs(value) < 1 ? 8 : 0;
    const point = text.indexOf(".");
    return point < 0 ? 0 : Math.min(text.length - point - 1, 8);
  };
  const money = (value) => {
    const size = Math.abs(value);
    return grouped((value + 0).toFixed(size >= 10 || size === 0 ? 2 : size >= 0.1 ? 4 : 6));
  };
  const duration = (ns) => {
    if (ns < 1e3) return `${Math.round(ns)} ns`;
    if (ns < 1e6) return `${(ns / 1e3).toPrecision(3)} \u00b5s`;
    if (ns < 1e9) return `${(ns / 1e6).toPrecision(3)} ms`;
    const s = ns / 1e9;
    if (s < 10) return `${s.toFixed(1)} s`;
    if (s < 100) return `${Math.round(s)} s`;
    for (const [big, small, size, inner] of [["d", "h", 86400, 3600], ["h", "min", 3600, 60]]) {
      if (s >= size) return `${Math.floor(s / size)} ${big} ${Math.floor((s % size) / inner)} ${small}`;
    }
    return `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s`;
  };
  const two = (value) => String(value).padStart(2, "0");
  const clock = (ms, withMs) => {
    const date = new Date(ms);
    const text = [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()].map(two).join(":");
    return withMs ? `${text}.${String(date.getUTCMilliseconds()).padStart(3, "0")}` : text;
  };
  const sign = (value) => (value > 0 ? "good" : value < 0 ? "bad" : "");
  const amounts = (pairs) => pairs.map(([value, asset]) => (value === null ? NOTHING : `${money(value)} ${asset}`)).join(", ");

  // --- Cells ---
  let now = 0;
  const RIGHT = new Set(["count", "figure", "amount", "money", "points", "amounts", "earned", "ns", "since", "share", "used", "markouts"]);
  // [text, class] of a value; `cell` remembers what it showed before.
  const KINDS = {
    text: (value) => [value, ""],
    words: (value) => [value, "long"],
    cut: (value) => [value, "cut"],
    at: (value) => [value, "at"],
    name: (value) => [value, "name"],
    side: (value) => [value, value],
    count: (value) => [grouped(String(value)), ""],
    figure: (value, cell) => {
      cell.decimals = Math.max(cell.decimals ?? 0, decimals(value));
      return [grouped(value.toFixed(cell.decimals)), ""];
    },
    amount: (value) => [Number.isInteger(value) ? grouped(String(value)) : money(value), ""],
    money: (value) => [money(value), sign(value)],
    points: (value) => [grouped(value.toFixed(2)), sign(value)],
    amounts: (value) => [amounts(value) || NOTHING, ""],
    earned: (value) => [amounts(value) || NOTHING, sign(value.reduce((all, [one]) => Math.min(all, one), Infinity))],
    ns: (value) => [duration(value), ""],
    since: (value) => [duration(Math.max(0, now - value) * 1e6), ""],
    time: (value) => [clock(value / 1e3, true), "dim"],
    share: (value) => [`${(100 * value).toFixed(1)} %`, ""],
    used: (value) => [`${(100 * value).toFixed(0)} %`, `used ${value >= 0.9 ? "bad" : value >= 0.7 ? "warn" : ""}`],
    markouts: (value) => [
      value.map(([ns, points]) => `${duration(ns)} ${points > 0 ? "+" : ""}${grouped(points.toFixed(2))}`).join(" \u00b7 ") || NOTHING,
      value.length ? sign(value[value.length - 1][1]) : "",
    ],
  };
  const put = (cell, column, value) => {
    if (column.kind === "state") {
      const [text, tone] = value ?? ["", ""];
      cell.td.classList.toggle("minor", column.is_minor);
      if (cell.text === text && cell.tone === tone) return;
      [cell.text, cell.tone] = [text, tone];
      cell.td.replaceChildren(...(text ? [made("span", `pill ${tone}`, text)] : []));
      return;
    }
    const [text, names] = value === null || value === undefined ? [NOTHING, column.kind === "at" ? "dim at" : "dim"] : KINDS[column.kind](value, cell);
    if (cell.text !== text) cell.td.textContent = cell.text = text;
    const all = `${names}${RIGHT.has(column.kind) ? " right" : ""}${column.is_minor ? " minor" : ""}`;
    if (cell.names !== all) cell.td.className = cell.names = all;
    if (column.kind === "cut") cell.td.title = text;
    if (column.kind === "time" && value) cell.td.title = new Date(value / 1e3).toISOString();
    if (column.kind === "used" && value !== null) cell.td.style.setProperty("--share", `${Math.min(100, 100 * value)}%`);
  };

  // --- Tables: a row for each key; those that are seen are drawn, and moved only where their place has changed ---
  const order = new Intl.Collator("en", { numeric: true }).compare;
  // A table that is far from what is seen is drawn at every fifth look alone.
  const FAR = 5;
  let looks = 0;
  const near = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      const table = tables.get(target.id);
      if (!table) continue;
      table.isNear = isIntersecting;
      if (isIntersecting) table.paint();
    }
  }, { rootMargin: "400px" });
  const BEGIN = 40;
  const MORE = 100;
  class Table {
    constructor(name, spec) {
      this.spec = spec;
      this.rows = new Map();
      this.sorted = [];
      this.more = 0;
      this.most = BEGIN;
      this.isNear = true;
      this.body = made("tbody");
      const head = made("tr");
      for (const column of spec.columns) {
        head.append(made("th", `${RIGHT.has(column.kind) ? "right" : column.kind === "at" ? "at" : ""}${column.is_minor ? " minor" : ""}`, column.title));
      }
      const thead = made("thead");
      thead.append(head);
      const table = made("table");
      table.append(thead, this.body);
      this.count = made("span", "count");
      const title = made("div");
      title.append(made("h2", "", spec.title), this.count);
      const scroll = made("div", "scroll");
      scroll.tabIndex = 0;
      scroll.setAttribute("role", "region");
      scroll.setAttribute("aria-label", spec.title);
      scroll.addEventListener("scroll", () => {
        if (scroll.scrollTop + 2 * scroll.clientHeight < scroll.scrollHeight || this.most >= this.rows.size) return;
        this.most += MORE;
        this.paint();
      }, { passive: true });
      scroll.append(table);
      this.card = made("section", `card table${spec.is_wide ? " wide" : ""}`);
      this.card.id = name;
      this.card.append(...(name === "warnings" ? [] : [title]), scroll);
      this.card.hidden = true;
      this.link = made("a", "", spec.title);
      this.link.href = `#${name}`;
      this.link.hidden = true;
    }
    before(one, other) {
      if (this.spec.is_newest_first) return one.key > other.key;
      return one.rank !== other.rank ? one.rank < other.rank : order(one.key, other.key) < 0;
    }
    place(row) {
      let [low, high] = [0, this.sorted.length];
      while (low < high) {
        const middle = (low + high) >> 1;
        if (this.before(this.sorted[middle], row)) low = middle + 1;
        else high = middle;
      }
      this.sorted.splice(low, 0, row);
    }
    take(row) {
      this.sorted.splice(this.sorted.indexOf(row), 1);
    }
    set(key, [rank, values]) {
      let row = this.rows.get(key);
      if (!row || row.rank !== rank) {
        if (row) this.take(row);
        row = { ...row, key, rank };
        this.rows.set(key, row);
        this.place(row);
      }
      row.values = values;
      row.words = values.flat().filter((value) => typeof value === "string").join(" ").toLowerCase();
      row.isNew = true;
    }
    remove(key) {
      const row = this.rows.get(key);
      if (!row) return;
      this.rows.delete(key);
      this.take(row);
    }
    draw(row) {
      if (!row.tr) {
        row.tr = made("tr");
        row.cells = this.spec.columns.map(() => ({ td: row.tr.appendChild(made("td")) }));
      }
      this.spec.columns.forEach((column, number) => {
        if (row.isNew || column.kind === "since") put(row.cells[number], column, row.values[number]);
      });
      if (row.isNew) row.tr.classList.toggle("gone", row.rank === 2);
      row.isNew = false;
    }
    paint() {
      const found = wanted ? this.sorted.filter((row) => row.words.includes(wanted)) : this.sorted;
      let next = this.body.firstChild;
      for (const row of found.slice(0, this.most)) {
        this.draw(row);
        if (row.tr === next) next = next.nextSibling;
        else this.body.insertBefore(row.tr, next);
      }
      while (next) {
        const after = next.nextSibling;
        next.remove();
        next = after;
      }
      this.card.hidden = this.link.hidden = !this.rows.size;
      const all = grouped(String(this.rows.size + this.more));
      const text = `${wanted ? `${found.length} of ` : ""}${all}${this.more ? `, ${this.more} not shown` : ""}`;
      if (this.count.textContent !== text) this.count.textContent = text;
    }
  }
  const tables = new Map();
  let wanted = "";
  const clear = made("p", "card none", "No warnings");

  const build = (specs) => {
    tables.clear();
    near.disconnect();
    for (const [name, spec] of Object.entries(specs)) tables.set(name, new Table(name, spec));
    const [warnings, ...others] = tables.values();
    warnings.card.id = "";
    warnings.card.className = "card";
    at("warnings").replaceChildren(clear, warnings.card);
    at("tables").replaceChildren(...others.map((one) => one.card));
    at("jump").replaceChildren(...others.map((one) => one.link));
    for (const one of others) near.observe(one.card);
  };

  // --- Tiles ---
  const tiles = new Map();
  const show = (all) => {
    const seen = new Set(all.map((one) => one.title));
    for (const [title, tile] of tiles) {
      if (!seen.has(title)) {
        tile.box.remove();
        tiles.delete(title);
      }
    }
    for (const one of all) {
      let tile = tiles.get(one.title);
      if (!tile) {
        tile = { box: made("div", "card"), text: made("b") };
        tile.box.append(tile.text, made("span", "", one.title));
        tiles.set(one.title, tile);
      }
      // In the order that was told.
      if (at("tiles").children[all.indexOf(one)] !== tile.box) at("tiles").insertBefore(tile.box, at("tiles").children[all.indexOf(one)] ?? null);
      const text = one.text || (one.amount === null ? NOTHING : money(one.amount));
      if (tile.text.textContent !== text) tile.text.textContent = text;
      tile.text.className = one.text ? one.tone : sign(one.amount);
    }
  };

  // --- Curves of profits: a chart for each asset, a curve for each daemon, and their sum ---
  const curves = new Map();
  const charts = new Map();
  const svg = (tag, attributes, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const curve = (daemon, asset, day) => {
    if (!curves.has(asset)) curves.set(asset, new Map());
    const found = curves.get(asset).get(daemon);
    if (found?.day === day) return found;
    const begun = { day, points: [] };
    curves.get(asset).set(daemon, begun);
    return begun;
  };
  const add = ([daemon, asset, day, point]) => {
    const { points } = curve(daemon, asset, day);
    if (points.length && points[points.length - 1][0] >= point[0]) points[points.length - 1] = point;
    else points.push(point);
  };
  const total = (all) => {
    const times = [...new Set(all.flatMap((one) => one.points.map(([time]) => time)))].sort((a, b) => a - b);
    const places = all.map(() => -1);
    return times.map((time) => {
      let sum = 0;
      all.forEach(({ points }, number) => {
        while (places[number] + 1 < points.length && points[places[number] + 1][0] <= time) places[number]++;
        sum += points[places[number]]?.[1] ?? 0;
      });
      return [time, sum];
    });
  };
  const nice = (span, count) => {
    const rough = span / count;
    const power = 10 ** Math.floor(Math.log10(rough));
    return power * [1, 2, 5, 10].find((step) => rough <= step * power * 1.0001);
  };
  const HEIGHT = 210;
  const [LEFT, RIGHT_EDGE, TOP, BOTTOM] = [64, 8, 10, 24];
  const draw = (asset) => {
    let chart = charts.get(asset);
    if (!chart) {
      chart = { card: made("section", "card chart"), keys: made("div", "keys"), picture: svg("svg", { role: "img" }), width: 0, hover: null };
      const head = made("div");
      head.append(made("h2", "", `Profit today, ${asset}`), chart.keys);
      chart.card.append(head, chart.picture);
      chart.card.dataset.asset = asset;
      chart.picture.setAttribute("aria-label", `Profit today, ${asset}`);
      chart.picture.addEventListener("pointermove", (event) => { chart.hover = event.offsetX; draw(asset); });
      chart.picture.addEventListener("pointerleave", () => { chart.hover = null; draw(asset); });
      charts.set(asset, chart);
      at("charts").append(chart.card);
      // To ask for it while the page is being changed would have it laid out each time.
      new ResizeObserver(([entry]) => {
        chart.width = entry.contentRect.width;
        draw(asset);
      }).observe(chart.picture);
    }
    let lines = [...curves.get(asset)].filter(([, one]) => one.points.length).map(([name, one], number) => ({ name, points: one.points, color: `var(--r${(number + 1) % 8})` }));
    if (lines.length > 1) lines = [...lines, { name: "all", points: total(lines), color: "var(--r0)" }];
    else lines.forEach((one) => { one.color = "var(--r0)"; });
    const known = lines.flatMap((one) => one.points.filter(([, value]) => value !== null));
    const { width } = chart;
    chart.card.hidden = !known.length;
    if (!known.length || !width) return;
    const [first, last] = known.reduce(([low, high], [time]) => [Math.min(low, time), Math.max(high, time)], [Infinity, -Infinity]);
    const end = Math.max(last, first + 600);
    let [low, high] = known.reduce(([a, b], [, value]) => [Math.min(a, value), Math.max(b, value)], [0, 0]);
    if (low === high) [low, high] = [-1, 1];
    const step = nice(high - low, 4);
    [low, high] = [Math.floor(low / step) * step, Math.ceil(high / step) * step];
    const x = (time) => LEFT + ((time - first) / (end - first)) * (width - LEFT - RIGHT_EDGE);
    const y = (value) => TOP + ((high - value) / (high - low)) * (HEIGHT - TOP - BOTTOM);
    const parts = [];
    const places = Math.max(0, -Math.floor(Math.log10(step)));
    for (let tick = Math.round(low / step); tick * step <= high * 1.0001 + step / 100; tick++) {
      const value = tick * step;
      parts.push(svg("line", { class: tick ? "grid" : "zero", x1: LEFT, x2: width - RIGHT_EDGE, y1: y(value), y2: y(value) }));
      parts.push(svg("text", { x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, grouped(value.toFixed(Math.min(places, 8)))));
    }
    const spans = [60, 120, 300, 600, 1800, 3600, 7200, 14400, 21600];
    const every = spans.find((one) => (end - first) / one <= (width - LEFT) / 60) ?? 28800;
    for (let time = Math.ceil(first / every) * every; time <= end; time += every) {
      if (x(time) > width - 24) break;
      parts.push(svg("text", { x: x(time), y: HEIGHT - 6, "text-anchor": "middle" }, clock(time * 1000).slice(0, 5)));
    }
    const path = (points) => points.filter(([, value]) => value !== null).map(([time, value], number) => `${number ? "L" : "M"}${x(time).toFixed(1)},${y(value).toFixed(1)}`).join("");
    for (const one of lines) {
      const way = path(one.points);
      if (lines.length === 1) parts.push(svg("path", { class: "area", d: `${way}L${x(last).toFixed(1)},${y(0)}L${x(first).toFixed(1)},${y(0)}Z` }));
      // A single point is a dot.
      parts.push(svg("path", { class: "curve", d: one.points.length > 1 ? way : `${way}h4` }));
    }
    let shown = Infinity;
    if (chart.hover !== null && chart.hover >= LEFT) {
      shown = first + ((chart.hover - LEFT) / (width - LEFT - RIGHT_EDGE)) * (end - first);
      parts.push(svg("line", { class: "at", x1: chart.hover, x2: chart.hover, y1: TOP, y2: HEIGHT - BOTTOM }));
    }
    chart.picture.replaceChildren(...parts);
    // Styles by script, which the policy allows, not by attribute.
    const strokes = [...chart.picture.querySelectorAll(".curve, .area")];
    strokes.forEach((one) => one.style.setProperty("--key", lines[lines.length === 1 ? 0 : strokes.indexOf(one)].color));
    chart.keys.replaceChildren(...lines.map((one) => {
      const point = one.points.findLast(([time]) => time <= shown) ?? one.points[0];
      const key = made("span", "", `${one.name} ${point[1] === null ? NOTHING : money(point[1])}`);
      key.style.setProperty("--key", one.color);
      return key;
    }), made("span", "dim when", shown < Infinity ? `at ${clock(shown * 1000)}` : `since ${clock(first * 1000).slice(0, 5)}`));
    chart.keys.lastChild.style.setProperty("--key", "transparent");
  };

  // --- What comes ---
  const take = (told) => {
    now = told.now;
    if (told.whole) {
      build(told.specs);
      curves.clear();
      for (const [daemon, asset, day, points] of told.curves) curve(daemon, asset, day).points.push(...points);
    }
    for (const [name, keys] of Object.entries(told.removed ?? {})) for (const key of keys) tables.get(name).remove(key);
    for (const [name, rows] of Object.entries(told.rows)) for (const [key, row] of Object.entries(rows)) tables.get(name).set(key, row);
    for (const point of told.points ?? []) add(point);
    looks++;
    [...tables].forEach(([name, table], number) => {
      table.more = told.more[name] ?? 0;
      const isOther = table.card.hidden === table.rows.size > 0;
      if (told.whole || table.isNear || isOther || (looks + number) % FAR === 0) table.paint();
    });
    show(told.tiles);
    if (told.whole || told.points.length) for (const asset of curves.keys()) draw(asset);
    document.body.classList.toggle("single", tables.get("daemons").rows.size < 2);
    const count = tables.get("warnings").rows.size;
    clear.hidden = count > 0;
    document.title = count ? `(${count}) hftd` : "hftd";
    root.dataset.ready = "1";
  };

  // --- The stream ---
  const STALE_MS = 4000;
  const SILENT_MS = 8000;
  let token = "";
  let heard = 0;
  let failures = 0;
  let running = null;
  const stored = (store, name, value) => {
    try {
      if (value === undefined) return store.getItem(name) ?? "";
      store.setItem(name, value);
    } catch {
      // A browser that keeps nothing asks again.
    }
    return "";
  };
  const state = (text, tone) => {
    at("link").textContent = text;
    at("link").className = `pill ${tone}`;
  };
  const login = (isShown) => {
    if (isShown && at("login").hidden) at("token").value = "";
    at("wrong").hidden = !(isShown && token);
    at("login").hidden = !isShown;
  };
  const listen = async (signal) => {
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    const answer = await fetch("stream", { headers, signal, cache: "no-store", credentials: "omit" });
    login(answer.status === 401);
    if (answer.status === 401) return "a token is needed";
    if (!answer.ok) throw new Error((await answer.text()).trim());
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let parts = [];
    for (;;) {
      const { value, done } = await reader.read();
      if (done) throw new Error("hftd web has ended, or hung up");
      const [head, ...ends] = value.split("\n\n");
      parts.push(head);
      for (const next of ends) {
        take(JSON.parse(parts.join("").slice("data: ".length)));
        parts = [next];
        heard = performance.now();
        failures = 0;
        at("stale").hidden = true;
        document.body.classList.remove("old");
      }
    }
  };
  const run = async () => {
    const mine = new AbortController();
    running?.abort();
    running = mine;
    while (running === mine) {
      let why;
      // Each attempt by itself, so that one that is silent can be given up.
      const attempt = new AbortController();
      mine.signal.addEventListener("abort", () => attempt.abort());
      const begun = performance.now();
      const watch = setInterval(() => {
        if (performance.now() - Math.max(heard, begun) > SILENT_MS) attempt.abort();
      }, 1000);
      try {
        why = await listen(attempt.signal);
      } catch (error) {
        why = error.message;
      }
      clearInterval(watch);
      if (running !== mine) return;
      state(why, "bad");
      if (!at("login").hidden) return;
      failures++;
      await new Promise((done) => setTimeout(done, Math.min(10000, 500 * 2 ** failures) * (0.75 + Math.random() / 2)));
    }
  };
  setInterval(() => {
    const age = performance.now() - heard;
    if (!heard || document.hidden) return;
    const isStale = age > STALE_MS;
    if (!isStale) state(`live \u00b7 ${clock(Date.now())}`, "good");
    at("stale").hidden = !isStale;
    document.body.classList.toggle("old", isStale);
    if (isStale) at("stale").textContent = `No news of hftd web for ${duration(age * 1e6)}: what is below is old.`;
  }, 500);
  document.addEventListener("visibilitychange", () => {
    // Nobody looks: nothing is asked for. The next look begins with all of it.
    if (document.hidden) {
      running?.abort();
      running = null;
    } else {
      failures = 0;
      run();
    }
  });

  // --- Token, filter, theme ---
  const enter = (text) => {
    token = text;
    stored(sessionStorage, "hftd-token", text);
    run();
  };
  const fragment = () => {
    const found = new URLSearchParams(location.hash.slice(1)).get("token");
    // It stays in no address that is shown, kept or copied.
    if (found !== null) history.replaceState(null, "", location.pathname);
    return found;
  };
  addEventListener("hashchange", () => {
    const found = fragment();
    if (found !== null) enter(found);
  });
  at("login").addEventListener("submit", (event) => {
    event.preventDefault();
    enter(at("token").value.trim());
  });
  at("filter").addEventListener("input", () => {
    wanted = at("filter").value.trim().toLowerCase();
    for (const table of tables.values()) table.paint();
  });
  const night = matchMedia("(prefers-color-scheme: dark)");
  let chosen = stored(localStorage, "hftd-theme");
  const theme = () => chosen || (night.matches ? "night" : "day");
  const dress = () => {
    root.dataset.theme = theme();
    at("theme").textContent = theme() === "night" ? "Day" : "Night";
  };
  at("theme").addEventListener("click", () => {
    chosen = theme() === "night" ? "day" : "night";
    stored(localStorage, "hftd-theme", chosen);
    dress();
  });
  night.addEventListener("change", dress);
  dress();
  token = fragment() ?? stored(sessionStorage, "hftd-token");
  enter(token);
})();

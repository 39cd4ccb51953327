(() => {
  "use strict";
  const root = document.documentElement;
  const plots = JSON.parse(document.getElementById("plots").textContent);
  const holders = [...document.querySelectorAll("[data-plot]")];
  const color = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  // --- Data ---
  // Plotly's own form of packed numbers; taken apart here, since the axes need them too.
  const unpacked = (times) => times && new Float64Array(Uint8Array.from(atob(times.bdata), (one) => one.charCodeAt(0)).buffer);
  const UNITS = [["s", 1e3, 3e5], ["min", 6e4, 1.8e7], ["h", 3.6e6, 4.32e8], ["d", 8.64e7, Infinity]];
  for (const spec of Object.values(plots)) {
    spec.x = unpacked(spec.x);
    const all = [...(spec.series ?? []), ...(spec.marks ?? [])];
    for (const one of all) one.x = unpacked(one.x) ?? spec.x;
    if (!spec.since) continue;
    // Each run from its own start: not a time of day, but so many minutes.
    const longest = Math.max(...all.map((one) => one.x[one.x.length - 1] ?? 0));
    const [unit, length] = UNITS.find(([, , most]) => longest <= most);
    spec.since = unit;
    for (const one of all) one.x = one.x.map((value) => value / length);
  }
  const known = (value) => value !== null && !Number.isNaN(value);

  // --- Axes ---
  const DAY_MS = 86400000;
  const TIMES = [
    { dtickrange: [null, 999], value: "%H:%M:%S.%3f\n%Y-%m-%d" },
    { dtickrange: [1000, 59999], value: "%H:%M:%S\n%Y-%m-%d" },
    { dtickrange: [60000, DAY_MS - 1], value: "%H:%M\n%Y-%m-%d" },
    { dtickrange: [DAY_MS, "M1"], value: "%Y-%m-%d" },
    { dtickrange: ["M1", null], value: "%Y-%m" },
  ];
  const curves = (spec) => [...spec.series, ...(spec.marks ?? [])];
  const extent = (spec) => {
    let [first, last] = [Infinity, -Infinity];
    for (const one of curves(spec)) {
      if (!one.x.length) continue;
      first = Math.min(first, one.x[0]);
      last = Math.max(last, one.x[one.x.length - 1]);
    }
    if (first > last) return [0, 1];
    const room = spec.since ? 1 : 1000;
    return first === last ? [first - room, last + room] : [first, last];
  };
  // What is between two times, with some room; all of it without them.
  const heights = (spec, from = -Infinity, to = Infinity) => {
    let [low, high] = [Infinity, -Infinity];
    for (const one of curves(spec)) {
      for (let i = 0; i < one.y.length; i++) {
        if (!known(one.y[i]) || (one.x && (one.x[i] < from || one.x[i] > to))) continue;
        low = Math.min(low, one.y[i]);
        high = Math.max(high, one.y[i]);
      }
    }
    if (low > high) return [0, 1];
    if (spec.kind === "bars" || spec.fill) [low, high] = [Math.min(low, 0), Math.max(high, 0)];
    const room = (high - low || Math.abs(high) * 1e-3 || 1) * 0.06;
    return [low === 0 && spec.kind !== "time" ? 0 : low - room, high === 0 && spec.fill ? 0 : high + room];
  };
  const timeAxis = (spec, width) => {
    const ticks = Math.max(3, Math.floor(width / 95));
    if (!spec.since) return { type: "date", tickformatstops: TIMES, hoverformat: "%Y-%m-%d %H:%M:%S.%3f", nticks: ticks };
    return { type: "linear", ticksuffix: ` ${spec.since}`, hoverformat: ",.6~r", nticks: ticks };
  };
  const nameAxis = (spec, width) => {
    const count = spec.labels.length;
    const every = Math.max(1, Math.ceil(count / Math.max(2, Math.floor(width / (count > 8 ? 72 : 60)))));
    const text = (label) => (width / count < 90 && count < 8 ? label.replace(" ", "<br>") : label);
    const shown = spec.labels.map((_, index) => index).filter((index) => index % every === 0);
    const edge = spec.kind === "bars" ? 0.5 : 0.3;
    return { type: "category", tickvals: shown, ticktext: shown.map((index) => text(spec.labels[index])), showgrid: false, zeroline: false, range: [-edge, count - 1 + edge] };
  };
  const layout = (spec, width, span) => {
    const isTime = spec.kind === "time";
    const rule = color("--grid");
    const base = { gridcolor: rule, linecolor: rule, tickcolor: rule, ticks: "outside", ticklen: 4, tickangle: 0, fixedrange: true, automargin: true };
    const y = heights(spec, ...(isTime ? span : []));
    const size = Math.max(...y.map(Math.abs));
    const x = isTime ? { ...timeAxis(spec, width), range: span, fixedrange: false } : nameAxis(spec, width);
    const spike = { showspikes: isTime, spikemode: "across", spikethickness: 1, spikedash: "solid", spikecolor: color("--muted") };
    const letters = getComputedStyle(document.body).fontFamily;
    const lines = x.type === "date" || x.ticktext?.some((text) => text.includes("<br>")) ? 2 : 1;
    const shade = { type: "rect", yref: "paper", y0: 0, y1: 1, layer: "below", opacity: 0.18, fillcolor: color("--muted"), line: { width: 1, color: color("--muted") } };
    return {
      autosize: true,
      shapes: (spec.shades ?? []).map(([x0, x1]) => ({ ...shade, x0, x1 })),
      margin: { l: 36, r: 12, t: 8, b: 12 + 16 * lines, pad: 0 },
      paper_bgcolor: "transparent",
      plot_bgcolor: "transparent",
      font: { family: letters, size: 12, color: color("--muted") },
      showlegend: false,
      hovermode: isCrowded(spec) ? "closest" : "x unified",
      hoverlabel: { bgcolor: color("--card"), bordercolor: color("--rule"), font: { family: letters, size: 12, color: color("--text") }, namelength: -1 },
      dragmode: isTime && !matchMedia("(pointer: coarse)").matches ? "zoom" : false,
      barmode: spec.labels?.length > 8 ? "group" : "overlay",
      bargap: spec.labels?.length > 8 ? 0.08 : 0.4,
      xaxis: { ...base, ...x, ...spike, automargin: false },
      yaxis: { ...base, range: y, nticks: 7, zeroline: y[0] < 0 && y[1] > 0, zerolinecolor: color("--muted"), separatethousands: true, exponentformat: size >= 1e15 || size < 1e-9 ? "e" : "none", hoverformat: size < 1e-9 ? ".4~g" : ",.7~r" },
    };
  };

  // --- Curves, bars and marks ---
  // Plotly reads tags in names.
  const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  const isCrowded = (spec) => spec.series.length > 6;
  const traces = (spec, width) => {
    // Bins that are named alike are bins of their own.
    const names = spec.labels?.map((label, index, all) => label + "\u200b".repeat(all.slice(0, index).filter((other) => other === label).length));
    const made = spec.series.map((one) => {
      const shade = color(one.color);
      const hovertemplate = `%{fullData.name}: %{y}${isCrowded(spec) ? "<br>%{x}" : ""}<extra></extra>`;
      const trace = { name: plain(one.label), x: names ?? one.x, y: one.y, hovertemplate };
      if (spec.kind === "bars") return { ...trace, type: "bar", marker: { color: shade, line: { width: 0 } } };
      const line = { color: shade, width: spec.kind === "time" ? 1.6 : 2, shape: spec.step ? "hv" : "linear", simplify: true };
      const few = spec.kind === "points" || one.x.length < 3;
      const more = few ? { mode: "lines+markers", marker: { color: shade, size: 8 } } : { mode: "lines" };
      if (spec.fill) Object.assign(more, { fill: "tozeroy", fillcolor: `${shade}40` });
      return { ...trace, type: "scatter", line, connectgaps: true, ...more };
    });
    const count = (spec.marks ?? []).reduce((sum, mark) => sum + mark.x.length, 0);
    const size = count > width / 2 ? 7 : 9;
    for (const mark of spec.marks ?? []) {
      const symbol = `triangle-${mark.up ? "up" : "down"}${mark.hollow ? "-open" : ""}`;
      made.push({ type: "scatter", mode: "markers", name: mark.label.split(":")[0], x: mark.x, y: mark.y, hovertemplate: "%{fullData.name}: %{y} at %{x|%H:%M:%S.%L}<extra></extra>", marker: { color: color(mark.color), symbol, size, opacity: 1, line: { width: mark.hollow ? 1.4 : 0 } } });
    }
    return made;
  };

  // --- Drawing ---
  // Sizes are watched below: `responsive` sees the window's only, and not what stands in a closed part of the page.
  const CONFIG = { displayModeBar: false, displaylogo: false, doubleClick: false, showTips: false };
  const drawn = new Map();
  // The times that the plots of a run show, where they were zoomed.
  const zooms = new Map();
  const group = (holder) => holder.dataset.sync || holder.id;
  const peers = (holder) => [...drawn.keys()].filter((other) => drawn.get(other).kind === "time" && group(other) === group(holder));

  const draw = async (holder) => {
    const spec = plots[holder.dataset.plot];
    const width = holder.clientWidth;
    if (spec.empty) {
      const none = document.createElement("div");
      none.className = "none";
      none.textContent = spec.empty;
      holder.replaceChildren(none);
      return;
    }
    if (width < 40) return;
    const isNew = !drawn.has(holder);
    const span = spec.kind === "time" ? (zooms.get(group(holder)) ?? extent(spec)) : [];
    drawn.set(holder, { kind: spec.kind, width, height: holder.clientHeight });
    await Plotly.react(holder, traces(spec, width), layout(spec, width, span), CONFIG);
    if (spec.kind !== "time") return;
    if (isNew) follow(holder);
    // A label of before a zoom would stay where it was.
    else Plotly.Fx.unhover(holder);
  };

  const waiting = new Set();
  let isDrawing = false;
  const drawAll = async (some) => {
    for (const holder of some) waiting.add(holder);
    if (isDrawing) return;
    isDrawing = true;
    delete root.dataset.ready;
    while (waiting.size) {
      const started = performance.now();
      for (const holder of waiting) {
        waiting.delete(holder);
        try {
          await draw(holder);
        } catch (error) {
          // The other plots are drawn nevertheless.
          reportError(error);
        }
        if (performance.now() - started > 50) break;
      }
      // The page stays usable while many plots are drawn.
      await new Promise((done) => setTimeout(done));
    }
    isDrawing = false;
    root.dataset.ready = "1";
  };

  // --- All time plots of a run show the same times ---
  const ms = (value) => (typeof value === "number" ? value : Date.parse(value.includes(" ") ? `${value.replace(" ", "T")}Z` : value));
  const zoom = (holder, span) => {
    if (span) zooms.set(group(holder), span);
    else zooms.delete(group(holder));
    drawAll(peers(holder));
  };
  const follow = (holder) => {
    holder.on("plotly_relayout", (change) => {
      if ("xaxis.range[0]" in change) zoom(holder, [ms(change["xaxis.range[0]"]), ms(change["xaxis.range[1]"])]);
    });
    // A tap comes as two clicks.
    holder.on("plotly_doubleclick", () => zooms.has(group(holder)) && zoom(holder, null));
    const told = (act) => {
      for (const other of peers(holder)) {
        const box = other.getBoundingClientRect();
        if (other !== holder && box.bottom > 0 && box.top < innerHeight) act(other);
      }
    };
    holder.on("plotly_hover", (event) => told((other) => Plotly.Fx.hover(other, { xval: ms(event.xvals[0]) }, "xy")));
    holder.on("plotly_unhover", () => told((other) => Plotly.Fx.unhover(other)));
  };

  const sizes = new ResizeObserver((entries) => {
    const isOther = (holder) => {
      const last = drawn.get(holder);
      return last?.width !== holder.clientWidth || last?.height !== holder.clientHeight;
    };
    drawAll(entries.map((entry) => entry.target).filter(isOther));
  });
  holders.forEach((holder) => sizes.observe(holder));

  // --- Theme ---
  const button = document.querySelector("button.theme");
  const night = matchMedia("(prefers-color-scheme: dark)");
  const theme = () => root.dataset.theme ?? (night.matches ? "night" : "day");
  const label = () => { button.textContent = theme() === "night" ? "Day theme" : "Night theme"; };
  const asked = new URLSearchParams(location.search).get("theme");
  if (asked === "day" || asked === "night") root.dataset.theme = asked;
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = theme() === "night" ? "day" : "night";
    label();
    drawAll(holders);
  });
  night.addEventListener("change", () => { label(); drawAll(holders); });
  label();
  drawAll(holders);

  // --- Explanations ---
  const tip = document.getElementById("tip");
  const show = (event) => {
    const target = event.target.closest?.("[data-tip]");
    if (!target) return;
    tip.textContent = target.dataset.tip;
    tip.hidden = false;
    const at = target.getBoundingClientRect();
    const box = tip.getBoundingClientRect();
    const below = at.bottom + 6 + box.height < innerHeight;
    tip.style.left = `${Math.max(12, Math.min(at.left, innerWidth - box.width - 12))}px`;
    tip.style.top = `${below ? at.bottom + 6 : Math.max(6, at.top - box.height - 6)}px`;
  };
  const hide = () => { tip.hidden = true; };
  document.addEventListener("mouseover", show);
  document.addEventListener("focusin", show);
  document.addEventListener("mouseout", hide);
  document.addEventListener("focusout", hide);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  addEventListener("scroll", hide, { passive: true });
})();

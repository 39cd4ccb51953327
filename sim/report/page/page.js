(() => {
  "use strict";
  const root = document.documentElement;
  const plots = JSON.parse(document.getElementById("plots").textContent);
  const color = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const drawn = new Map();

  // --- Numbers ---
  const formats = new Map();
  const number = (value, digits) => {
    if (!formats.has(digits)) formats.set(digits, new Intl.NumberFormat("en-US", { maximumFractionDigits: digits }));
    return formats.get(digits).format(value);
  };
  const readable = (value) => {
    const size = Math.abs(value);
    if (size === 0) return "0";
    if (size >= 1e15 || size < 1e-9) return value.toExponential(3);
    return number(value, size >= 1e5 ? 2 : Math.min(20, Math.max(0, 5 - Math.floor(Math.log10(size)))));
  };
  const axisValues = (u, splits) => {
    const step = splits.length > 1 ? Math.abs(splits[1] - splits[0]) : 1;
    let digits = Math.min(12, Math.max(0, -Math.floor(Math.log10(step || 1) + 1e-9)));
    // A step of 2.5 needs a digit more than one of 2.
    while (digits < 12 && Math.abs(step * 10 ** digits - Math.round(step * 10 ** digits)) > 1e-6) digits++;
    return splits.map((value) => (value === null ? "" : step < 1e-9 || Math.abs(value) >= 1e15 ? value.toExponential(1) : number(value, digits)));
  };
  const two = (value, width = 2) => String(value).padStart(width, "0");
  const moment = (ms) => {
    const at = new Date(ms);
    return `${at.getUTCFullYear()}-${two(at.getUTCMonth() + 1)}-${two(at.getUTCDate())} ${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())}.${two(at.getUTCMilliseconds(), 3)}`;
  };
  // Hours and minutes, with the date where a day begins and under the first one, and parts of seconds where they differ.
  const timeValues = (u, splits) => {
    const step = splits.length > 1 ? splits[1] - splits[0] : 1000;
    let before = "";
    return splits.map((at) => {
      const [date, time] = moment(at).split(" ");
      const shown = step >= 86400000 ? "" : step >= 60000 ? time.slice(0, 5) : step >= 1000 ? time.slice(0, 8) : time;
      const text = date === before ? shown : shown ? `${shown}\n${date}` : date;
      before = date;
      return text;
    });
  };
  const since = (ms) => {
    const seconds = Math.round(ms / 1000);
    return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  };

  // --- Plots ---
  const axes = (spec) => {
    const base = { stroke: color("--muted"), font: "12px system-ui, sans-serif", grid: { stroke: color("--grid"), width: 1 }, ticks: { stroke: color("--grid"), width: 1, size: 4 } };
    const x = { ...base, size: 38, gap: 4 };
    if (spec.kind !== "time") {
      x.splits = () => {
        const count = spec.labels.length;
        const every = Math.max(1, Math.ceil(count / Math.max(2, Math.floor(x.width / (count > 8 ? 72 : 60)))));
        return spec.labels.map((_, index) => index).filter((index) => index % every === 0);
      };
      x.values = (u, splits) => splits.map((index) => {
        const label = spec.labels[index] ?? "";
        return x.width / spec.labels.length < 90 && spec.labels.length < 8 ? label.replace(" ", "\n") : label;
      });
      x.grid = { show: false };
    } else {
      x.values = spec.since ? (u, splits) => splits.map(since) : timeValues;
      x.space = 70;
    }
    const size = (u, values) => Math.max(40, 14 + 7 * Math.max(0, ...(values ?? []).map((value) => value.length)));
    return [x, { ...base, size, gap: 4, values: axisValues }];
  };

  const markers = (spec) => (u) => {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    const count = (spec.marks ?? []).reduce((sum, mark) => sum + mark.x.length, 0);
    const half = (count > u.width / 2 ? 3.2 : 4.5) * devicePixelRatio;
    for (const mark of spec.marks ?? []) {
      ctx.fillStyle = ctx.strokeStyle = color(mark.color);
      ctx.lineWidth = 1.4 * devicePixelRatio;
      for (let i = 0; i < mark.x.length; i++) {
        if (mark.x[i] < u.scales.x.min || mark.x[i] > u.scales.x.max) continue;
        const x = u.valToPos(mark.x[i], "x", true);
        const y = u.valToPos(mark.y[i], "y", true);
        const tip = mark.up ? -half : half;
        ctx.beginPath();
        ctx.moveTo(x, y + tip);
        ctx.lineTo(x + half * 0.9, y - tip * 0.8);
        ctx.lineTo(x - half * 0.9, y - tip * 0.8);
        ctx.closePath();
        mark.hollow ? ctx.stroke() : ctx.fill();
      }
    }
    ctx.restore();
  };

  const zero = (u) => {
    const { ctx, bbox } = u;
    if (!(u.scales.y.min < 0 && u.scales.y.max > 0)) return;
    const y = Math.round(u.valToPos(0, "y", true)) + 0.5;
    ctx.save();
    ctx.strokeStyle = color("--muted");
    ctx.globalAlpha = 0.6;
    ctx.lineWidth = devicePixelRatio;
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.restore();
  };

  const range = (spec) => (u, low, high) => {
    let [min, max] = [low, high];
    for (const mark of spec.marks ?? []) {
      for (let i = 0; i < mark.y.length; i++) {
        if (mark.x[i] >= u.scales.x.min && mark.x[i] <= u.scales.x.max) {
          min = Math.min(min ?? mark.y[i], mark.y[i]);
          max = Math.max(max ?? mark.y[i], mark.y[i]);
        }
      }
    }
    if (min === null || max === null) return [0, 1];
    if (spec.kind === "bars" || spec.fill) [min, max] = [Math.min(min, 0), Math.max(max, 0)];
    const room = (max - min || Math.abs(max) * 1e-3 || 1) * 0.06;
    return [min === 0 && spec.kind !== "time" ? 0 : min - room, max === 0 && spec.fill ? 0 : max + room];
  };

  const series = (spec) => spec.series.map((one, index) => {
    const made = { label: one.label, stroke: color(one.color), width: 1.6, spanGaps: true, points: { show: false } };
    if (spec.kind === "time") {
      if (spec.step) made.paths = uPlot.paths.stepped({ align: 1 });
      if (spec.fill) made.fill = color(one.color) + "40";
      if (spec.x.length < 3) made.points = { show: true, size: 7, fill: color(one.color) };
    } else if (spec.kind === "bars") {
      const many = spec.labels.length > 8;
      made.fill = color(one.color);
      made.width = many ? 0 : 1;
      // Two histograms share their bins: each has a half of every one.
      const halves = many && spec.series.length > 1;
      made.paths = uPlot.paths.bars(halves ? { size: [0.45, 40], align: index ? 1 : -1 } : { size: [many ? 0.92 : 0.6, 90] });
    } else {
      made.width = 2;
      made.points = { show: true, size: 9, fill: color(one.color), stroke: color(one.color) };
    }
    return made;
  });

  const readout = (spec, box) => (u) => {
    const index = u.cursor.idx;
    if (index === null || index === undefined || u.cursor.left < 0) {
      box.textContent = "";
      return;
    }
    const at = spec.kind === "time" ? (spec.since ? since : moment)(spec.x[index]) : spec.labels[index];
    const parts = spec.series.filter((one) => one.y[index] !== null).map((one) => `${one.label} ${readable(one.y[index])}`);
    box.textContent = [at, ...parts].join("  \u00b7  ");
  };

  const draw = (holder) => {
    const spec = plots[holder.dataset.plot];
    drawn.get(holder)?.destroy();
    drawn.delete(holder);
    holder.textContent = "";
    if (spec.empty) {
      const none = document.createElement("div");
      none.className = "none";
      none.textContent = spec.empty;
      holder.append(none);
      return;
    }
    const width = holder.clientWidth;
    if (width < 40) return;
    const box = document.createElement("div");
    box.className = "readout";
    const [x, y] = axes(spec);
    x.width = width;
    const isTime = spec.kind === "time";
    const edge = spec.kind === "bars" ? 0.5 : 0.3;
    const options = {
      width,
      height: holder.clientHeight,
      ms: 1,
      tzDate: (at) => uPlot.tzDate(new Date(at), "Etc/UTC"),
      legend: { show: false },
      padding: [10, 14, 0, 0],
      scales: {
        x: isTime ? { time: !spec.since, range: (u, min, max) => (min === max ? [min - 1000, max + 1000] : [min, max]) } : { time: false, range: () => [-edge, spec.labels.length - 1 + edge] },
        y: { range: range(spec) },
      },
      axes: [x, y],
      series: [{}, ...series(spec)],
      cursor: {
        y: false,
        drag: { x: isTime, y: false },
        points: { size: 7 },
        sync: isTime && holder.dataset.sync ? { key: holder.dataset.sync, scales: ["x", null] } : undefined,
      },
      hooks: { drawAxes: [zero], draw: [markers(spec)], setCursor: [readout(spec, box)] },
    };
    const xs = isTime ? spec.x : spec.labels.map((_, index) => index);
    const plot = new uPlot(options, [xs, ...spec.series.map((one) => one.y)], holder);
    holder.append(box);
    drawn.set(holder, plot);
  };

  const holders = [...document.querySelectorAll("[data-plot]")];
  const drawAll = () => holders.forEach(draw);
  let waiting = 0;
  const later = () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(() => {
      for (const holder of holders) {
        const plot = drawn.get(holder);
        if (!plot || plot.width !== holder.clientWidth || plot.height !== holder.clientHeight) draw(holder);
      }
    });
  };
  new ResizeObserver(later).observe(document.body);
  document.querySelectorAll("details").forEach((one) => one.addEventListener("toggle", later));

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
    drawAll();
  });
  night.addEventListener("change", () => { label(); drawAll(); });
  label();
  drawAll();

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
  root.dataset.ready = "1";
})();

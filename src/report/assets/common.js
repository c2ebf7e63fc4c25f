"use strict";
// What both pages share: elements, numbers as text, the theme, and plots with zoom, legend and a table behind each.

const el = (tag, attrs = {}, ...kids) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attrs)) {
    if (name === "on") for (const [event, act] of Object.entries(value)) node.addEventListener(event, act);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...kids.filter(kid => kid !== null && kid !== undefined));
  return node;
};
const color = name => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

// ---- numbers ----
const NONE = "–";
const fixed = (value, places) => value === null || value === undefined ? NONE
  : value.toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places });
const signed = (value, places) => value === null || value === undefined ? NONE : (value > 0 ? "+" : "") + fixed(value, places);
const share = value => value === null || value === undefined ? NONE : fixed(value * 100, 1) + " %";
const short = value => {
  const size = Math.abs(value);
  for (const [unit, name] of [[1e9, "B"], [1e6, "M"]]) if (size >= unit) return fixed(value / unit, 2) + " " + name;
  return fixed(value, size >= 100 ? 0 : 2);
};
// A length of time from nanoseconds.
const span = ns => {
  if (ns === null || ns === undefined) return NONE;
  const size = Math.abs(ns);
  const [unit, name] = size < 1e3 ? [1, "ns"] : size < 1e6 ? [1e3, "µs"] : size < 1e9 ? [1e6, "ms"] : size < 12e10 ? [1e9, "s"]
    : size < 72e11 ? [6e10, "min"] : size < 1728e11 ? [36e11, "h"] : [864e11, "d"];
  const value = ns / unit;
  return fixed(value, unit === 1 || Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2) + " " + name;
};
const clock = (epoch, digits = 3) => {
  const text = new Date(epoch * 1e3).toISOString();
  return text.slice(0, 10) + " " + text.slice(11, digits ? 20 + digits : 19);
};
// Times on an axis, UTC, no finer than their distance; the day stands at the first one and where it changes.
const timeText = (u, splits, axis, space, every) => {
  let day = "";
  return splits.map(at => {
    const text = clock(at), date = text.slice(0, 10);
    const time = every >= 86400 ? "" : text.slice(11, every >= 60 ? 16 : every >= 1 ? 19 : 23);
    const both = date === day ? time : time ? time + "\n" + date : date;
    day = date;
    return both;
  });
};
const tone = value => value > 0 ? "good" : value < 0 ? "bad" : "";

// ---- theme ----
const themed = [];
const setTheme = dark => {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  for (const redraw of themed) redraw();
};
const media = matchMedia("(prefers-color-scheme: dark)");
document.documentElement.dataset.theme = media.matches ? "dark" : "light";
media.addEventListener("change", change => setTheme(change.matches));
const themeButton = () => el("button", {
  type: "button", "aria-label": "Switch between dark and light",
  on: { click: () => setTheme(document.documentElement.dataset.theme !== "dark") },
}, "◐ Theme");

// ---- tables ----
const TABLE_ROWS = 500;
const table = (columns, rows) => el("table", {},
  el("thead", {}, el("tr", {}, ...columns.map(name => el("th", name.startsWith("<") ? { class: "l" } : {}, name.replace("<", ""))))),
  el("tbody", {}, ...rows.map(row => el("tr", {}, ...row.map((cell, at) =>
    el("td", columns[at].startsWith("<") ? { class: at === columns.length - 1 ? "l wrap" : "l" } : {}, cell instanceof Node ? cell : cell === null ? NONE : String(cell)))))));
const csv = (columns, rows) => {
  const cell = value => value === null || value === undefined ? "" : /[",\n]/.test(String(value)) ? '"' + String(value).replaceAll('"', '""') + '"' : String(value);
  return [columns.map(name => name.replace("<", "")), ...rows].map(row => row.map(cell).join(",")).join("\n") + "\n";
};

// ---- plots ----
// A card with a plot in it, and its numbers as a table and as CSV. `spec.data()` gives `{columns, rows}` of plain values.
const card = (spec, ...inside) => {
  const tools = el("div", { class: "tools" });
  const body = el("div", { class: "body" }, ...inside);
  const node = el("section", { class: "card" + (spec.wide ? " wide" : ""), id: spec.id },
    el("div", { class: "head" }, el("h2", {}, spec.title), tools), el("p", { class: "why" }, spec.why), body);
  if (spec.data) {
    let shown = null;
    const button = el("button", { type: "button", "aria-pressed": "false", on: { click: () => {
      if (shown) { shown.remove(); shown = null; } else {
        const { columns, rows } = spec.data();
        shown = el("div", { class: "scroll", tabindex: "0" }, table(columns, rows.slice(0, TABLE_ROWS)),
          rows.length > TABLE_ROWS ? el("p", { class: "why" }, `The first ${TABLE_ROWS} of ${rows.length} rows; CSV has all.`) : null);
        node.append(shown);
      }
      button.setAttribute("aria-pressed", shown ? "true" : "false");
    } } }, "Table");
    const save = el("button", { type: "button", on: { click: () => {
      const { columns, rows } = spec.data();
      const link = el("a", { href: URL.createObjectURL(new Blob([csv(columns, rows)], { type: "text/csv" })), download: spec.id + ".csv" });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    } } }, "CSV");
    tools.append(button, save);
  }
  return { node, body, tools };
};

// The plots that share one time axis: a zoom of one is a zoom of all.
const group = () => ({ key: "g" + Math.random(), plots: new Set(), range: null });
const zoom = (together, min, max) => {
  together.range = min === null ? null : [min, max];
  for (const plot of together.plots) {
    const x = plot.data[0];
    plot.setScale("x", { min: min === null ? x[0] : min, max: max === null ? x[x.length - 1] : max });
  }
};
const zoomBy = (together, factor) => {
  const [plot] = together.plots;
  if (!plot) return;
  const { min, max } = plot.scales.x, x = plot.data[0];
  const middle = (min + max) / 2, half = (max - min) / 2 * factor;
  const low = Math.max(x[0], middle - half), high = Math.min(x[x.length - 1], middle + half);
  if (high - low >= x[x.length - 1] - x[0]) zoom(together, null, null); else zoom(together, low, high);
};
const zoomButtons = together => [["+", "Zoom in", .5], ["−", "Zoom out", 2], ["All", "Whole run", null]].map(([text, label, factor]) =>
  el("button", { type: "button", "aria-label": label, title: label, on: { click: () => factor ? zoomBy(together, factor) : zoom(together, null, null) } }, text));

// Two fingers zoom and move; one finger scrolls the page as everywhere.
const touch = together => ({ hooks: { ready: plot => {
  let from = null;
  const at = event => {
    const left = plot.over.getBoundingClientRect().left;
    const [a, b] = [event.touches[0].clientX - left, event.touches[1].clientX - left];
    return { a: Math.min(a, b), b: Math.max(a, b) };
  };
  plot.over.addEventListener("touchstart", event => {
    if (event.touches.length !== 2) return;
    const { a, b } = at(event);
    from = { a: plot.posToVal(a, "x"), b: plot.posToVal(b, "x") };
    event.preventDefault();
  }, { passive: false });
  plot.over.addEventListener("touchmove", event => {
    if (!from || event.touches.length !== 2) return;
    event.preventDefault();
    const { a, b } = at(event), width = plot.over.clientWidth;
    const scale = (from.b - from.a) / Math.max(b - a, 10);
    const min = from.a - a * scale, x = plot.data[0];
    zoom(together, Math.max(min, x[0]), Math.min(min + width * scale, x[x.length - 1]));
  }, { passive: false });
  plot.over.addEventListener("touchend", () => { from = null; });
} } });

// One plot. `spec`: columns `data` (x first), `series` [{label, color, width, dash, stepped, fill, points, value, hidden}], `height`,
// `time` (x is seconds since the epoch), `together` (see group), `yText`, `xText`, `bands` [{top, bottom, color}], `draw` (after the lines),
// `log` (y), `zero` (a line at 0), `splits` (of x), `tip` (text for a place).
const plot = (host, spec) => {
  const legend = el("div", { class: "legend" }), place = el("div", { class: "plot" });
  host.append(legend, place);
  const shown = spec.series.map(one => !one.hidden);
  let made = null;
  const make = () => {
    if (made) { if (spec.together) spec.together.plots.delete(made); made.destroy(); }
    const narrow = place.clientWidth < 560, soft = color("soft"), grid = color("grid");
    const axis = { stroke: soft, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1, size: 5 }, font: "12px system-ui, sans-serif" };
    const cells = spec.series.map(() => el("b"));
    const options = {
      width: Math.max(place.clientWidth, 200), height: narrow ? Math.round(spec.height * .85) : spec.height,
      tzDate: at => uPlot.tzDate(new Date(at * 1e3), "Etc/UTC"), legend: { show: false }, ms: 1,
      padding: [10, narrow ? 24 : 30, 0, 0],
      cursor: { sync: spec.together ? { key: spec.together.key } : undefined, drag: { x: !!spec.together, y: false, setScale: false }, points: { size: 6 } },
      plugins: spec.together ? [touch(spec.together)] : [],
      scales: {
        x: { time: !!spec.time, range: spec.xRange },
        y: spec.log ? { distr: 3 } : { range: (u, min, max) => {
          if (min === null || min === max) { const at = min ?? 0; return [at - (Math.abs(at) || 1) * .01, at + (Math.abs(at) || 1) * .01]; }
          const room = (max - min) * .06;
          return [min - room, max + room];
        } },
      },
      axes: [
        { ...axis, space: spec.time ? 90 : 50, size: spec.time ? 50 : 34, splits: spec.splits, values: spec.time ? timeText : spec.xText ? (u, splits) => splits.map(spec.xText) : undefined },
        { ...axis, size: (u, values) => Math.max(narrow ? 62 : 74, 16 + 7 * Math.max(0, ...(values || []).map(value => value.length))), values: (u, splits) => splits.map(value => value === null ? "" : spec.yText(value)) },
      ],
      series: [{}, ...spec.series.map((one, at) => ({
        label: one.label, stroke: one.mute ? "transparent" : color(one.color), width: one.mute ? 0 : one.width ?? 1.5, dash: one.dash, show: shown[at],
        fill: one.fill ? color(one.fill) : undefined, spanGaps: !!one.spanGaps,
        paths: one.stepped ? uPlot.paths.stepped({ align: 1 }) : undefined, points: { show: !!one.points, size: 7, fill: color(one.color) },
      }))],
      bands: (spec.bands || []).map(band => ({ series: [band.top, band.bottom], fill: color(band.color) })),
      hooks: {
        setSelect: [u => {
          if (u.select.width < 4) return;
          const [min, max] = [u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x")];
          u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
          if (spec.together) zoom(spec.together, min, max);
        }],
        setCursor: [u => {
          spec.series.forEach((one, at) => {
            const index = u.cursor.idx;
            const value = index === null || index === undefined ? null : u.data[at + 1][index];
            cells[at].textContent = value === null || value === undefined ? "" : (one.value || spec.yText)(value);
          });
          if (spec.tip) spec.tip(u, place);
        }],
        drawAxes: spec.zero ? [u => {
          const y = u.valToPos(0, "y", true);
          if (!(y > u.bbox.top && y < u.bbox.top + u.bbox.height)) return;
          u.ctx.save(); u.ctx.strokeStyle = soft; u.ctx.globalAlpha = .5; u.ctx.lineWidth = devicePixelRatio; u.ctx.beginPath();
          u.ctx.moveTo(u.bbox.left, y); u.ctx.lineTo(u.bbox.left + u.bbox.width, y); u.ctx.stroke(); u.ctx.restore();
        }] : [],
        draw: spec.draw ? [spec.draw] : [],
      },
    };
    made = new uPlot(options, spec.data, place);
    made.over.addEventListener("dblclick", () => spec.together && zoom(spec.together, null, null));
    if (spec.together) {
      spec.together.plots.add(made);
      if (spec.together.range) made.setScale("x", { min: spec.together.range[0], max: spec.together.range[1] });
    }
    legend.replaceChildren(...spec.series.map((one, at) => one.mute ? null : el("button", {
      type: "button", "aria-pressed": String(shown[at]), on: { click: event => {
        shown[at] = !shown[at];
        made.setSeries(at + 1, { show: shown[at] });
        for (const twin of one.with || []) made.setSeries(twin + 1, { show: shown[at] });
        event.currentTarget.setAttribute("aria-pressed", String(shown[at]));
      } },
    }, el("i", { style: `background:${color(one.color)}` }), one.label, cells[at])).filter(Boolean), ...(spec.legend ? spec.legend() : []));
  };
  make();
  themed.push(make);
  let width = place.clientWidth;
  new ResizeObserver(() => {
    if (Math.abs(place.clientWidth - width) < 2) return;
    width = place.clientWidth;
    made.setSize({ width: Math.max(width, 200), height: made.height });
  }).observe(place);
  return { set: data => { spec.data = data; made.setData(data); }, plot: () => made };
};

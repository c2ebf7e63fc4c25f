"use strict";
// The page of a finished run: everything comes from the JSON beside it.

const report = JSON.parse(document.getElementById("data").textContent);
const start = report.start_ns / 1e9;
const when = t => clock(start + t);
const multi = report.markets.length > 1;

// ---- headline ----
const tile = (key, value, label, text, options = {}) => el("dl", { class: "tile" + (options.lead ? " lead" : "") },
  el("dt", {}, label),
  el("dd", { class: options.tone || "", "data-key": key, "data-value": JSON.stringify(value ?? null) }, text, options.unit ? el("small", {}, " " + options.unit) : null),
  options.more ? el("div", { class: "more" }, options.more) : null);

const tiles = (market, at) => {
  const { summary: s, quote, base } = market, key = name => `markets/${at}/summary/${name}`;
  const money = (name, value, label, options = {}) => tile(key(name), value, label, signed(value, 2), { unit: quote, tone: tone(value), ...options });
  const fills = s.fills_buy + s.fills_sell;
  return el("div", { class: "tiles" },
    money("pnl/total", s.pnl.total, "Net P&L", { lead: true, more: s.turnover ? `${signed(s.pnl.total / s.turnover * 1e4, 2)} bps of turnover` : "nothing was traded" }),
    money("pnl/spread", s.pnl.spread, "Spread", { more: "captured against the mid" }),
    money("pnl/inventory", s.pnl.inventory, "Inventory", { more: "moves of the mid while held" }),
    money("pnl/fees", s.pnl.fees, "Fees", { more: s.turnover ? `${signed(s.pnl.fees / s.turnover * 1e4, 2)} bps of turnover` : "" }),
    money("pnl/funding", s.pnl.funding, "Funding"),
    tile(key("max_drawdown"), s.max_drawdown, "Max drawdown", fixed(s.max_drawdown, 2), { unit: quote, more: "net P&L from its peak" }),
    tile(key("sharpe/annual"), s.sharpe?.annual, "Sharpe, annualised", fixed(s.sharpe?.annual ?? null, 1),
      { more: s.sharpe ? `${s.sharpe.samples} samples of ${span(s.sharpe.sample_s * 1e9).replace(".00", "")}, 365 days${report.seconds < 86400 ? "; under a day, so no more than a hint" : ""}` : "fewer than 30 samples" }),
    tile(key("turnover"), s.turnover, "Turnover", short(s.turnover), { unit: quote, more: `${fixed(s.bought, market.qty_places)} bought, ${fixed(s.sold, market.qty_places)} sold` }),
    tile(`markets/${at}/fills/count`, market.fills.count, "Fills", fixed(market.fills.count, 0),
      { more: `${s.fills_buy} buys, ${s.fills_sell} sells; ${fills ? share(s.fills_maker / fills) : NONE} maker` }),
    tile(key("fill_ratio"), s.fill_ratio, "Fill ratio", share(s.fill_ratio), { more: `${s.orders_filled} of ${s.orders_rested} resting orders; ${share(s.fill_ratio_qty)} of quantity` }),
    tile(key("queue_time/median_s"), s.queue_time?.median_s, "Queue time, median", span(s.queue_time ? s.queue_time.median_s * 1e9 : null),
      { more: s.queue_time ? `mean ${span(s.queue_time.mean_s * 1e9)}, p90 ${span(s.queue_time.p90_s * 1e9)}` : "no maker fill" }),
    tile(key("two_sided"), s.two_sided, "Two-sided uptime", share(s.two_sided), { more: `any quote ${share(s.quoted)}; own spread ${fixed(s.own_spread_bps, 2)} bps` }),
    tile(key("position"), s.position, "Position at the end", fixed(s.position, market.qty_places),
      { unit: base, more: `${fixed(s.position_min, market.qty_places)} to ${fixed(s.position_max, market.qty_places)}` }));
};

// ---- figures over time ----
const columnsOf = (line, names) => () => ({
  columns: ["<time (UTC)", ...names.map(([label]) => label)],
  rows: line.t.map((t, at) => [when(t), ...names.map(([, name]) => line[name][at])]),
});

const equity = (market, together) => {
  const line = market.timeline, x = line.t.map(t => start + t), { quote } = market;
  const text = value => fixed(value, 2);
  const made = card({
    id: "equity-" + market.symbol, wide: true, title: "Equity and where it came from",
    why: `Net P&L since the start in ${quote}, and its parts: net = spread + inventory + fees + funding. The band is the range within a bucket of ${span(line.bucket_s * 1e9)}.`,
    data: columnsOf(line, [["net", "equity"], ["net min", "equity_min"], ["net max", "equity_max"], ["spread", "spread"], ["inventory", "inventory"], ["fees", "fees"], ["funding", "funding"]]),
  });
  made.tools.prepend(...zoomButtons(together));
  later(() => plot(made.body, {
    height: 300, time: true, together, yText: text, zero: true,
    data: [x, line.equity_min, line.equity_max, line.spread, line.inventory, line.fees, line.funding, line.equity],
    bands: [{ top: 2, bottom: 1, color: "band" }],
    series: [
      { label: "low", color: "c1", stepped: true, mute: true }, { label: "high", color: "c1", stepped: true, mute: true },
      { label: "Spread", stepped: true, color: "c2" }, { label: "Inventory", stepped: true, color: "c3" }, { label: "Fees", stepped: true, color: "c6" }, { label: "Funding", stepped: true, color: "c4", hidden: !market.summary.pnl.funding },
      { label: "Net P&L", stepped: true, color: "c1", width: 2.25 },
    ],
  }));
  return made.node;
};

const prices = (market, together) => {
  const line = market.timeline, x = line.t.map(t => start + t), { fills } = market;
  const text = value => fixed(value, market.price_places), fillX = fills.t.map(t => start + t);
  const made = card({
    id: "quotes-" + market.symbol, wide: true, title: "Quotes against the mid, and fills",
    why: `Mid of ${market.symbol} with its range, our best resting bid and ask, and each execution: ▲ we bought, ▼ we sold; hollow is taker.`
      + (fills.shown_every > 1 ? ` One of ${fills.shown_every} fills is drawn.` : ""),
    data: columnsOf(line, [["bid", "bid"], ["ask", "ask"], ["mid min", "mid_min"], ["mid max", "mid_max"], ["own bid", "own_bid"], ["own ask", "own_ask"]]),
  });
  made.tools.prepend(...zoomButtons(together));
  const draw = u => {
    const { ctx } = u, size = 5 * devicePixelRatio;
    ctx.save();
    ctx.beginPath(); ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height); ctx.clip();
    ctx.lineWidth = 1.25 * devicePixelRatio;
    const { min, max } = u.scales.x, buyColor = color("buy"), sellColor = color("sell"), edge = color("card");
    fillX.forEach((at, index) => {
      if (at < min || at > max) return;
      const px = u.valToPos(at, "x", true), py = u.valToPos(fills.price[index], "y", true), up = fills.buy[index] ? 1 : -1;
      ctx.beginPath();
      ctx.moveTo(px, py - up * size * .2); ctx.lineTo(px - size, py + up * size * 1.5); ctx.lineTo(px + size, py + up * size * 1.5); ctx.closePath();
      const tint = fills.buy[index] ? buyColor : sellColor;
      ctx.fillStyle = fills.maker[index] ? tint : edge; ctx.strokeStyle = fills.maker[index] ? edge : tint;
      ctx.fill(); ctx.stroke();
    });
    ctx.restore();
  };
  const bubble = el("div", { class: "tip", hidden: true });
  const tip = (u, place) => {
    if (!bubble.isConnected) place.append(bubble);
    let nearest = -1, distance = 12;
    fillX.forEach((at, index) => {
      const away = Math.hypot(u.valToPos(at, "x") - u.cursor.left, u.valToPos(fills.price[index], "y") - u.cursor.top);
      if (away < distance) [nearest, distance] = [index, away];
    });
    bubble.hidden = nearest < 0;
    if (nearest < 0) return;
    bubble.textContent = `${fills.buy[nearest] ? "bought" : "sold"} ${fixed(fills.qty[nearest], market.qty_places)} at ${text(fills.price[nearest])}, ${when(fills.t[nearest]).slice(11)}`;
    const left = u.valToPos(fillX[nearest], "x") + u.bbox.left / devicePixelRatio;
    bubble.style.left = Math.min(Math.max(left, 110), place.clientWidth - 110) + "px";
    bubble.style.top = Math.max(u.valToPos(fills.price[nearest], "y") + u.bbox.top / devicePixelRatio, 34) + "px";
  };
  later(() => plot(made.body, {
    height: 380, time: true, together, yText: text, draw, tip,
    data: [x, line.mid_min, line.mid_max, line.mid, line.own_bid, line.own_ask],
    bands: [{ top: 2, bottom: 1, color: "midband" }],
    series: [
      { label: "low", color: "mid", stepped: true, mute: true }, { label: "high", color: "mid", stepped: true, mute: true },
      { label: "Mid", stepped: true, color: "mid", width: 1.25, value: value => fixed(value, market.price_places + 1) },
      { label: "Own bid", color: "buy", stepped: true, width: 1.25 }, { label: "Own ask", color: "sell", stepped: true, width: 1.25 },
    ],
  }));
  return made.node;
};

const position = (market, together) => {
  const line = market.timeline, x = line.t.map(t => start + t);
  const made = card({
    id: "position-" + market.symbol, wide: true, title: "Position", why: `In ${market.base}; negative is short. The band is the range within a bucket.`,
    data: columnsOf(line, [["position", "position"], ["min", "position_min"], ["max", "position_max"]]),
  });
  made.tools.prepend(...zoomButtons(together));
  later(() => plot(made.body, {
    height: 190, time: true, together, yText: value => fixed(value, market.qty_places), zero: true,
    data: [x, line.position_min, line.position_max, line.position],
    bands: [{ top: 2, bottom: 1, color: "band" }],
    series: [{ label: "low", color: "c1", stepped: true, mute: true }, { label: "high", color: "c1", stepped: true, mute: true }, { label: "Position", color: "c1", stepped: true }],
  }));
  return made.node;
};

// ---- the other figures ----
const markouts = market => {
  const list = market.markouts, after = [...new Set(list.map(one => one.after_s))];
  const of = (side, name) => after.map(time => list.find(one => one.side === side && one.after_s === time)?.[name] ?? null);
  const made = card({
    id: "markouts-" + market.symbol, title: "Markouts",
    why: "How far the mid had moved in our favour some time after each fill, from the fill's price, in bps. Falling below zero is adverse selection.",
    data: () => ({
      columns: ["<side", "after", "fills", "mean bps", "median bps", "sum " + market.quote],
      rows: list.map(one => [one.side, span(one.after_s * 1e9), one.count, one.mean_bps, one.median_bps, one.total]),
    }),
  });
  later(() => plot(made.body, {
    height: 270, yText: value => fixed(value, 2), zero: true, xText: at => Number.isInteger(at) && after[at] !== undefined ? span(after[at] * 1e9).replace(/\.0+ /, " ") : "",
    xRange: () => [-.3, after.length - .7], splits: () => after.map((_, at) => at),
    data: [after.map((_, at) => at), of("buy", "mean_bps"), of("sell", "mean_bps"), of("buy", "median_bps"), of("sell", "median_bps")],
    series: [
      { label: "Buys, mean", color: "buy", points: true, width: 2 }, { label: "Sells, mean", color: "sell", points: true, width: 2 },
      { label: "Buys, median", color: "buy", dash: [5, 4], points: true }, { label: "Sells, median", color: "sell", dash: [5, 4], points: true },
    ],
  }));
  return made.node;
};

const latency = () => {
  const stages = report.latency;
  const made = card({
    id: "latency", title: "Latency percentiles",
    why: "The value below which the given share of all values lies, per stage. Each curve ends at its largest value. Nothing is corrected after the fact: stamps are taken at intended times.",
    data: () => ({
      columns: ["<stage", "count", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"],
      rows: stages.map(one => [one.name, one.count, ...[one.mean_ns, one.p50_ns, one.p90_ns, one.p99_ns, one.p999_ns, one.p9999_ns, one.max_ns].map(span)]),
    }),
  });
  if (!stages.length) { made.body.append(el("p", { class: "soft" }, "Nothing was timed.")); return made.node; }
  const place = (part, count) => Math.round((part < 1 ? -Math.log10(1 - part) : Math.log10(Math.max(count, 1))) * 100) / 100;
  const parts = stages.map(one => {
    const points = new Map();
    for (const [part, ns] of one.curve) points.set(place(part, one.count), Math.max(ns, 1));
    const x = [...points.keys()].sort((a, b) => a - b);
    return [x, x.map(at => points.get(at))];
  });
  const names = ["0", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %"];
  const colors = { tick_to_order: "c1", frame: "c2", order_round_trip: "c3", tick_to_wire: "c4", decide: "c6" }, others = ["c7", "c8", "c5", "mid"];
  const colorOf = (one, at) => colors[one.name] ?? others[at % others.length];
  // What a desk asks for first; the others are one click away.
  const first = new Set(["tick_to_order", "tick_to_wire", "order_round_trip", "frame", "decide"]);
  const some = stages.some(one => first.has(one.name));
  later(() => plot(made.body, {
    height: 250, log: true, yText: value => span(value).replace(/\.0+ /, " "), value: span, xText: at => names[at] ?? "", splits: u => names.map((_, at) => at).filter(at => at <= u.scales.x.max),
    data: uPlot.join(parts),
    series: stages.map((one, at) => ({ label: one.name.replaceAll("_", " "), color: colorOf(one, at), dash: colors[one.name] ? undefined : [6, 3], spanGaps: true, value: span, width: 2, hidden: some && !first.has(one.name) })),
  }));
  return made.node;
};

const messages = () => {
  const { messages: m } = report;
  const counts = [["new", m.new], ["amend", m.amend], ["cancel", m.cancel], ["query", m.query], ["market", m.market], ["rejected by the venue", m.rejected], ["refused by the gate", m.refused]];
  const fills = report.markets.reduce((sum, market) => sum + market.fills.count, 0), sent = m.new + m.amend + m.cancel;
  const made = card({
    id: "messages", title: "Messages against limits", why: "The busiest windows of the run against what is allowed; and what was sent.",
    data: () => ({
      columns: ["<what", "window s", "peak", "limit"],
      rows: [...m.limits.map(one => [one.name, one.window_s, one.peak, one.max]), ...counts.map(([name, count]) => [name, null, count, null])],
    }),
  });
  for (const one of m.limits) {
    const part = one.max ? one.peak / one.max : 0;
    made.body.append(el("div", { class: "meter" },
      el("span", {}, `${one.name} in ${span(one.window_s * 1e9).replace(/\.0+ /, " ")}`),
      el("span", {}, el("strong", {}, fixed(one.peak, 0)), one.max === null ? "" : ` of ${fixed(one.max, 0)}`),
      el("div", {}, el("i", { class: part > 1 ? "over" : part > .8 ? "hot" : "", style: `width:${Math.min(part, 1) * 100}%` }))));
  }
  made.body.append(el("dl", { class: "facts" }, ...counts.flatMap(([name, count]) => [el("dt", {}, name), el("dd", { "data-key": "messages/" + name.split(" ")[0], "data-value": String(count) }, fixed(count, 0))]),
    el("dt", {}, "messages per fill"), el("dd", {}, fills ? fixed(sent / fills, 1) : NONE)));
  return made.node;
};

const incidents = () => {
  const { count, shown } = report.incidents;
  const columns = ["<time (UTC)", "<severity", "<what", "<detail"];
  const made = card({
    id: "incidents", title: `Incidents (${count})`, wide: true, why: "What withdrew quotes, was refused, lost or done by hand, as the journal tells it.",
    data: () => ({ columns, rows: shown.map(one => [when(one.t), one.severity, one.what, one.detail]) }),
  });
  const serious = shown.filter(one => one.severity !== "info"), first = (serious.length ? serious : shown).slice(0, 12);
  const toned = { critical: "bad", warning: "warn", info: "soft" };
  made.body.append(first.length ? el("div", { class: "scroll" }, table(columns, first.map(one => [when(one.t).slice(11), el("span", { class: toned[one.severity] }, one.severity), one.what, one.detail])))
    : el("p", { class: "soft" }, "None."));
  if (shown.length > first.length) made.body.append(el("p", { class: "why" }, "Table shows all of them."));
  return made.node;
};

const fillTable = market => {
  const { fills } = market, columns = ["<time (UTC)", "<side", "price", "quantity", "<liquidity", "mid", "edge bps", "queue s"];
  const rows = () => fills.t.map((t, at) => [when(t), fills.buy[at] ? "buy" : "sell", fixed(fills.price[at], market.price_places), fixed(fills.qty[at], market.qty_places),
    fills.maker[at] ? "maker" : "taker", fixed(fills.mid[at], market.price_places + 1),
    fills.mid[at] === null ? null : signed((fills.mid[at] - fills.price[at]) * (fills.buy[at] ? 1 : -1) / fills.mid[at] * 1e4, 2), fills.queue_s[at]]);
  return card({
    id: "fills-" + market.symbol, title: `Fills (${fills.count})`, wide: true,
    why: "Edge is the distance from the mid at the moment of the fill; queue is how long the order had its place." + (fills.shown_every > 1 ? ` One of ${fills.shown_every} is listed.` : ""),
    data: () => ({ columns, rows: rows() }),
  }).node;
};

// ---- the page ----
// Plots are made once their places are in the document and have a width.
const pending = [];
const later = make => pending.push(make);

const main = el("main", { id: "report" });
report.markets.forEach((market, at) => {
  const together = group();
  if (multi) main.append(el("h2", { class: "market" }, market.symbol));
  main.append(tiles(market, at), el("div", { class: "cards" }, equity(market, together), prices(market, together), position(market, together), markouts(market),
    at === 0 && (report.kind !== "backtest" || report.latency.length) ? latency() : null, at === 0 ? messages() : null, fillTable(market)));
});
const about = card({ id: "about", title: "This run", why: "" });
about.body.append(el("dl", { class: "facts" }, ...report.facts.flatMap(fact => [el("dt", {}, fact.name), el("dd", {}, fact.value)])));
const notes = report.notes.length ? el("ul", { class: "notes" }, ...report.notes.map(note => el("li", {}, note))) : null;
if (notes) about.body.append(notes);
const cards = main.querySelector(".cards") ?? main.appendChild(el("div", { class: "cards" }));
const beside = cards.querySelector("#messages");
if (beside) beside.after(about.node); else cards.append(about.node);
main.append(el("div", { class: "cards", style: "margin-top:14px" }, incidents()));
const names = report.markets.map(market => market.symbol).join(", ");
document.body.append(
  el("header", {}, el("div", { class: "top" }, el("div", {}, el("h1", {}, report.title), el("span", { class: "badge" }, report.kind)), themeButton()),
    el("p", { class: "sub" }, `${multi ? names + " · " : ""}${clock(start, 0)} to ${clock(report.end_ns / 1e9, 0)} UTC · ${span(report.seconds * 1e9)}`)),
  main,
  el("footer", {}, "Made by spinquote from its own records. Drag over a plot, pinch, or use + and − to zoom; double-click shows the whole run. The page asks nothing of any server."));
for (const make of pending) make();
document.documentElement.dataset.ready = "yes";

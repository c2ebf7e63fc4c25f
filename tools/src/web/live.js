"use strict";
// The live page: plots of the last hour, and tables that follow the stream.

const main = el("main", { id: "live" });
const title = el("h1", {}, "spinquote"), state = el("span", { class: "badge" }, "…"), sub = el("p", { class: "sub" }), link = el("span", { class: "soft", role: "status" });
document.body.append(el("header", {}, el("div", { class: "top" }, el("div", {}, title, state), themeButton()), sub), main,
  el("footer", {}, "Read-only: commands are sq ctl. Times are UTC. ", link));

const alerts = el("div", { id: "alerts" }), tiles = el("div", { class: "tiles" }), plots = el("div", { class: "cards" }), lists = el("div", { class: "cards", style: "margin-top:14px" });
main.append(alerts, tiles, plots, lists);

const LOOKS = 7200;
const markets = new Map();
let run = null, latest = null;

// A list of rows under a heading, made once and filled again and again.
const list = (id, name, columns, wide) => {
  const body = el("div", { class: "scroll", tabindex: "0" }), count = el("span", { class: "soft" });
  lists.append(el("section", { class: "card" + (wide ? " wide" : ""), id }, el("div", { class: "head" }, el("h2", {}, name), count), body));
  return (rows, note) => { count.textContent = note ?? String(rows.length); body.replaceChildren(rows.length ? table(columns, rows) : el("p", { class: "soft" }, "None.")); };
};
const orders = list("orders", "Orders", ["<order", "<side", "price", "quantity", "filled", "<state", "age"]);
const fills = list("fills", "Fills", ["<time", "<side", "price", "quantity", "<liquidity", "fee"]);
const latency = list("latency", "Latency", ["<stage", "count", "p50", "p99", "p99.9", "max", "p99 now", "<last looks"], true);
const feed = list("feed", "Feed and connections", ["<what", "<value"]);
const messages = list("messages", "Messages", ["<what", "count"]);
const events = list("events", "Events", ["<time", "<kind", "<what"], true);

const tile = (key, label, value, options = {}) => el("dl", { class: "tile" + (options.lead ? " lead" : "") }, el("dt", {}, label),
  el("dd", { class: options.tone || "", "data-key": key, "data-value": JSON.stringify(options.raw ?? null) }, value, options.unit ? el("small", {}, " " + options.unit) : null),
  options.more ? el("div", { class: "more" }, options.more) : null);

// Plots of a market over the last looks.
const market = symbol => {
  const together = group(), empty = count => Array.from({ length: count }, () => []);
  const made = { data: { quotes: empty(4), pnl: empty(6), position: empty(2) }, places: 2, qty: 3, drawn: {} };
  const add = (name, title, why, height, text, series, zero) => {
    const one = card({ id: `${name}-${symbol}`, wide: name === "quotes", title: `${symbol} ${title}`, why });
    one.tools.append(...zoomButtons(together));
    plots.append(one.node);
    made.drawn[name] = () => plot(one.body, { height, time: true, together, yText: text, zero, data: made.data[name], series });
  };
  add("quotes", "quotes", "Mid, and our best resting bid and ask, at each look.", 300, value => fixed(value, made.places), [
    { label: "Mid", color: "mid", width: 1.25, value: value => fixed(value, made.places + 1) }, { label: "Own bid", color: "buy", stepped: true }, { label: "Own ask", color: "sell", stepped: true }]);
  add("pnl", "P&L", "Net = spread + inventory + fees + funding, since the run's start.", 220, value => fixed(value, 2), [
    { label: "Net", color: "c1", width: 2.25 }, { label: "Spread", color: "c2" }, { label: "Inventory", color: "c3" }, { label: "Fees", color: "c6" }, { label: "Funding", color: "c4", hidden: true }], true);
  add("position", "position", "Negative is short.", 220, value => fixed(value, made.qty), [{ label: "Position", color: "c1", stepped: true }], true);
  made.put = (t, one) => {
    const put = (name, values) => [t, ...values].forEach((value, at) => { const column = made.data[name][at]; column.push(value ?? null); if (column.length > LOOKS) column.shift(); });
    put("quotes", [one.mid, one.own_bid, one.own_ask]);
    put("pnl", [one.total, one.spread, one.inventory, one.fees, one.funding]);
    put("position", [one.position]);
  };
  made.draw = () => {
    if (made.data.quotes[0].length < 2) return;
    for (const name of Object.keys(made.drawn)) {
      const drawn = made.drawn[name];
      if (typeof drawn === "function") made.drawn[name] = drawn();
      else {
        const { min, max } = drawn.plot().scales.x;
        drawn.set(made.data[name]);
        // Who looks at a part keeps it while new looks come.
        if (together.range) drawn.plot().setScale("x", { min, max });
      }
    }
  };
  markets.set(symbol, made);
  return made;
};

// The last p99s as bars.
const spark = values => {
  const most = Math.max(...values, 1);
  const shape = values.map((value, at) => `M${at * 3} 20v-${Math.max(value / most * 18, value ? 1 : 0).toFixed(1)}`).join("");
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg"), path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  for (const [name, value] of [["width", 180], ["height", 20], ["viewBox", "0 0 180 20"], ["role", "img"], ["aria-label", "p99 of the last looks"]]) svg.setAttribute(name, value);
  for (const [name, value] of [["d", shape], ["stroke", color("c1")], ["stroke-width", 2]]) path.setAttribute(name, value);
  svg.append(path);
  return svg;
};

const since = ns => span((latest.now_ns - ns));
const show = facts => {
  latest = facts;
  const when = ns => clock(ns / 1e9).slice(11);
  title.textContent = (facts.markets.map(one => one.symbol).join(", ") || "spinquote") + " · " + facts.run;
  document.title = `${facts.state} · ${facts.run} · spinquote`;
  state.textContent = facts.state;
  state.className = "badge " + ({ quoting: "good", ended: "", paused: "warn", KILLED: "bad", silent: "bad" }[facts.state] ?? "warn");
  sub.textContent = `${facts.sentence} · ${clock(facts.now_ns / 1e9, 0)} UTC` + (facts.fault ? ` · ${facts.fault}` : "");
  alerts.replaceChildren(...facts.advice.map(line => el("div", { class: "card", style: "margin-top:14px" }, el("strong", { class: "warn" }, line))), ...facts.alerts.map(alert => el("div", { class: "card", style: "margin-top:14px" },
    el("strong", { class: alert.severity === "warning" ? "warn" : "bad" }, `${alert.severity}: ${alert.name}`), ` ${alert.text} `,
    el("span", { class: "soft" }, `for ${since(alert.since_ns)}${alert.acknowledged ? ", acknowledged" : ""}`))));
  tiles.replaceChildren(...facts.markets.flatMap((one, at) => {
    const price = value => fixed(value, one.price_places), key = name => `markets/${at}/${name}`, net = one.pnl.total;
    const money = (name, label) => tile(key("pnl/" + name), label, signed(one.pnl[name], 2), { raw: one.pnl[name], unit: one.quote, tone: tone(one.pnl[name]) });
    const stages = Object.fromEntries(facts.latency.map(stage => [stage.stage, stage]));
    const first = stages.tick_to_order ?? stages.frame;
    return [
      tile(key("pnl/total"), `${one.symbol} net P&L`, signed(net, 2), { raw: net, lead: true, unit: one.quote, tone: tone(net), more: `${one.fills_buy + one.fills_sell} fills: ${one.fills_buy} buys, ${one.fills_sell} sells` }),
      tile(key("mid"), "Mid", fixed(one.mid, one.price_places + 1), { raw: one.mid, more: one.in_sync ? `${price(one.bid)} / ${price(one.ask)}` : "book NOT in sync" }),
      tile(key("own_bid"), "Own bid", price(one.own_bid), { raw: one.own_bid, more: one.own_bid ? fixed(one.own_bid_qty, one.qty_places) : "none" }),
      tile(key("own_ask"), "Own ask", price(one.own_ask), { raw: one.own_ask, more: one.own_ask ? fixed(one.own_ask_qty, one.qty_places) : "none" }),
      tile(key("position"), "Position", fixed(one.position, one.qty_places), { raw: one.position, more: one.entry ? `from ${price(one.entry)}` + (one.liquidation ? `, liquidation ${price(one.liquidation)}, ${fixed((one.liquidation / (one.mark ?? one.mid) - 1) * 100, 1)} % away` : "") : "flat" }),
      money("spread", "Spread"), money("inventory", "Inventory"), money("fees", "Fees"), money("funding", "Funding"),
      tile(key("funding/rate"), "Funding rate", one.funding ? fixed(Number(one.funding.rate) * 100, 4) + " %" : NONE, { raw: one.funding?.rate, more: one.funding ? `next in ${span(one.funding.next_ns - facts.now_ns)}` : "not heard yet" }),
      tile("latency", first?.stage === "frame" ? "Frame, p99" : "Tick to order, p99", span(first?.p99_ns), { raw: first?.p99_ns, more: first ? `median ${span(first.p50_ns)}, max ${span(first.max_ns)}` : "nothing timed yet" }),
      tile(key("market_age_ms"), "Market data", facts.life === "live" ? span((one.market_age_ms ?? 0) * 1e6) : NONE, { raw: one.market_age_ms, more: `${fixed(facts.feed.frames_per_s, 0)} frames a second` }),
    ];
  }));
  const places = symbol => facts.markets.find(one => one.symbol === symbol) ?? { price_places: 2, qty_places: 3 };
  orders(facts.orders.map(one => { const p = places(one.instrument); return [one.id, el("span", { class: one.side === "buy" ? "good" : "warn" }, one.side), fixed(one.price, p.price_places), fixed(one.qty, p.qty_places), fixed(one.filled, p.qty_places), one.standing, span(one.age_ms * 1e6)]; }));
  fills(facts.fills.map(one => { const p = places(one.instrument); return [when(one.time_ns), el("span", { class: one.side === "buy" ? "good" : "warn" }, one.side), fixed(one.price, p.price_places), fixed(one.qty, p.qty_places), one.maker ? "maker" : "taker", one.fee ?? NONE]; }), `last ${facts.fills.length}`);
  latency(facts.latency.map(one => [one.stage.replaceAll("_", " "), fixed(one.count, 0), span(one.p50_ns), span(one.p99_ns), span(one.p999_ns), span(one.max_ns), span(one.recent_p99_ns.at(-1) || null), spark(one.recent_p99_ns)]));
  const f = facts.feed, m = facts.messages;
  feed([...Object.entries(f.links).map(([name, value]) => [name, el("span", { class: value === "up" ? "good" : "bad" }, value)]), ["connections up", f.links_up], ["frames", fixed(f.frames, 0)],
    ["last frame", f.frame_age_ms === null ? NONE : span(f.frame_age_ms * 1e6) + " ago"], ["reconnects", f.reconnects], ["decode errors", f.decode_errors], ["protocol errors", f.protocol_errors],
    ["book gaps, resyncs", facts.markets.map(one => `${one.book_gaps}, ${one.book_resyncs}`).join("; ")], ["journal records lost", facts.journal_lost],
    ["engine loop busy", facts.turns_per_s + facts.turns_idle_per_s > 0 ? fixed(facts.turns_per_s / (facts.turns_per_s + facts.turns_idle_per_s) * 100, 0) + " %" : NONE], ["order ring, free places", m.ring_free]], "");
  messages([["new", m.new], ["amend", m.amend], ["cancel", m.cancel], ["accepted", m.accepted], ["rejected by the venue", m.rejected], ["refused by the gate", m.refused], ["unknown outcome", m.unknown],
    ["messages a second", m.per_s, m.per_s_limit], ["orders in 10 s, as the venue counts", m.orders_10s, m.orders_limit], ["weight this minute", m.weight_1m, m.weight_limit]]
    .map(([name, count, most]) => [name, fixed(count, 0) + (most ? ` of ${fixed(most, 0)}` : "")]), "");
  events(facts.events.map(one => [when(one.time_ns), one.kind, one.text]), `last ${facts.events.length}`);
};

const take = facts => {
  if (!facts.markets) return;
  if (run !== null && run !== facts.run) location.reload();
  run = facts.run;
  for (const one of facts.markets) {
    const made = markets.get(one.symbol) ?? market(one.symbol);
    [made.places, made.qty] = [one.price_places, one.qty_places];
    const times = made.data.quotes[0], t = Math.round(facts.now_ns / 1e6) / 1e3;
    if (!times.length || t > times[times.length - 1]) made.put(t, { ...one, ...one.pnl });
  }
  show(facts);
  for (const made of markets.values()) made.draw();
  document.documentElement.dataset.ready = "yes";
};

// The page comes with what there is; the stream brings the rest.
const first = JSON.parse(document.getElementById("data").textContent);
for (const [symbol, columns] of Object.entries(first.history.markets)) {
  const made = market(symbol);
  first.history.t.forEach((t, at) => made.put(t, Object.fromEntries(Object.entries(columns).map(([name, column]) => [name, column[at]]))));
}
take(first.facts);
const source = new EventSource("/api/stream");
let looks = 0;
source.onmessage = message => {
  link.textContent = "";
  take(JSON.parse(message.data));
  document.documentElement.dataset.looks = ++looks;
};
source.onerror = () => { link.textContent = "Connection lost; trying again."; state.className = "badge bad"; };

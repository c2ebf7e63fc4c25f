//! The picture of `sq top`: one for wide and one for narrow terminals, the same parts in both. Draws what the model says; works nothing out twice.

use super::View;
use super::model::{Model, Stage, percentile};
use crate::account::ticks_text;
use crate::decided::phase_name;
use crate::detail::{margin_warning, percent as percent_of};
use crate::page::money;
use crate::row::kind_name;
use crate::run::Life;
use crate::status::state;
use crate::text;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph};
use spinquote::engine::ring::ORDERS_CAPACITY;
use spinquote::event::{LinkState, Side};
use spinquote::instrument::InstrumentId;
use spinquote::journal::record;
use spinquote::unit::{Lots, Rate, Ticks};
use std::collections::BTreeMap;

/// Below this width the parts stand under each other.
const NARROW: u16 = 72;

const GOOD: Style = Style::new().fg(Color::Green);
const BAD: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
const DIM: Style = Style::new().fg(Color::DarkGray);
const OWN: Style = Style::new().fg(Color::Yellow).add_modifier(Modifier::BOLD);
const PLAIN: Style = Style::new();

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, model: &Model, view: &View) {
    let area = frame.area();
    let wide = area.width >= NARROW;
    let timed = model.stages.iter().filter(|stage| stage.whole.count > 0).count() as u16;
    let tall = area.height >= 40;
    // Alerts, title and keys have lines of their own; what is left is shared.
    let alerts = (model.alerts.len() as u16).min(if tall { 6 } else { 2 });
    let left = area.height.saturating_sub(2 + alerts);
    let [ladder_rows, position_rows, health_rows, latency_rows] = if wide {
        let latency = (timed + 1).clamp(2, if tall { 18 } else { 5 }) + 1;
        let book = if tall { left.saturating_sub(latency + 4 + 10).clamp(9, 30) } else { 9 };
        [book, book, 4, latency]
    } else {
        // Under each other; a low screen keeps the nearest prices and the first lines of each.
        let spare = left.saturating_sub(20);
        [6 + spare.min(12), 6 + (spare / 3).min(4), 5 + (spare / 4).min(2), 3 + (spare / 5).min(8)]
    };
    let book = if wide { ladder_rows } else { ladder_rows + position_rows };
    let rows = [
        Constraint::Length(1),
        Constraint::Length(alerts),
        Constraint::Length(book),
        Constraint::Length(health_rows),
        Constraint::Length(latency_rows),
        Constraint::Min(0),
        Constraint::Length(1),
    ];
    let [title, warned, middle, health, stages, events, keys]: [Rect; 7] = Layout::vertical(rows).areas(area);
    frame.render_widget(Paragraph::new(title_line(model, view)), title);
    frame.render_widget(Paragraph::new(alert_lines(model, alerts)), warned);
    let halves = [Constraint::Percentage(50), Constraint::Percentage(50)];
    let [left, right] = match wide {
        true => Layout::horizontal(halves).spacing(1).areas(middle),
        false => Layout::vertical([Constraint::Length(ladder_rows), Constraint::Min(0)]).areas(middle),
    };
    block(frame, left, "book and own orders", ladder(model, view, left.height.saturating_sub(1)));
    block(frame, right, "position", position(model, view, right.height.saturating_sub(1)));
    let top = Block::new().borders(Borders::TOP).border_style(DIM).title(budgets(model, wide));
    frame.render_widget(Paragraph::new(health_lines(model, wide)).block(top), health);
    let name = if view.recent { "latency, last moments" } else { "latency, whole run" };
    block(frame, stages, name, latency_lines(model, view, stages));
    block(frame, events, "events", event_lines(model, events));
    let every = text::span(i64::try_from(view.every.as_nanos()).unwrap_or(0));
    let hint = match wide {
        true => format!("q quit  Tab instrument  space hold  +/- every {every}  l latency"),
        false => format!("q quit Tab next spc hold +- {every} l lat"),
    };
    frame.render_widget(Paragraph::new(Line::styled(hint, DIM)), keys);
}

/// The worst alerts; how many more there are stands in the last line.
fn alert_lines(model: &Model, rows: u16) -> Vec<Line<'static>> {
    let rows = usize::from(rows);
    let more = model.alerts.len().saturating_sub(rows);
    let line = |(at, alert): (usize, &crate::alerts::Active)| {
        let seen = if alert.acknowledged { " (seen)" } else { "" };
        let rest = if at + 1 == rows && more > 0 { format!("  and {more} more") } else { String::new() };
        let said = format!("{} {}{seen}: {}{rest}", alert.severity.to_uppercase(), alert.name, alert.text);
        Line::styled(said, if alert.severity == "warning" { OWN } else { BAD })
    };
    model.alerts.iter().take(rows).enumerate().map(line).collect()
}

fn block(frame: &mut Frame<'_>, area: Rect, title: &str, lines: Vec<Line<'_>>) {
    let block = Block::new().borders(Borders::TOP).border_style(DIM).title(Span::raw(format!(" {title} ")));
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn title_line(model: &Model, view: &View) -> Line<'static> {
    let word = state(&model.page, model.life);
    let style = match (word, model.life) {
        ("quoting", Life::Live(_)) => GOOD.add_modifier(Modifier::BOLD),
        ("ended", _) => DIM,
        _ => BAD,
    };
    let alive = match model.life {
        Life::Live(age) => format!(" heartbeat {} ago", text::span(age.0)),
        Life::Silent(age) => format!(": no heartbeat for {}", text::span(age.0)),
        Life::Ended { at, .. } => format!(" {}", text::time(at).get(..19).unwrap_or_default()),
        Life::Unborn => " no heartbeat yet".to_owned(),
    };
    // Why a strategy that may quote does not.
    let phase = match model.page.of(view.instrument, "strategy.phase") {
        None | Some(0 | 1) => String::new(),
        Some(code) => format!(" ({})", phase_name(code)),
    };
    let held = if view.held { "  HELD" } else { "" };
    let name = Style::new().add_modifier(Modifier::BOLD);
    Line::from(vec![
        Span::styled(format!("{} ", model.run.name), name),
        Span::styled(word.to_owned(), style),
        Span::raw(phase),
        Span::raw(alive),
        Span::styled(held, OWN),
    ])
}

/// A price of the ladder: the market's quantity as far as it was seen, own orders, or both.
#[derive(Default)]
struct Rung {
    /// Quantity of the market, lots; our own is in it.
    market: Option<i64>,
    touch: bool,
    own: i64,
    orders: u32,
}

fn ladder(model: &Model, view: &View, rows: u16) -> Vec<Line<'static>> {
    let at = view.instrument;
    let on = InstrumentId(at as u16);
    let page = &model.page;
    let symbol = page.symbols.get(at).cloned().unwrap_or_default();
    let (bid, ask) = (page.of(at, "bid").unwrap_or(0), page.of(at, "ask").unwrap_or(0));
    let each = usize::from(rows.saturating_sub(1)) / 2;
    // Bids and asks apart: a price of ours may stand on the wrong side of a market that has moved.
    let mut sides: [BTreeMap<i64, Rung>; 2] = [BTreeMap::new(), BTreeMap::new()];
    for (side, best) in [bid, ask].into_iter().enumerate().filter(|&(_, best)| best != 0) {
        for (price, qty) in model.book.side(&symbol, side, best).into_iter().take(each) {
            sides[side].entry(price).or_default().market = Some(qty);
        }
        sides[side].entry(best).or_default().touch = true;
    }
    for order in model.ledger.open().filter(|order| order.instrument == on && !order.price.is_zero()) {
        let rung = sides[order.side.index()].entry(order.price.0).or_default();
        rung.own += order.qty.0 - order.filled.0;
        rung.orders += 1;
    }
    let in_sync = page.of(at, "in_sync") == Some(1);
    let sync = if in_sync { Span::styled("in sync", GOOD) } else { Span::styled("NOT IN SYNC", BAD) };
    let mid = page.of(at, "mid").unwrap_or(0);
    let head = vec![Span::raw(format!("{symbol:<10} mid {:<14} ", money(mid))), sync];
    let mut lines = vec![Line::from(head)];
    let [bids, asks] = sides;
    let asks = shown(asks.into_iter().collect(), each);
    let bids = shown(bids.into_iter().rev().collect(), each);
    let asks = asks.into_iter().rev().map(|rung| (Side::Sell, rung));
    for (side, (price, rung)) in asks.chain(bids.into_iter().map(|rung| (Side::Buy, rung))) {
        let name = if side == Side::Sell { "ask" } else { "bid" };
        let market = rung.market.map_or_else(String::new, |qty| model.run.meta.qty_text(on, Lots(qty)));
        let mark = if rung.touch { if market.is_empty() { "touch" } else { "*" } } else { "" };
        let mut spans = vec![
            Span::raw(format!("{name} ")),
            Span::raw(format!("{:>9} ", ticks_text(&model.run, at, Some(price)))),
            Span::styled(
                format!("{:>8} ", if market.is_empty() { mark.to_owned() } else { format!("{market}{mark}") }),
                DIM,
            ),
        ];
        if rung.orders > 0 {
            let qty = model.run.meta.qty_text(on, Lots(rung.own));
            let far = distance(model, at, price, mid).map_or_else(String::new, |far| format!(" {far}"));
            spans.push(Span::styled(format!("own {qty}{far}"), OWN));
        }
        lines.push(Line::from(spans));
    }
    lines
}

/// The nearest prices, and our own however far they are: the market's far ones give way to them.
fn shown(nearest: Vec<(i64, Rung)>, room: usize) -> Vec<(i64, Rung)> {
    let own = nearest.iter().filter(|(_, rung)| rung.orders > 0).count().min(room.saturating_sub(1));
    let (mut own_left, mut market_left) = (own, room - own.min(room));
    nearest
        .into_iter()
        .filter(|(_, rung)| {
            let left = if rung.orders > 0 && own_left > 0 { &mut own_left } else { &mut market_left };
            let takes = *left > 0;
            *left -= usize::from(takes);
            takes
        })
        .collect()
}

/// How far from the mid, in tenths of a basis point.
fn distance(model: &Model, at: usize, price: i64, mid: i64) -> Option<String> {
    let tick = model.run.meta.contracts.get(at)?.tick?;
    let price = Ticks(price).0 as i128 * tick.atto() / 10_i128.pow(10);
    let tenths = (price - i128::from(mid)).checked_mul(100_000)?.checked_div(i128::from(mid))?;
    let sign = if tenths < 0 { '-' } else { '+' };
    Some(format!("{sign}{}.{} bp", tenths.unsigned_abs() / 10, tenths.unsigned_abs() % 10))
}

fn position(model: &Model, view: &View, rows: u16) -> Vec<Line<'static>> {
    let at = view.instrument;
    let on = InstrumentId(at as u16);
    let page = &model.page;
    let qty = |name: &str| model.run.meta.qty_text(on, Lots(page.of(at, name).unwrap_or(0)));
    let amount = |name: &str| money(page.of(at, name).unwrap_or(0));
    let signed = |name: &str| match page.of(at, name).unwrap_or(0) {
        value if value < 0 => Span::styled(money(value), Style::new().fg(Color::Red)),
        value => Span::styled(money(value), GOOD),
    };
    let count = |name: &str| page.of(at, name).unwrap_or(0);
    let pair = |name: &str, value: Span<'static>| vec![Span::styled(format!("{name:<10}"), DIM), value];
    let mut lines = vec![
        Line::from(vec![
            Span::styled("position  ", DIM),
            Span::styled(qty("position"), Style::new().add_modifier(Modifier::BOLD)),
            Span::raw(format!(" at {}  worst {}", amount("entry"), qty("position_worst"))),
        ]),
        Line::from(pair("pnl", signed("pnl.total"))),
    ];
    if page.of(at, "liquidation").is_some_and(|price| price != 0) {
        let ratio = Span::raw(format!("  margin {} ", percent_of(page.count("margin.ratio"))));
        let warning = Span::styled(margin_warning(page).unwrap_or_default(), BAD);
        // What matters most stands where a low screen still shows it.
        lines.insert(1, Line::from([pair("liq.", Span::raw(amount("liquidation"))), vec![ratio, warning]].concat()));
    }
    lines.extend([
        Line::from(
            [pair("spread", signed("pnl.spread")), vec![Span::raw("  inventory "), signed("pnl.inventory")]].concat(),
        ),
        Line::from([pair("fees", signed("pnl.fees")), vec![Span::raw("  funding "), signed("pnl.funding")]].concat()),
    ]);
    let symbol = page.symbols.get(at).map_or("", String::as_str);
    if let Some(funding) = model.funding.get(symbol) {
        let left = text::span((funding.next.0 - model.now.0).max(0));
        let at = text::clock(funding.next);
        let at = at.get(..5).unwrap_or_default();
        lines.push(Line::from(pair("funding", Span::raw(format!("{} at {at}, in {left}", percent(&funding.rate))))));
    }
    let mark = model.funding.get(symbol).map(|funding| trimmed(&funding.mark).to_owned());
    let mark = mark.or_else(|| page.of(at, "mark").filter(|&price| price != 0).map(money));
    if let Some(mark) = mark {
        lines.push(Line::from([pair("mark", Span::raw(mark)), vec![liquidation_distance(model, at)]].concat()));
    }
    lines.extend([
        Line::from(pair("fills", Span::raw(format!("{} buys, {} sells", count("fills.buy"), count("fills.sell"))))),
        Line::from(pair("wallet", Span::raw(wallet(model)))),
    ]);
    lines.truncate(usize::from(rows));
    lines
}

/// How far the liquidation price is from the mark, or else the mid; red below five percent. Empty where there is none.
fn liquidation_distance(model: &Model, at: usize) -> Span<'static> {
    let of = |name: &str| i128::from(model.page.of(at, name).unwrap_or(0));
    let mark = ["mark", "mid"].into_iter().map(of).find(|&price| price != 0).unwrap_or(0);
    let away = (of("liquidation") != 0).then(|| ((of("liquidation") - mark) * 1000).checked_div(mark)).flatten();
    let Some(permille) = away else { return Span::raw("") };
    let (sign, size) = (if permille < 0 { '-' } else { '+' }, permille.unsigned_abs());
    let style = if size < 50 { BAD } else { PLAIN };
    Span::styled(format!("  liquidation {sign}{}.{}%", size / 10, size % 10), style)
}

/// The balance as the counters page has it, or as the venue last said.
fn wallet(model: &Model) -> String {
    match (model.page.count("engine.wallet"), &model.ledger.balance) {
        (0, Some(balance)) => format!("{}  free {}", balance.wallet, balance.available),
        (wallet, _) => format!("{}  free {}", money(wallet), money(model.page.count("engine.available"))),
    }
}

/// A rate in percent to four places; as it came where it is no plain decimal.
fn percent(rate: &str) -> String {
    let Ok(Rate(value)) = Rate::parse(rate.as_bytes()) else { return rate.to_owned() };
    let (sign, size) = (if value < 0 { "-" } else { "" }, value.unsigned_abs() / 1_000_000);
    format!("{sign}{}.{:04}%", size / 10_000, size % 10_000)
}

/// Without the zeros at a decimal's end.
fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// What may be used up, against its limit, red near it: the order ring, orders in 10 s, request weight in a minute.
fn budgets(model: &Model, wide: bool) -> Line<'static> {
    let page = &model.page;
    let used = |what: &str, used: i64, most: i64| match most {
        0 => Span::raw(format!("{what} {} ", text::count(used))),
        most if used * 5 >= most * 4 => Span::styled(format!("{what} {used}/{most} "), BAD),
        most => Span::raw(format!("{what} {used}/{most} ")),
    };
    let ring = ORDERS_CAPACITY as i64;
    let waiting = if page.count("engine.heartbeat") == 0 { 0 } else { ring - page.count("engine.ring_free") };
    Line::from(vec![
        Span::raw(if wide { " feed and orders  " } else { " " }),
        used("ring", waiting, ring),
        used("10s", page.count("sender.orders_used"), page.count("sender.orders_limit")),
        used("weight", page.count("sender.weight_used"), page.count("sender.weight_limit")),
    ])
}

fn health_lines(model: &Model, wide: bool) -> Vec<Line<'static>> {
    let page = &model.page;
    let rate = |name: &str| model.rate(name).map_or_else(|| "-".to_owned(), text::count);
    let number = |name: &str, what: &str, bad: bool| {
        let value = page.count(name);
        let style = if bad && value != 0 { BAD } else { PLAIN };
        Span::styled(format!("{} {what}  ", text::count(value)), style)
    };
    let quiet = match (model.frame_time.0, model.life) {
        (0, _) => "no frame yet".to_owned(),
        (_, Life::Ended { .. }) => String::new(),
        (at, _) => format!("last frame {} ago", text::span((model.now.0 - at).max(0))),
    };
    let busy = match (model.rate("engine.turns"), model.rate("engine.turns_idle")) {
        (Some(busy), Some(idle)) if busy + idle > 0 => format!("  loop busy {}%", busy * 100 / (busy + idle)),
        _ => String::new(),
    };
    let flow = vec![
        Span::raw(format!("{} frames/s  {} commands/s  ", rate("engine.frames"), rate("engine.commands"))),
        Span::raw(format!("{quiet}{busy}")),
    ];
    let feed = vec![
        links(model),
        number("engine.reconnects", "reconnects", true),
        number("engine.decode_errors", "decode", true),
        number("engine.protocol_errors", "protocol", true),
        number("engine.journal_lost", "lost", true),
        number("engine.allocations", "allocs", true),
    ];
    let orders = vec![
        number("sender.orders_new", "new", false),
        number("sender.orders_amend", "amend", false),
        number("sender.orders_cancel", "cancel", false),
        number("sender.rejects", "rejects", true),
        number("engine.refusals", "refused", true),
        number("sender.unknown_outcomes", "unknown", true),
        number("sender.rate_limited", "limited", true),
    ];
    let rows = [flow, feed, orders];
    if wide {
        return rows.into_iter().map(Line::from).collect();
    }
    // Two halves of each, so that nothing falls off a narrow screen.
    rows.into_iter()
        .flat_map(|row| row.chunks(row.len().div_ceil(2)).map(|part| Line::from(part.to_vec())).collect::<Vec<_>>())
        .collect()
}

/// How many connections are up, and which are not.
fn links(model: &Model) -> Span<'static> {
    let down: Vec<&str> = model
        .ledger
        .links
        .iter()
        .filter(|(_, state)| **state != LinkState::Up)
        .map(|((_, link), _)| link.as_str())
        .collect();
    match (down.as_slice(), model.ledger.links.len()) {
        ([], 0) => Span::raw(""),
        ([], up) => Span::raw(format!("{up} links up  ")),
        (down, _) => Span::styled(format!("{} DOWN  ", down.join(", ")), BAD),
    }
}

/// Which stages come first when not all fit.
const FIRST: [&str; 6] = ["tick_to_order", "tick_to_wire", "order_round_trip", "decode", "decide", "frame"];

fn latency_lines(model: &Model, view: &View, area: Rect) -> Vec<Line<'static>> {
    let rows = usize::from(area.height.saturating_sub(1));
    let wide = area.width >= NARROW;
    let mut stages: Vec<&Stage> = model.stages.iter().filter(|stage| stage.whole.count > 0).collect();
    let place = |stage: &&Stage| FIRST.iter().position(|&name| name == stage.whole.name).unwrap_or(FIRST.len());
    stages.sort_by_key(place);
    if stages.is_empty() {
        return vec![Line::raw("nothing was timed yet")];
    }
    let head = match wide {
        true => format!("{:<17}{:>11}{:>10}{:>10}{:>10}{:>10}", "", "count", "p50", "p99", "p99.9", "max"),
        false => format!("{:<17}{:>10}{:>10}", "", "p50", "p99"),
    };
    let mut lines = vec![Line::styled(head, DIM)];
    let ns = |ns: u64| text::span(ns.cast_signed());
    for stage in stages.into_iter().take(rows.saturating_sub(1)) {
        let whole = &stage.whole;
        let (count, [p50, p99, p999, max]) = if view.recent {
            let values = [500, 990, 999, 1000].map(|permille| percentile(&stage.recent, permille));
            (stage.recent.iter().map(|(_, count)| count).sum(), values)
        } else {
            let at = |millionths| whole.percentile(millionths).min(whole.max);
            (whole.count, [at(500_000), at(990_000), at(999_000), whole.max])
        };
        let mut line = match wide {
            true => format!(
                "{:<17}{:>11}{:>10}{:>10}{:>10}{:>10} ",
                whole.name,
                text::count(i64::try_from(count).unwrap_or(i64::MAX)),
                ns(p50),
                ns(p99),
                ns(p999),
                ns(max)
            ),
            false => format!("{:<17}{:>10}{:>10} ", whole.name, ns(p50), ns(p99)),
        };
        let room = usize::from(area.width).saturating_sub(line.chars().count());
        line.push_str(&spark(stage, room));
        lines.push(Line::raw(line));
    }
    lines
}

/// The p99 of the last looks as bars, highest on a logarithmic scale.
fn spark(stage: &Stage, room: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let shown: Vec<u64> = stage.p99.iter().copied().skip(stage.p99.len().saturating_sub(room)).collect();
    let high = shown.iter().max().copied().unwrap_or(0).max(1).ilog2();
    let low = shown.iter().filter(|&&ns| ns > 0).min().copied().unwrap_or(1).ilog2();
    let bar = |ns: u64| match ns {
        0 => ' ',
        ns if high == low => BARS[usize::from(ns > 0) * 3],
        ns => BARS[((ns.ilog2() - low) * 7 / (high - low)) as usize],
    };
    shown.into_iter().map(bar).collect()
}

fn event_lines(model: &Model, area: Rect) -> Vec<Line<'static>> {
    let rows = usize::from(area.height.saturating_sub(1));
    let fault = model.fault.iter().map(|fault| Line::styled(fault.clone(), BAD));
    let room = rows.saturating_sub(fault.len());
    let skip = model.events.len().saturating_sub(room);
    let event = |row: &crate::row::Row| {
        let what = row.fields.get("what").and_then(serde_json::Value::as_str).unwrap_or_default();
        let style = match what {
            "fill" => GOOD,
            "withdrawn" | "margin" | "killed" | "refused" | "rejected" | "unknown" | "flatten-failed" | "gap" => BAD,
            _ => PLAIN,
        };
        let said = match row.kind {
            record::ORDER => order_event(row, what),
            kind => format!("{}{}", kind_name(kind), row.pairs(false)),
        };
        Line::styled(format!("{} {said}", text::clock(row.time)), style)
    };
    model.events.iter().skip(skip).map(event).chain(fault).collect()
}

/// What became of an order, short enough for a narrow screen: what, how much at what price, which order, the venue's code.
fn order_event(row: &crate::row::Row, what: &str) -> String {
    let of = |name: &str| row.fields.get(name).filter(|value| !value.is_null());
    let word = |name: &str| of(name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    let either = |names: [&str; 4]| names.into_iter().find_map(word);
    let mut line = format!("{what} {}", word("side").unwrap_or_default());
    if let Some(qty) = either(["fill_qty", "fill_qty_lots", "qty", "qty_lots"]) {
        line.push_str(&format!(" {qty}"));
    }
    if let Some(price) = either(["fill_price", "fill_price_ticks", "price", "price_ticks"]) {
        line.push_str(&format!(" @ {price}"));
    }
    for (name, before) in [("liquidity", ""), ("id", ""), ("code", "code ")] {
        if let Some(value) = word(name) {
            line.push_str(&format!(" {before}{value}"));
        }
    }
    line
}

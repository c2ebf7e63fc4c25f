//! The picture of `sq top`: one for wide and one for narrow terminals, the same parts in both. Draws what the model says; works nothing out twice.

use super::View;
use super::model::{Model, Stage, percentile};
use crate::account::ticks_text;
use crate::decided::{phase_name, purpose_name, why_not_name};
use crate::detail::{margin_ratio, margin_warning};
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
    // What is wrong, title and keys have lines of their own; what is left is shared.
    let notices = notice_lines(model, area.width, tall);
    let noticed = notices.len() as u16;
    let left = area.height.saturating_sub(2 + noticed);
    let feed = health_lines(model, area.width);
    let [ladder_rows, position_rows, health_rows, latency_rows] = if wide {
        let health = (feed.len() as u16).min(4) + 1;
        let latency = (timed + 1).clamp(2, if tall { 18 } else { 5_u16.saturating_sub(noticed / 2).max(3) }) + 1;
        let book = if tall { left.saturating_sub(latency + 4 + 10).clamp(9, 30) } else { 9 };
        [book, book, health, latency]
    } else {
        narrow_rows(left)
    };
    let book = if wide { ladder_rows } else { ladder_rows + position_rows };
    let rows = [
        Constraint::Length(1),
        Constraint::Length(noticed),
        Constraint::Length(book),
        Constraint::Length(health_rows),
        Constraint::Length(latency_rows),
        Constraint::Min(0),
        Constraint::Length(1),
    ];
    let [title, warned, middle, health, stages, events, keys]: [Rect; 7] = Layout::vertical(rows).areas(area);
    frame.render_widget(Paragraph::new(title_line(model, view)), title);
    frame.render_widget(Paragraph::new(notices), warned);
    let halves = [Constraint::Percentage(50), Constraint::Percentage(50)];
    let [left, right] = match wide {
        true => Layout::horizontal(halves).spacing(1).areas(middle),
        false => Layout::vertical([Constraint::Length(ladder_rows), Constraint::Min(0)]).areas(middle),
    };
    block(frame, left, "book and own orders", ladder(model, view, left.height.saturating_sub(1)));
    block(frame, right, "position", position(model, view, right.height.saturating_sub(1)));
    block(frame, health, "feed and orders", feed);
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

/// Title and lines of book, position, feed and latency on a narrow screen, where they stand under each other: first what each must have,
/// then the whole position, then more of the book and of the stages. Two lines are kept for events.
fn narrow_rows(left: u16) -> [u16; 4] {
    const BOOK: usize = 0;
    const POSITION: usize = 1;
    const HEALTH: usize = 2;
    const LATENCY: usize = 3;
    let mut rows = [6, 6, 6, 3];
    let sum = |rows: &[u16; 4]| rows.iter().sum::<u16>();
    for (part, least) in [(LATENCY, 2), (HEALTH, 4), (BOOK, 4), (POSITION, 4), (HEALTH, 0), (LATENCY, 0)] {
        rows[part] -= sum(&rows).saturating_sub(left).min(rows[part] - least);
    }
    for (part, most) in [(POSITION, 10), (HEALTH, 8), (BOOK, 12), (LATENCY, 7), (BOOK, 18), (LATENCY, 12)] {
        rows[part] += left.saturating_sub(sum(&rows) + 2).min(most - rows[part].min(most));
    }
    rows
}

/// What to do about a run that does not quote, and the worst alerts; how many more there are stands in the last line.
fn notice_lines(model: &Model, width: u16, tall: bool) -> Vec<Line<'static>> {
    let lines = |text: &str, style: Style| {
        let rows = if tall { 3 } else { 2 };
        wrapped(text, usize::from(width), rows).into_iter().map(|line| Line::styled(line, style)).collect::<Vec<_>>()
    };
    let advice = model.advice.iter().take(if tall { 4 } else { 1 }).flat_map(|text| lines(text, OWN));
    let rows = if tall { 6 } else { 2 };
    let more = model.alerts.len().saturating_sub(rows);
    let alert = |(at, alert): (usize, &crate::alerts::Active)| {
        let seen = if alert.acknowledged { " (seen)" } else { "" };
        let rest = if at + 1 == rows && more > 0 { format!("  and {more} more") } else { String::new() };
        let said = format!("{} {}{seen}: {}{rest}", alert.severity.to_uppercase(), alert.name, alert.text);
        lines(&said, if alert.severity == "warning" { OWN } else { BAD })
    };
    advice.chain(model.alerts.iter().take(rows).enumerate().flat_map(alert)).collect()
}

/// A text broken at blanks into at most so many lines of this width; the last one is cut.
fn wrapped(text: &str, width: usize, rows: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let rows_left = lines.len() < rows;
        let line = lines.last_mut().expect("there is one");
        if line.is_empty() {
            line.push_str(word);
        } else if rows_left && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines
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
    let signed = |name: &str| match page.of(at, name).unwrap_or(0) {
        value if value < 0 => Span::styled(money(value), Style::new().fg(Color::Red)),
        value => Span::styled(money(value), GOOD),
    };
    let count = |name: &str| page.of(at, name).unwrap_or(0);
    let pair = |name: &str, value: Span<'static>| vec![Span::styled(format!("{name:<10}"), DIM), value];
    let limit = |name: &str| model.run.meta.limits.get(name);
    let mut lines = vec![
        Line::from(vec![
            Span::styled("position  ", DIM),
            Span::styled(qty("position"), Style::new().add_modifier(Modifier::BOLD)),
            Span::raw(if count("entry") == 0 {
                String::new()
            } else {
                format!(" at {}", near(model, at, count("entry")))
            }),
        ]),
        Line::from(pair("worst", worst(model, at))),
        Line::from({
            let most = limit("loss_max").and_then(|most| most.as_str());
            let most = most.map_or_else(String::new, |most| format!("  limit -{most}"));
            [pair("pnl", signed("pnl.total")), vec![Span::styled(most, DIM)]].concat()
        }),
    ];
    if count("liquidation") != 0 {
        let warning = Span::styled(margin_warning(page).unwrap_or_default(), BAD);
        let price = Span::raw(near(model, at, count("liquidation")));
        let margin = Span::raw(format!("  {} ", margin_ratio(page)));
        // What matters most stands where a low screen still shows it.
        let parts = [pair("liq/marg.", price), vec![liquidation_distance(model, at), margin, warning]].concat();
        lines.insert(1, Line::from(parts));
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
    let fills = format!("{} buys, {} sells", count("fills.buy"), count("fills.sell"));
    let mark = mark.unwrap_or_else(|| "-".to_owned());
    lines.push(Line::from(pair("mark", Span::raw(format!("{mark}  {fills}")))));
    lines.push(Line::from(pair("wallet", Span::raw(wallet(model)))));
    // What a tall screen has room for.
    for (name, word) in [("strategy.blocked_bid", "no bids"), ("strategy.blocked_ask", "no asks")] {
        if count(name) > 1 {
            lines.push(Line::from(pair(word, Span::raw(why_not_name(count(name))))));
        }
    }
    lines.extend(own_orders(model, at, rows.saturating_sub(lines.len() as u16 + 2)));
    lines.truncate(usize::from(rows));
    lines
}

/// A price of the page in the contract's own decimals and one more.
fn near(model: &Model, at: usize, price: i64) -> String {
    let places =
        model.run.meta.contracts.get(at).and_then(|contract| contract.tick).map_or(8, |tick| tick.places() + 1);
    let text = money(price);
    match text.split_once('.') {
        Some((whole, rest)) => trimmed(&format!("{whole}.{}", &rest[..rest.len().min(places as usize)])).to_owned(),
        None => text,
    }
}

/// The largest position that live orders could lead to, against the limit, red near it.
fn worst(model: &Model, at: usize) -> Span<'static> {
    let qty = |lots: i64| model.run.meta.qty_text(InstrumentId(at as u16), Lots(lots));
    let worst = model.page.of(at, "position_worst").unwrap_or(0);
    let most = model.run.meta.limits.get("position_max_lots").and_then(serde_json::Value::as_i64);
    let Some(most) = most else { return Span::raw(qty(worst)) };
    let style = if i128::from(worst).abs() * 5 >= i128::from(most) * 4 { BAD } else { PLAIN };
    Span::styled(format!("{} of {}", qty(worst), qty(most)), style)
}

/// Our orders with what stands before them, where there is room for all of it.
fn own_orders(model: &Model, at: usize, room: u16) -> Vec<Line<'static>> {
    let on = InstrumentId(at as u16);
    let qty = |lots: i64| if lots < 0 { "?".to_owned() } else { model.run.meta.qty_text(on, Lots(lots)) };
    let rows = crate::detail::rows(&model.page, at);
    if rows.is_empty() || usize::from(room) < rows.len() + 1 {
        return Vec::new();
    }
    let head =
        format!("{:<4}{:<12}{:>6}{:>12}{:>9}{:>9}{:>10}", "own", "for", "level", "price", "size", "ahead", "age");
    let row = |side: &str, of: &dyn Fn(&str) -> i64| {
        let (purpose, price) = (purpose_name(of("purpose")), ticks_text(&model.run, at, Some(of("price"))));
        let age = text::span((model.now.0 - of("created")).max(0));
        Line::raw(format!(
            "{side:<4}{purpose:<12}{:>6}{price:>12}{:>9}{:>9}{age:>10}",
            of("level"),
            qty(of("qty")),
            qty(of("ahead"))
        ))
    };
    let head = [Line::raw(""), Line::styled(head, DIM)];
    head.into_iter().chain(rows.iter().map(|(side, of)| row(side, of))).collect()
}

/// How far the liquidation price is from the mark, or else the mid; red below five percent. Empty where there is none.
fn liquidation_distance(model: &Model, at: usize) -> Span<'static> {
    let of = |name: &str| i128::from(model.page.of(at, name).unwrap_or(0));
    let mark = ["mark", "mid"].into_iter().map(of).find(|&price| price != 0).unwrap_or(0);
    let away = (of("liquidation") != 0).then(|| ((of("liquidation") - mark) * 1000).checked_div(mark)).flatten();
    let Some(permille) = away else { return Span::raw("") };
    let (sign, size) = (if permille < 0 { '-' } else { '+' }, permille.unsigned_abs());
    let style = if size < 50 { BAD } else { PLAIN };
    Span::styled(format!(" {sign}{}.{}%", size / 10, size % 10), style)
}

/// The balance as the counters page has it, or as the venue last said.
fn wallet(model: &Model) -> String {
    let cents = |text: String| match text.split_once('.') {
        Some((whole, rest)) => format!("{whole}.{}", &rest[..rest.len().min(2)]),
        None => text,
    };
    match (model.page.count("engine.wallet"), &model.ledger.balance) {
        (0, Some(balance)) => {
            format!("{}  free {}", cents(balance.wallet.to_string()), cents(balance.available.to_string()))
        }
        (wallet, _) => format!("{}  free {}", cents(money(wallet)), cents(money(model.page.count("engine.available")))),
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

/// What may be used up, against its limit, red near it: orders in 10 s, messages in the last interval, request weight in a minute, the ring.
fn budgets(model: &Model) -> Vec<Span<'static>> {
    let page = &model.page;
    let used = |what: &str, used: i64, most: i64, span: &str| match most {
        0 => Span::raw(format!("{what} {}{span}", short(used))),
        most if used * 5 >= most * 4 => Span::styled(format!("{what} {used}/{most}{span}"), BAD),
        most => Span::raw(format!("{what} {used}/{most}{span}")),
    };
    let ring = ORDERS_CAPACITY as i64;
    let waiting = if page.count("engine.heartbeat") == 0 { 0 } else { ring - page.count("engine.ring_free") };
    let messages = model.run.meta.limits.get("messages_max").and_then(serde_json::Value::as_i64).unwrap_or(0);
    vec![
        used("orders", page.count("sender.orders_used"), page.count("sender.orders_limit"), " 10s"),
        match model.rate("engine.commands") {
            Some(rate) => used("messages", rate, messages, " 1s"),
            None => Span::raw("messages - 1s"),
        },
        used("weight", page.count("sender.weight_used"), page.count("sender.weight_limit"), " 1m"),
        used("ring", waiting, ring, ""),
    ]
}

/// A count in a few characters.
fn short(number: i64) -> String {
    match number {
        0..100_000 => text::count(number),
        100_000..10_000_000 => format!("{}k", text::count(number / 1_000)),
        _ => format!("{}M", text::count(number / 1_000_000)),
    }
}

fn health_lines(model: &Model, width: u16) -> Vec<Line<'static>> {
    let page = &model.page;
    let rate = |name: &str| model.rate(name).map_or_else(|| "-".to_owned(), short);
    let number = |name: &str, what: &str| {
        let value = page.count(name);
        let style = if model.is_fresh(name) { BAD } else { PLAIN };
        Span::styled(format!("{} {what}", short(value)), style)
    };
    // Both are defects, whenever they were.
    let defect = |name: &str, what: &str| {
        let style = if page.count(name) == 0 { PLAIN } else { BAD };
        Span::styled(format!("{} {what}", short(page.count(name))), style)
    };
    let quiet = match (model.frame_time.0, model.life) {
        (0, _) => "no frame yet".to_owned(),
        (_, Life::Ended { .. }) => String::new(),
        (at, _) => format!("last {} ago", text::span((model.now.0 - at).max(0))),
    };
    let busy = match (model.rate("engine.turns"), model.rate("engine.turns_idle")) {
        (Some(busy), Some(idle)) if busy + idle > 0 => format!("loop busy {}%", busy * 100 / (busy + idle)),
        _ => String::new(),
    };
    let flow = vec![
        Span::raw(format!("{} frames/s", rate("engine.frames"))),
        Span::raw(quiet),
        Span::raw(busy),
        links(model),
        number("engine.reconnects", "reconnects"),
        number("engine.refusals", "refused"),
        number("sender.unknown_outcomes", "unknown"),
        number("sender.rate_limited", "limited"),
        number("sender.rejects", "rejects"),
        number("engine.decode_errors", "decode"),
        number("engine.protocol_errors", "protocol"),
        defect("engine.journal_lost", "lost"),
        defect("engine.allocations", "allocs"),
        number("sender.orders_new", "new"),
        number("sender.orders_amend", "amend"),
        number("sender.orders_cancel", "cancel"),
    ];
    flowed(budgets(model).into_iter().chain(flow), usize::from(width))
}

/// Parts one after the other, two blanks between them, a new line where one does not fit any more.
fn flowed(parts: impl Iterator<Item = Span<'static>>, width: usize) -> Vec<Line<'static>> {
    let mut lines: Vec<Line<'static>> = vec![Line::default()];
    for part in parts.filter(|part| !part.content.is_empty()) {
        let line = lines.last_mut().expect("there is one");
        if line.width() > 0 && line.width() + 2 + part.width() > width {
            lines.push(Line::from(part));
            continue;
        }
        if line.width() > 0 {
            line.push_span(Span::raw("  "));
        }
        line.push_span(part);
    }
    lines
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
        ([], up) => Span::raw(format!("{up} links up")),
        (down, _) => Span::styled(format!("{} DOWN", down.join(", ")), BAD),
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

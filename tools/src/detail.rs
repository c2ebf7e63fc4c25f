//! What `sq status` says below its first table: positions with their margin, funding, the strategy's own state, own orders. From the
//! counters page alone; a word that the page does not have, or that says nothing, is left out.

use crate::account::ticks_text;
use crate::decided::{phase_name, purpose_name, why_not_name};
use crate::page::{Page, money};
use crate::run::Run;
use crate::text::{self, Table};
use serde_json::{Value, json};
use spinquote::instrument::InstrumentId;
use spinquote::journal::counters::ORDER_ROWS;
use spinquote::unit::{Lots, Nanos};
use std::io::{self, Write};

/// One, in the page's money and fractions.
const ONE: i64 = 100_000_000;

/// A fraction of the page in percent with two places.
pub fn percent(fraction: i64) -> String {
    let hundredths = fraction / (ONE / 10_000);
    format!("{}{}.{:02} %", if hundredths < 0 { "-" } else { "" }, hundredths.abs() / 100, hundredths.abs() % 100)
}

/// A fraction of the page in basis points with two places.
fn bps(fraction: i64) -> String {
    let hundredths = fraction / (ONE / 1_000_000);
    format!("{}{}.{:02} bp", if hundredths < 0 { "-" } else { "" }, hundredths.abs() / 100, hundredths.abs() % 100)
}

/// `part` over `whole` as a fraction of the page.
fn share(part: i64, whole: i64) -> Option<i64> {
    i64::try_from(i128::from(part) * i128::from(ONE) / i128::from(if whole == 0 { return None } else { whole })).ok()
}

/// The margin warning that stands, as people read it.
pub fn margin_warning(page: &Page) -> Option<&'static str> {
    match page.count("margin.level") {
        1 => Some("LOW (below 30 %)"),
        2 => Some("DANGEROUS (below 20 %)"),
        _ => None,
    }
}

/// Prints all of it; `now` is the run's time.
pub fn print(run: &Run, page: &Page, now: Nanos, out: &mut dyn Write) -> io::Result<()> {
    positions(run, page, out)?;
    for (at, symbol) in page.symbols.iter().enumerate() {
        profit(page, at, symbol, out)?;
        funding(page, at, symbol, now, out)?;
        strategy(page, at, symbol, now, out)?;
    }
    margin(page, out)?;
    orders(run, page, now, out)
}

fn positions(run: &Run, page: &Page, out: &mut dyn Write) -> io::Result<()> {
    let columns = ["<position", "<side", "size", "entry", "mark", "liquidation", "away", "unrealised", "worst"];
    let mut table = Table::new(&columns);
    for (at, symbol) in page.symbols.iter().enumerate() {
        let on = InstrumentId(at as u16);
        let of = |name: &str| page.of(at, name).unwrap_or(0);
        let mark = if of("mark") == 0 { of("mid") } else { of("mark") };
        let [long, short] = ["long", "short"].map(|side| of(&format!("{side}.position")));
        let net = if long == 0 && short == 0 { of("position") } else { 0 };
        for (prefix, qty) in [("", net), ("long.", long), ("short.", short)].into_iter().filter(|(_, qty)| *qty != 0) {
            let amount = |name: &str| match of(&format!("{prefix}{name}")) {
                0 => "-".to_owned(),
                value => money(value),
            };
            let liquidation = of(&format!("{prefix}liquidation"));
            let away = share(mark - liquidation, mark).filter(|_| liquidation != 0);
            table.row([
                symbol.clone(),
                if qty > 0 { "long".to_owned() } else { "short".to_owned() },
                run.meta.qty_text(on, Lots(qty)),
                amount("entry"),
                if mark == 0 { "-".to_owned() } else { money(mark) },
                amount("liquidation"),
                away.map_or_else(|| "-".to_owned(), |away| percent(away.abs())),
                amount("unrealized"),
                run.meta.qty_text(on, Lots(of("position_worst"))),
            ]);
        }
    }
    if table.is_empty() { Ok(()) } else { table.print(out) }
}

fn profit(page: &Page, at: usize, symbol: &str, out: &mut dyn Write) -> io::Result<()> {
    let of = |name: &str| page.of(at, name).unwrap_or(0);
    if of("fills.buy") + of("fills.sell") == 0 {
        return Ok(());
    }
    writeln!(
        out,
        "pnl     {symbol}: trading {}, mark to market {}, fees {}, funding {}; spread {}, inventory {}",
        money(of("pnl.trading")),
        money(of("pnl.mark_to_market")),
        money(of("pnl.fees")),
        money(of("pnl.funding")),
        money(of("pnl.spread")),
        money(of("pnl.inventory")),
    )
}

fn funding(page: &Page, at: usize, symbol: &str, now: Nanos, out: &mut dyn Write) -> io::Result<()> {
    let of = |name: &str| page.of(at, name).unwrap_or(0);
    let hours = of("funding.hours");
    if hours == 0 {
        return Ok(());
    }
    let next = match of("funding.next") - now.0 {
        left if of("funding.next") != 0 && left >= 0 => format!("next in {}", text::span(left)),
        _ => format!("next {}", text::time(Nanos(of("funding.next")))),
    };
    let daily = match of("funding.daily") {
        0 => String::new(),
        paid if paid < 0 => format!(", costs {} a day", money(-paid)),
        received => format!(", brings {} a day", money(received)),
    };
    writeln!(out, "funding {symbol}: {} per {hours} h, {next}{daily}", bps(of("funding.rate")))
}

/// Funding alone, a row an instrument.
pub fn funding_table(run: &Run, page: &Page, now: Nanos, out: &mut dyn Write) -> io::Result<()> {
    let columns = ["<funding", "rate", "every", "a day", "a year", "<next", "in", "position", "a day at it"];
    let mut table = Table::new(&columns);
    for (at, symbol) in page.symbols.iter().enumerate() {
        let of = |name: &str| page.of(at, name).unwrap_or(0);
        let hours = of("funding.hours");
        if hours == 0 {
            writeln!(out, "{symbol}: the venue has not said a funding rate yet")?;
            continue;
        }
        let (rate, next) = (of("funding.rate"), of("funding.next"));
        table.row([
            symbol.clone(),
            bps(rate),
            format!("{hours} h"),
            bps(rate * 24 / hours),
            percent(rate * 24 / hours * 365),
            if next == 0 { "-".to_owned() } else { text::time(Nanos(next)).get(..19).unwrap_or_default().to_owned() },
            if next > now.0 { text::span(next - now.0) } else { "-".to_owned() },
            run.meta.qty_text(InstrumentId(at as u16), Lots(of("position"))),
            money(of("funding.daily")),
        ]);
    }
    if table.is_empty() { Ok(()) } else { table.print(out) }
}

/// The same for programs.
pub fn funding_json(page: &Page, now: Nanos) -> Value {
    let each = |(at, symbol): (usize, &String)| {
        let of = |name: &str| page.of(at, name).unwrap_or(0);
        let hours = of("funding.hours");
        let row = (hours != 0).then(|| {
            json!({
                "rate": money(of("funding.rate")), "hours": hours, "next_time_ns": of("funding.next"),
                "next_in_ns": (of("funding.next") - now.0).max(0), "position_lots": of("position"),
                "daily": money(of("funding.daily")),
            })
        });
        (symbol.clone(), row.unwrap_or(Value::Null))
    };
    page.symbols.iter().enumerate().map(each).collect::<serde_json::Map<_, _>>().into()
}

fn strategy(page: &Page, at: usize, symbol: &str, now: Nanos, out: &mut dyn Write) -> io::Result<()> {
    let of = |name: &str| page.of(at, name).unwrap_or(0);
    let phase = of("strategy.phase");
    if phase == 0 {
        return Ok(());
    }
    let mut parts = vec![phase_name(phase)];
    for (name, word) in [("strategy.quotes_due", "quotes due"), ("strategy.refresh_due", "refresh due")] {
        match of(name) {
            0 => {}
            due if due > now.0 => parts.push(format!("{word} in {}", text::span(due - now.0))),
            _ => parts.push(format!("{word} now")),
        }
    }
    let [buy, sell] = [of("strategy.size_factor_buy"), of("strategy.size_factor_sell")];
    if buy != 0 || sell != 0 {
        parts.push(format!("size of buys {}, of sells {}", percent(buy), percent(sell)));
        let (base, gain) = (percent(of("strategy.base_share")), percent(of("strategy.profit_share")));
        parts.push(format!("base share {base}, held at {gain}"));
    }
    let [inventory, rate] = [of("strategy.skew_inventory"), of("strategy.skew_funding")];
    if inventory != 0 || rate != 0 {
        parts.push(format!("skew {} for the position, {} for funding", bps(-inventory), bps(-rate)));
    }
    for (name, word) in [("strategy.blocked_bid", "no bids"), ("strategy.blocked_ask", "no asks")] {
        if of(name) > 1 {
            parts.push(format!("{word}: {}", why_not_name(of(name))));
        }
    }
    writeln!(out, "quoting {symbol}: {}", parts.join("; "))
}

/// Equity over margin used.
pub fn margin_ratio(page: &Page) -> String {
    match page.count("margin.ratio") {
        far if far > 10 * ONE => "above 1000 %".to_owned(),
        ratio => percent(ratio),
    }
}

fn margin(page: &Page, out: &mut dyn Write) -> io::Result<()> {
    let used = page.count("margin.used");
    if used == 0 {
        return Ok(());
    }
    let ratio = margin_ratio(page);
    let warning = margin_warning(page).map_or_else(String::new, |warning| format!(", {warning}"));
    writeln!(out, "margin  equity {}, used {}, ratio {ratio}{warning}", money(page.count("margin.equity")), money(used),)
}

/// Our orders on the page: side, row and a reader of their words. Asks from the furthest, then bids from the nearest.
pub fn rows(page: &Page, at: usize) -> Vec<(&'static str, impl Fn(&str) -> i64)> {
    let asks = (0..ORDER_ROWS).rev().map(|row| ("ask", row));
    let all = asks.chain((0..ORDER_ROWS).map(|row| ("bid", row)));
    let words = all.map(|(side, row)| {
        let of = move |word: &str| page.of(at, &format!("order.{side}.{row}.{word}")).unwrap_or(0);
        (side, of)
    });
    words.filter(|(_, of)| of("id") != 0).collect()
}

/// How far a price is from the mid, as a fraction of the page.
fn spread(run: &Run, page: &Page, at: usize, price: i64) -> Option<i64> {
    let tick = run.meta.contracts.get(at)?.tick?;
    let mid = page.of(at, "mid")?;
    let price = i64::try_from(i128::from(price) * tick.atto() / 10_i128.pow(10)).ok()?;
    share((price - mid).abs(), mid)
}

fn orders(run: &Run, page: &Page, now: Nanos, out: &mut dyn Write) -> io::Result<()> {
    let columns = ["<orders", "<side", "<for", "level", "price", "size", "from mid", "age", "ahead"];
    let mut table = Table::new(&columns);
    for (at, symbol) in page.symbols.iter().enumerate() {
        let on = InstrumentId(at as u16);
        for (side, of) in rows(page, at) {
            table.row([
                symbol.clone(),
                side.to_owned(),
                purpose_name(of("purpose")),
                of("level").to_string(),
                ticks_text(run, at, Some(of("price"))),
                run.meta.qty_text(on, Lots(of("qty"))),
                spread(run, page, at, of("price")).map_or_else(|| "-".to_owned(), bps),
                text::span((now.0 - of("created")).max(0)),
                if of("ahead") < 0 { "?".to_owned() } else { run.meta.qty_text(on, Lots(of("ahead"))) },
            ]);
        }
    }
    if table.is_empty() { Ok(()) } else { table.print(out) }
}

/// Our orders and the codes' names of an instrument, for the JSON form.
pub fn to_json(run: &Run, page: &Page, at: usize) -> Value {
    let on = InstrumentId(at as u16);
    let of_page = |name: &str| page.of(at, name).unwrap_or(0);
    let why = |name: &str| (of_page(name) != 0).then(|| why_not_name(of_page(name)));
    let orders: Vec<Value> = rows(page, at)
        .into_iter()
        .map(|(side, of)| {
            json!({
                "number": of("id"), "side": side, "purpose": purpose_name(of("purpose")), "level": of("level"),
                "price": run.meta.price(on, spinquote::unit::Ticks(of("price"))), "price_ticks": of("price"),
                "qty": run.meta.qty(on, Lots(of("qty"))), "qty_lots": of("qty"), "created_time_ns": of("created"),
                "from_mid": spread(run, page, at, of("price")).map(money),
                "ahead_lots": (of("ahead") >= 0).then_some(of("ahead")),
            })
        })
        .collect();
    json!({
        "orders": orders,
        "phase": phase_name(of_page("strategy.phase")),
        "blocked": {"bid": why("strategy.blocked_bid"), "ask": why("strategy.blocked_ask")},
    })
}

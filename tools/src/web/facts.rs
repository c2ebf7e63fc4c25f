//! What the live page shows, as JSON, and how it was in the last hour. Prices and money as numbers for drawing; bounded, whatever the run's length.

use crate::alerts;
use crate::row::kind_name;
use crate::status;
use crate::text;
use crate::top::model::Model;
use serde_json::{Value, json};
use spinquote::event::ClientId;
use spinquote::instrument::InstrumentId;
use spinquote::report::model::rounded;
use spinquote::unit::Lots;
use std::collections::VecDeque;

/// Looks that are kept for the plots: an hour.
const LOOKS: usize = 7200;
/// Rows of each list.
const ROWS: usize = 50;
/// Fills and done orders that the model may hold before the older ones go.
const KEPT: usize = 2000;

/// Drops what is done and long past: a page that is open for a month must not grow.
pub fn forget(model: &mut Model) {
    let ledger = &mut model.ledger;
    if ledger.fills.len() > 2 * KEPT {
        ledger.fills.drain(..ledger.fills.len() - KEPT);
    }
    if ledger.orders.len() > 2 * KEPT {
        let ids: Vec<ClientId> = ledger.orders.keys().copied().collect();
        for id in &ids[..ids.len() - KEPT] {
            if ledger.orders.get(id).is_some_and(|order| !order.standing.is_open()) {
                ledger.orders.remove(id);
            }
        }
    }
}

/// Everything now.
pub fn of(model: &Model) -> Value {
    let Model { run, page, life, .. } = model;
    let count = |name: &str| page.count(name);
    let markets: Vec<Value> = (0..page.symbols.len()).map(|at| market(model, at)).collect();
    let price = |on: InstrumentId, ticks| run.meta.price(on, ticks).and_then(|text| text.parse::<f64>().ok());
    let qty = |on: InstrumentId, lots| run.meta.qty(on, lots).and_then(|text| text.parse::<f64>().ok());
    let mut open: Vec<_> = model.ledger.open().collect();
    open.sort_by_key(|order| (order.side.index(), std::cmp::Reverse(order.price)));
    let orders: Vec<Value> = open
        .iter()
        .take(ROWS)
        .map(|order| {
            json!({
                "id": text::order_id(order.id), "instrument": run.meta.symbol(order.instrument), "side": text::name(order.side),
                "price": price(order.instrument, order.price), "qty": qty(order.instrument, order.qty),
                "filled": qty(order.instrument, order.filled), "standing": text::name(order.standing),
                "age_ms": (model.now - order.created).as_millis(),
            })
        })
        .collect();
    let fills: Vec<Value> = model
        .ledger
        .fills
        .iter()
        .rev()
        .take(ROWS)
        .map(|row| {
            json!({
                "time_ns": row.time.0, "instrument": run.meta.symbol(row.instrument), "side": text::name(row.side),
                "price": price(row.instrument, row.fill.price), "qty": qty(row.instrument, row.fill.qty), "maker": row.fill.maker,
                "fee": row.fill.fee_known.then(|| row.fill.fee.to_string()),
            })
        })
        .collect();
    let latency: Vec<Value> = model
        .stages
        .iter()
        .filter(|stage| stage.whole.count > 0)
        .map(|stage| {
            let at = |millionths| stage.whole.percentile(millionths).min(stage.whole.max);
            json!({
                "stage": stage.whole.name, "count": stage.whole.count, "p50_ns": at(500_000), "p99_ns": at(990_000),
                "p999_ns": at(999_000), "max_ns": stage.whole.max, "recent_p99_ns": stage.p99,
            })
        })
        .collect();
    let events: Vec<Value> = model
        .events
        .iter()
        .rev()
        .take(ROWS)
        .map(|row| json!({"time_ns": row.time.0, "kind": kind_name(row.kind), "text": row.pairs(false).trim()}))
        .collect();
    let alerts: Vec<Value> = alerts::active(run)
        .into_iter()
        .map(|alert| {
            json!({
                "name": alert.name, "severity": alert.severity, "since_ns": alert.since.0, "text": alert.text,
                "acknowledged": alert.acknowledged,
            })
        })
        .collect();
    let links: serde_json::Map<String, Value> = model
        .ledger
        .links
        .iter()
        .map(|((instrument, link), state)| {
            (format!("{} {link}", run.meta.symbol(*instrument)), Value::from(text::name(state)))
        })
        .collect();
    json!({
        "run": run.name, "life": life.word(), "sentence": life.sentence(), "state": status::state(page, *life),
        "now_ns": model.now.0, "fault": model.fault, "markets": markets, "orders": orders, "fills": fills, "latency": latency,
        "feed": {
            "frames": count("engine.frames"), "frames_per_s": model.rate("engine.frames"), "links_up": count("engine.links_up"),
            "links": links, "reconnects": count("engine.reconnects"), "decode_errors": count("engine.decode_errors"),
            "protocol_errors": count("engine.protocol_errors"),
            "frame_age_ms": (!model.frame_time.is_zero()).then(|| (model.now - model.frame_time).as_millis()),
        },
        "messages": {
            "new": count("sender.orders_new"), "amend": count("sender.orders_amend"), "cancel": count("sender.orders_cancel"),
            "accepted": count("sender.acks"), "rejected": count("sender.rejects"), "refused": count("engine.refusals"),
            "unknown": count("sender.unknown_outcomes"), "orders_10s": count("sender.orders_used"),
            "orders_limit": count("sender.orders_limit"), "weight_1m": count("sender.weight_used"),
            "weight_limit": count("sender.weight_limit"), "per_s": model.rate("engine.commands"),
            "per_s_limit": run.meta.limits.get("messages_max"), "ring_free": count("engine.ring_free"),
        },
        "turns_per_s": model.rate("engine.turns"), "turns_idle_per_s": model.rate("engine.turns_idle"),
        "wallet": money(count("engine.wallet")), "journal_lost": count("engine.journal_lost"),
        "advice": model.advice, "alerts": alerts, "events": events,
    })
}

/// Money of the counters page.
fn money(value: i64) -> f64 {
    rounded(value as f64 / 1e8)
}

fn market(model: &Model, at: usize) -> Value {
    let Model { run, page, .. } = model;
    let on = InstrumentId(at as u16);
    let of = |name: &str| page.of(at, name).unwrap_or(0);
    let contract = run.meta.contracts.get(at);
    let places = |step: Option<spinquote::unit::Step>| step.map_or(0, |step| step.places());
    // A price of 0 is none.
    let price = |name: &str| {
        let ticks = Some(of(name)).filter(|&ticks| ticks != 0)?;
        run.meta.price(on, spinquote::unit::Ticks(ticks))?.parse::<f64>().ok()
    };
    let qty = |name: &str| run.meta.qty(on, Lots(of(name))).and_then(|text| text.parse::<f64>().ok());
    let some = |name: &str| Some(money(of(name))).filter(|&value| value != 0.0);
    let pnl = |name: &str| money(of(&format!("pnl.{name}")));
    let symbol = &page.symbols[at];
    let funding = model.funding.get(symbol);
    json!({
        "symbol": symbol, "quote": contract.map(|contract| contract.quote.clone()),
        "price_places": places(contract.and_then(|contract| contract.tick)), "qty_places": places(contract.and_then(|contract| contract.lot)),
        "bid": price("bid"), "ask": price("ask"), "mid": some("mid"), "mark": some("mark"), "in_sync": of("in_sync") == 1,
        "own_bid": price("own_bid"), "own_bid_qty": qty("own_bid_qty"), "own_ask": price("own_ask"), "own_ask_qty": qty("own_ask_qty"),
        "position": qty("position"), "position_worst": qty("position_worst"), "entry": some("entry"),
        "liquidation": some("liquidation"),
        "orders_live": of("orders_live"), "orders_pending": of("orders_pending"),
        "fills_buy": of("fills.buy"), "fills_sell": of("fills.sell"), "volume_buy": qty("volume.buy"), "volume_sell": qty("volume.sell"),
        "pnl": {
            "total": pnl("total"), "spread": pnl("spread"), "inventory": pnl("inventory"), "fees": pnl("fees"), "funding": pnl("funding"),
        },
        "funding": funding.map(|funding| json!({"rate": funding.rate, "next_ns": funding.next.0})),
        // The page may be newer than the look's clock.
        "market_age_ms": (of("market_time") != 0).then(|| (model.now.0 - of("market_time")).max(0) / 1_000_000),
        "book_gaps": of("book.gaps"), "book_resyncs": of("book.resyncs"),
    })
}

/// The names of a market's columns, in their order.
const COLUMNS: [&str; 9] = ["mid", "own_bid", "own_ask", "position", "total", "spread", "inventory", "fees", "funding"];

/// What was, a look each.
#[derive(Debug, Default)]
pub struct History {
    symbols: Vec<String>,
    looks: VecDeque<(f64, Vec<[Option<f64>; COLUMNS.len()]>)>,
}

impl History {
    /// Keeps this look; the oldest one goes.
    pub fn push(&mut self, model: &Model, facts: &Value) {
        if self.looks.len() == LOOKS {
            self.looks.pop_front();
        }
        self.symbols.clone_from(&model.page.symbols);
        let row = |market: &Value| {
            COLUMNS.map(|name| market.get(name).or_else(|| market["pnl"].get(name)).and_then(Value::as_f64))
        };
        let markets = facts["markets"].as_array().map(|all| all.iter().map(row).collect()).unwrap_or_default();
        self.looks.push_back((model.now.0 as f64 / 1e9, markets));
    }

    /// As columns: seconds since the epoch, then each market's.
    pub fn json(&self) -> String {
        let times: Vec<f64> = self.looks.iter().map(|(time, _)| (time * 1e3).round() / 1e3).collect();
        let market = |at: usize| -> Value {
            let column = |index: usize| -> Vec<Option<f64>> {
                self.looks.iter().map(|(_, markets)| markets.get(at).and_then(|row| row[index])).collect()
            };
            COLUMNS
                .iter()
                .enumerate()
                .map(|(index, name)| ((*name).to_owned(), json!(column(index))))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        let markets: serde_json::Map<_, _> =
            self.symbols.iter().enumerate().map(|(at, symbol)| (symbol.clone(), market(at))).collect();
        json!({"t": times, "markets": markets}).to_string()
    }
}

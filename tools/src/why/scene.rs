//! What the engine had before it when it decided about an order: the book, the settings behind the rule, the sums of the risk gate. Made again
//! from the journal and `meta.json`; what they do not say is left out. Judges nothing: what the gate said stands in the decisions.

use crate::ledger::Ledger;
use crate::page::money;
use crate::report::read::instruments;
use crate::report::replica::{Frames, Reconciling, Replica};
use crate::run::Run;
use serde_json::{Map, Value};
use spinquote::event::{Command, CommandKind, Event, Link, Side};
use spinquote::instrument::InstrumentId;
use spinquote::journal::record::{self, Origin};
use spinquote::journal::{Reader, Record};
use spinquote::maker::strategy::Purpose;
use spinquote::unit::{Lots, Nanos, Price, Ticks};
use std::collections::VecDeque;

/// Named values as text, in the order in which they are shown.
pub type Facts = Map<String, Value>;

/// Market, holdings and messages at a moment of the run.
pub struct Scene {
    frames: Frames,
    replicas: Vec<Replica>,
    reconciling: Reconciling,
    /// Each strategy's settings now.
    settings: Vec<String>,
    /// Messages of the gate's last interval, and whether each placed or changed an order.
    messages: VecDeque<(Nanos, bool)>,
    interval: Nanos,
}

impl Scene {
    /// At the begin of the journal; `None` where `meta.json` does not say enough.
    pub fn of(run: &Run, reader: &Reader) -> Option<Self> {
        let instruments = instruments(&run.meta).ok()?;
        let truncated = reader.segment().index > 0;
        let interval = run.meta.limits.get("interval_ns").and_then(Value::as_i64).filter(|&ns| ns > 0);
        Some(Self {
            frames: Frames::new(&instruments),
            replicas: instruments.iter().map(|instrument| Replica::new(instrument, truncated)).collect(),
            reconciling: Reconciling::default(),
            settings: run.meta.strategies.clone(),
            messages: VecDeque::new(),
            interval: interval.map_or(Nanos::from_secs(1), Nanos),
        })
    }

    /// The next record.
    pub fn take(&mut self, found: &Record<'_>) {
        match found.kind {
            record::FRAME | record::SNAPSHOT => {
                if let Ok(Some((on, event))) = self.frames.event(found) {
                    self.replicas[usize::from(on.0)].market(&event);
                }
            }
            record::SETTINGS => self.settings(found),
            record::COMMAND => {
                if let Ok(command) = record::decode_command(found.payload) {
                    self.reconciling.command(found.time, &command);
                    self.count(found.time, &command);
                }
            }
            record::ORDER | record::ACCOUNT | record::LINK => {
                if let Ok(event) = record::decode_event(found.kind, found.payload) {
                    self.event(found.time, &event);
                }
            }
            _ => {}
        }
    }

    fn settings(&mut self, found: &Record<'_>) {
        let Some((head, text)) = found.payload.split_at_checked(Origin::SIZE) else { return };
        let Ok(origin) = Origin::decode(head) else { return };
        if let Some(settings) = self.settings.get_mut(usize::from(origin.instrument.0)) {
            *settings = String::from_utf8_lossy(text).into_owned();
        }
    }

    fn count(&mut self, now: Nanos, command: &Command) {
        use CommandKind::{Amend, Cancel, CancelAll, Market, New, Query};
        if !matches!(command.kind, New | Amend | Market | Cancel | CancelAll | Query) {
            return;
        }
        self.messages.push_back((now, matches!(command.kind, New | Amend | Market)));
        while self.messages.front().is_some_and(|&(at, _)| now - at >= self.interval) {
            self.messages.pop_front();
        }
    }

    fn event(&mut self, now: Nanos, event: &Event<'_>) {
        match event {
            Event::Order(order) => {
                if let Some(replica) = self.replicas.get_mut(usize::from(order.instrument.0)) {
                    replica.order(now, order);
                }
            }
            Event::Account(account) => {
                use spinquote::event::AccountEvent::{Funding, Position};
                let asked = self.reconciling.account(account);
                let only = match *account {
                    Position { instrument, .. } | Funding { instrument, .. } => Some(usize::from(instrument.0)),
                    _ => None,
                };
                for (_, replica) in
                    self.replicas.iter_mut().enumerate().filter(|(at, _)| only.is_none_or(|only| only == *at))
                {
                    replica.account(now, account, asked);
                }
            }
            Event::Link { instrument, link: Link::Market, state } => {
                if let Some(replica) = self.replicas.get_mut(usize::from(instrument.0)) {
                    replica.link(*state);
                }
            }
            _ => {}
        }
    }

    /// Best prices with what stands there, and what stands at a price of ours on its side, our own order in it.
    pub fn book(&self, run: &Run, on: InstrumentId, own: Option<(Side, Ticks)>) -> Facts {
        let mut facts = Facts::new();
        let Some(replica) = self.replicas.get(usize::from(on.0)) else { return facts };
        let mut put = |name: &str, value: String| drop(facts.insert(name.to_owned(), value.into()));
        let Some(best) = replica.best() else {
            put("state", "not in sync".to_owned());
            return facts;
        };
        for (name, level) in ["bid", "ask"].into_iter().zip(best) {
            put(name, run.meta.price_text(on, level.price));
            put(&format!("{name}_qty"), run.meta.qty_text(on, level.qty));
        }
        if let Some((side, price)) = own {
            put("at_price", run.meta.qty_text(on, replica.resting(side, price)));
        }
        facts
    }

    /// How far from the reference it is, and the settings that the rule reads for a side and purpose.
    pub fn rule(&self, run: &Run, on: InstrumentId, side: Side, purpose: u8, price: Ticks, reference: Price) -> Facts {
        let mut facts = Facts::new();
        if let Some(far) = distance(run, on, price, reference).filter(|_| !price.is_zero()) {
            facts.insert("from_reference".to_owned(), far.into());
        }
        let text = self.settings.get(usize::from(on.0)).map_or("", String::as_str);
        for (key, value) in scalars(text).filter(|(key, _)| concerns(key, side, purpose)) {
            facts.insert(key.to_owned(), value.into());
        }
        facts
    }

    /// What the gate counted for a command that passed it, against the limits. `ledger` has the command already.
    pub fn gate(&self, run: &Run, ledger: &Ledger, command: &Command) -> Facts {
        let mut facts = Facts::new();
        let on = command.instrument;
        let limit = |name: &str| run.meta.limits.get(name);
        let lots = |name: &str| limit(name).and_then(Value::as_i64).map(|most| run.meta.qty_text(on, Lots(most)));
        let text =
            |name: &str| limit(name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        let mut put = |name: &str, value: String, most: Option<String>| {
            let value = most.map_or(value.clone(), |most| format!("{value}/{most}"));
            facts.insert(name.to_owned(), value.into());
        };
        let places = matches!(command.kind, CommandKind::New | CommandKind::Amend | CommandKind::Market);
        if let Some(replica) = self.replicas.get(usize::from(on.0)).filter(|_| places) {
            let held = replica.position();
            put("position", run.meta.qty_text(on, held), None);
            let open = ledger.open().filter(|order| order.instrument == on && !order.reduce_only);
            // An amend counts with its larger leg.
            let may_fill = |order: &crate::ledger::Order| {
                let qty = if order.id == command.client_id { order.qty.max(command.qty) } else { order.qty };
                (order.side == command.side).then_some(qty.0 - order.filled.0)
            };
            let (adding, live) = open.fold((0, 0), |(sum, live), order| (sum + may_fill(order).unwrap_or(0), live + 1));
            let worst = Lots(held.0 + command.side.sign() * adding);
            put("worst", run.meta.qty_text(on, worst), lots("position_max_lots"));
            put("qty", run.meta.qty_text(on, command.qty), lots("order_qty_max_lots"));
            if let Some(worth) = run.meta.worth(on, command.price, command.qty).filter(|_| !command.price.is_zero()) {
                put("worth", money(worth), text("order_notional_max"));
            }
            if let Some([bid, ask]) = replica.best()
                && let Some(far) = mid_distance(command.price, bid.price, ask.price)
            {
                put("from_mid", far, text("price_band").as_deref().and_then(band));
            }
            put("open", live.to_string(), None);
            let orders = self.messages.iter().filter(|(_, places)| *places).count();
            put("orders", orders.to_string(), text("orders_max"));
        }
        put("messages", self.messages.len().to_string(), text("messages_max"));
        facts.insert("in".to_owned(), crate::text::span(self.interval.0).replace(' ', "").into());
        facts
    }
}

/// How far a price is from the reference, in basis points with a sign.
fn distance(run: &Run, on: InstrumentId, price: Ticks, reference: Price) -> Option<String> {
    let tick = run.meta.contracts.get(usize::from(on.0))?.tick?;
    let far = tick.atto().checked_mul(i128::from(price.0))?.checked_sub(reference.0)?;
    hundredths(far.checked_mul(1_000_000)?.checked_div(reference.0)?)
}

/// How far a price is from the mid, in basis points with a sign.
fn mid_distance(price: Ticks, bid: Ticks, ask: Ticks) -> Option<String> {
    let twice = i128::from(bid.0) + i128::from(ask.0);
    if price.is_zero() {
        return None;
    }
    hundredths(((2 * i128::from(price.0) - twice) * 1_000_000).checked_div(twice)?)
}

fn hundredths(value: i128) -> Option<String> {
    let sign = if value < 0 { '-' } else { '+' };
    Some(format!("{sign}{}.{:02}bp", value.unsigned_abs() / 100, value.unsigned_abs() % 100))
}

/// A fraction of the settings in basis points.
fn band(fraction: &str) -> Option<String> {
    let fraction = Price::parse(fraction.as_bytes()).ok()?;
    Some(format!("{}bp", fraction.0 / 10_i128.pow(14)))
}

/// Keys and values of a settings file that stand on one line each, YAML or JSON.
fn scalars(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| {
        let line = line.trim().split(" #").next().unwrap_or_default().trim_end_matches(',');
        let (key, value) = line.split_once(':')?;
        let (key, value) = (key.trim().trim_matches('"'), value.trim().trim_matches('"'));
        let word = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        (word && !value.is_empty() && !value.starts_with(['[', '{'])).then_some((key, value))
    })
}

/// The rule behind an order of this side and purpose reads the key.
fn concerns(key: &str, side: Side, purpose: u8) -> bool {
    let has = |parts: &[&str]| parts.iter().any(|part| key.contains(part));
    let others = match side {
        Side::Buy => ["ask", "sell"],
        Side::Sell => ["bid", "buy"],
    };
    match purpose {
        at if at == Purpose::TakeProfit as u8 => {
            // A long is closed by a sell.
            let other = if side == Side::Sell { "short" } else { "long" };
            has(&["profit"]) && !key.contains(other)
        }
        at if at == Purpose::StopLoss as u8 => has(&["stop_loss"]),
        at if at == Purpose::Entry as u8 => {
            has(&["spread", "level", "amount", "skew", "refresh", "portfolio", "optimization"])
                && !has(&["profit", "stop_loss"])
                && !has(&others)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_behind_a_rule_are_those_of_its_side_and_purpose() {
        let yaml = "# a comment: none\nbid_spread: 0.005 # percent\nask_spread: 0.006\nlong_profit_taking_spread: 0.2\n\
                    short_profit_taking_spread: 0.3\nstop_loss_spread: 0.8\norder_levels: 5\nlist:\n  - 1\n";
        let of = |side, purpose: Purpose| {
            let found = scalars(yaml).filter(|(key, _)| concerns(key, side, purpose as u8));
            found.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of(Side::Buy, Purpose::Entry), "bid_spread=0.005 order_levels=5");
        assert_eq!(of(Side::Sell, Purpose::Entry), "ask_spread=0.006 order_levels=5");
        assert_eq!(of(Side::Sell, Purpose::TakeProfit), "long_profit_taking_spread=0.2");
        assert_eq!(of(Side::Buy, Purpose::StopLoss), "stop_loss_spread=0.8");
        assert_eq!(of(Side::Buy, Purpose::Flatten), "");
        let json = "{\n \"base_spread\": 0.01,\n \"dex\": {\n  \"x\": \"y\"\n }\n}";
        assert_eq!(scalars(json).collect::<Vec<_>>(), [("base_spread", "0.01"), ("x", "y")]);
    }

    #[test]
    fn distances_have_a_sign_and_a_band_its_unit() {
        assert_eq!(mid_distance(Ticks(1_001), Ticks(999), Ticks(1_001)).as_deref(), Some("+10.00bp"));
        assert_eq!(mid_distance(Ticks(0), Ticks(999), Ticks(1_001)), None);
        assert_eq!((hundredths(-7).as_deref(), band("0.1").as_deref()), (Some("-0.07bp"), Some("1000bp")));
    }
}

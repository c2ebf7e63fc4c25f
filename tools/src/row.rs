//! A journal record as named fields: the one description behind text, JSON and CSV. Every record of a kind has the same fields in the
//! same order; what is not known or does not apply is null. Never fails: a payload that is not of its kind shows as an error and its bytes.

use crate::decided::{Decided, verb_name};
use crate::meta::Meta;
use crate::text::{self, name};
use serde_json::{Map, Value};
use spinquote::event::{AccountEvent, ClientId, Command, Event, OrderEvent, OrderEventKind};
use spinquote::instrument::InstrumentId;
use spinquote::journal::Record;
use spinquote::journal::record::{self, RecordError};
use spinquote::unit::{Lots, Nanos, Ticks};

/// Every kind with its name.
pub const KINDS: [(u16, &str); 22] = [
    (record::FRAME, "frame"),
    (record::SNAPSHOT, "snapshot"),
    (record::ORDER, "order"),
    (record::ACCOUNT, "account"),
    (record::LINK, "link"),
    (record::EXTERNAL, "external"),
    (record::OPERATOR, "operator"),
    (record::KILL, "kill"),
    (record::TIMER, "timer"),
    (record::LAPSE, "lapse"),
    (record::SETTINGS, "settings"),
    (record::MARK, "mark"),
    (record::ASKED, "asked"),
    (record::COMMAND, "command"),
    (record::DECISION, "decision"),
    (record::CLOCK, "clock"),
    (record::RUN_START, "run-start"),
    (record::RUN_END, "run-end"),
    (record::LOSS, "loss"),
    (record::SENT, "sent"),
    (record::GAP, "gap"),
    (record::SEAL, "seal"),
];

/// A record with names.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub seq: u64,
    pub time: Nanos,
    /// What the payload is: a constant of `record`.
    pub kind: u16,
    /// The order that it concerns.
    pub order: Option<ClientId>,
    pub fields: Map<String, Value>,
}

/// The name of a kind.
pub fn kind_name(kind: u16) -> String {
    KINDS
        .iter()
        .find(|(known, _)| *known == kind)
        .map_or_else(|| format!("kind-{kind}"), |(_, name)| (*name).to_owned())
}

/// The order that a record concerns, without decoding all of it.
pub fn order_of(found: &Record<'_>) -> Option<ClientId> {
    let id = match found.kind {
        record::ORDER => match record::decode_event(found.kind, found.payload).ok()? {
            Event::Order(order) => order.client_id,
            _ => return None,
        },
        record::COMMAND => record::decode_command(found.payload).ok()?.client_id,
        record::DECISION => Decided::decode(found.payload).ok()?.client_id,
        record::SENT => record::Sent::decode(found.payload).ok()?.client_id,
        _ => return None,
    };
    (id != ClientId::default()).then_some(id)
}

impl Row {
    /// Reads a record.
    pub fn of(found: &Record<'_>, meta: &Meta) -> Self {
        let mut fields = Fields { map: Map::new(), meta };
        if let Err(error) = fields.fill(found.kind, found.payload) {
            fields.map.clear();
            fields.text("error", error.to_string());
            fields.text("payload", found.payload.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        }
        Self { seq: found.seq, time: found.time, kind: found.kind, order: order_of(found), fields: fields.map }
    }

    /// One line: number, time, kind, instrument, then `name=value` of everything that is not null. Long data is cut unless `full`.
    pub fn line(&self, full: bool) -> String {
        let mut line = format!("{:>8} {} {:<9}", self.seq, text::time(self.time), kind_name(self.kind));
        line.push_str(&self.pairs(full));
        line.truncate(line.trim_end().len());
        line
    }

    /// The fields of [`Row::line`] with a blank before each.
    pub fn pairs(&self, full: bool) -> String {
        let mut line = String::new();
        for (key, value) in &self.fields {
            let raw_twin = key.rsplit_once('_').filter(|(_, end)| matches!(*end, "ticks" | "lots"));
            if raw_twin.is_some_and(|(plain, _)| self.fields.get(plain).is_some_and(|plain| !plain.is_null())) {
                continue;
            }
            let named = |twin: &str| self.fields.get(twin).is_some_and(|value| !value.is_null());
            if (key == "detail" && (named("blocks") || named("reason"))) || (key == "position_side" && value == "net") {
                continue;
            }
            let shown = match value {
                Value::Null => continue,
                Value::Bool(false) if key != "hedge" => continue,
                Value::String(text) if key == "data" && !full => excerpt(&printable(text), 160),
                Value::String(text) => printable(text),
                Value::Number(number) if key.ends_with("_time_ns") => {
                    let at = number.as_i64().unwrap_or(0);
                    line.push_str(&format!(" {}={}", key.trim_end_matches("_ns"), text::clock_micros(Nanos(at))));
                    continue;
                }
                other => other.to_string(),
            };
            line.push(' ');
            if key == "instrument" {
                line.push_str(&shown);
            } else if value == &Value::Bool(true) {
                line.push_str(key);
            } else {
                line.push_str(&format!("{key}={shown}"));
            }
        }
        line
    }

    /// The record as one object.
    pub fn json(&self) -> Value {
        let mut all = Map::new();
        all.insert("seq".to_owned(), self.seq.into());
        all.insert("time_ns".to_owned(), self.time.0.into());
        all.insert("time".to_owned(), text::time(self.time).into());
        all.insert("kind".to_owned(), kind_name(self.kind).into());
        all.extend(self.fields.clone());
        Value::Object(all)
    }
}

/// Text that came from outside, without what would move a terminal's cursor or make a line of its own.
fn printable(text: &str) -> String {
    let shown =
        |letter: char| if letter.is_control() { letter.escape_default().to_string() } else { letter.to_string() };
    if text.chars().any(char::is_control) { text.chars().map(shown).collect() } else { text.to_owned() }
}

/// The first `most` characters, and how many bytes follow.
fn excerpt(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}... (+{} B)", &text[..at], text.len() - at),
    }
}

struct Fields<'a> {
    map: Map<String, Value>,
    meta: &'a Meta,
}

impl Fields<'_> {
    fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.map.insert(name.to_owned(), value.into());
    }

    fn text(&mut self, name: &str, value: impl Into<String>) {
        self.put(name, value.into());
    }

    fn instrument(&mut self, instrument: InstrumentId) {
        self.text("instrument", self.meta.symbol(instrument));
    }

    /// Decimal text and ticks; null where it does not apply.
    fn price(&mut self, name: &str, instrument: InstrumentId, price: Option<Ticks>) {
        self.put(name, price.and_then(|price| self.meta.price(instrument, price)));
        self.put(&format!("{name}_ticks"), price.map(|price| price.0));
    }

    /// Decimal text and lots; null where it does not apply.
    fn qty(&mut self, name: &str, instrument: InstrumentId, qty: Option<Lots>) {
        self.put(name, qty.and_then(|qty| self.meta.qty(instrument, qty)));
        self.put(&format!("{name}_lots"), qty.map(|qty| qty.0));
    }

    fn id(&mut self, id: ClientId) {
        self.put("id", (id != ClientId::default()).then(|| text::order_id(id)));
    }

    fn venue_time(&mut self, at: Nanos) {
        self.put("venue_time_ns", (at.0 != 0).then_some(at.0));
    }

    fn fill(&mut self, kind: u16, payload: &[u8]) -> Result<(), RecordError> {
        match kind {
            record::FRAME | record::SNAPSHOT | record::SETTINGS => {
                let (head, data) = payload.split_at_checked(record::Origin::SIZE).ok_or(RecordError::Short)?;
                let origin = record::Origin::decode(head)?;
                self.instrument(origin.instrument);
                self.put("feed", (origin.feed != u16::MAX).then_some(origin.feed));
                self.put("bytes", data.len());
                self.text("data", String::from_utf8_lossy(data));
            }
            record::COMMAND => self.command(&record::decode_command(payload)?),
            record::DECISION => self.decision(&Decided::decode(payload)?),
            record::CLOCK => {
                let found = record::Calibration::decode(payload)?;
                self.put("counter", found.counter);
                self.put("system_ns", found.system.0);
                self.put("millihertz", found.millihertz);
            }
            record::RUN_START => {
                let found = record::RunStart::decode(payload)?;
                self.text("run", format!("{:08x}", found.run));
                self.put("instruments", found.instruments);
                self.put("feeds", found.feeds);
                self.put("seed", found.seed);
            }
            record::RUN_END => self.put("reason", record::RunEnd::decode(payload)?.reason),
            record::LOSS => {
                let found = record::Loss::decode(payload)?;
                self.put("records", found.records);
                self.put("since_time_ns", found.since.0);
            }
            record::GAP => {
                let found = record::FeedGap::decode(payload)?;
                self.instrument(found.instrument);
                self.put("feed", found.feed);
                self.put("expected", found.expected);
                self.put("got", found.got);
            }
            record::SENT => {
                let found = record::Sent::decode(payload)?;
                self.id(found.client_id);
                self.put("generation", found.generation);
                self.put("sent_time_ns", found.at.0);
            }
            record::ASKED => {
                let (head, by, why) = record::Asked::split(payload)?;
                self.put("command", (head.seq != 0).then_some(head.seq));
                self.text("verb", if head.verb == 0 { "kill".to_owned() } else { verb_name(head.verb) });
                self.text("by", by);
                self.put("why", (!why.is_empty()).then_some(why));
            }
            record::SEAL => {}
            _ => self.event(&record::decode_event(kind, payload)?),
        }
        Ok(())
    }

    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Order(order) => self.order(order),
            Event::Account(account) => self.account(account),
            Event::Link { instrument, link, state } => {
                self.instrument(*instrument);
                self.text("link", name(link));
                self.text("state", name(state));
            }
            Event::External { instrument, price } => {
                self.instrument(*instrument);
                self.text("price", price.to_string());
            }
            Event::Operator(verb) => {
                self.text("verb", verb_name(verb.code()));
                self.put("percent", (verb.argument() != 0).then_some(verb.argument()));
            }
            Event::Lapse { lost } => self.put("lost_ns", lost.0),
            Event::Mark(mark) => {
                self.instrument(mark.instrument);
                self.text("mark", mark.mark.to_string());
                self.text("index", mark.index.to_string());
                self.text("funding_rate", mark.funding_rate.to_string());
                self.put("next_funding_time_ns", (mark.next_funding.0 != 0).then_some(mark.next_funding.0));
                self.venue_time(mark.venue_time);
            }
            // The other market events are not recorded as such; the other two carry nothing.
            _ => {}
        }
    }

    fn order(&mut self, order: &OrderEvent) {
        let on = order.instrument;
        let fill = (order.kind == OrderEventKind::Fill).then_some(order.fill);
        self.instrument(on);
        self.text("what", name(order.kind));
        self.id(order.client_id);
        self.text("side", name(order.side));
        self.price("price", on, Some(order.price).filter(|price| !price.is_zero()));
        self.qty("qty", on, Some(order.qty).filter(|qty| !qty.is_zero()));
        self.qty("filled", on, Some(order.filled));
        self.price("fill_price", on, fill.map(|fill| fill.price));
        self.qty("fill_qty", on, fill.map(|fill| fill.qty));
        self.put("fee", fill.filter(|fill| fill.fee_known).map(|fill| fill.fee.to_string()));
        self.put("liquidity", fill.map(|fill| if fill.maker { "maker" } else { "taker" }));
        self.put("trade_id", fill.map(|fill| fill.trade_id));
        self.text("source", name(order.source));
        self.put("generation", (order.generation != 0).then_some(order.generation));
        self.put("code", (order.code != 0).then_some(order.code));
        self.put("venue_id", (order.venue_id != 0).then_some(order.venue_id));
        self.text("position_side", name(order.position_side));
        self.text("tif", name(order.tif));
        self.put("reduce_only", order.reduce_only);
        self.venue_time(order.venue_time);
    }

    fn account(&mut self, event: &AccountEvent) {
        const COLUMNS: [&str; 14] = [
            "instrument",
            "what",
            "position_side",
            "qty",
            "qty_lots",
            "entry",
            "snapshot",
            "wallet",
            "available",
            "amount",
            "leverage",
            "hedge",
            "venue_time_ns",
            "offset_ns",
        ];
        for column in COLUMNS {
            self.put(column, Value::Null);
        }
        self.text("what", name(event).split([' ', '{']).next().unwrap_or_default());
        match *event {
            AccountEvent::Position { instrument, side, qty, entry, snapshot, venue_time } => {
                self.instrument(instrument);
                self.text("position_side", name(side));
                self.qty("qty", instrument, Some(qty));
                self.text("entry", entry.to_string());
                self.put("snapshot", snapshot);
                self.venue_time(venue_time);
            }
            AccountEvent::Balance { wallet, available } => {
                self.text("wallet", wallet.to_string());
                self.text("available", available.to_string());
            }
            AccountEvent::Funding { instrument, amount } => {
                self.instrument(instrument);
                self.text("amount", amount.to_string());
            }
            AccountEvent::Leverage { instrument, leverage } => {
                self.instrument(instrument);
                self.put("leverage", leverage);
            }
            AccountEvent::PositionMode { hedge } => self.put("hedge", hedge),
            AccountEvent::VenueClock { offset } => self.put("offset_ns", offset.0),
            _ => {}
        }
    }

    fn command(&mut self, command: &Command) {
        let on = command.instrument;
        self.instrument(on);
        self.text("what", name(command.kind));
        self.id(command.client_id);
        self.text("side", name(command.side));
        self.price("price", on, Some(command.price).filter(|price| !price.is_zero()));
        self.qty("qty", on, Some(command.qty).filter(|qty| !qty.is_zero()));
        self.put("generation", (command.generation != 0).then_some(command.generation));
        self.text("tif", name(command.tif));
        self.text("position_side", name(command.position_side));
        self.put("reduce_only", command.reduce_only);
        self.put("decided_time_ns", command.decided_at.0);
    }

    fn decision(&mut self, found: &Decided) {
        let on = found.instrument;
        let order = found.client_id != ClientId::default() || !found.price.is_zero();
        self.instrument(on);
        self.text("what", found.what());
        self.text("cause", found.cause());
        self.id(found.client_id);
        self.put("side", order.then_some(if found.side == 0 { "buy" } else { "sell" }));
        self.price("price", on, Some(found.price).filter(|price| !price.is_zero()));
        self.qty("qty", on, Some(found.qty).filter(|qty| !qty.is_zero()));
        self.put("reference", (!found.reference.is_zero()).then(|| found.reference.to_string()));
        self.put("purpose", order.then(|| found.purpose()));
        self.put("level", order.then_some(found.level));
        self.put("refusal", found.refusal());
        self.put("blocks", found.blocks());
        self.put("reason", found.reason());
        self.put("detail", (found.detail != 0).then_some(found.detail));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_from_outside_stays_on_its_line() {
        assert_eq!(printable("a\n\u{1b}[2Jb"), "a\\n\\u{1b}[2Jb");
        assert_eq!(printable("{\"e\":\"x\"} \u{e4}"), "{\"e\":\"x\"} \u{e4}");
    }

    #[test]
    fn a_payload_that_is_not_of_its_kind_shows_as_an_error_with_its_bytes() {
        let found = Record { kind: record::COMMAND, flags: 0, seq: 3, time: Nanos(0), payload: &[1, 0] };
        let row = Row::of(&found, &Meta::default());
        assert!(row.line(false).contains("error=the payload ends too early payload=0100"), "{}", row.line(false));
    }
}

//! The columns of every kind of record: names, types and units, one table behind CSV, JSON lines and Parquet. A name that is in use never
//! changes its meaning.

use crate::decided::Decided;
use crate::meta::Meta;
use crate::row::Row;
use spinquote::event::{Event, MarkPrice};
use spinquote::instrument::InstrumentId;
use spinquote::journal::Record;
use spinquote::journal::record::{self, FIXED_MAX};
use spinquote::unit::{Nanos, Price, Rate};

/// What a column's values are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Whole, 64 bits, not negative.
    Count,
    /// Whole, 64 bits, signed.
    Whole,
    /// Exact, with up to 18 decimals.
    Decimal,
    /// True or false.
    Flag,
    /// UTF-8.
    Text,
}

impl Form {
    /// For the list of columns.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "unsigned",
            Self::Whole => "integer",
            Self::Decimal => "decimal",
            Self::Flag => "boolean",
            Self::Text => "text",
        }
    }
}

/// One column.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Column {
    pub name: String,
    pub form: Form,
    /// Meaning and unit.
    pub what: &'static str,
    /// Every record has a value.
    pub always: bool,
}

/// The columns that every kind begins with.
pub const HEAD: [&str; 2] = ["seq", "time_ns"];
/// The columns of records that cannot be decoded.
const UNDECODED: [&str; 3] = ["kind", "error", "payload"];

/// All columns of a kind in their order: [`HEAD`], then those of a made-up record, because all of a kind have the same. `None` is what
/// cannot be decoded.
pub fn of(kind: Option<u16>) -> Vec<Column> {
    let names = match kind {
        None => UNDECODED.map(str::to_owned).into(),
        Some(kind) => fields(kind),
    };
    let all = HEAD.map(str::to_owned).into_iter().chain(names);
    all.map(|name| {
        let (form, what) = describe(kind, &name).unwrap_or((Form::Text, ""));
        Column { always: HEAD.contains(&name.as_str()), name, form, what }
    })
    .collect()
}

fn fields(kind: u16) -> Vec<String> {
    let zeros = [0_u8; FIXED_MAX];
    let mark = record::encode_event(&Event::Mark(MarkPrice {
        instrument: InstrumentId(0),
        mark: Price::ZERO,
        index: Price::ZERO,
        funding_rate: Rate::ZERO,
        next_funding: Nanos::ZERO,
        venue_time: Nanos::ZERO,
    }));
    let payload: &[u8] = match kind {
        record::FRAME | record::SNAPSHOT | record::SETTINGS => &zeros[..record::Origin::SIZE],
        record::ORDER => &zeros[..record::ORDER_SIZE],
        // A reconciliation begins; a human pauses.
        record::ACCOUNT => &[3],
        record::OPERATOR => &[1],
        record::LINK => &zeros[..4],
        record::EXTERNAL => &zeros[..18],
        record::LAPSE => &zeros[..8],
        record::MARK => mark.as_ref().map_or(&[][..], |(_, payload)| payload.as_slice()),
        record::ASKED => &zeros[..record::Asked::SIZE],
        record::COMMAND => &zeros[..record::COMMAND_SIZE],
        record::DECISION => &zeros[..Decided::SIZE],
        record::CLOCK => &zeros[..record::Calibration::SIZE],
        record::RUN_START => &zeros[..record::RunStart::SIZE],
        record::RUN_END => &zeros[..record::RunEnd::SIZE],
        record::LOSS => &zeros[..record::Loss::SIZE],
        record::SENT => &zeros[..record::Sent::SIZE],
        record::GAP => &zeros[..record::FeedGap::SIZE],
        _ => &[],
    };
    let found = Record { kind, flags: 0, seq: 0, time: Nanos::ZERO, payload };
    Row::of(&found, &Meta::default()).fields.keys().cloned().collect()
}

/// Type and meaning of a column; `None` for a name that is not in the table.
fn describe(kind: Option<u16>, name: &str) -> Option<(Form, &'static str)> {
    use Form::{Count, Decimal, Flag, Text, Whole};
    Some(match (kind, name) {
        (Some(record::RUN_END), "reason") => (Count, "0: in order, with nothing of ours at the venue"),
        (_, "reason") => (Text, "why quoting was killed, what an operator said, or the margin"),
        (_, "seq") => (Count, "number of the record in the run"),
        (_, "time_ns") => (Whole, "engine clock, ns since the Unix epoch"),
        (_, "instrument") => (Text, "symbol"),
        (_, "feed") => (Count, "index of the feed"),
        (_, "bytes") => (Count, "length of data"),
        (_, "data") => (Text, "as it came"),
        (_, "counter") => (Count, "raw counter of the clock"),
        (_, "system_ns") => (Whole, "system clock, ns since the Unix epoch"),
        (_, "millihertz") => (Count, "counter steps a second, in 1/1000"),
        (_, "run") => (Text, "number of the run, hex"),
        (_, "instruments") => (Count, "how many"),
        (_, "feeds") => (Count, "how many"),
        (_, "seed") => (Count, "of the maker's generator"),
        (_, "records") => (Count, "how many were lost"),
        (_, "since_time_ns") => (Whole, "first lost record, ns since the Unix epoch"),
        (_, "expected") => (Count, "sequence number that would have followed"),
        (_, "got") => (Count, "sequence number that came"),
        (_, "id") => (Text, "our order, RUN-SEQ in hex"),
        (_, "generation") => (Count, "counts the requests on an order"),
        (_, "sent_time_ns") => (Whole, "when the socket write returned, ns since the Unix epoch"),
        (_, "link") => (Text, "which connection"),
        (_, "state") => (Text, "up, down or stale"),
        (_, "verb") => (Text, "what a human asked for"),
        (_, "percent") => (Count, "of the strategy's spreads"),
        (_, "command") => (Count, "number on the operators' page"),
        (_, "by") => (Text, "who asked"),
        (_, "why") => (Text, "as they said"),
        (_, "lost_ns") => (Whole, "how long the engine did not run, ns"),
        (_, "what") => (Text, "what happened, or is asked"),
        (_, "cause") => (Text, "why"),
        (_, "side") => (Text, "buy or sell"),
        (_, "price") => (Decimal, "quote currency per unit of base"),
        (_, "price_ticks") => (Whole, "the same in ticks"),
        (_, "qty") => (Decimal, "base units; a position is negative when short"),
        (_, "qty_lots") => (Whole, "the same in lots"),
        (_, "filled") => (Decimal, "executed of the order so far, base units"),
        (_, "filled_lots") => (Whole, "the same in lots"),
        (_, "fill_price") => (Decimal, "of this execution, quote currency per unit of base"),
        (_, "fill_price_ticks") => (Whole, "the same in ticks"),
        (_, "fill_qty") => (Decimal, "of this execution, base units"),
        (_, "fill_qty_lots") => (Whole, "the same in lots"),
        (_, "fee") => (Decimal, "paid, quote currency; negative is a rebate"),
        (_, "liquidity") => (Text, "maker or taker"),
        (_, "trade_id") => (Count, "the venue's; told twice, an execution still counts once"),
        (_, "source") => (Text, "where the fact came from"),
        (_, "code") => (Whole, "the venue's error code"),
        (_, "venue_id") => (Count, "the venue's order id"),
        (_, "position_side") => (Text, "net, long or short"),
        (_, "tif") => (Text, "time in force"),
        (_, "reduce_only") => (Flag, "may only shrink the position"),
        (_, "venue_time_ns") => (Whole, "the venue's clock, ns since the Unix epoch"),
        (_, "entry") => (Decimal, "average entry price"),
        (_, "snapshot") => (Flag, "answers a reconciliation"),
        (_, "wallet") => (Decimal, "balance, quote currency"),
        (_, "available") => (Decimal, "free of it, quote currency"),
        (_, "amount") => (Decimal, "funding, quote currency; negative is paid"),
        (_, "leverage") => (Count, "multiple"),
        (_, "hedge") => (Flag, "hedge mode"),
        (_, "offset_ns") => (Whole, "the venue's clock minus ours, ns"),
        (_, "mark") => (Decimal, "mark price, quote currency per unit of base"),
        (_, "index") => (Decimal, "index price, quote currency per unit of base"),
        (_, "funding_rate") => (Decimal, "of one interval, a fraction"),
        (_, "next_funding_time_ns") => (Whole, "when funding is charged next, ns since the Unix epoch"),
        (_, "decided_time_ns") => (Whole, "step that decided it, ns since the Unix epoch"),
        (_, "reference") => (Decimal, "price that it was decided on"),
        (_, "purpose") => (Text, "why the order exists"),
        (_, "level") => (Count, "quote level"),
        (_, "refusal") => (Text, "the risk gate's reason"),
        (_, "blocks") => (Text, "what stands in the way of quoting"),
        (_, "detail") => (Whole, "depends on what"),
        (None, "kind") => (Text, "of the record"),
        (None, "error") => (Text, "what is wrong with it"),
        (None, "payload") => (Text, "its bytes, hex"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::KINDS;

    #[test]
    fn every_column_of_every_kind_is_described() {
        for (kind, name) in KINDS {
            let bare = matches!(kind, record::KILL | record::TIMER | record::SEAL);
            let columns = of(Some(kind));
            assert_eq!(columns.len() == HEAD.len(), bare, "{name}");
            for column in columns {
                assert!(column.name != "error", "{name}: its made-up record is none");
                assert!(describe(Some(kind), &column.name).is_some(), "{name}: {} is not in the table", column.name);
            }
        }
        assert_eq!(of(None).len(), 5);
    }
}

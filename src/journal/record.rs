//! What a record's payload is: kinds, fixed little-endian layouts, and the events and commands in them. Knows no meaning: codes that belong
//! to the maker (causes, refusals) are plain numbers here. Equal values have equal bytes, so outputs can be compared as bytes.
//!
//! A payload is its fields one after the other in the order of the tables below, without padding; an enum is its code in one byte,
//! a `bool` is 0 or 1. Market events are not recorded as such: their frames are ([`FRAME`], [`SNAPSHOT`]), and the decoder makes the events again.

use crate::event::{
    AccountEvent, ClientId, Command, CommandKind, Event, Fill, Link, LinkState, MarkPrice, Operator, OrderEvent,
    OrderEventKind, OrderSource, PositionSide, Side, TimeInForce,
};
use crate::instrument::InstrumentId;
use crate::unit::{Lots, Money, Nanos, Price, Rate, Ticks};
use arrayvec::ArrayVec;

/// A frame of a feed as it came: [`Origin`], then the bytes.
pub const FRAME: u16 = 1;
/// The body of a depth snapshot as it came: [`Origin`], then the bytes.
pub const SNAPSHOT: u16 = 2;
/// One of our orders: [`OrderEvent`].
pub const ORDER: u16 = 3;
/// The account: [`AccountEvent`].
pub const ACCOUNT: u16 = 4;
/// A connection changed state.
pub const LINK: u16 = 5;
/// A polled price.
pub const EXTERNAL: u16 = 6;
/// A human: [`Operator`].
pub const OPERATOR: u16 = 7;
/// The kill flag was seen set; no payload.
pub const KILL: u16 = 8;
/// Time passed; no payload.
pub const TIMER: u16 = 9;
/// The engine did not run for a while: how long.
pub const LAPSE: u16 = 10;
/// New settings of a strategy: [`Origin`] with the instrument, then the file's text.
pub const SETTINGS: u16 = 11;
/// Mark price and funding from REST; those of the stream are frames.
pub const MARK: u16 = 12;
/// Output: a message to the venue, [`Command`].
pub const COMMAND: u16 = 16;
/// Output: what was decided and why, in the maker's own layout (`maker::Decision::to_bytes`).
pub const DECISION: u16 = 17;
/// The clock was compared with the system's: [`Calibration`].
pub const CLOCK: u16 = 32;
/// The run starts: [`RunStart`].
pub const RUN_START: u16 = 33;
/// The run ends in order: [`RunEnd`].
pub const RUN_END: u16 = 34;
/// Records were lost before this one: [`Loss`].
pub const LOSS: u16 = 35;
/// A command left: [`Sent`].
pub const SENT: u16 = 36;
/// The feed is known to have lost something: [`FeedGap`].
pub const GAP: u16 = 37;
/// Who asked for the operator's command or the kill that follows, and why: [`Asked`], then the two texts.
pub const ASKED: u16 = 38;
/// A full segment ends; no payload. The reader passes over it.
pub const SEAL: u16 = 63;

/// Most bytes of a payload of fixed layout.
pub const FIXED_MAX: usize = 192;

/// The encoded payload of one fixed layout.
pub type Encoded = ArrayVec<u8, FIXED_MAX>;

/// Why a payload is not what its kind says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecordError {
    /// The payload ends inside a field.
    #[error("the payload ends too early")]
    Short,
    /// Bytes are left behind the last field.
    #[error("{0} bytes too many in the payload")]
    Long(usize),
    /// A code that no variant has.
    #[error("{code} is no code of {what}")]
    Code {
        /// The type.
        what: &'static str,
        /// The code.
        code: u8,
    },
    /// A kind that carries no event.
    #[error("a record of kind {0} is not an event")]
    Kind(u16),
}

trait Field: Sized {
    fn put(&self, out: &mut Encoded);
    fn take(from: &mut &[u8]) -> Result<Self, RecordError>;
}

macro_rules! put {
    ($out:ident: $($value:expr),*) => {{ $($value.put($out);)* }};
}

fn bytes<const N: usize>(from: &mut &[u8]) -> Result<[u8; N], RecordError> {
    let (first, rest) = from.split_first_chunk::<N>().ok_or(RecordError::Short)?;
    *from = rest;
    Ok(*first)
}

macro_rules! number {
    ($($type:ty),*) => { $(impl Field for $type {
        fn put(&self, out: &mut Encoded) {
            out.try_extend_from_slice(&self.to_le_bytes()).expect("a fixed layout fits its buffer");
        }
        fn take(from: &mut &[u8]) -> Result<Self, RecordError> { Ok(Self::from_le_bytes(bytes(from)?)) }
    })* };
}
number!(u8, u16, u32, u64, i32, i64, i128);

macro_rules! newtype {
    ($($type:ident),*) => { $(impl Field for $type {
        fn put(&self, out: &mut Encoded) { self.0.put(out); }
        fn take(from: &mut &[u8]) -> Result<Self, RecordError> { Field::take(from).map(Self) }
    })* };
}
newtype!(Ticks, Lots, Nanos, Price, Money, Rate, InstrumentId);

impl Field for bool {
    fn put(&self, out: &mut Encoded) {
        u8::from(*self).put(out);
    }
    fn take(from: &mut &[u8]) -> Result<Self, RecordError> {
        match u8::take(from)? {
            0 => Ok(false),
            1 => Ok(true),
            code => Err(RecordError::Code { what: "bool", code }),
        }
    }
}

macro_rules! code {
    ($($type:ident { $($variant:ident),* })*) => { $(impl Field for $type {
        fn put(&self, out: &mut Encoded) { (*self as u8).put(out); }
        fn take(from: &mut &[u8]) -> Result<Self, RecordError> {
            let code = u8::take(from)?;
            $(if code == Self::$variant as u8 { return Ok(Self::$variant); })*
            Err(RecordError::Code { what: stringify!($type), code })
        }
    })* };
}
code! {
    Side { Buy, Sell }
    PositionSide { Net, Long, Short }
    TimeInForce { PostOnly, Gtc, Ioc }
    Link { Market, Private, OrderEntry }
    LinkState { Up, Down, Stale }
    CommandKind { New, Amend, Cancel, Query, CancelAll, Reconcile, Market, Snapshot, SyncTime }
    OrderEventKind { Accepted, Amended, Fill, Canceled, Expired, Rejected, AmendRejected, CancelRejected, Unknown, NotFound, Open,
        Closed, NotSent }
    OrderSource { Response, Stream, Query, Engine }
}

impl Field for Operator {
    fn put(&self, out: &mut Encoded) {
        self.code().put(out);
        if let Self::Widen { percent } = self {
            percent.put(out);
        }
    }
    fn take(from: &mut &[u8]) -> Result<Self, RecordError> {
        let code = u8::take(from)?;
        let widen = Self::Widen { percent: Self::WIDEN_MIN }.code();
        let argument = if code == widen { u16::take(from)? } else { 0 };
        Self::of(code, argument).ok_or(RecordError::Code { what: "Operator", code })
    }
}

/// The fields of a struct in the order of its layout.
macro_rules! fields {
    ($($type:ident { $($field:ident),* })*) => { $(impl Field for $type {
        fn put(&self, out: &mut Encoded) { $(self.$field.put(out);)* }
        fn take(from: &mut &[u8]) -> Result<Self, RecordError> { Ok(Self { $($field: Field::take(from)?),* }) }
    })* };
}
fields! {
    ClientId { run, seq }
    MarkPrice { instrument, mark, index, funding_rate, next_funding, venue_time }
    Fill { trade_id, price, qty, fee, fee_known, maker }
    OrderEvent { kind, source, side, position_side, tif, reduce_only, instrument, generation, code, client_id, venue_id, price, qty,
        filled, fill, venue_time }
    Command { kind, side, tif, position_side, reduce_only, instrument, generation, client_id, price, qty, decided_at }
}

/// A payload of its own: encode, decode and size.
macro_rules! payload {
    ($($(#[$doc:meta])* $name:ident[$size:literal] { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? })*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type),* }
        fields! { $name { $($field),* } }
        impl $name {
            /// Bytes of the payload.
            pub const SIZE: usize = $size;
            /// The payload.
            #[must_use]
            pub fn encode(&self) -> Encoded { encoded(self) }
            /// Reads a payload.
            ///
            /// # Errors
            /// The bytes are not one.
            pub fn decode(payload: &[u8]) -> Result<Self, RecordError> { decoded(payload) }
        }
    )* };
}
payload! {
    /// What stands before the bytes of a frame or a snapshot body.
    Origin[4] {
        /// Index of the feed in the engine's arrays.
        feed: u16,
        /// The instrument, or the first of the feed's.
        instrument: InstrumentId,
    }
    /// Counter and system clock at one moment.
    Calibration[24] {
        /// Raw counter.
        counter: u64,
        /// System clock, nanoseconds since the Unix epoch.
        system: Nanos,
        /// Counter steps a second, in 1/1000.
        millihertz: u64,
    }
    /// The run starts.
    RunStart[16] {
        /// The run's number.
        run: u32,
        /// Instruments in it.
        instruments: u16,
        /// Feeds in it.
        feeds: u16,
        /// Seed of the maker's generator.
        seed: u64,
    }
    /// The run ended in order.
    RunEnd[1] {
        /// Why, a code of the program.
        reason: u8,
    }
    /// Records that found no segment.
    Loss[16] {
        /// How many.
        records: u64,
        /// Time of the first one.
        since: Nanos,
    }
    /// A feed lost something, as its sequence numbers show.
    FeedGap[20] {
        /// Index of the feed.
        feed: u16,
        /// Which instrument.
        instrument: InstrumentId,
        /// The sequence number that would have followed.
        expected: u64,
        /// The one that came.
        got: u64,
    }
    /// What stands before the texts of who asked and why.
    Asked[12] {
        /// The command's number on the operators' page, 0 for the kill flag.
        seq: u64,
        /// Bytes of the first text; the second one takes the rest.
        by_len: u16,
        /// [`Operator::code`], 0 for the kill flag.
        verb: u8,
        /// Reserved, zero.
        reserved: u8,
    }
    /// A command's bytes were handed to the kernel.
    Sent[20] {
        /// Which order.
        client_id: ClientId,
        /// Which intent.
        generation: u32,
        /// When the write returned.
        at: Nanos,
    }
}

const _: () = {
    // The largest fixed layout.
    assert!(ORDER_SIZE <= FIXED_MAX);
};
/// Bytes of an [`ORDER`] payload.
pub const ORDER_SIZE: usize = 8 + 8 + 8 + 4 * 8 + 8 + 42;
/// Bytes of a [`COMMAND`] payload.
pub const COMMAND_SIZE: usize = 7 + 4 + 8 + 3 * 8;

fn encoded(value: &impl Field) -> Encoded {
    let mut out = Encoded::new();
    value.put(&mut out);
    out
}

fn decoded<T: Field>(mut payload: &[u8]) -> Result<T, RecordError> {
    let value = T::take(&mut payload)?;
    if payload.is_empty() { Ok(value) } else { Err(RecordError::Long(payload.len())) }
}

impl Asked {
    /// Reads an [`ASKED`] payload with its texts: who, and why.
    ///
    /// # Errors
    /// The bytes are not one.
    pub fn split(payload: &[u8]) -> Result<(Self, &str, &str), RecordError> {
        let (head, texts) = payload.split_at_checked(Self::SIZE).ok_or(RecordError::Short)?;
        let head = Self::decode(head)?;
        let (by, why) = texts.split_at_checked(usize::from(head.by_len)).ok_or(RecordError::Short)?;
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| RecordError::Code { what: "text", code: 0 });
        Ok((head, text(by)?, text(why)?))
    }
}

/// The payload of a [`COMMAND`].
#[must_use]
pub fn encode_command(command: &Command) -> Encoded {
    encoded(command)
}

/// Words of a [`COMMAND`] payload with its padding.
pub const COMMAND_WORDS: usize = COMMAND_SIZE.div_ceil(8);

/// The payload of a [`COMMAND`] as the words that the journal stores: the bytes of [`encode_command`] and zeros behind them.
#[inline]
#[must_use]
pub fn command_words(command: &Command) -> [u64; COMMAND_WORDS] {
    let &Command { kind, side, tif, position_side, reduce_only, generation, .. } = command;
    let codes = [kind as u8, side as u8, tif as u8, position_side as u8, u8::from(reduce_only)];
    let codes = codes.into_iter().rev().fold(0, |word, code| word << 8 | u64::from(code));
    let (generation, instrument) = (u64::from(generation), u64::from(command.instrument.0));
    let (run, seq) = (u64::from(command.client_id.run), u64::from(command.client_id.seq));
    let [price, qty, at] = [command.price.0, command.qty.0, command.decided_at.0].map(i64::cast_unsigned);
    [
        codes | instrument << 40 | generation << 56,
        generation >> 8 | run << 24 | seq << 56,
        seq >> 8 | price << 24,
        price >> 40 | qty << 24,
        qty >> 40 | at << 24,
        at >> 40,
    ]
}

/// Reads a [`COMMAND`].
///
/// # Errors
/// The bytes are not one.
pub fn decode_command(payload: &[u8]) -> Result<Command, RecordError> {
    decoded(payload)
}

impl Field for AccountEvent {
    fn put(&self, out: &mut Encoded) {
        match *self {
            Self::Position { instrument, side, qty, entry, snapshot, venue_time } => {
                put!(out: 0_u8, instrument, side, qty, entry, snapshot, venue_time);
            }
            Self::Balance { wallet, available } => put!(out: 1_u8, wallet, available),
            Self::Funding { instrument, amount } => put!(out: 2_u8, instrument, amount),
            Self::ReconcileBegin => put!(out: 3_u8),
            Self::ReconcileEnd => put!(out: 4_u8),
            Self::ReconcileFailed => put!(out: 5_u8),
            Self::Leverage { instrument, leverage } => put!(out: 6_u8, instrument, leverage),
            Self::PositionMode { hedge } => put!(out: 7_u8, hedge),
            Self::MarginCall => put!(out: 8_u8),
            Self::VenueClock { offset } => put!(out: 9_u8, offset),
        }
    }

    fn take(from: &mut &[u8]) -> Result<Self, RecordError> {
        Ok(match u8::take(from)? {
            0 => Self::Position {
                instrument: Field::take(from)?,
                side: Field::take(from)?,
                qty: Field::take(from)?,
                entry: Field::take(from)?,
                snapshot: Field::take(from)?,
                venue_time: Field::take(from)?,
            },
            1 => Self::Balance { wallet: Field::take(from)?, available: Field::take(from)? },
            2 => Self::Funding { instrument: Field::take(from)?, amount: Field::take(from)? },
            3 => Self::ReconcileBegin,
            4 => Self::ReconcileEnd,
            5 => Self::ReconcileFailed,
            6 => Self::Leverage { instrument: Field::take(from)?, leverage: Field::take(from)? },
            7 => Self::PositionMode { hedge: Field::take(from)? },
            8 => Self::MarginCall,
            9 => Self::VenueClock { offset: Field::take(from)? },
            code => return Err(RecordError::Code { what: "AccountEvent", code }),
        })
    }
}

/// Kind and payload of an event that does not come from a frame; `None` for the market events that always do.
#[must_use]
pub fn encode_event(event: &Event<'_>) -> Option<(u16, Encoded)> {
    Some(match event {
        Event::Depth(_) | Event::Snapshot(_) | Event::Quote(_) | Event::Trade(_) => return None,
        Event::Mark(mark) => (MARK, encoded(mark)),
        Event::Order(order) => (ORDER, encoded(order)),
        Event::Account(account) => (ACCOUNT, encoded(account)),
        Event::Link { instrument, link, state } => {
            let mut out = encoded(instrument);
            link.put(&mut out);
            state.put(&mut out);
            (LINK, out)
        }
        Event::External { instrument, price } => {
            let mut out = encoded(instrument);
            price.put(&mut out);
            (EXTERNAL, out)
        }
        Event::Operator(operator) => (OPERATOR, encoded(operator)),
        Event::Kill => (KILL, Encoded::new()),
        Event::Lapse { lost } => (LAPSE, encoded(lost)),
        Event::Timer => (TIMER, Encoded::new()),
    })
}

/// The event of a record that [`encode_event`] made.
///
/// # Errors
/// The kind carries no event, or the payload is not of its kind.
pub fn decode_event(kind: u16, payload: &[u8]) -> Result<Event<'static>, RecordError> {
    let mut from = payload;
    let event = match kind {
        ORDER => Event::Order(Field::take(&mut from)?),
        ACCOUNT => Event::Account(Field::take(&mut from)?),
        LINK => Event::Link {
            instrument: Field::take(&mut from)?,
            link: Field::take(&mut from)?,
            state: Field::take(&mut from)?,
        },
        EXTERNAL => Event::External { instrument: Field::take(&mut from)?, price: Field::take(&mut from)? },
        MARK => Event::Mark(Field::take(&mut from)?),
        OPERATOR => Event::Operator(Field::take(&mut from)?),
        KILL => Event::Kill,
        LAPSE => Event::Lapse { lost: Field::take(&mut from)? },
        TIMER => Event::Timer,
        other => return Err(RecordError::Kind(other)),
    };
    if from.is_empty() { Ok(event) } else { Err(RecordError::Long(from.len())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_as_drawn() {
        assert_eq!(Origin::default().encode().len(), Origin::SIZE);
        assert_eq!(Calibration::default().encode().len(), Calibration::SIZE);
        assert_eq!(RunStart::default().encode().len(), RunStart::SIZE);
        assert_eq!(RunEnd::default().encode().len(), RunEnd::SIZE);
        assert_eq!(Loss::default().encode().len(), Loss::SIZE);
        assert_eq!(FeedGap::default().encode().len(), FeedGap::SIZE);
        assert_eq!(Sent::default().encode().len(), Sent::SIZE);
        let command: Command = decoded(&[0; COMMAND_SIZE]).unwrap();
        assert_eq!(encode_command(&command).len(), COMMAND_SIZE);
        assert!(matches!(decode_event(ORDER, &[0; ORDER_SIZE]), Ok(Event::Order(_))));
    }

    #[test]
    fn every_operators_command_round_trips_and_narrowing_is_none() {
        for code in 0..=u8::MAX {
            let Some(verb) = Operator::of(code, 150) else { continue };
            assert_eq!(verb.code(), code);
            let (kind, payload) = encode_event(&Event::Operator(verb)).unwrap();
            assert!(matches!(decode_event(kind, &payload), Ok(Event::Operator(again)) if again == verb));
        }
        assert_eq!((Operator::of(7, 99), Operator::of(7, 10_001), Operator::of(9, 0)), (None, None, None));
        assert_eq!(decode_event(OPERATOR, &[7, 99, 0]).err(), Some(RecordError::Code { what: "Operator", code: 7 }));
    }

    #[test]
    fn who_asked_and_why_is_read_back() {
        let head = Asked { seq: 3, by_len: 5, verb: 4, reserved: 0 };
        let payload = [head.encode().as_slice(), b"alice", b"too quiet"].concat();
        assert_eq!(Asked::split(&payload), Ok((head, "alice", "too quiet")));
        assert_eq!(Asked::split(&payload[..14]), Err(RecordError::Short));
    }

    #[test]
    fn a_payload_of_another_length_or_code_is_refused() {
        let (kind, payload) = encode_event(&Event::Operator(Operator::Stop)).unwrap();
        assert_eq!(decode_event(kind, &[]).err(), Some(RecordError::Short));
        assert_eq!(decode_event(kind, &[payload[0], 0]).err(), Some(RecordError::Long(1)));
        assert_eq!(decode_event(kind, &[77]).err(), Some(RecordError::Code { what: "Operator", code: 77 }));
        assert_eq!(decode_event(COMMAND, &[]).err(), Some(RecordError::Kind(COMMAND)));
        assert_eq!(decode_event(LINK, &[0, 0, 9, 0]).err(), Some(RecordError::Code { what: "Link", code: 9 }));
    }

    const EVENTS: [u16; 9] = [ORDER, ACCOUNT, LINK, EXTERNAL, OPERATOR, KILL, TIMER, LAPSE, MARK];

    proptest! {
        /// Small bytes make valid codes likely; what decodes must encode to the very bytes it came from, and so be equal.
        #[test]
        fn what_decodes_encodes_to_the_same_bytes(
            kind in prop::sample::select(EVENTS.to_vec()),
            codes in prop::collection::vec(0_u8..4, 12),
            tail in prop::collection::vec(any::<u8>(), ORDER_SIZE),
        ) {
            let mut payload = codes;
            payload.extend(tail);
            // Fill's two flags stand near the end of an order event.
            for at in [ORDER_SIZE - 10, ORDER_SIZE - 9, 28] { payload[at] &= 1; }
            for len in 0..=ORDER_SIZE {
                if let Ok(event) = decode_event(kind, &payload[..len]) {
                    let (again, bytes) = encode_event(&event).unwrap();
                    prop_assert_eq!((again, bytes.as_slice()), (kind, &payload[..len]));
                }
            }
        }

        #[test]
        fn an_account_event_round_trips(instrument: u16, qty: i64, entry: i128, wallet: i128, leverage: u32, flag: bool, time: i64) {
            let instrument = InstrumentId(instrument);
            let side = PositionSide::Short;
            for event in [
                AccountEvent::Position { instrument, side, qty: Lots(qty), entry: Price(entry), snapshot: flag, venue_time: Nanos(time) },
                AccountEvent::Balance { wallet: Money(wallet), available: Money(entry) },
                AccountEvent::Funding { instrument, amount: Money(wallet) },
                AccountEvent::ReconcileBegin,
                AccountEvent::ReconcileEnd,
                AccountEvent::ReconcileFailed,
                AccountEvent::Leverage { instrument, leverage },
                AccountEvent::PositionMode { hedge: flag },
                AccountEvent::MarginCall,
                AccountEvent::VenueClock { offset: Nanos(time) },
            ] {
                let (kind, payload) = encode_event(&Event::Account(event)).unwrap();
                match decode_event(kind, &payload) {
                    Ok(Event::Account(again)) => prop_assert_eq!(again, event),
                    other => prop_assert!(false, "{:?}", other),
                }
            }
        }

        #[test]
        fn a_command_round_trips(price: i64, qty: i64, run: u32, seq: u32, instrument: u16, generation: u32, decided: i64, flag: bool) {
            for kind in [CommandKind::New, CommandKind::Amend, CommandKind::Snapshot, CommandKind::SyncTime] {
                let command = Command {
                    kind, side: Side::Sell, tif: TimeInForce::Ioc, position_side: PositionSide::Long, reduce_only: flag,
                    instrument: InstrumentId(instrument), generation, client_id: ClientId { run, seq },
                    price: Ticks(price), qty: Lots(qty), decided_at: Nanos(decided),
                };
                prop_assert_eq!(decode_command(&encode_command(&command)), Ok(command));
                let words = command_words(&command).map(u64::to_le_bytes);
                let (bytes, padding) = words.as_flattened().split_at(COMMAND_SIZE);
                prop_assert_eq!(bytes, &encode_command(&command)[..]);
                prop_assert!(padding.iter().all(|&byte| byte == 0));
            }
        }

        #[test]
        fn an_order_event_round_trips(ids: (u64, u64, u32), code: i32, prices: (i64, i64, i64), fee: i128, flags: (bool, bool), time: i64) {
            for kind in [OrderEventKind::Accepted, OrderEventKind::Fill, OrderEventKind::NotSent] {
                let order = OrderEvent {
                    kind, source: OrderSource::Engine, side: Side::Buy, position_side: PositionSide::Net, tif: TimeInForce::Gtc,
                    reduce_only: flags.0, instrument: InstrumentId(3), generation: ids.2, code,
                    client_id: ClientId { run: 1, seq: ids.2 }, venue_id: ids.0,
                    price: Ticks(prices.0), qty: Lots(prices.1), filled: Lots(prices.2),
                    fill: Fill { trade_id: ids.1, price: Ticks(prices.2), qty: Lots(1), fee: Money(fee), fee_known: flags.1, maker: flags.0 },
                    venue_time: Nanos(time),
                };
                let (kind, payload) = encode_event(&Event::Order(order)).unwrap();
                prop_assert_eq!(payload.len(), ORDER_SIZE);
                match decode_event(kind, &payload) {
                    Ok(Event::Order(again)) => prop_assert_eq!(again, order),
                    other => prop_assert!(false, "{:?}", other),
                }
            }
        }
    }
}

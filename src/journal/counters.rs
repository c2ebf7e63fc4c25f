//! The counters page: what the program counts and where it stands, as named words in a mapped file that any process may watch.
//! One writer per word, plain relaxed stores; a reader may see one word newer than its neighbour, never a torn one.
//!
//! ```text
//!   0        8    12      16          20      24            32       36     64
//!   | magic  | ver| slots | per-instr.| instr.| values at   | check  | zero | name table: slots + per-instrument slots, 64 bytes each
//!   name table entry: | name, 48 bytes, zero-padded | unit u8 | writer u8 | zero |
//!   symbol table:     | symbol, 32 bytes, zero-padded | per instrument
//!   check: `layout::checksum` of everything before the values, with the check itself as zero
//!   values (at a multiple of 128): per writer a group of 128-byte multiples with its words in table order;
//!                     then per instrument a group with the per-instrument words (written by the engine)
//! The per-instrument words are those of [`InstrumentSlot`], then a row of [`OrderWord`]s for each of the best bids and asks of ours:
//! `order.bid.0.price` is the price of the best bid.
//! ```

use super::error::JournalError;
use super::layout::checksum;
use super::mapped::Mapped;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

const MAGIC: [u8; 8] = *b"SQCNTRS\n";
const VERSION: u32 = 1;
const HEADER: usize = 64;
const CHECK_AT: usize = 32;
const ENTRY: usize = 64;
const NAME: usize = 48;
const SYMBOL: usize = 32;
/// Two cache lines: the processor fetches them in pairs.
const LINE: usize = 128;

/// Which thread writes a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Owner {
    /// The engine thread.
    Engine = 0,
    /// The I/O thread.
    Sender = 1,
    /// The housekeeper.
    Housekeeper = 2,
}

/// What a word counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Unit {
    /// A number of things; only grows.
    Count = 0,
    /// A state or an amount of things now.
    Gauge = 1,
    /// Nanoseconds since the Unix epoch.
    Time = 2,
    /// Nanoseconds.
    Span = 3,
    /// Quote currency or a price, 1e-8.
    Money = 4,
    /// Whole ticks.
    Ticks = 5,
    /// Whole lots.
    Lots = 6,
    /// Bytes.
    Bytes = 7,
}

const UNITS: [Unit; 8] =
    [Unit::Count, Unit::Gauge, Unit::Time, Unit::Span, Unit::Money, Unit::Ticks, Unit::Lots, Unit::Bytes];
const OWNERS: [Owner; 3] = [Owner::Engine, Owner::Sender, Owner::Housekeeper];

macro_rules! slots {
    ($(#[$doc:meta])* $table:ident { $($name:ident = $text:literal, $owner:ident, $unit:ident, $help:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(usize)]
        pub enum $table { $(#[doc = $help] $name),* }

        impl $table {
            /// Every word, in table order.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
            /// Its name in the file.
            #[must_use]
            pub const fn name(self) -> &'static str { match self { $(Self::$name => $text),* } }
            /// Who writes it.
            #[must_use]
            pub const fn owner(self) -> Owner { match self { $(Self::$name => Owner::$owner),* } }
            /// What it counts.
            #[must_use]
            pub const fn unit(self) -> Unit { match self { $(Self::$name => Unit::$unit),* } }
            /// What it means.
            #[must_use]
            pub const fn help(self) -> &'static str { match self { $(Self::$name => $help),* } }
        }
    };
}

slots! {
    /// The words of the whole program.
    Slot {
        EngineHeartbeat = "engine.heartbeat", Engine, Time, "When the engine's loop last turned.";
        Turns = "engine.turns", Engine, Count, "Loop turns that did something.";
        TurnsIdle = "engine.turns_idle", Engine, Count, "Loop turns that found nothing.";
        Frames = "engine.frames", Engine, Count, "Frames read from all feeds.";
        FrameBytes = "engine.frame_bytes", Engine, Bytes, "Bytes of those frames.";
        DecodeErrors = "engine.decode_errors", Engine, Count, "Frames that could not be decoded.";
        ProtocolErrors = "engine.protocol_errors", Engine, Count, "TLS, WebSocket or HTTP faults of peers.";
        Allocations = "engine.allocations", Engine, Count, "Allocations on the engine thread after warm-up; must stay 0.";
        PageFaults = "engine.page_faults", Engine, Count, "Page faults of the engine thread after warm-up.";
        JournalSeq = "engine.journal_seq", Engine, Count, "Last sequence number in the journal.";
        JournalAt = "engine.journal_at", Engine, Bytes, "Where the next record goes, from the start of the first segment.";
        JournalLost = "engine.journal_lost", Engine, Count, "Records that found no journal segment.";
        Decisions = "engine.decisions", Engine, Count, "Decisions taken.";
        DecisionsLost = "engine.decisions_lost", Engine, Count, "Decisions that found no room in their step's output.";
        AccountRequests = "engine.account_requests", Engine, Count, "Leverage and position mode that strategies asked for; the start has set them.";
        Commands = "engine.commands", Engine, Count, "Messages handed to the order ring.";
        Refusals = "engine.refusals", Engine, Count, "Messages that the risk gate refused.";
        RingFree = "engine.ring_free", Engine, Gauge, "Free places in the order ring.";
        Killed = "engine.killed", Engine, Gauge, "1 while the kill flag holds.";
        Paused = "engine.paused", Engine, Gauge, "1 while an operator or a fault keeps quotes out.";
        Widened = "engine.widened", Engine, Gauge, "What an operator multiplies every spread with, percent; 100 is the strategy's own.";
        Lapses = "engine.lapses", Engine, Count, "Times the engine did not run for more than a second.";
        LinksUp = "engine.links_up", Engine, Gauge, "Connections that are up.";
        Reconnects = "engine.reconnects", Engine, Count, "Connections replaced.";
        Wallet = "engine.wallet", Engine, Money, "Wallet balance of the quote asset.";
        Available = "engine.available", Engine, Money, "Free balance of the quote asset.";
        SenderHeartbeat = "sender.heartbeat", Sender, Time, "When the I/O thread's loop last turned.";
        OrdersNew = "sender.orders_new", Sender, Count, "New orders sent.";
        OrdersAmend = "sender.orders_amend", Sender, Count, "Amends sent.";
        OrdersCancel = "sender.orders_cancel", Sender, Count, "Cancels sent.";
        Queries = "sender.queries", Sender, Count, "Queries and reconciliations sent.";
        Writes = "sender.writes", Sender, Count, "Socket writes; fewer than messages when several leave in one.";
        Acks = "sender.acks", Sender, Count, "Answers of the venue that accept.";
        Rejects = "sender.rejects", Sender, Count, "Answers of the venue that refuse.";
        UnknownOutcomes = "sender.unknown_outcomes", Sender, Count, "Requests whose outcome had to be asked for.";
        NotSent = "sender.not_sent", Sender, Count, "Requests held back by rate limits or back-off.";
        RateLimited = "sender.rate_limited", Sender, Count, "Answers 429 and 418.";
        WeightUsed = "sender.weight_used", Sender, Gauge, "Request weight used in this minute, as the venue says.";
        OrdersUsed = "sender.orders_used", Sender, Gauge, "Orders used in this 10 s, as the venue says.";
        OrdersLimit = "sender.orders_limit", Sender, Gauge, "Orders that may be sent in 10 s, by the venue or the settings.";
        WeightLimit = "sender.weight_limit", Sender, Gauge, "Request weight that the venue allows in a minute.";
        Takeovers = "sender.takeovers", Sender, Count, "Commands of operators that a stuck engine did not take and the I/O thread carried out.";
        // The housekeeper arms it. The name is older, and names on the page are an interface.
        DeadManAt = "sender.dead_man_at", Housekeeper, Time, "When the venue cancels all our orders unless we call again; 0 while not armed.";
        HousekeeperHeartbeat = "housekeeper.heartbeat", Housekeeper, Time, "When the housekeeper last turned.";
        SegmentsMade = "housekeeper.segments_made", Housekeeper, Count, "Journal segments prepared.";
        SegmentsSealed = "housekeeper.segments_sealed", Housekeeper, Count, "Journal segments filed away.";
        SegmentsRemoved = "housekeeper.segments_removed", Housekeeper, Count, "Old journal segments removed.";
        JournalBytes = "housekeeper.journal_bytes", Housekeeper, Bytes, "Bytes of all journal segments.";
        Handshakes = "housekeeper.handshakes", Housekeeper, Count, "Connections made.";
        HandshakesFailed = "housekeeper.handshakes_failed", Housekeeper, Count, "Connections that could not be made.";
        RestCalls = "housekeeper.rest_calls", Housekeeper, Count, "REST requests made.";
        RestFailed = "housekeeper.rest_failed", Housekeeper, Count, "REST requests that failed.";
        ClockOffset = "housekeeper.clock_offset", Housekeeper, Span, "The venue's clock minus ours.";
        SettingsTaken = "housekeeper.settings_taken", Housekeeper, Count, "Changed strategy files taken over.";
        SettingsRefused = "housekeeper.settings_refused", Housekeeper, Count, "Changed strategy files refused.";
        PricesPolled = "housekeeper.prices_polled", Housekeeper, Count, "Prices that the custom API answered.";
        SourceFailed = "housekeeper.source_failed", Housekeeper, Count, "Polls, connections and snapshots of the second price source that failed.";
        Equity = "margin.equity", Engine, Money, "Wallet and unrealised profit.";
        MarginUsed = "margin.used", Engine, Money, "Margin that positions use: their value over the leverage.";
        MarginRatio = "margin.ratio", Engine, Money, "Equity over margin used, a fraction; 0 while none is used.";
        MarginLevel = "margin.level", Engine, Gauge, "Margin warning: 0 none, 1 below 30 %, 2 below 20 %.";
    }
}

slots! {
    /// The words of one instrument; all written by the engine.
    InstrumentSlot {
        Mid = "mid", Engine, Money, "Mid price.";
        Bid = "bid", Engine, Ticks, "Best bid.";
        Ask = "ask", Engine, Ticks, "Best ask.";
        Mark = "mark", Engine, Money, "Mark price.";
        InSync = "in_sync", Engine, Gauge, "1 while the book may be quoted on.";
        BookGaps = "book.gaps", Engine, Count, "Gaps in the diffs.";
        BookResyncs = "book.resyncs", Engine, Count, "Times the book came back into sync.";
        BookCrossed = "book.crossed", Engine, Count, "Times the book became crossed.";
        BookMismatches = "book.mismatches", Engine, Count, "Best quotes that contradicted the book.";
        BookDropped = "book.dropped", Engine, Count, "Levels dropped or refused.";
        MarketTime = "market_time", Engine, Time, "When the last market event came.";
        Position = "position", Engine, Lots, "Our position; negative is short.";
        PositionWorst = "position_worst", Engine, Lots, "The largest position that live orders could lead to.";
        Entry = "entry", Engine, Money, "Average entry price.";
        OwnBid = "own_bid", Engine, Ticks, "Our best bid, 0 if none.";
        OwnBidQty = "own_bid_qty", Engine, Lots, "Its quantity.";
        OwnAsk = "own_ask", Engine, Ticks, "Our best ask, 0 if none.";
        OwnAskQty = "own_ask_qty", Engine, Lots, "Its quantity.";
        OrdersLive = "orders_live", Engine, Gauge, "Live orders.";
        OrdersPending = "orders_pending", Engine, Gauge, "Orders with an unanswered request.";
        FillsBuy = "fills.buy", Engine, Count, "Buy executions.";
        FillsSell = "fills.sell", Engine, Count, "Sell executions.";
        VolumeBuy = "volume.buy", Engine, Lots, "Quantity bought.";
        VolumeSell = "volume.sell", Engine, Lots, "Quantity sold.";
        PnlSpread = "pnl.spread", Engine, Money, "Profit from the distance of fills to the mid.";
        PnlInventory = "pnl.inventory", Engine, Money, "Profit from holding.";
        PnlFees = "pnl.fees", Engine, Money, "Fees; negative is paid.";
        PnlFunding = "pnl.funding", Engine, Money, "Funding; negative is paid.";
        PnlTotal = "pnl.total", Engine, Money, "All of it.";
        PnlTrading = "pnl.trading", Engine, Money, "Captured on round trips, before fees.";
        PnlMark = "pnl.mark_to_market", Engine, Money, "What open positions would bring at the mid; with trading the same as spread and inventory.";
        Unrealized = "unrealized", Engine, Money, "Unrealised profit of the net position at the mark price.";
        Liquidation = "liquidation", Engine, Money, "Approximate liquidation price of the net position; 0 if none.";
        Leverage = "leverage", Engine, Gauge, "Leverage; 0 while not known.";
        LongPosition = "long.position", Engine, Lots, "Long position of hedge mode.";
        LongEntry = "long.entry", Engine, Money, "Its average entry price.";
        LongLiquidation = "long.liquidation", Engine, Money, "Its approximate liquidation price.";
        LongUnrealized = "long.unrealized", Engine, Money, "Its unrealised profit.";
        ShortPosition = "short.position", Engine, Lots, "Short position of hedge mode.";
        ShortEntry = "short.entry", Engine, Money, "Its average entry price.";
        ShortLiquidation = "short.liquidation", Engine, Money, "Its approximate liquidation price.";
        ShortUnrealized = "short.unrealized", Engine, Money, "Its unrealised profit.";
        FundingRate = "funding.rate", Engine, Money, "Funding rate of one interval, a fraction.";
        FundingHours = "funding.hours", Engine, Gauge, "Hours of an interval; 0 while not known.";
        FundingNext = "funding.next", Engine, Time, "When funding is charged next.";
        FundingDaily = "funding.daily", Engine, Money, "What funding brings in a day at its rate now; negative is paid.";
        Blocks = "blocks", Engine, Gauge, "What stands in the way of quoting, a set of bits; 0 for nothing.";
        Phase = "strategy.phase", Engine, Gauge, "What the strategy is about, by its number.";
        QuotesDue = "strategy.quotes_due", Engine, Time, "When new quotes or an update are due at the latest.";
        RefreshDue = "strategy.refresh_due", Engine, Time, "When live quotes are due for a refresh.";
        SizeFactorBuy = "strategy.size_factor_buy", Engine, Money, "Size factor of buys, a fraction; 0 where the strategy has none.";
        SizeFactorSell = "strategy.size_factor_sell", Engine, Money, "Size factor of sells, a fraction.";
        SkewInventory = "strategy.skew_inventory", Engine, Money, "Skew against the position, a fraction; positive lowers the quotes.";
        SkewFunding = "strategy.skew_funding", Engine, Money, "Skew against funding, a fraction; positive lowers the quotes.";
        BaseShare = "strategy.base_share", Engine, Money, "Exposure over the capital, a fraction.";
        ProfitShare = "strategy.profit_share", Engine, Money, "Unrealised profit over the cost of what is held, a fraction.";
        BlockedBid = "strategy.blocked_bid", Engine, Gauge, "Why bids are not quoted, by its number; 0 if they are.";
        BlockedAsk = "strategy.blocked_ask", Engine, Gauge, "Why asks are not quoted, by its number; 0 if they are.";
    }
}

slots! {
    /// The words of one of our orders; all zero in a row without one.
    OrderWord {
        Id = "id", Engine, Gauge, "Number of the order in the run.";
        Price = "price", Engine, Ticks, "Limit price.";
        Qty = "qty", Engine, Lots, "What has not executed.";
        Ahead = "ahead", Engine, Lots, "At most so much stands before it in its level; -1 while not known.";
        Level = "level", Engine, Gauge, "Quote level, 0 nearest.";
        Purpose = "purpose", Engine, Gauge, "Why it exists, by its number.";
        Created = "created", Engine, Time, "When it was asked for.";
    }
}

/// Orders of one side that the page shows: the best ones.
pub const ORDER_ROWS: usize = 8;
/// Bids, then asks.
const ORDER_SIDES: [&str; 2] = ["bid", "ask"];
/// Words of one instrument.
const EACH: usize = InstrumentSlot::ALL.len() + ORDER_SIDES.len() * ORDER_ROWS * OrderWord::ALL.len();

/// Names, units and writers of an instrument's words, in table order.
fn each_word() -> impl Iterator<Item = (String, Unit, Owner)> {
    let slots = InstrumentSlot::ALL.iter().map(|slot| (slot.name().to_owned(), slot.unit(), slot.owner()));
    let rows = ORDER_SIDES.iter().flat_map(|side| (0..ORDER_ROWS).map(move |row| (side, row)));
    let orders = rows.flat_map(|(side, row)| {
        OrderWord::ALL
            .iter()
            .map(move |word| (format!("order.{side}.{row}.{}", word.name()), word.unit(), word.owner()))
    });
    slots.chain(orders)
}

const fn padded(words: usize) -> usize {
    (words * 8).div_ceil(LINE) * LINE
}

const fn owned(owner: Owner) -> usize {
    let (mut words, mut at) = (0, 0);
    while at < Slot::ALL.len() {
        if Slot::ALL[at].owner() as u8 == owner as u8 {
            words += 1;
        }
        at += 1;
    }
    words
}

/// Offset of a slot from the start of the values.
const fn offset(slot: usize) -> usize {
    let owner = Slot::ALL[slot].owner() as u8;
    let mut at = 0;
    let mut before = 0;
    while before < owner as usize {
        at += padded(owned(OWNERS[before]));
        before += 1;
    }
    let mut earlier = 0;
    while earlier < slot {
        if Slot::ALL[earlier].owner() as u8 == owner {
            at += 8;
        }
        earlier += 1;
    }
    at
}

const OFFSETS: [usize; Slot::ALL.len()] = {
    let mut offsets = [0; Slot::ALL.len()];
    let mut at = 0;
    while at < offsets.len() {
        offsets[at] = offset(at);
        at += 1;
    }
    offsets
};
const INSTRUMENTS_AT: usize =
    padded(owned(Owner::Engine)) + padded(owned(Owner::Sender)) + padded(owned(Owner::Housekeeper));
const INSTRUMENT: usize = padded(EACH);

const fn values_at(instruments: usize) -> usize {
    let tables = HEADER + (Slot::ALL.len() + EACH) * ENTRY + instruments * SYMBOL;
    tables.div_ceil(LINE) * LINE
}

/// The hand of one thread: it writes only the words that are its own.
#[derive(Debug)]
pub struct CounterWriter {
    page: Arc<Mapped>,
    values: usize,
    instruments: usize,
    owner: Owner,
}

/// Creates the page; returns the hands of the engine, the I/O thread and the housekeeper.
///
/// # Errors
/// The file exists or cannot be made.
///
/// # Panics
/// A symbol is longer than 32 bytes.
pub fn create(path: &Path, symbols: &[&str]) -> Result<[CounterWriter; 3], JournalError> {
    let values = values_at(symbols.len());
    let mut head = vec![0; values];
    head[..8].copy_from_slice(&MAGIC);
    let counts = [VERSION, Slot::ALL.len() as u32, EACH as u32, symbols.len() as u32];
    for (at, count) in counts.into_iter().enumerate() {
        head[8 + at * 4..12 + at * 4].copy_from_slice(&count.to_le_bytes());
    }
    head[24..32].copy_from_slice(&(values as u64).to_le_bytes());
    let global = Slot::ALL.iter().map(|slot| (slot.name().to_owned(), slot.unit(), slot.owner()));
    for (entry, (name, unit, owner)) in head[HEADER..].chunks_exact_mut(ENTRY).zip(global.chain(each_word())) {
        entry[..name.len()].copy_from_slice(name.as_bytes());
        (entry[NAME], entry[NAME + 1]) = (unit as u8, owner as u8);
    }
    let at = HEADER + (Slot::ALL.len() + EACH) * ENTRY;
    for (entry, symbol) in head[at..].chunks_exact_mut(SYMBOL).zip(symbols) {
        entry[..symbol.len()].copy_from_slice(symbol.as_bytes());
    }
    let check = checksum(VERSION, &head);
    head[CHECK_AT..CHECK_AT + 4].copy_from_slice(&check.to_le_bytes());
    let (mut page, _) = Mapped::create(path, values + INSTRUMENTS_AT + symbols.len() * INSTRUMENT)?;
    page.write(0, &head);
    let page = Arc::new(page);
    Ok(OWNERS.map(|owner| CounterWriter { page: Arc::clone(&page), values, instruments: symbols.len(), owner }))
}

impl CounterWriter {
    /// Sets a word.
    #[inline]
    pub fn set(&self, slot: Slot, value: i64) {
        assert!(slot.owner() == self.owner, "a word has one writer");
        self.page.store(self.values + OFFSETS[slot as usize], value.cast_unsigned(), Ordering::Relaxed);
    }

    /// Adds to a word. Load and store apart: there is no other writer.
    #[inline]
    pub fn add(&self, slot: Slot, more: i64) {
        assert!(slot.owner() == self.owner, "a word has one writer");
        self.add_at(self.values + OFFSETS[slot as usize], more);
    }

    /// Sets a word of an instrument.
    #[inline]
    pub fn set_of(&self, instrument: usize, slot: InstrumentSlot, value: i64) {
        self.page.store(self.at_of(instrument, slot), value.cast_unsigned(), Ordering::Relaxed);
    }

    /// Adds to a word of an instrument.
    #[inline]
    pub fn add_of(&self, instrument: usize, slot: InstrumentSlot, more: i64) {
        self.add_at(self.at_of(instrument, slot), more);
    }

    /// Sets a word of one of our best orders of an instrument; side 0 are the bids.
    #[inline]
    pub fn set_order(&self, instrument: usize, side: usize, row: usize, word: OrderWord, value: i64) {
        assert!(side < ORDER_SIDES.len() && row < ORDER_ROWS, "a row that the page has");
        let at = InstrumentSlot::ALL.len() + (side * ORDER_ROWS + row) * OrderWord::ALL.len() + word as usize;
        self.page.store(self.word_of(instrument, at), value.cast_unsigned(), Ordering::Relaxed);
    }

    #[inline]
    fn at_of(&self, instrument: usize, slot: InstrumentSlot) -> usize {
        self.word_of(instrument, slot as usize)
    }

    #[inline]
    fn word_of(&self, instrument: usize, word: usize) -> usize {
        assert!(self.owner == Owner::Engine && instrument < self.instruments, "the engine writes known instruments");
        self.values + INSTRUMENTS_AT + instrument * INSTRUMENT + word * 8
    }

    #[inline]
    fn add_at(&self, at: usize, more: i64) {
        let sum = self.page.load(at, Ordering::Relaxed).wrapping_add(more.cast_unsigned());
        self.page.store(at, sum, Ordering::Relaxed);
    }
}

/// The page as an observer sees it, described by the file itself: a page of another build reads as well.
#[derive(Debug)]
pub struct CounterReader {
    page: Mapped,
    words: Vec<Word>,
}

/// One word of the page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Word {
    /// Its name; per-instrument words begin with the symbol and a slash.
    pub name: String,
    /// What it counts.
    pub unit: Unit,
    /// Who writes it.
    pub owner: Owner,
    at: usize,
}

impl CounterReader {
    /// Opens a page read-only.
    ///
    /// # Errors
    /// There is none, or it is damaged or of another version.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let head = fs::read(path).map_err(|source| JournalError::at(path, 0, source))?;
        let page = Mapped::open(path, false)?;
        let words = describe(&head).filter(|_| page.len() == head.len()).ok_or_else(|| JournalError::Foreign {
            path: path.to_path_buf(),
            what: format!("not a counters page of layout version {VERSION}"),
        })?;
        Ok(Self { page, words })
    }

    /// Every word.
    #[must_use]
    pub fn words(&self) -> &[Word] {
        &self.words
    }

    /// The value of a word now.
    #[must_use]
    pub fn value(&self, word: &Word) -> i64 {
        self.page.load(word.at, Ordering::Relaxed).cast_signed()
    }

    /// The value of the word of this name; `None` where the page has none.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<i64> {
        self.words.iter().find(|word| word.name == name).map(|word| self.value(word))
    }
}

/// The words that a page says it has; `None` for bytes that are not a page.
fn describe(head: &[u8]) -> Option<Vec<Word>> {
    let count =
        |at: usize| -> Option<usize> { Some(u32::from_le_bytes(head.get(at..at + 4)?.try_into().ok()?) as usize) };
    if head.get(..8)? != MAGIC || count(8)? != VERSION as usize {
        return None;
    }
    let (slots, each, symbols) = (count(12)?, count(16)?, count(20)?);
    let values = usize::try_from(u64::from_le_bytes(head.get(24..32)?.try_into().ok()?)).ok()?;
    // Bounds before sums: foreign counts must not overflow.
    if slots > 4096 || each > 4096 || symbols > 4096 || values > head.len() || !values.is_multiple_of(LINE) {
        return None;
    }
    let mut tables = head[..values].to_vec();
    tables.get_mut(CHECK_AT..CHECK_AT + 4)?.fill(0);
    if checksum(VERSION, &tables) != count(CHECK_AT)? as u32 {
        return None;
    }
    let text = |bytes: &[u8]| -> Option<String> {
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
        Some(std::str::from_utf8(&bytes[..end]).ok()?.to_owned())
    };
    let entry = |index: usize| -> Option<Word> {
        let entry = head.get(HEADER + index * ENTRY..HEADER + (index + 1) * ENTRY)?;
        let (unit, owner) = (*UNITS.get(usize::from(entry[NAME]))?, *OWNERS.get(usize::from(entry[NAME + 1]))?);
        Some(Word { name: text(&entry[..NAME])?, unit, owner, at: 0 })
    };
    let mut words: Vec<Word> = (0..slots).map(entry).collect::<Option<_>>()?;
    let mut at = values;
    for owner in OWNERS {
        let start = at;
        for word in words.iter_mut().filter(|word| word.owner == owner) {
            word.at = at;
            at += 8;
        }
        at = start + padded((at - start) / 8);
    }
    for instrument in 0..symbols {
        let from = HEADER + (slots + each) * ENTRY + instrument * SYMBOL;
        let symbol = text(head.get(from..from + SYMBOL)?)?;
        for index in 0..each {
            let word = entry(slots + index)?;
            words.push(Word { name: format!("{symbol}/{}", word.name), at: at + index * 8, ..word });
        }
        at += padded(each);
    }
    (at <= head.len()).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_each_thread_writes_is_read_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("counters.sqc");
        let [engine, sender, housekeeper] = create(&path, &["BTCUSDT", "ETHUSDT"]).unwrap();
        engine.add(Slot::Frames, 3);
        engine.add(Slot::Frames, 4);
        sender.set(Slot::WeightUsed, 99);
        housekeeper.set(Slot::ClockOffset, -5);
        engine.set_of(1, InstrumentSlot::Position, -12);
        engine.add_of(0, InstrumentSlot::FillsBuy, 1);
        engine.set_order(1, 1, ORDER_ROWS - 1, OrderWord::Created, 30);
        engine.set_order(0, 0, 0, OrderWord::Id, 2);
        let reader = CounterReader::open(&path).unwrap();
        let expected = [
            ("engine.frames", 7),
            ("sender.weight_used", 99),
            ("housekeeper.clock_offset", -5),
            ("ETHUSDT/position", -12),
            ("BTCUSDT/fills.buy", 1),
            ("ETHUSDT/order.ask.7.created", 30),
            ("BTCUSDT/order.bid.0.id", 2),
        ];
        for (name, value) in expected {
            assert_eq!(reader.named(name), Some(value), "{name}");
        }
        let sum: i64 = reader.words().iter().map(|word| reader.value(word)).sum();
        assert_eq!(sum, 7 + 99 - 5 - 12 + 1 + 30 + 2, "and nothing else was written");
        assert_eq!(reader.words().len(), Slot::ALL.len() + 2 * EACH);
    }

    #[test]
    fn groups_of_different_writers_share_no_cache_line() {
        for (a, slot) in Slot::ALL.iter().enumerate() {
            for (b, other) in Slot::ALL.iter().enumerate() {
                let apart = OFFSETS[a] / LINE != OFFSETS[b] / LINE;
                assert!(slot.owner() == other.owner() || apart, "{slot:?} {other:?}");
                assert!(a == b || OFFSETS[a] != OFFSETS[b]);
            }
            assert!(slot.name().len() < NAME && !slot.help().is_empty());
        }
    }

    #[test]
    #[should_panic(expected = "a word has one writer")]
    fn a_foreign_word_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let [_, sender, _] = create(&dir.path().join("c"), &[]).unwrap();
        sender.add(Slot::Frames, 1);
    }

    proptest! {
        #[test]
        fn a_damaged_page_is_refused_or_read_inside_its_bounds(at in 0_usize..200, byte: u8, cut in 0_usize..20_000) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("counters.sqc");
            create(&path, &["BTCUSDT"]).unwrap();
            let mut bytes = fs::read(&path).unwrap();
            bytes[at] = byte;
            bytes.truncate(cut.max(1));
            fs::write(&path, &bytes).unwrap();
            if let Ok(reader) = CounterReader::open(&path) {
                prop_assert_eq!(reader.words().iter().map(|word| reader.value(word)).sum::<i64>(), 0);
            }
        }
    }
}

//! One account: wallet, positions, margin, and a ledger whose sum is the change of the wallet. Exact; never an order or a price feed.

use crate::event::{PositionSide, Side};
use crate::instrument::{Instrument, InstrumentId};
use crate::unit::{Lots, MONEY_PLACES, Money, Nanos, Price, Ticks, pow10};
use std::collections::VecDeque;

/// Entries that a ledger keeps; older ones are dropped, the sums stay complete.
pub const LEDGER_ENTRIES_MAX: usize = 65_536;

/// The venue books money with 8 places: truncates towards zero, so that what it prints is what it booked.
#[must_use]
pub fn in_venue_places(amount: Money) -> Money {
    const UNIT: i128 = pow10(MONEY_PLACES - 8);
    Money(amount.0 / UNIT * UNIT)
}

/// Why the wallet changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum EntryKind {
    /// Money put in at the opening or later.
    Deposit = 0,
    /// Profit or loss of a closed part of a position.
    Trade = 1,
    /// Fee of a fill; a rebate is positive.
    Fee = 2,
    /// Funding.
    Funding = 3,
    /// Profit or loss of a part of a position closed by liquidation.
    Liquidation = 4,
    /// The insurance fund's payment of what a liquidation left below zero.
    Insurance = 5,
}

/// All kinds, in the order of their numbers.
pub const ENTRY_KINDS: [EntryKind; 6] = [
    EntryKind::Deposit,
    EntryKind::Trade,
    EntryKind::Fee,
    EntryKind::Funding,
    EntryKind::Liquidation,
    EntryKind::Insurance,
];

/// One change of the wallet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// When.
    pub time: Nanos,
    /// Of which instrument; `None` for deposits and insurance.
    pub instrument: Option<InstrumentId>,
    /// Why.
    pub kind: EntryKind,
    /// By how much.
    pub amount: Money,
    /// The trade it belongs to, 0 if none.
    pub trade_id: u64,
}

/// Every change of a wallet: complete sums per kind and the latest entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    sums: [Money; ENTRY_KINDS.len()],
    entries: VecDeque<Entry>,
    dropped: u64,
}

impl Ledger {
    fn post(&mut self, entry: Entry) {
        self.sums[entry.kind as usize] += entry.amount;
        if self.entries.len() == LEDGER_ENTRIES_MAX {
            self.entries.pop_front();
            self.dropped += 1;
        }
        self.entries.push_back(entry);
    }

    /// Sum of all entries of a kind since the opening.
    #[must_use]
    pub fn sum(&self, kind: EntryKind) -> Money {
        self.sums[kind as usize]
    }

    /// Sum of all entries: the wallet balance.
    #[must_use]
    pub fn total(&self) -> Money {
        self.sums.iter().fold(Money::ZERO, |sum, &s| sum + s)
    }

    /// Sum of all entries other than deposits: what trading made, realised.
    #[must_use]
    pub fn profit(&self) -> Money {
        self.total() - self.sum(EntryKind::Deposit)
    }

    /// The latest entries, oldest first.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// How many entries were dropped from [`Ledger::entries`].
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// One position. Its cost is kept instead of an average price, so that nothing is lost by rounding: what a closed part
/// realises is truncated, and the remainder stays in the cost of the rest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Position {
    /// Signed quantity; negative is short.
    pub qty: Lots,
    /// Signed value at which it was entered.
    pub cost: Money,
    /// Profit realised so far, without fees.
    pub realized: Money,
    /// Last change.
    pub updated_at: Nanos,
}

impl Position {
    /// Average entry price, truncated at 1e-18; zero when flat.
    #[must_use]
    pub fn entry(&self, instrument: &Instrument) -> Price {
        if self.qty.is_zero() {
            return Price::ZERO;
        }
        // cost = price * qty * lot: in two steps, so that a large cost with many lot decimals does not overflow.
        let lots = i128::from(self.qty.0) * i128::from(instrument.lot.mantissa());
        let scale = pow10(instrument.lot.places());
        let (whole, rest) = (self.cost.0 / lots, self.cost.0 % lots);
        Price(whole * scale + rest * scale / lots)
    }

    /// Profit if it was closed at `mark`.
    #[must_use]
    pub fn unrealized(&self, instrument: &Instrument, mark: Price) -> Money {
        instrument.notional_at(mark, self.qty) - self.cost
    }

    /// Adds an execution of `qty` (positive) worth `quote`; returns the realised profit.
    fn trade(&mut self, side: Side, qty: Lots, quote: Money, time: Nanos) -> Money {
        let signed = Lots(qty.0 * side.sign());
        let quote = Money(quote.0 * i128::from(side.sign()));
        self.updated_at = time;
        if self.qty.is_zero() || self.qty.signum() == signed.signum() {
            self.qty += signed;
            self.cost += quote;
            return Money::ZERO;
        }
        let closed = Lots(signed.0.abs().min(self.qty.0.abs()));
        let part = |amount: Money, whole: Lots| {
            let (n, d) = (i128::from(closed.0), i128::from(whole.0.abs()));
            Money(amount.0 / d * n + amount.0 % d * n / d)
        };
        let mut realized = -(part(quote, signed) + part(self.cost, self.qty));
        let partly = closed < self.qty.abs();
        if partly {
            realized = in_venue_places(realized);
        }
        self.qty += signed;
        self.cost = self.cost + quote + realized;
        self.realized += realized;
        realized
    }
}

/// What an account has on one instrument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holding {
    /// Net, long and short position; index is [`PositionSide`].
    pub positions: [Position; 3],
    /// Leverage.
    pub leverage: u32,
    /// Isolated margin type (remembered, reckoned as cross).
    pub isolated: bool,
}

/// All position sides in index order.
pub const POSITION_SIDES: [PositionSide; 3] = [PositionSide::Net, PositionSide::Long, PositionSide::Short];

/// Leverage that a fresh account has on every instrument.
pub const LEVERAGE_INITIAL: u32 = 20;
/// Largest leverage.
pub const LEVERAGE_MAX: u32 = 125;

/// One account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    wallet: Money,
    ledger: Ledger,
    pub(crate) holdings: Vec<Holding>,
    pub(crate) hedge: bool,
    pub(crate) multi_assets: bool,
    /// A margin call was sent and the margin has not recovered since.
    pub(crate) margin_called: bool,
    /// Counts every change of the wallet or a position.
    revision: u64,
}

impl Account {
    /// Opens it with `deposit` in the wallet.
    #[must_use]
    pub fn open(instruments: usize, deposit: Money, time: Nanos) -> Self {
        let holding = Holding { positions: [Position::default(); 3], leverage: LEVERAGE_INITIAL, isolated: false };
        let mut account = Self {
            wallet: Money::ZERO,
            ledger: Ledger::default(),
            holdings: vec![holding; instruments],
            hedge: false,
            multi_assets: false,
            margin_called: false,
            revision: 0,
        };
        account.post(Entry { time, instrument: None, kind: EntryKind::Deposit, amount: deposit, trade_id: 0 });
        account
    }

    /// Changes the wallet by one ledger entry: the only way in which it changes.
    pub fn post(&mut self, entry: Entry) {
        self.revision += 1;
        self.wallet += entry.amount;
        self.ledger.post(entry);
        debug_assert_eq!(self.wallet, self.ledger.total());
    }

    /// Equal while neither the wallet nor a position changes.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Wallet balance: everything realised.
    #[must_use]
    pub fn wallet(&self) -> Money {
        self.wallet
    }

    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Hedge mode.
    #[must_use]
    pub fn hedge(&self) -> bool {
        self.hedge
    }

    /// Multi-assets mode.
    #[must_use]
    pub fn multi_assets(&self) -> bool {
        self.multi_assets
    }

    /// What it has on an instrument.
    #[must_use]
    pub fn holding(&self, instrument: InstrumentId) -> &Holding {
        &self.holdings[usize::from(instrument.0)]
    }

    /// One position.
    #[must_use]
    pub fn position(&self, instrument: InstrumentId, side: PositionSide) -> &Position {
        &self.holding(instrument).positions[side as usize]
    }

    /// Adds an execution to a position; returns the realised profit. The wallet is the caller's business.
    pub fn trade(
        &mut self,
        instrument: InstrumentId,
        position: PositionSide,
        side: Side,
        qty: Lots,
        quote: Money,
        time: Nanos,
    ) -> Money {
        self.revision += 1;
        self.holdings[usize::from(instrument.0)].positions[position as usize].trade(side, qty, quote, time)
    }

    /// No position anywhere.
    #[must_use]
    pub fn is_flat(&self) -> bool {
        self.holdings.iter().all(|h| h.positions.iter().all(|p| p.qty.is_zero()))
    }
}

/// What the account's margin looks like at the mark prices.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Margin {
    /// Profit of all positions at the mark prices.
    pub unrealized: Money,
    /// Initial margin of the positions.
    pub position_initial: Money,
    /// Initial margin that open orders need beyond it.
    pub order_initial: Money,
    /// Maintenance margin of the positions.
    pub maintenance: Money,
    /// Wallet balance.
    pub wallet: Money,
}

impl Margin {
    /// Wallet and unrealised profit.
    #[must_use]
    pub fn equity(&self) -> Money {
        self.wallet + self.unrealized
    }

    /// Free for new orders; not below zero.
    #[must_use]
    pub fn available(&self) -> Money {
        Money((self.equity() - self.position_initial - self.order_initial).0.max(0))
    }
}

/// Value of open orders of one instrument that open or add, per side: bid, ask.
pub type OpenValue = [Money; 2];

/// Margin of one instrument: positions, and the worse of all bids or all asks filled. `mark` values positions.
#[must_use]
pub fn instrument_margin(instrument: &Instrument, holding: &Holding, mark: Price, open: OpenValue) -> Margin {
    let mut margin = Margin::default();
    let mut net = Money::ZERO;
    for position in &holding.positions {
        let value = instrument.notional_at(mark, position.qty);
        net += value;
        margin.unrealized += position.unrealized(instrument, mark);
        margin.position_initial += Money(value.abs().0 / i128::from(holding.leverage));
        margin.maintenance += value.abs().times(instrument.maintenance_margin);
    }
    let worst = (net + open[0]).abs().max((net - open[1]).abs());
    let need = Money(worst.0 / i128::from(holding.leverage));
    margin.order_initial = Money((need - margin.position_initial).0.max(0));
    margin
}

/// Value of `qty` at a price on the grid, or at the mark price for an order without one.
#[must_use]
pub fn order_value(instrument: &Instrument, price: Ticks, qty: Lots, mark: Price) -> Money {
    if price.is_zero() { instrument.notional_at(mark, qty) } else { instrument.notional(price, qty) }
}

const _: () = assert!(MONEY_PLACES == 18, "entry prices are computed at money's scale");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn btc() -> Instrument {
        Instrument::synthetic("BTCUSDT", "0.10", "0.001")
    }

    #[test]
    fn a_round_trip_realises_the_difference_exactly() {
        let btc = btc();
        let mut p = Position::default();
        let mut trade = |side, price, qty| p.trade(side, Lots(qty), btc.notional(Ticks(price), Lots(qty)), Nanos(1));
        assert_eq!(trade(Side::Buy, 600_000, 10), Money::ZERO);
        assert_eq!(trade(Side::Buy, 600_010, 5), Money::ZERO);
        assert_eq!(trade(Side::Sell, 600_100, 15), Money::parse(b"0.145").unwrap());
        assert_eq!((p.qty, p.cost), (Lots(0), Money(0)));
    }

    #[test]
    fn crossing_zero_opens_the_other_side_at_the_trade_price() {
        let btc = btc();
        let mut p = Position::default();
        p.trade(Side::Sell, Lots(3), btc.notional(Ticks(600_000), Lots(3)), Nanos(1));
        let realized = p.trade(Side::Buy, Lots(5), btc.notional(Ticks(599_000), Lots(5)), Nanos(2));
        assert_eq!(realized, Money::parse(b"0.3").unwrap());
        assert_eq!((p.qty, p.entry(&btc)), (Lots(2), Price::parse(b"59900").unwrap()));
    }

    proptest! {
        /// Realised profit, remaining cost and cash flow always balance: no unit of money is made or lost by rounding.
        #[test]
        fn no_money_is_made_or_lost(trades in prop::collection::vec((any::<bool>(), 1_i64..50, 599_000_i64..601_000), 1..60)) {
            let btc = btc();
            let mut p = Position::default();
            let (mut cash, mut realized) = (Money::ZERO, Money::ZERO);
            for (buy, qty, price) in trades {
                let side = if buy { Side::Buy } else { Side::Sell };
                let quote = btc.notional(Ticks(price), Lots(qty));
                cash += Money(-quote.0 * i128::from(side.sign()));
                realized += p.trade(side, Lots(qty), quote, Nanos(1));
                prop_assert_eq!(realized, cash + p.cost);
                prop_assert!(!p.qty.is_zero() || p.cost.is_zero());
            }
        }
    }

    #[test]
    fn margin_counts_the_worse_side() {
        let btc = btc();
        let mut account = Account::open(1, Money::parse(b"1000").unwrap(), Nanos(0));
        account.trade(
            InstrumentId(0),
            PositionSide::Net,
            Side::Buy,
            Lots(10),
            btc.notional(Ticks(600_000), Lots(10)),
            Nanos(1),
        );
        let mark = Price::parse(b"60000").unwrap();
        let money = |text: &str| Money::parse(text.as_bytes()).unwrap();
        let margin = |bids: &str, asks: &str| {
            instrument_margin(&btc, account.holding(InstrumentId(0)), mark, [money(bids), money(asks)])
        };
        assert_eq!(margin("0", "0").position_initial, money("30"));
        assert_eq!(margin("0", "0").maintenance, money("2.4"));
        assert_eq!(margin("200", "600").order_initial, money("10"));
        assert_eq!(margin("0", "1400").order_initial, money("10"));
    }
}

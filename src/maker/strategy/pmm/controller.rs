//! One evaluation of the controller: from what is held and what the executors report to which levels to create and which to stop.
//! A pure function; it places no order and keeps no state.

use super::super::exact::{on_lot, on_tick, scale};
use super::{ONE, Ratio, value};
use crate::config::pmm::{LEVELS_MAX, PmmSettings};
use crate::event::Side;
use crate::instrument::Instrument;
use crate::unit::{Amount, Lots, Money, Nanos, Price, RATE_ONE, Rate, Ticks, mul_div};
use arrayvec::ArrayVec;

/// Levels of both sides.
const LEVELS: usize = 2 * LEVELS_MAX;
/// Executors that can be reported at once: active ones, ones shutting down, and ended ones that still matter.
pub const EXECUTORS_MAX: usize = 256;

/// What an executor is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Job {
    /// A level: its entry and its take profit.
    Level(Level),
    /// Closing held inventory after a global trigger.
    Closing,
}

/// A quoting level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Level {
    /// Its side.
    pub side: Side,
    /// 0 nearest.
    pub index: u8,
}

/// Where an executor is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Created, not yet run.
    NotStarted,
    /// At work.
    Running,
    /// Getting rid of its orders, and perhaps of its inventory.
    ShuttingDown,
    /// Done.
    Terminated,
}

/// How an executor ended or is ending.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CloseType {
    /// Its take profit executed.
    TakeProfit,
    /// Its stop loss executed.
    StopLoss,
    /// Its trailing stop executed.
    TrailingStop,
    /// Its time was over.
    TimeLimit,
    /// It was stopped.
    EarlyStop,
    /// What it held was handed over.
    PositionHold,
    /// The balance did not allow it to start.
    InsufficientBalance,
    /// It ran out of retries.
    Failed,
}

/// Base that an executor holds, with its average price.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Inventory {
    /// Not yet closed; positive on either side.
    pub amount: Amount,
    /// Average entry price.
    pub price: Price,
}

/// An executor as the controller sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Report {
    /// Its number.
    pub id: u32,
    /// What it is for.
    pub job: Job,
    /// Side of its entry.
    pub side: Side,
    /// When it was created.
    pub created_at: Nanos,
    /// Where it is in its life.
    pub status: Status,
    /// Neither shutting down nor terminated.
    pub active: bool,
    /// Running, with something filled.
    pub trading: bool,
    /// How it ended.
    pub close: Option<CloseType>,
    /// When it ended.
    pub closed_at: Option<Nanos>,
    /// Nothing more of the entry can fill.
    pub entry_complete: bool,
    /// The latest fill of an entry order.
    pub last_entry_fill: Option<Nanos>,
    /// What it holds.
    pub inventory: Option<Inventory>,
}

/// A held record as the controller sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record {
    /// Long or short.
    pub side: Side,
    /// Net amount.
    pub amount: Amount,
    /// Its average price.
    pub price: Price,
    /// Its own unrealised profit.
    pub unrealized: Money,
}

/// The touch of the market, on the grid.
#[derive(Clone, Copy, Debug)]
pub struct Touch<'a> {
    /// The contract.
    pub instrument: &'a Instrument,
    /// Best bid.
    pub bid: Option<Ticks>,
    /// Best ask.
    pub ask: Option<Ticks>,
}

impl Touch<'_> {
    /// The mid price; `None` while a side is empty.
    #[must_use]
    pub fn reference(&self) -> Option<Price> {
        Some(self.instrument.mid(self.bid?, self.ask?))
    }

    /// Best bid for a buy, best ask for a sell.
    #[must_use]
    pub fn near(&self, side: Side) -> Option<Price> {
        let ticks = if side == Side::Buy { self.bid } else { self.ask };
        ticks.map(|ticks| self.instrument.price(ticks))
    }

    /// Smaller than the venue takes, at a price of the grid.
    #[must_use]
    pub fn too_small(&self, qty: Lots, price: Ticks) -> Option<Skip> {
        // A value that does not fit is not a small one.
        let lots_at = i128::from(price.0) * i128::from(qty.0);
        let worth = lots_at.checked_mul(self.instrument.tick_lot()).map_or(Money::MAX, Money);
        if qty < self.instrument.qty_min {
            Some(Skip::BelowMinOrderSize)
        } else if worth < self.instrument.notional_min {
            Some(Skip::BelowMinNotional)
        } else {
            None
        }
    }
}

/// Why a level was not created.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Skip {
    /// It ended for lack of balance less than the cooldown ago.
    InsufficientBalanceCooldown,
    /// A side of the book is empty.
    NoReferencePrice,
    /// Not one lot.
    AmountZero,
    /// Smaller than the venue takes.
    BelowMinOrderSize,
    /// Worth less than the venue takes.
    BelowMinNotional,
}

/// An executor to create.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Create {
    /// A level's entry, with its take profit.
    Level {
        /// Which.
        level: Level,
        /// Not on the tick.
        price: Price,
        /// Base.
        qty: Lots,
        /// Distance of the take profit.
        take_profit: Option<Rate>,
    },
    /// A market order against held inventory.
    Closing {
        /// Sell for a long.
        side: Side,
        /// Base.
        qty: Lots,
    },
}

/// An executor to stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stop {
    /// Which.
    pub id: u32,
    /// What it holds is handed over; otherwise it is closed at market.
    pub keep_position: bool,
}

/// The figures a decision was made on; shown in the status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Figures {
    /// Mid price.
    pub reference: Option<Price>,
    /// Distance of the base part from its target.
    pub deviation: Ratio,
    /// Exposure at cost over the capital; negative for a net short.
    pub base_pct: Ratio,
    /// Unrealised profit over the cost of everything held; `None` without a reference to value inventory at.
    pub pnl_pct: Option<Ratio>,
    /// Net base amount.
    pub position: Amount,
}

/// An evaluation's outcome: creates first, then stops.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// What it was made on.
    pub figures: Figures,
    /// Size factors of buys and sells; `None` where no level was considered.
    pub skew: Option<[Ratio; 2]>,
    /// Levels that were free and allowed; `None` likewise.
    pub levels: Option<ArrayVec<Level, LEVELS>>,
    /// Executors to create.
    pub creates: ArrayVec<Create, LEVELS>,
    /// Executors to stop.
    pub stops: ArrayVec<Stop, EXECUTORS_MAX>,
    /// Levels left out, each with its reason.
    pub skipped: ArrayVec<(Level, Skip), LEVELS>,
}

/// Sums over everything held.
#[derive(Default)]
struct Sums {
    amount: [Amount; 2],
    cost: [Money; 2],
    unrealized: Option<Money>,
}

impl Sums {
    fn of(records: &[Record], executors: &[Report], reference: Option<Price>) -> Self {
        let mut sums = Self { unrealized: Some(Money::ZERO), ..Self::default() };
        for record in records {
            sums.add(record.side, record.amount, record.price, Some(record.unrealized));
        }
        for report in executors.iter().filter(|report| report.status != Status::Terminated) {
            if let Some(Inventory { amount, price }) = report.inventory.filter(|held| held.amount > Amount::ZERO) {
                let gain = reference.map(|mid| value(amount, Price((mid - price).0 * i128::from(report.side.sign()))));
                sums.add(report.side, amount, price, gain);
            }
        }
        sums
    }

    fn add(&mut self, side: Side, amount: Amount, price: Price, unrealized: Option<Money>) {
        self.amount[side.index()] += amount;
        self.cost[side.index()] += value(amount, price);
        self.unrealized = self.unrealized.zip(unrealized).map(|(sum, more)| sum + more);
    }

    /// The netted position at the larger side's average price.
    fn exposure(&self) -> Money {
        let [long, short] = self.amount;
        let net = long - short;
        match net.signum() {
            0 => Money::ZERO,
            _ if short.is_zero() => self.cost[0],
            _ if long.is_zero() => -self.cost[1],
            1 => Money(mul_div(net.0, self.cost[0].0, long.0)),
            _ => Money(mul_div(net.0, self.cost[1].0, short.0)),
        }
    }
}

/// Distances of a side's levels.
#[must_use]
pub fn spreads(settings: &PmmSettings, side: Side) -> &[Rate] {
    if side == Side::Buy { &settings.buy_spreads } else { &settings.sell_spreads }
}

/// Weight of a level; one where none is stated.
#[must_use]
pub fn weight(settings: &PmmSettings, side: Side, level: usize) -> Amount {
    let weights = if side == Side::Buy { &settings.buy_amounts_pct } else { &settings.sell_amounts_pct };
    weights.as_ref().map_or(Amount(ONE), |weights| weights[level])
}

/// What a level may deploy: its weight's part of the allocated capital.
#[must_use]
pub fn budget(settings: &PmmSettings, level: Level) -> Money {
    let weights = |side: Side| (0..spreads(settings, side).len()).map(move |at| weight(settings, side, at).0);
    let total: i128 = weights(Side::Buy).chain(weights(Side::Sell)).sum();
    let deployed = settings.total_amount_quote.times(settings.portfolio_allocation);
    if total == 0 {
        return Money::ZERO;
    }
    Money(mul_div(deployed.0, weight(settings, level.side, usize::from(level.index)).0, total))
}

/// Decides. `widen` multiplies every spread; `records` are of this connector and pair; `executors` in the order of their creation.
#[must_use]
pub fn evaluate(
    settings: &PmmSettings,
    touch: &Touch<'_>,
    now: Nanos,
    widen: Rate,
    records: &[Record],
    executors: &[Report],
) -> Decision {
    let reference = touch.reference();
    let sums = Sums::of(records, executors, reference);
    let (exposure, cost) = (sums.exposure(), sums.cost[0] + sums.cost[1]);
    let total = settings.total_amount_quote;
    let target = total.times(settings.target_base_pct);
    let base_pct = Ratio::of(exposure.0, total.0);
    let pnl_pct = match sums.unrealized {
        _ if cost.is_zero() => Some(Ratio(0)),
        unrealized => unrealized.map(|unrealized| Ratio::of(unrealized.0, cost.0)),
    };
    let deviation = match target.is_zero() {
        true => Ratio(-base_pct.0),
        false => Ratio::of(target.0 - exposure.0, target.0),
    };
    let mut decision = Decision {
        figures: Figures { reference, deviation, base_pct, pnl_pct, position: sums.amount[0] - sums.amount[1] },
        skew: None,
        levels: None,
        creates: ArrayVec::new(),
        stops: ArrayVec::new(),
        skipped: ArrayVec::new(),
    };
    let closing = executors.iter().any(|report| report.job == Job::Closing && report.status != Status::Terminated);
    if !closing {
        let breached = match (reference, sums.unrealized) {
            (Some(_), Some(unrealized)) if cost > Money::ZERO => {
                // Whole units above the floor of a bound are above the bound; a loss mirrors it.
                unrealized > cost.times(settings.global_take_profit)
                    || unrealized < -cost.times(settings.global_stop_loss)
            }
            _ => false,
        };
        if breached && fire(settings, touch, records, executors, &mut decision) {
            return decision;
        }
        create_levels(settings, touch, now, widen, exposure, executors, &mut decision);
    }
    refresh(settings, now, executors, &mut decision);
    decision
}

/// A global trigger: close what is held, stop every level. False when there is nothing that could be closed.
fn fire(
    settings: &PmmSettings,
    touch: &Touch<'_>,
    records: &[Record],
    executors: &[Report],
    decision: &mut Decision,
) -> bool {
    let of = |side: Side| records.iter().filter(|r| r.side == side).map(|r| r.amount.0).sum::<i128>();
    let (long, short) = (of(Side::Buy), of(Side::Sell));
    let legs = if settings.is_perpetual() && settings.hedge {
        [long, short]
    } else {
        [(long - short).max(0), (short - long).max(0)]
    };
    for (side, amount) in [(Side::Sell, legs[0]), (Side::Buy, legs[1])] {
        let Some(qty) = on_lot(touch.instrument, Amount(amount)) else { continue };
        let hit = if side == Side::Sell { touch.bid } else { touch.ask };
        if hit.is_some_and(|price| touch.too_small(qty, price).is_none()) {
            decision.creates.push(Create::Closing { side, qty });
        }
    }
    let holds = |report: &Report| report.status != Status::Terminated && report.inventory.is_some();
    if decision.creates.is_empty() && !executors.iter().any(holds) {
        return false;
    }
    for report in executors.iter().filter(|report| report.active && report.job != Job::Closing) {
        decision.stops.push(Stop { id: report.id, keep_position: false });
    }
    true
}

/// Size factors of buys and sells.
fn skew(settings: &PmmSettings, base_pct: Ratio) -> [Ratio; 2] {
    let wide = |rate: Rate| i128::from(rate.0) * (ONE / i128::from(RATE_ONE));
    let (low, high, least) = (wide(settings.min_base_pct), wide(settings.max_base_pct), wide(settings.max_skew));
    if high <= low {
        return [Ratio::ONE; 2];
    }
    let factor = |part: i128| Ratio(Ratio::of(part, high - low).0.min(ONE).max(least));
    [factor(high - base_pct.0), factor(base_pct.0 - low)]
}

fn create_levels(
    settings: &PmmSettings,
    touch: &Touch<'_>,
    now: Nanos,
    widen: Rate,
    exposure: Money,
    executors: &[Report],
    decision: &mut Decision,
) {
    let recent = |at: Option<Nanos>| at.is_some_and(|at| now - at < settings.cooldown_time);
    let about = |level: Level| executors.iter().filter(move |report| report.job == Job::Level(level));
    let busy = |level: Level| {
        about(level).any(|report| (report.active && !report.entry_complete) || recent(report.last_entry_fill))
    };
    let unaffordable = |level: Level| {
        about(level).any(|report| report.close == Some(CloseType::InsufficientBalance) && recent(report.closed_at))
    };
    // Exact at the bounds: a whole unit below the upper neighbour of a product is below the product.
    let bound = |rate: Rate| scale(Price(settings.total_amount_quote.0), rate);
    let only_buys = exposure.0 < bound(settings.min_base_pct).ceil.0;
    let only_sells = exposure.0 > bound(settings.max_base_pct).floor.0;
    let mut levels: ArrayVec<Level, LEVELS> = ArrayVec::new();
    for side in [Side::Buy, Side::Sell] {
        if (side == Side::Sell && only_buys) || (side == Side::Buy && only_sells) {
            continue;
        }
        for index in 0..spreads(settings, side).len() as u8 {
            let level = Level { side, index };
            if busy(level) {
                continue;
            }
            match unaffordable(level) {
                true => decision.skipped.push((level, Skip::InsufficientBalanceCooldown)),
                false => levels.push(level),
            }
        }
    }
    let factors = skew(settings, decision.figures.base_pct);
    for &level in &levels {
        match create_level(settings, touch, level, widen, factors[level.side.index()], decision.figures.reference) {
            Ok(create) => decision.creates.push(create),
            Err(reason) => decision.skipped.push((level, reason)),
        }
    }
    decision.skew = Some(factors);
    decision.levels = Some(levels);
}

fn create_level(
    settings: &PmmSettings,
    touch: &Touch<'_>,
    level: Level,
    widen: Rate,
    factor: Ratio,
    reference: Option<Price>,
) -> Result<Create, Skip> {
    let (reference, near) = reference.zip(touch.near(level.side)).ok_or(Skip::NoReferencePrice)?;
    let spread = spreads(settings, level.side)[usize::from(level.index)];
    let spread =
        mul_div(i128::from(spread.0), i128::from(widen.0), i128::from(RATE_ONE)).min(i128::from(RATE_ONE)) as i64;
    let price = scale(reference, Rate(RATE_ONE - spread * level.side.sign())).floor;
    let unskewed = Amount(mul_div(budget(settings, level).0, ONE, price.0.max(1)));
    let amount = Amount(mul_div(unskewed.0, factor.0, ONE));
    let qty = on_lot(touch.instrument, amount).ok_or(Skip::AmountZero)?;
    let order_price = if level.side == Side::Buy { price.min(near) } else { price.max(near) };
    let order_price = on_tick(touch.instrument, order_price).ok_or(Skip::BelowMinNotional)?;
    match touch.too_small(qty, order_price) {
        Some(reason) => Err(reason),
        None => {
            let take_profit = settings.take_profit.map(|rate| Rate(rate.0 * (i64::from(level.index) + 1)));
            Ok(Create::Level { level, price, qty, take_profit })
        }
    }
}

/// Levels that are given up: entries that did not fill, then take profits that did not.
fn refresh(settings: &PmmSettings, now: Nanos, executors: &[Report], decision: &mut Decision) {
    let old = |at: Nanos| now - at > settings.executor_refresh_time;
    let levels = || executors.iter().filter(|report| report.active && report.job != Job::Closing);
    let unfilled = levels().filter(|report| !report.trading && old(report.created_at));
    let filled = levels().filter(|report| report.trading && report.last_entry_fill.is_some_and(old));
    for report in unfilled.chain(filled) {
        decision.stops.push(Stop { id: report.id, keep_position: true });
    }
}

//! Section 4: from the mark price to the quotes that are wanted. Sends nothing and remembers nothing.

use super::exact::{Fraction, ONE, lots, on_tick, times, value};
use super::{FundingAware, Inputs};
use crate::config::funding_aware::FundingAwareSettings;
use crate::event::Side;
use crate::instrument::Instrument;
use crate::maker::strategy::FundingView;
use crate::maker::strategy::exact::PRICE_MAX;
use crate::unit::{Lots, Money, Price, Rate, Ticks};

/// A closing side that moves nearer stays this far from the skewed mid: 1 bp.
const HALF_MIN: Fraction = Fraction::of(Rate::from_bps(1));

/// Why a side is not quoted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blocked {
    /// A full fill would bring the position above 90 percent of the maximum.
    NearCap,
    /// A full fill would bring the position beyond the maximum.
    Cap,
    /// The order is smaller than it may be.
    TooSmall,
    /// The skewed price is not positive.
    NoPrice,
}

/// The quotes that are wanted, with the figures behind them; for the status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Targets {
    /// The mark price that they are made around.
    pub mark: Price,
    /// It is the venue's, not the book's mid.
    pub venue_mark: bool,
    /// Skew against the position; positive lowers both quotes.
    pub inventory_skew: Fraction,
    /// Skew against funding; positive lowers both quotes.
    pub funding_skew: Fraction,
    /// The mark price less both.
    pub skewed_mid: Price,
    /// Half spread of bid and ask.
    pub half: [Fraction; 2],
    /// Prices of bid and ask, on the grid.
    pub price: [Option<Ticks>; 2],
    /// Size of both.
    pub size: Lots,
    /// Why bid or ask is not quoted.
    pub blocked: [Option<Blocked>; 2],
}

impl Targets {
    /// The price of a side that is to be quoted.
    pub(super) fn quoted(&self, side: Side) -> Option<Ticks> {
        if self.blocked[side.index()].is_none() { self.price[side.index()] } else { None }
    }
}

impl FundingAware {
    /// The mark price less both skews, and the two skews; `None` where a figure does not fit. `usd` is the signed position.
    #[must_use]
    pub fn skewed_mid(&self, mark: Price, usd: Money, funding: &FundingView) -> Option<(Price, [Fraction; 2])> {
        let inventory = inventory_skew(&self.settings, usd)?;
        let funding = funding_skew(&self.settings, funding.rate, funding.interval_hours);
        Some((funding.below(inventory.below(mark)?)?, [inventory, funding]))
    }

    /// What is wanted at `mark` with a position worth `usd` (signed); `None` where a figure does not fit.
    pub(super) fn wanted(
        &self,
        inputs: &Inputs<'_>,
        mark: Price,
        venue_mark: bool,
        usd: Money,
        unrealized: Money,
    ) -> Option<Targets> {
        let (s, instrument) = (&self.settings, inputs.instrument);
        let (skewed_mid, [inventory_skew, funding_skew]) = self.skewed_mid(mark, usd, &inputs.funding)?;
        let half = halves(s, inputs.widen, usd, unrealized)?;
        let mut price = [
            half[Side::Buy.index()].below(skewed_mid).and_then(|price| on_tick(instrument, price)),
            half[Side::Sell.index()].above(skewed_mid).and_then(|price| on_tick(instrument, price)),
        ];
        if let Some(touch) = inputs.touch {
            stay_passive(instrument, touch, &mut price);
        }
        let size = lots(instrument, s.base_order_usd.0, mark).unwrap_or(Lots::ZERO);
        let order = value(instrument, size, mark)?;
        let blocked = [Side::Buy, Side::Sell].map(|side| {
            let allowed = allowed(s, usd, order, side);
            let small = size <= Lots::ZERO || below_minimum(s, instrument, size);
            allowed.or(price[side.index()].is_none().then_some(Blocked::NoPrice)).or(small.then_some(Blocked::TooSmall))
        });
        Some(Targets { mark, venue_mark, inventory_skew, funding_skew, skewed_mid, half, price, size, blocked })
    }
}

/// "dev = position_usd - target. |dev| > threshold: e = dev -/+ threshold (toward zero); k = (e/1000) x bps_per_1k limited to
/// +/- max_skew_bps."
pub(super) fn inventory_skew(s: &FundingAwareSettings, usd: Money) -> Option<Fraction> {
    let dev = usd.checked_sub(s.target_position_usd)?;
    let beyond = dev.0.abs() - s.skew_threshold_usd.0;
    if beyond <= 0 {
        return Some(Fraction::ZERO);
    }
    let per_1k = times(beyond, Fraction::of(s.skew_per_1k).0)?;
    Some(Fraction(dev.0.signum() * per_1k / 1_000).limited(s.max_skew))
}

/// "f = funding x 100 x multiplier (0.01 percent with 100 = 100 bps), limited to +/- max_skew_bps; always, however small."
/// Percent times a hundred in basis points is the fraction itself: f = rate per 8 hours x multiplier.
pub(super) fn funding_skew(s: &FundingAwareSettings, rate: Rate, interval_hours: u8) -> Fraction {
    // The rate has 12 places and so has the multiplier: 24 together, 18 wanted.
    let product = i128::from(rate.0) * 8 * i128::from(s.funding_multiplier.0) / i128::from(interval_hours.max(1));
    Fraction(product / 1_000_000).limited(s.max_skew)
}

/// "|funding| > max_funding_rate_pct_8h": compared without a division.
pub(super) fn funding_too_high(s: &FundingAwareSettings, rate: Rate, interval_hours: u8) -> bool {
    i128::from(rate.0).abs() * 8 > i128::from(s.max_funding_8h.0) * i128::from(interval_hours.max(1))
}

/// "half = spread/2. If |unrealized| > threshold_usd and unrealized > 0: long -> ask half = max(1, half - aggression); short ->
/// bid half likewise." An operator's widening multiplies what comes of it.
fn halves(s: &FundingAwareSettings, widen: Rate, usd: Money, unrealized: Money) -> Option<[Fraction; 2]> {
    let half = Fraction(Fraction::of(s.spread()).0 / 2);
    let mut halves = [half; 2];
    if unrealized > s.profit_threshold_usd && unrealized > Money::ZERO && !usd.is_zero() {
        let closing = if usd > Money::ZERO { Side::Sell } else { Side::Buy };
        halves[closing.index()] = HALF_MIN.max(Fraction(half.0 - Fraction::of(s.profit_aggression).0));
    }
    if widen != Rate::ONE {
        for half in &mut halves {
            *half = Fraction(times(half.0, Fraction::of(widen).0)?).limited(WIDENED_MAX);
        }
    }
    Some(halves)
}

/// A widened half spread is at most a hundred times the price: no bid, and an ask out of reach.
const WIDENED_MAX: Rate = Rate(100 * Rate::ONE.0);

/// "bid >= best bid -> round(best bid - one tick); ask <= best ask -> round(best ask + one tick)."
fn stay_passive(instrument: &Instrument, [best_bid, best_ask]: [Price; 2], price: &mut [Option<Ticks>; 2]) {
    let tick = Price(instrument.tick.atto());
    let [bid, ask] = price;
    if bid.is_some_and(|bid| instrument.price(bid) >= best_bid) {
        *bid = on_tick(instrument, best_bid - tick);
    }
    if ask.is_some_and(|ask| instrument.price(ask) <= best_ask) {
        *ask = on_tick(instrument, best_ask + tick);
    }
}

/// "long: no bid if position_usd + n > 0.9 x max; short: no ask if |position_usd| + n > 0.9 x max. Any side, flat included: not
/// if |position after a full fill| > max."
pub(super) fn allowed(s: &FundingAwareSettings, usd: Money, order: i128, side: Side) -> Option<Blocked> {
    let max = s.max_position_usd.0;
    let after = usd.0.saturating_add(order.saturating_mul(i128::from(side.sign())));
    let adds = usd.0 * i128::from(side.sign()) > 0;
    if adds && after.abs().saturating_mul(10) > max.saturating_mul(9) {
        Some(Blocked::NearCap)
    } else if after.abs() > max {
        Some(Blocked::Cap)
    } else {
        None
    }
}

/// "size < min_order_size -> not sent."
pub(super) fn below_minimum(s: &FundingAwareSettings, instrument: &Instrument, size: Lots) -> bool {
    i128::from(size.0).saturating_mul(instrument.lot.atto()) < s.min_order_size.0
}

/// A price that can be worked with.
pub(super) fn sane(price: Price) -> bool {
    Price::ZERO < price && price <= PRICE_MAX
}

const _: () = assert!(ONE == crate::unit::pow10(crate::unit::MONEY_PLACES), "fractions have as many places as prices");

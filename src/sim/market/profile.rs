//! What a synthetic contract is like: its price, sizes, distances and rates. Only tables; the generator draws from them.
//!
//! The tables are quantiles (parts per million, value) of a recorded BTCUSDT session (345 s of 2024-08-08, 0.1 ticks at
//! 61,700, lots of 0.001); other contracts scale them: sizes by `sizes`, distances in ticks by `reach`.

use crate::instrument::Instrument;
use crate::unit::{MONEY_PLACES, Ticks, pow10};

/// The fixed point of the scale factors.
pub(super) const SCALE: i64 = 1 << 16;

/// The parameters of one synthetic contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Price at the start.
    pub start: Ticks,
    /// Lots here for a lot of the recorded BTCUSDT, in 1/65536.
    pub sizes: i64,
    /// Ticks here for a tick of the recorded BTCUSDT, in 1/65536.
    pub reach: i64,
}

impl Profile {
    /// As BTCUSDT at 61,700.
    #[must_use]
    pub fn btc(instrument: &Instrument) -> Self {
        Self::at(instrument, 61_700, 166_000)
    }

    /// As ETHUSDT at 2,681: a coarser tick and a smaller book in value.
    #[must_use]
    pub fn eth(instrument: &Instrument) -> Self {
        Self::at(instrument, 2_681, 34_000)
    }

    /// By the base asset: BTC and ETH as recorded; anything else at 200,000 ticks (or at the middle of a narrower price
    /// filter) with a book of ETHUSDT's value.
    #[must_use]
    pub fn for_instrument(instrument: &Instrument) -> Self {
        match instrument.base.as_str() {
            "BTC" => Self::btc(instrument),
            "ETH" => Self::eth(instrument),
            _ => {
                let limit = if instrument.price_max.0 > 0 { instrument.price_max.0 / 2 } else { i64::MAX };
                let start = Ticks(limit.clamp(1_000, 200_000));
                Self::scaled(instrument, start, 34_000)
            }
        }
    }

    /// A contract at `start` whose touch usually holds `touch_value` whole units of quote currency.
    #[must_use]
    pub fn scaled(instrument: &Instrument, start: Ticks, touch_value: i64) -> Self {
        let lot_value = (instrument.tick_lot() * i128::from(start.0)).max(1);
        let lots = i128::from(touch_value) * pow10(MONEY_PLACES) / lot_value;
        let clamp = |value: i128| i64::try_from(value).unwrap_or(i64::MAX).clamp(SCALE / 4_096, SCALE * 4_096);
        Self {
            start,
            sizes: clamp(lots * i128::from(SCALE) / i128::from(TOUCH_LOTS_TYPICAL)),
            reach: clamp(i128::from(start.0) * i128::from(SCALE) / 617_000),
        }
    }

    fn at(instrument: &Instrument, price: i64, touch_value: i64) -> Self {
        let ticks = i128::from(price) * pow10(MONEY_PLACES) / instrument.tick.atto();
        Self::scaled(instrument, Ticks(i64::try_from(ticks).expect("a price beyond i64 ticks").max(1_000)), touch_value)
    }

    /// A recorded size in lots here, at least one.
    pub(super) fn lots(&self, recorded: i64) -> i64 {
        (recorded * self.sizes / SCALE).max(1)
    }

    /// A recorded distance in ticks here, at least one.
    pub(super) fn ticks(&self, recorded: i64) -> i64 {
        (recorded * self.reach / SCALE).max(1)
    }

    /// The usual distance in ticks between neighbouring levels at `distance` ticks from the touch.
    pub(super) fn spacing(&self, distance: i64) -> i64 {
        let recorded = distance * SCALE / self.reach;
        let (_, per_hundred) = SPACING[SPACING.partition_point(|&(to, _)| to <= recorded).min(SPACING.len() - 1)];
        (per_hundred * self.reach / SCALE / 100).max(1)
    }
}

const TOUCH_LOTS_TYPICAL: i64 = 2_690;

/// Distance from the touch in ticks (upper bound) and hundredths of ticks between levels there.
const SPACING: [(i64, i64); 9] = [
    (30, 450),
    (100, 340),
    (300, 170),
    (1_000, 165),
    (3_000, 245),
    (10_000, 430),
    (30_000, 1_550),
    (100_000, 19_000),
    (i64::MAX, 300_000),
];

/// Quantity of a taker order, lots.
pub(super) const TAKER_LOTS: [(i64, i64); 17] = [
    (0, 1),
    (50_000, 2),
    (100_000, 2),
    (200_000, 5),
    (300_000, 9),
    (400_000, 16),
    (500_000, 30),
    (600_000, 50),
    (700_000, 97),
    (800_000, 206),
    (900_000, 655),
    (950_000, 1_514),
    (980_000, 3_665),
    (990_000, 7_151),
    (995_000, 12_039),
    (999_000, 50_000),
    (1_000_000, 70_000),
];

/// Quantity of one resting order that a taker order meets, lots.
pub(super) const MAKER_LOTS: [(i64, i64); 17] = [
    (0, 1),
    (50_000, 2),
    (200_000, 2),
    (300_000, 4),
    (400_000, 8),
    (500_000, 17),
    (600_000, 32),
    (700_000, 65),
    (800_000, 125),
    (900_000, 300),
    (950_000, 499),
    (980_000, 807),
    (990_000, 1_146),
    (995_000, 1_855),
    (999_000, 5_000),
    (999_900, 20_000),
    (1_000_000, 46_000),
];

/// How much the quantity at the touch changes at once, lots.
pub(super) const TOUCH_CHANGE_LOTS: [(i64, i64); 15] = [
    (0, 1),
    (100_000, 2),
    (200_000, 4),
    (300_000, 16),
    (400_000, 32),
    (500_000, 97),
    (600_000, 197),
    (700_000, 300),
    (800_000, 450),
    (900_000, 554),
    (950_000, 744),
    (980_000, 1_166),
    (990_000, 1_676),
    (999_000, 6_774),
    (1_000_000, 17_000),
];

/// The quantity that a touch tends to, lots.
pub(super) const TOUCH_LOTS: [(i64, i64); 11] = [
    (0, 2),
    (60_000, 10),
    (170_000, 60),
    (300_000, 900),
    (500_000, 2_900),
    (750_000, 5_600),
    (900_000, 9_000),
    (980_000, 17_000),
    (995_000, 30_000),
    (999_000, 130_000),
    (1_000_000, 300_000),
];

/// Quantity of a level within 3,000 ticks of the touch, lots.
pub(super) const NEAR_LOTS: [(i64, i64); 11] = [
    (0, 1),
    (10_000, 2),
    (100_000, 3),
    (250_000, 14),
    (500_000, 105),
    (750_000, 470),
    (900_000, 1_000),
    (970_000, 3_000),
    (990_000, 10_000),
    (999_000, 40_000),
    (1_000_000, 500_000),
];

/// Quantity of a level further out, lots.
pub(super) const FAR_LOTS: [(i64, i64); 9] = [
    (0, 2),
    (100_000, 5),
    (250_000, 65),
    (500_000, 700),
    (750_000, 2_200),
    (900_000, 8_000),
    (990_000, 55_000),
    (999_000, 300_000),
    (1_000_000, 600_000),
];

/// Distance of a changed level from the touch, ticks.
pub(super) const DISTANCE_TICKS: [(i64, i64); 11] = [
    (0, 1),
    (12_000, 10),
    (40_000, 30),
    (140_000, 100),
    (440_000, 300),
    (785_000, 1_000),
    (892_000, 3_000),
    (955_000, 10_000),
    (982_000, 30_000),
    (993_000, 100_000),
    (1_000_000, 300_000),
];

/// Best-quote changes that come together.
pub(super) const CLUSTER_COUNT: [(i64, i64); 10] = [
    (0, 1),
    (600_000, 1),
    (700_000, 2),
    (800_000, 3),
    (900_000, 5),
    (950_000, 7),
    (980_000, 12),
    (990_000, 16),
    (999_000, 33),
    (1_000_000, 62),
];

/// Nanoseconds between such clusters at median activity.
pub(super) const CLUSTER_GAP_NS: [(i64, i64); 14] = [
    (0, 300_000),
    (50_000, 690_000),
    (100_000, 860_000),
    (300_000, 1_400_000),
    (500_000, 2_400_000),
    (600_000, 3_500_000),
    (700_000, 6_800_000),
    (800_000, 14_400_000),
    (900_000, 30_700_000),
    (950_000, 49_300_000),
    (980_000, 76_200_000),
    (990_000, 100_600_000),
    (999_000, 183_000_000),
    (1_000_000, 400_000_000),
];

/// Nanoseconds between two changes in a cluster, or two prints of a sweep.
pub(super) const WITHIN_CLUSTER_NS: [(i64, i64); 8] = [
    (0, 350),
    (100_000, 500),
    (500_000, 1_000),
    (900_000, 2_700),
    (970_000, 5_600),
    (980_000, 13_700),
    (990_000, 72_000),
    (1_000_000, 290_000),
];

/// Nanoseconds between depth frames.
pub(super) const DEPTH_GAP_NS: [(i64, i64); 8] = [
    (0, 42_500_000),
    (10_000, 43_500_000),
    (100_000, 50_500_000),
    (500_000, 52_200_000),
    (900_000, 54_400_000),
    (990_000, 66_000_000),
    (999_000, 87_000_000),
    (1_000_000, 390_000_000),
];

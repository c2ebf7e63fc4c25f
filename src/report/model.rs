//! What a report says, as plain values for presentation: floats, rounded, in quote currency and base units. Computes nothing.
//!
//! The JSON form is the page's data and the answer of `--json`: names end in their unit (`_s`, `_ns`, `_bps`), prices are quote currency per
//! unit of base, money is quote currency, quantities are base units, a share lies in 0 to 1, `null` is "not known" or "does not apply".

use crate::event::Side;
use crate::journal::histogram::Snapshot;
use serde::Serialize;

/// Version of the JSON form: a field that goes or changes its meaning raises it.
pub const VERSION: u32 = 1;

/// What kind of run it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// At a venue, or at the embedded exchange.
    Live,
    /// Live market data, modelled fills.
    Paper,
    /// A recording in virtual time.
    Backtest,
}

/// Everything.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// What the page is headed with.
    pub title: String,
    /// What kind of run.
    pub kind: Kind,
    /// The run's particulars, in order.
    pub facts: Vec<Fact>,
    /// First moment, nanoseconds since the Unix epoch.
    pub start_ns: i64,
    /// Last moment.
    pub end_ns: i64,
    /// Between the two.
    pub seconds: f64,
    /// The instruments.
    pub markets: Vec<Market>,
    /// Messages to the venue, and their limits.
    pub messages: Messages,
    /// Latency per stage; only stages that timed something.
    pub latency: Vec<Stage>,
    /// What went wrong or was done by hand.
    pub incidents: Incidents,
    /// What the reader should know of the figures: what was left out, thinned or could not be had.
    pub notes: Vec<String>,
}

/// One line of the run's particulars.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Fact {
    /// What.
    pub name: String,
    /// As text.
    pub value: String,
}

/// One instrument.
#[derive(Clone, Debug, Serialize)]
pub struct Market {
    /// The venue's name for it.
    pub symbol: String,
    /// Base asset.
    pub base: String,
    /// Quote asset.
    pub quote: String,
    /// Decimals of its prices.
    pub price_places: u32,
    /// Decimals of its quantities.
    pub qty_places: u32,
    /// The figures.
    pub summary: Summary,
    /// Everything over time.
    pub timeline: Timeline,
    /// The executions.
    pub fills: Fills,
    /// Where the mid went after an execution.
    pub markouts: Vec<Markout>,
}

/// The figures of one instrument.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// Net profit and its parts at the end.
    pub pnl: Pnl,
    /// Largest fall of the net profit from a peak.
    pub max_drawdown: f64,
    /// Sharpe ratio, where there are enough samples.
    pub sharpe: Option<Sharpe>,
    /// Sum of price times quantity of all executions.
    pub turnover: f64,
    /// Executions of buys.
    pub fills_buy: u64,
    /// Executions of sells.
    pub fills_sell: u64,
    /// Executions in which we were the maker.
    pub fills_maker: u64,
    /// Quantity bought.
    pub bought: f64,
    /// Quantity sold.
    pub sold: f64,
    /// Position at the end; negative is short.
    pub position: f64,
    /// Lowest position.
    pub position_min: f64,
    /// Highest position.
    pub position_max: f64,
    /// Orders that came to rest at the venue.
    pub orders_rested: u64,
    /// Those of them with an execution.
    pub orders_filled: u64,
    /// `orders_filled / orders_rested`.
    pub fill_ratio: Option<f64>,
    /// Quantity executed as maker per quantity that came to rest.
    pub fill_ratio_qty: Option<f64>,
    /// From coming to rest (or the amend that lost the place) to the first execution, as maker.
    pub queue_time: Option<QueueTime>,
    /// Time with a known market from the first quote of the book on, seconds.
    pub market_s: f64,
    /// Share of it with orders of ours on both sides.
    pub two_sided: Option<f64>,
    /// Share of it with an order of ours on at least one side.
    pub quoted: Option<f64>,
    /// Mean distance of our best bid and ask while both rested, weighted by time.
    pub own_spread_bps: Option<f64>,
}

/// Profit: `total` is the sum of the other four.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct Pnl {
    /// Net.
    pub total: f64,
    /// Gained at executions against the mid.
    pub spread: f64,
    /// Gained on what was held, by moves of the mid.
    pub inventory: f64,
    /// Fees; negative is paid.
    pub fees: f64,
    /// Funding; negative is paid.
    pub funding: f64,
}

/// Mean over standard deviation of the changes of the net profit.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Sharpe {
    /// Annualised with 365 days.
    pub annual: f64,
    /// Of one sample.
    pub per_sample: f64,
    /// The samples' distance.
    pub sample_s: f64,
    /// How many.
    pub samples: u64,
}

/// How long executed orders waited.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct QueueTime {
    /// Orders.
    pub count: u64,
    /// Mean.
    pub mean_s: f64,
    /// Half waited no longer.
    pub median_s: f64,
    /// Nine of ten waited no longer.
    pub p90_s: f64,
}

/// Columns over time, one entry per bucket in which something happened. Values are those at the end of the bucket; `_min` and `_max`
/// those within it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Timeline {
    /// Length of a bucket.
    pub bucket_s: f64,
    /// End of each bucket, seconds after the report's start.
    pub t: Vec<f64>,
    /// Best bid of the market.
    pub bid: Vec<Option<f64>>,
    /// Best ask.
    pub ask: Vec<Option<f64>>,
    /// Mid.
    pub mid: Vec<Option<f64>>,
    /// Lowest mid.
    pub mid_min: Vec<Option<f64>>,
    /// Highest mid.
    pub mid_max: Vec<Option<f64>>,
    /// Our best resting bid.
    pub own_bid: Vec<Option<f64>>,
    /// Our best resting ask.
    pub own_ask: Vec<Option<f64>>,
    /// Position.
    pub position: Vec<f64>,
    /// Lowest position.
    pub position_min: Vec<f64>,
    /// Highest position.
    pub position_max: Vec<f64>,
    /// Net profit: how the equity changed since the start.
    pub equity: Vec<f64>,
    /// Lowest net profit.
    pub equity_min: Vec<f64>,
    /// Highest net profit.
    pub equity_max: Vec<f64>,
    /// Profit from spreads.
    pub spread: Vec<f64>,
    /// Profit from holding.
    pub inventory: Vec<f64>,
    /// Fees; negative is paid.
    pub fees: Vec<f64>,
    /// Funding; negative is paid.
    pub funding: Vec<f64>,
}

/// Executions, as columns.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Fills {
    /// How many there were.
    pub count: u64,
    /// One of so many is shown: 1 is all of them.
    pub shown_every: u64,
    /// Seconds after the report's start.
    pub t: Vec<f64>,
    /// `true`: we bought.
    pub buy: Vec<bool>,
    /// Price.
    pub price: Vec<f64>,
    /// Quantity.
    pub qty: Vec<f64>,
    /// We were the maker.
    pub maker: Vec<bool>,
    /// The mid of the moment.
    pub mid: Vec<Option<f64>>,
    /// How long the order had its place, seconds.
    pub queue_s: Vec<Option<f64>>,
}

/// Move of the mid from the execution's price in our favour, after a time.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Markout {
    /// Our side: `buy` or `sell`.
    pub side: &'static str,
    /// How long after the execution.
    pub after_s: f64,
    /// Executions measured; those nearer to the end than `after_s`, or without a mid then, are not.
    pub count: u64,
    /// Mean in 1/10000 of the price, each execution once.
    pub mean_bps: Option<f64>,
    /// Median, to 0.01.
    pub median_bps: Option<f64>,
    /// Sum of move times quantity.
    pub total: f64,
}

/// Messages to the venue.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Messages {
    /// New orders.
    pub new: u64,
    /// Amends.
    pub amend: u64,
    /// Cancels, cancel-all included.
    pub cancel: u64,
    /// Queries and reconciliations.
    pub query: u64,
    /// Market orders.
    pub market: u64,
    /// Refused by the venue: new orders, amends and cancels.
    pub rejected: u64,
    /// Refused by our own gate.
    pub refused: u64,
    /// The busiest times against what is allowed.
    pub limits: Vec<Limit>,
}

/// The busiest window against its limit.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Limit {
    /// What is counted.
    pub name: String,
    /// The window.
    pub window_s: f64,
    /// Most in any window, to a tenth of a second.
    pub peak: u64,
    /// Most allowed, where there is a limit.
    pub max: Option<u64>,
}

/// Latency of one stage, nanoseconds.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// Values.
    pub count: u64,
    /// Mean.
    pub mean_ns: f64,
    /// Smallest.
    pub min_ns: u64,
    /// Median.
    pub p50_ns: u64,
    /// Nine of ten.
    pub p90_ns: u64,
    /// 99 of 100.
    pub p99_ns: u64,
    /// 999 of 1000.
    pub p999_ns: u64,
    /// 9999 of 10000.
    pub p9999_ns: u64,
    /// Largest.
    pub max_ns: u64,
    /// The percentile plot: share of values, and the value below which they lie.
    pub curve: Vec<(f64, u64)>,
}

impl Stage {
    /// From a run's histogram; `None` while it is empty.
    #[must_use]
    pub fn of(histogram: &Snapshot) -> Option<Self> {
        if histogram.count == 0 {
            return None;
        }
        let at = |millionths| histogram.percentile(millionths).min(histogram.max);
        // Evenly over the logarithm of what lies above, as latency plots are read: 0, 10, 50, 90, 99, ... per cent.
        let mut curve: Vec<(f64, u64)> = (0..=60)
            .map(|step| 1e6 - 1e6 / 10_f64.powf(f64::from(step) / 10.0))
            .take_while(|&millionths| (1e6 - millionths) * histogram.count as f64 >= 0.5e6)
            .map(|millionths| (millionths.round() / 1e6, at(millionths.round() as u32)))
            .collect();
        curve.dedup_by_key(|point| point.0);
        curve.push((1.0, histogram.max));
        Some(Self {
            name: histogram.name.clone(),
            count: histogram.count,
            mean_ns: (histogram.sum as f64 / histogram.count as f64 * 10.0).round() / 10.0,
            min_ns: histogram.min,
            p50_ns: at(500_000),
            p90_ns: at(900_000),
            p99_ns: at(990_000),
            p999_ns: at(999_000),
            p9999_ns: at(999_900),
            max_ns: histogram.max,
            curve,
        })
    }
}

/// What went wrong, or was done by hand.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Incidents {
    /// How many there were.
    pub count: u64,
    /// The first and the last of them.
    pub shown: Vec<Incident>,
}

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Quotes were affected.
    Warning,
    /// Trading stopped, or money was at stake.
    Critical,
}

/// One of them.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Incident {
    /// Seconds after the report's start.
    pub t: f64,
    /// How bad.
    pub severity: Severity,
    /// What, in a few words.
    pub what: String,
    /// The particulars.
    pub detail: String,
}

/// The side's name in the JSON form.
#[must_use]
pub const fn side_name(side: Side) -> &'static str {
    match side {
        Side::Buy => "buy",
        Side::Sell => "sell",
    }
}

/// Rounded to eight places, so that the text form is short.
#[must_use]
pub fn rounded(value: f64) -> f64 {
    let rounded = (value * 1e8).round() / 1e8;
    // No minus before a zero.
    if rounded == 0.0 { 0.0 } else { rounded }
}

//! How a backtest models the world: queue, latencies, fees, account; and the short texts in which a command line names them.

use crate::sim::latency::{Delays, Latency};
use crate::sim::queue::QueueModel;
use crate::unit::{Money, Nanos, Rate};

/// When the strategy hears what the venue told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FeedLatency {
    /// When the recorder's host received it, by its corrected clock.
    #[default]
    Recorded,
    /// Venue time and a drawn latency; nothing overtakes.
    Drawn(Latency),
}

/// Everything of a backtest but strategy and data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Place in the queue.
    pub queue: QueueModel,
    /// Orders, amends, cancels and answers under way.
    pub delays: Delays,
    /// Market data under way.
    pub feed: FeedLatency,
    /// One seed, one run.
    pub seed: u64,
    /// Wallet at the start, in quote currency.
    pub deposit: Money,
    /// Longest time between two timer events of the maker; live it is 5 ms.
    pub timer: Nanos,
    /// Streams of a venue reach us with different delays, so their venue times interleave: the exchange takes events in the order of
    /// venue times as far as they lie within this.
    pub reorder: Nanos,
    /// Leverage of the account.
    pub leverage: u32,
    /// Hedge mode.
    pub hedge: bool,
    /// When the account's links are up; otherwise with the first event.
    pub links_at: Option<Nanos>,
    /// When the first reconciliation is answered, where that took longer than the latencies say.
    pub answered_at: Option<Nanos>,
    /// When an operator ends the run; otherwise with the data.
    pub stop_at: Option<Nanos>,
}

impl Default for Settings {
    fn default() -> Self {
        let network = Latency::Tailed { base: Nanos::from_micros(500), step: Nanos::from_micros(250), per_mille: 300 };
        Self {
            queue: QueueModel::default(),
            delays: Delays::both(network, network),
            feed: FeedLatency::Recorded,
            seed: 1,
            deposit: Money::parse(b"10000").expect("literal"),
            timer: Nanos::from_millis(5),
            reorder: Nanos::from_millis(200),
            leverage: 20,
            hedge: false,
            links_at: None,
            answered_at: None,
            stop_at: None,
        }
    }
}

/// Maker and taker fee of Binance's USD-M tiers in quote currency, without the discount for paying in BNB, as the venue's fee
/// schedule listed them in 2025 (https://www.binance.com/en/fee/futureFee).
pub const FEE_TIERS: [(&str, &str, &str); 10] = [
    ("vip0", "0.0002", "0.0005"),
    ("vip1", "0.00016", "0.0004"),
    ("vip2", "0.00014", "0.00035"),
    ("vip3", "0.00012", "0.00032"),
    ("vip4", "0.0001", "0.0003"),
    ("vip5", "0.00008", "0.00027"),
    ("vip6", "0.00006", "0.00025"),
    ("vip7", "0.00004", "0.00022"),
    ("vip8", "0.00002", "0.0002"),
    ("vip9", "0", "0.00017"),
];

/// Reads `--fees`: a tier (`vip0` to `vip9`), or `MAKER%,TAKER%` where a negative maker fee is a rebate. Maker and taker.
///
/// # Errors
/// A sentence that says what is valid.
pub fn parse_fees(text: &str) -> Result<(Rate, Rate), String> {
    let rate = |text: &str| Rate::parse(text.as_bytes()).map_err(|error| format!("{text}: {error}"));
    if let Some((_, maker, taker)) = FEE_TIERS.iter().find(|(name, _, _)| *name == text) {
        return Ok((rate(maker)?, rate(taker)?));
    }
    let valid = || format!("{text}: must be vip0 to vip9, or MAKER%,TAKER% such as -0.005%,0.03%");
    let (maker, taker) = text.split_once(',').ok_or_else(valid)?;
    let percent = |text: &str| -> Result<Rate, String> {
        let number = text.trim().strip_suffix('%').ok_or_else(valid)?;
        let percent = Rate::parse(number.as_bytes()).map_err(|_| valid())?;
        let one = Rate::parse(b"1").map_err(|_| valid())?;
        if percent.0.abs() > one.0 {
            return Err(format!("{text}: a fee is at most 1%"));
        }
        if percent.0 % 100 != 0 {
            return Err(format!("{text}: a fee has at most so many decimals that a hundredth of it is exact"));
        }
        Ok(Rate(percent.0 / 100))
    };
    Ok((percent(maker)?, percent(taker)?))
}

/// Reads `--latency`: parts joined by commas, `KIND=MODEL` with kinds `order`, `amend`, `cancel`, `ack` and `feed`, or `MODEL`
/// alone for the first four. A model is a duration (`500us`: constant), `MIN..MAX` (uniform) or `BASE+STEP*PERMILLE` (each of
/// up to 20 steps is added with that probability). The rest of `settings` stays.
///
/// # Errors
/// A sentence that says what is valid.
pub fn parse_latency(text: &str, settings: &mut Settings) -> Result<(), String> {
    for part in text.split(',') {
        let (kind, model) = part.split_once('=').map_or(("", part), |(kind, model)| (kind.trim(), model));
        let latency = model_of(model.trim())?;
        let delays = &mut settings.delays;
        match kind {
            "" => *delays = Delays::both(latency, latency),
            "order" => delays.order = latency,
            "amend" => delays.amend = latency,
            "cancel" => delays.cancel = latency,
            "ack" => delays.ack = latency,
            "feed" => settings.feed = FeedLatency::Drawn(latency),
            _ => return Err(format!("{kind}: no such latency; must be order, amend, cancel, ack or feed")),
        }
    }
    Ok(())
}

/// The text that [`parse_latency`] reads the same latencies from.
#[must_use]
pub fn latency_text(settings: &Settings) -> String {
    let Delays { order, amend, cancel, ack, .. } = settings.delays;
    let kinds = [("order", order), ("amend", amend), ("cancel", cancel), ("ack", ack)];
    let mut parts: Vec<String> = if kinds.iter().all(|(_, latency)| *latency == order) {
        vec![order.to_string()]
    } else {
        kinds.iter().map(|(kind, latency)| format!("{kind}={latency}")).collect()
    };
    if let FeedLatency::Drawn(latency) = settings.feed {
        parts.push(format!("feed={latency}"));
    }
    parts.join(",")
}

fn model_of(text: &str) -> Result<Latency, String> {
    let duration = crate::config::value::duration;
    if let Some((min, max)) = text.split_once("..") {
        let (min, max) = (duration(min)?, duration(max)?);
        return if min <= max {
            Ok(Latency::Uniform { min, max })
        } else {
            Err(format!("{text}: the first must not be larger"))
        };
    }
    if let Some((base, tail)) = text.split_once('+') {
        let valid = || format!("{text}: must be BASE+STEP*PERMILLE such as 500us+250us*300");
        let (step, per_mille) = tail.split_once('*').ok_or_else(valid)?;
        let per_mille: u16 = per_mille.parse().map_err(|_| valid())?;
        if per_mille > 1000 {
            return Err(valid());
        }
        return Ok(Latency::Tailed { base: duration(base)?, step: duration(step)?, per_mille });
    }
    Ok(Latency::Constant(duration(text)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fees_are_tiers_or_two_percentages() {
        let rate = |text: &str| Rate::parse(text.as_bytes()).unwrap();
        assert_eq!(parse_fees("vip0"), Ok((rate("0.0002"), rate("0.0005"))));
        assert_eq!(parse_fees("-0.005%,0.03%"), Ok((rate("-0.00005"), rate("0.0003"))));
        for wrong in ["vip10", "0.02", "0.02%", "0.02,0.05", "2%,0.05%", "x%,y%"] {
            assert!(parse_fees(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn latencies_are_told_apart_by_kind() {
        let mut settings = Settings::default();
        parse_latency("1ms,cancel=2ms,feed=1ms..3ms,ack=500us+250us*300", &mut settings).unwrap();
        assert_eq!(settings.delays.order, Latency::Constant(Nanos::from_millis(1)));
        assert_eq!(settings.delays.cancel, Latency::Constant(Nanos::from_millis(2)));
        let (min, max) = (Nanos::from_millis(1), Nanos::from_millis(3));
        assert_eq!(settings.feed, FeedLatency::Drawn(Latency::Uniform { min, max }));
        assert!(matches!(settings.delays.ack, Latency::Tailed { per_mille: 300, .. }));
        let mut again = Settings::default();
        parse_latency(&latency_text(&settings), &mut again).unwrap();
        assert_eq!(again, settings);
        assert_eq!(latency_text(&Settings::default()), "500us+250us*300");
        for wrong in ["", "1", "order=", "nonsense=1ms", "3ms..1ms", "1ms+1ms", "1ms+1ms*1001"] {
            assert!(parse_latency(wrong, &mut settings).is_err(), "{wrong}");
        }
    }
}

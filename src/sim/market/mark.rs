//! Mark price, index and funding of a contract, once a second from its mid. Charges nobody: that is the account's.

use crate::event::MarkPrice;
use crate::instrument::{Instrument, InstrumentId};
use crate::unit::{Nanos, Price, RATE_ONE, Rate};

const HOUR: i64 = 3_600_000_000_000;

/// Smoothed prices and the funding rate. Also made for recordings that carry no mark.
#[derive(Clone, Debug)]
pub(in crate::sim) struct MarkModel {
    /// Mid over about 2 s.
    fast: i128,
    /// Index over about 10 minutes, the estimated settle price.
    slow: i128,
    rate: Rate,
}

impl MarkModel {
    /// Starts at `mid` with the venue's usual rate of 0.01 %.
    pub(in crate::sim) fn new(mid: Price) -> Self {
        Self { fast: mid.0, slow: mid.0, rate: Rate::from_bps(1) }
    }

    /// Sets the rate that is charged next.
    pub(super) fn set_rate(&mut self, rate: Rate) {
        self.rate = rate;
    }

    /// The update of one second; `noise` moves the rate by 1e-12 each.
    pub(in crate::sim) fn second(
        &mut self,
        instrument: &Instrument,
        now: Nanos,
        mid: Price,
        noise: i64,
    ) -> (MarkPrice, Price) {
        self.fast += (mid.0 - self.fast) / 2;
        // The premium over the index has the sign of the rate and half its size; the venue's rate follows the premium.
        let index = self.fast - self.fast / i128::from(RATE_ONE) * i128::from(self.rate.0) / 2;
        self.slow += (index - self.slow) / 600;
        let wandered = self.rate.0 + noise;
        // The noise never turns the sign: a flip is a scripted event.
        if wandered.signum() == self.rate.0.signum() && wandered.abs() < Rate::from_bps(200).0 {
            self.rate = Rate(wandered);
        }
        // The venue prints rates with eight decimals, so only those exist.
        let printed = Rate(self.rate.0 / 10_000 * 10_000);
        let mark = MarkPrice {
            instrument: InstrumentId(0),
            mark: instrument.price(instrument.floor(Price(self.fast))),
            index: eight_places(Price(index)),
            funding_rate: printed,
            next_funding: next_funding(now, instrument.funding_interval_hours),
            venue_time: Nanos(now.0 / 1_000_000 * 1_000_000),
        };
        (mark, eight_places(Price(self.slow)))
    }
}

/// The first multiple of the interval (counted from 00:00 UTC) after `now`.
fn next_funding(now: Nanos, interval_hours: u8) -> Nanos {
    let interval = i64::from(interval_hours.max(1)) * HOUR;
    Nanos((now.0 / interval + 1) * interval)
}

fn eight_places(price: Price) -> Price {
    const UNIT: i128 = 10_000_000_000;
    Price(price.0 / UNIT * UNIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn funding_is_due_at_midnight_eight_and_sixteen() {
        let day = 1_723_161_600_000_000_000; // 2024-08-09 00:00 UTC
        for (now, due) in [(day - 1, day), (day, day + 8 * HOUR), (day + 9 * HOUR, day + 16 * HOUR)] {
            assert_eq!(next_funding(Nanos(now), 8), Nanos(due));
        }
    }

    #[test]
    fn the_premium_has_the_sign_of_the_rate() {
        let btc = Instrument::synthetic("BTCUSDT", "0.10", "0.001");
        let mid = Price::parse(b"61800.25").unwrap();
        let mut model = MarkModel::new(mid);
        let (long, _) = model.second(&btc, Nanos(1_723_161_256_000_000_000), mid, 0);
        assert!(long.funding_rate > Rate::ZERO && long.mark > long.index, "{long:?}");
        model.set_rate(Rate::from_bps(-3));
        let (short, _) = model.second(&btc, Nanos(1_723_161_257_000_000_000), mid, 0);
        assert!(short.funding_rate == Rate::from_bps(-3) && short.mark < short.index, "{short:?}");
        assert_eq!(long.mark, Price::parse(b"61800.2").unwrap());
    }
}

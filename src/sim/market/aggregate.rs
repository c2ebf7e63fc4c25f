//! Single prints into the runs of `aggTrade`: one price, one aggressor side, at most 100 ms. Forgets a run once it is told.

use crate::event::Trade;
use crate::sim::frames::AggTrade;
use crate::unit::Nanos;

/// How long a run collects (Binance: "aggregated for fills at same price and same taking side every 100 milliseconds").
const WINDOW: Nanos = Nanos::from_millis(100);

/// Collects the prints of one contract.
#[derive(Clone, Debug, Default)]
pub struct Aggregator {
    open: Option<(AggTrade, Nanos)>,
    told: u64,
}

impl Aggregator {
    /// Takes a print of time `at`; the run that it does not belong to is complete and comes back.
    pub fn push(&mut self, at: Nanos, trade: &Trade) -> Option<AggTrade> {
        if let Some((run, until)) = &mut self.open
            && (run.price, run.taker) == (trade.price, trade.taker)
            && at < *until
        {
            run.last = trade.id;
            run.qty += trade.qty;
            run.venue_time = trade.venue_time;
            return None;
        }
        let complete = self.open.take().map(|(run, _)| run);
        self.told += 1;
        let run = AggTrade {
            id: self.told,
            first: trade.id,
            last: trade.id,
            price: trade.price,
            qty: trade.qty,
            taker: trade.taker,
            venue_time: trade.venue_time,
        };
        self.open = Some((run, at + WINDOW));
        complete
    }

    /// When the open run must be told, if there is one.
    #[must_use]
    pub fn due(&self) -> Option<Nanos> {
        self.open.map(|(_, until)| until)
    }

    /// The open run, if it is due by `now`.
    pub fn flush(&mut self, now: Nanos) -> Option<AggTrade> {
        self.open.take_if(|(_, until)| *until <= now).map(|(run, _)| run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Side;
    use crate::instrument::InstrumentId;
    use crate::unit::{Lots, Ticks};

    #[test]
    fn a_run_ends_with_its_price_its_side_or_its_time() {
        let ms = Nanos::from_millis;
        let print = |id, at, price, qty, taker| Trade {
            instrument: InstrumentId(0),
            id,
            price: Ticks(price),
            qty: Lots(qty),
            taker,
            aggregate: false,
            venue_time: ms(at),
        };
        let mut runs = Aggregator::default();
        let mut push = |id, at, price, qty, taker| {
            runs.push(ms(at), &print(id, at, price, qty, taker)).map(|run| (run.id, run.first, run.last, run.qty.0))
        };
        assert_eq!(push(1, 0, 10, 1, Side::Buy), None);
        assert_eq!(push(2, 99, 10, 2, Side::Buy), None);
        assert_eq!(push(3, 100, 10, 4, Side::Buy), Some((1, 1, 2, 3)), "its time");
        assert_eq!(push(4, 101, 11, 5, Side::Buy), Some((2, 3, 3, 4)), "its price");
        assert_eq!(push(5, 102, 11, 6, Side::Sell), Some((3, 4, 4, 5)), "its side");
        assert_eq!((runs.due(), runs.flush(ms(201))), (Some(ms(202)), None));
        assert_eq!(runs.flush(ms(202)).map(|run| (run.id, run.venue_time)), Some((4, ms(102))));
        assert_eq!((runs.due(), runs.flush(ms(999))), (None, None));
    }
}

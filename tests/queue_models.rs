//! Queue models against hand-worked tables: a scripted book, our orders in it, and for each case what must have filled and why.
//! Quantities are lots, prices ticks. We bid at 100 behind what the level shows.

use spinquote::event::{DepthUpdate, Level, Side, Trade};
use spinquote::instrument::InstrumentId;
use spinquote::sim::matching::{Matching, Outcome};
use spinquote::sim::order::AccountId;
use spinquote::sim::queue::QueueModel::{self, Calibrated, Log, Power, RiskAverse};
use spinquote::unit::{Lots, Nanos, Seq, Ticks};

const ME: AccountId = AccountId(0);
const MODELS: [QueueModel; 6] = [RiskAverse, Power(1), Power(2), Power(3), Log, Calibrated];

/// One thing that happens.
#[derive(Clone, Copy)]
enum Do {
    /// The bid level shows so much now.
    Bid(i64, i64),
    /// The ask level shows so much now.
    Ask(i64, i64),
    /// A seller trades so much at the price.
    Sold(i64, i64),
    /// We place a bid: slot, price, quantity.
    Place(u32, i64, i64),
}
use Do::{Ask, Bid, Place, Sold};

struct Script {
    market: Matching,
    seq: u64,
    filled: [i64; 4],
}

impl Script {
    fn new(model: QueueModel) -> Self {
        Self { market: Matching::new(model), seq: 0, filled: [0; 4] }
    }

    fn play(&mut self, steps: &[Do]) {
        let mut out = Vec::new();
        for &step in steps {
            match step {
                Bid(price, qty) => self.depth(Side::Buy, price, qty, &mut out),
                Ask(price, qty) => self.depth(Side::Sell, price, qty, &mut out),
                Sold(price, qty) => {
                    let trade = Trade {
                        instrument: InstrumentId(0),
                        id: 0,
                        price: Ticks(price),
                        qty: Lots(qty),
                        taker: Side::Sell,
                        aggregate: false,
                        venue_time: Nanos(0),
                    };
                    self.market.on_trade(&trade, &mut out);
                }
                Place(slot, price, qty) => self.market.rest(slot, ME, Side::Buy, Ticks(price), Lots(qty)),
            }
            for outcome in out.drain(..) {
                match outcome {
                    Outcome::Made { slot, qty, .. } => self.filled[slot as usize] += qty.0,
                    other => panic!("only our resting orders can trade here: {other:?}"),
                }
            }
        }
    }

    fn depth(&mut self, side: Side, price: i64, qty: i64, out: &mut Vec<Outcome>) {
        self.seq += 1;
        let levels = [Level { price: Ticks(price), qty: Lots(qty) }];
        let (bids, asks): (&[Level], &[Level]) = if side == Side::Buy { (&levels, &[]) } else { (&[], &levels) };
        let (first, last, prev) = (Seq(self.seq), Seq(self.seq), Seq(self.seq - 1));
        let (instrument, venue_time) = (InstrumentId(0), Nanos(0));
        self.market.on_depth(&DepthUpdate { instrument, first, last, prev, venue_time, bids, asks }, out);
    }

    fn ahead(&self, slot: u32) -> Option<i64> {
        self.market.ahead(slot).map(|lots| lots.0)
    }
}

/// A case: what happens, and for each of [`MODELS`] what is ahead of order 0 then (-1: it is filled). The reason is the case's name.
struct Case {
    why: &'static str,
    steps: &'static [Do],
    ahead: [i64; 6],
}

const CASES: &[Case] = &[
    Case {
        why: "on placement everything that the level shows is ahead",
        steps: &[Bid(100, 60), Place(0, 100, 5)],
        ahead: [60; 6],
    },
    Case { why: "a level that nobody shows has nobody ahead", steps: &[Bid(99, 60), Place(0, 100, 5)], ahead: [0; 6] },
    Case {
        why: "what joins later stands behind",
        steps: &[Bid(100, 60), Place(0, 100, 5), Bid(100, 100)],
        ahead: [60; 6],
    },
    Case {
        why: "a print takes from the front, whatever the model",
        steps: &[Bid(100, 60), Place(0, 100, 5), Sold(100, 20)],
        ahead: [40; 6],
    },
    Case {
        why: "the decrease that a print explains is not counted again",
        steps: &[Bid(100, 60), Place(0, 100, 5), Sold(100, 20), Bid(100, 40)],
        ahead: [40; 6],
    },
    Case {
        // 60 ahead, 40 behind, 50 cancelled. Uniform: 50*60/100 = 30. Squares: 50*3600/5200 = 34. Cubes: 50*216/280 = 38.
        // ln 61 / (ln 61 + ln 41) = 4.1109/(4.1109+3.7136) = 0.52539: 50*0.52539 = 26. No prints yet: calibrated is uniform.
        why: "cancels are shared out by the model: none, 30, 34, 38, 26, 30 of 50 stood ahead",
        steps: &[Bid(100, 60), Place(0, 100, 5), Bid(100, 100), Bid(100, 50)],
        ahead: [50, 30, 26, 22, 34, 30],
    },
    Case {
        // Risk-averse keeps 60 but the level has only 50: nobody can stand ahead who is not there.
        why: "never more ahead than the level shows",
        steps: &[Bid(100, 60), Place(0, 100, 5), Bid(100, 50)],
        ahead: [50; 6],
    },
    Case {
        // 20 printed, then the level falls from 100 by 30: 10 were cancels; standing are 80, of them 40 ahead and 40 behind: halves.
        // Calibrated: 20 printed and 10 cancelled left the touch: a third of a half, 10*(1/3*40)/80 = 1.66, rounded down.
        why: "a decrease is prints first, cancels for the rest",
        steps: &[Bid(100, 60), Place(0, 100, 5), Bid(100, 100), Sold(100, 20), Bid(100, 70)],
        ahead: [40, 35, 35, 35, 35, 39],
    },
    Case {
        // Only prints have left the touch: calibrated believes that nobody cancels ahead until it has seen cancels. The case above it,
        // with 10 of 40 gone cancelled: 10*(10/40*40)/... see there; here 40 printed and 10 cancelled of 100: 20 ahead, 40 behind,
        // share 10/50: 10*(0.2*20)/60 = 0.66. Uniform: 10*20/60 = 3. Squares: 10*400/2000 = 2. Cubes: 10*8/72 = 1.
        // Log: ln 21/(ln 21 + ln 41) = 3.0445/(3.0445+3.7136) = 0.4505: 4.
        why: "the smaller part loses less with higher powers, and the calibrated model counts prints against cancels",
        steps: &[Bid(100, 60), Place(0, 100, 5), Bid(100, 100), Sold(100, 40), Bid(100, 50)],
        ahead: [20, 17, 18, 19, 16, 20],
    },
    Case {
        why: "an empty level has nobody ahead",
        steps: &[Bid(100, 60), Place(0, 100, 5), Bid(100, 0), Bid(99, 9)],
        ahead: [0; 6],
    },
    Case {
        why: "a print of what is ahead fills nothing of ours",
        steps: &[Bid(100, 60), Place(0, 100, 5), Sold(100, 60)],
        ahead: [0; 6],
    },
    Case {
        why: "one lot more fills one lot, and the order stays in front",
        steps: &[Bid(100, 60), Place(0, 100, 5), Sold(100, 61)],
        ahead: [0; 6],
    },
    Case {
        why: "a print through our price passed everybody at it",
        steps: &[Bid(100, 60), Place(0, 100, 5), Sold(99, 5)],
        ahead: [-1; 6],
    },
    Case {
        why: "an ask at our price would have met us: it fills us with what it shows",
        steps: &[Bid(100, 60), Place(0, 100, 5), Ask(100, 5)],
        ahead: [-1; 6],
    },
];

#[test]
fn places_are_those_worked_by_hand() {
    let mut wrong = Vec::new();
    for case in CASES {
        for (model, expected) in MODELS.into_iter().zip(case.ahead) {
            let mut script = Script::new(model);
            script.play(case.steps);
            let got = script.ahead(0).unwrap_or(-1);
            if got != expected {
                wrong.push(format!("{model:?}: {}: {expected} by hand, {got}", case.why));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// Fills of orders 0, 1 and 2, the same in every model because prints alone move them.
const FILLS: &[(&str, &[Do], [i64; 3])] = &[
    ("behind the queue only what is printed beyond it", &[Bid(100, 10), Place(0, 100, 5), Sold(100, 12)], [2, 0, 0]),
    (
        "two of ours at a price share one print: what the first took is gone for the second",
        &[Bid(100, 10), Place(0, 100, 5), Place(1, 100, 5), Sold(100, 17)],
        [5, 2, 0],
    ),
    (
        "two of ours at two prices share one print: the better one first, the queue of the other before it",
        &[Bid(101, 3), Bid(100, 4), Place(0, 101, 5), Place(1, 100, 5), Sold(100, 9)],
        [5, 0, 0],
    ),
    (
        "three of ours never get more than the print has",
        &[Place(0, 100, 5), Place(1, 100, 5), Place(2, 100, 5), Sold(100, 11)],
        [5, 5, 1],
    ),
    ("an ask that meets two of ours is used once", &[Place(0, 100, 5), Place(1, 100, 5), Ask(100, 7)], [5, 2, 0]),
    (
        "told again with more, what joined the ask is there for the rest",
        &[Place(0, 100, 5), Place(1, 100, 5), Ask(100, 7), Ask(100, 8)],
        [5, 3, 0],
    ),
    (
        "told again with less, the ask has none that we did not use",
        &[Place(0, 100, 5), Place(1, 100, 5), Ask(100, 7), Ask(100, 4), Ask(100, 7)],
        [5, 5, 0],
    ),
    ("prints on the other side are not ours", &[Place(0, 100, 5), Ask(101, 5), Bid(100, 5)], [0, 0, 0]),
    ("a print above our bid does not reach us", &[Bid(101, 5), Place(0, 100, 5), Sold(101, 50)], [0, 0, 0]),
];

#[test]
fn fills_are_those_worked_by_hand() {
    for model in MODELS {
        for (why, steps, expected) in FILLS {
            let mut script = Script::new(model);
            script.play(steps);
            assert_eq!(script.filled[..3], *expected, "{model:?}: {why}");
        }
    }
}

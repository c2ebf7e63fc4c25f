//! The market's levels as far as the journal's depth frames told of them since the view began: absolute quantities, nearest the touch first.
//! A view of what was seen, not a book that may be quoted on.

use crate::meta::Meta;
use serde_json::Value;
use spinquote::unit::{Price, Step};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Frames that wait to be decoded; older ones would only be overwritten by these.
const FRAMES: usize = 1_000;
/// Levels kept of a side.
const LEVELS: usize = 4_000;

/// Bids and asks by ticks, in lots.
pub type Sides = [BTreeMap<i64, i64>; 2];

/// What was seen of all markets.
#[derive(Default)]
pub struct Seen {
    waiting: VecDeque<Vec<u8>>,
    markets: HashMap<String, Sides>,
}

impl Seen {
    /// A frame that may be one of depth; only kept here.
    pub fn take(&mut self, frame: &[u8]) {
        let head = &frame[..frame.len().min(160)];
        if !head.windows(11).any(|window| window == b"depthUpdate") {
            return;
        }
        if self.waiting.len() == FRAMES {
            self.waiting.pop_front();
        }
        self.waiting.push_back(frame.to_vec());
    }

    /// A gap: what was seen before it may be gone.
    pub fn forget(&mut self) {
        self.waiting.clear();
        self.markets.clear();
    }

    /// Decodes what waits.
    pub fn settle(&mut self, meta: &Meta) {
        for frame in std::mem::take(&mut self.waiting) {
            let Some((symbol, changes)) = depth(&frame, meta) else { continue };
            let sides = self.markets.entry(symbol).or_default();
            for (side, price, qty) in changes {
                match qty {
                    0 => drop(sides[side].remove(&price)),
                    qty => drop(sides[side].insert(price, qty)),
                }
            }
            while sides[0].len() > LEVELS {
                sides[0].pop_first();
            }
            while sides[1].len() > LEVELS {
                sides[1].pop_last();
            }
        }
    }

    /// A side (0 bids, 1 asks) behind the best price, nearest first.
    pub fn side(&self, symbol: &str, side: usize, best: i64) -> Vec<(i64, i64)> {
        let Some(sides) = self.markets.get(symbol) else { return Vec::new() };
        let level = |(&price, &qty): (&i64, &i64)| (price, qty);
        match side {
            0 => sides[0].range(..=best).rev().map(level).collect(),
            _ => sides[1].range(best..).map(level).collect(),
        }
    }
}

/// Side, price in ticks and quantity in lots.
type Change = (usize, i64, i64);

fn depth(frame: &[u8], meta: &Meta) -> Option<(String, Vec<Change>)> {
    let frame: Value = serde_json::from_slice(frame).ok()?;
    let data = frame.get("data").unwrap_or(&frame);
    let symbol = data.get("s")?.as_str()?;
    let contract = meta.contracts.iter().find(|contract| contract.symbol == symbol)?;
    let (tick, lot) = (contract.tick?, contract.lot?);
    let steps = |text: &Value, step: Step| {
        let value = Price::parse(text.as_str()?.as_bytes()).ok()?;
        i64::try_from(value.0 / step.atto()).ok()
    };
    let mut changes = Vec::new();
    for (side, name) in ["b", "a"].into_iter().enumerate() {
        for level in data.get(name)?.as_array()? {
            changes.push((side, steps(level.get(0)?, tick)?, steps(level.get(1)?, lot)?));
        }
    }
    Some((symbol.to_owned(), changes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::Contract;

    #[test]
    fn levels_are_absolute_and_only_behind_the_touch() {
        let step = |text: &str| Some(Step::parse(text.as_bytes()).unwrap());
        let contract = Contract { symbol: "X".into(), quote: "Q".into(), tick: step("0.1"), lot: step("0.001") };
        let meta = Meta { contracts: vec![contract], ..Meta::default() };
        let mut seen = Seen::default();
        let take = |seen: &mut Seen, levels: &str| {
            seen.take(format!(r#"{{"data":{{"e":"depthUpdate","s":"X",{levels}}}}}"#).as_bytes());
            seen.settle(&meta);
        };
        take(&mut seen, r#""b":[["10.0","1"],["9.9","2.500"]],"a":[["10.1","3"]]"#);
        assert_eq!(seen.side("X", 0, 100), [(100, 1000), (99, 2500)]);
        take(&mut seen, r#""b":[["10.0","0"]],"a":[["10.1","4"],["10.3","1"]]"#);
        assert_eq!((seen.side("X", 0, 99), seen.side("X", 1, 101)), (vec![(99, 2500)], vec![(101, 4000), (103, 1000)]));
        assert_eq!((seen.side("X", 1, 102).len(), seen.side("Y", 0, 100).len()), (1, 0));
        seen.take(b"not depth");
        seen.take(br#"{"data":{"e":"depthUpdate","s":"other","b":[],"a":[]}}"#);
        seen.settle(&meta);
        seen.forget();
        assert!(seen.side("X", 0, 99).is_empty());
    }
}

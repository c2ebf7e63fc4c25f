//! Stand-in until the book room is merged.
use crate::event::{BestQuote, DepthSnapshot, DepthUpdate, Level, Side};
use crate::instrument::Instrument;
use crate::unit::{Seq, Ticks};

pub(super) enum Applied {
    Gap,
    Other,
}
#[derive(Default)]
pub(super) struct Book {
    sides: [Vec<Level>; 2],
    last: Seq,
    ok: bool,
}
impl Book {
    pub(super) fn new(_: &Instrument) -> Self {
        Self { sides: [Vec::with_capacity(64), Vec::with_capacity(64)], ..Self::default() }
    }
    pub(super) fn on_depth(&mut self, u: &DepthUpdate<'_>) -> Applied {
        if !self.ok {
            return Applied::Other;
        }
        if u.prev != self.last {
            self.reset();
            return Applied::Gap;
        }
        self.last = u.last;
        for (at, levels) in [u.bids, u.asks].into_iter().enumerate() {
            for level in levels {
                self.sides[at].retain(|l| l.price != level.price);
                if !level.qty.is_zero() {
                    self.sides[at].push(*level);
                }
            }
        }
        Applied::Other
    }
    pub(super) fn on_snapshot(&mut self, s: &DepthSnapshot<'_>) -> Applied {
        self.reset();
        self.sides[0].extend_from_slice(s.bids);
        self.sides[1].extend_from_slice(s.asks);
        self.last = s.last;
        self.ok = true;
        Applied::Other
    }
    pub(super) fn on_quote(&mut self, _: &BestQuote) -> Applied {
        Applied::Other
    }
    pub(super) fn reset(&mut self) {
        self.sides.iter_mut().for_each(Vec::clear);
        self.ok = false;
    }
    pub(super) fn in_sync(&self) -> bool {
        self.ok
    }
    pub(super) fn best(&self, side: Side) -> Option<Level> {
        self.sides[side.index()].iter().copied().max_by_key(|l| l.price.0 * side.sign())
    }
    pub(super) fn behind(&self, side: Side, price: Ticks) -> Option<Level> {
        let s = side.sign();
        self.sides[side.index()].iter().copied().filter(|l| l.price.0 * s < price.0 * s).max_by_key(|l| l.price.0 * s)
    }
}

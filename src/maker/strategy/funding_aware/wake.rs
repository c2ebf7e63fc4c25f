//! When an update is due: the book's mid has moved since the last quotes, or an own order was filled. Compares mids, never marks.

use super::exact::{Fraction, times};
use crate::unit::{Price, Rate};

/// The two flags and what the book's is measured from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Wake {
    quoted_mid: Option<Price>,
    book: bool,
    fill: bool,
}

impl Wake {
    /// "nothing quoted yet -> every book; otherwise |mid - last quoted mid| / last quoted mid x 10000 > update_threshold_bps."
    pub fn on_book(&mut self, mid: Price, threshold: Rate) {
        self.book |= self.quoted_mid.is_none_or(|quoted| {
            let most = times(quoted.0, Fraction::of(threshold).0);
            most.is_none_or(|most| (mid - quoted).0.abs() > most)
        });
    }

    /// An own order was filled.
    pub fn on_fill(&mut self) {
        self.fill = true;
    }

    /// The mid that quotes were made at.
    pub fn quoted(&mut self, mid: Price) {
        self.quoted_mid = Some(mid);
    }

    /// Whether the book's move makes an update due, and whether a fill does.
    #[must_use]
    pub fn flags(&self) -> (bool, bool) {
        (self.book, self.fill)
    }

    /// Any of the two.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.book || self.fill
    }

    /// Both flags have been read.
    pub fn clear(&mut self) {
        self.book = false;
        self.fill = false;
    }
}

//! How far a pass over a run's journal is, on stderr. Silent where that is no terminal.

use crate::run::Run;
use indicatif::{ProgressBar, ProgressStyle};
use spinquote::journal::Reader;
use std::fs;

/// A bar on stderr, over the bytes of all segments; hidden where that is no terminal.
pub fn bar(run: &Run) -> ProgressBar {
    let sizes =
        run.segments().into_iter().map(|(index, _)| fs::metadata(run.dir.segment(index)).map_or(0, |file| file.len()));
    let style = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left");
    ProgressBar::new(sizes.sum()).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Bytes of the journal before the reader's place; segments are of one size.
pub fn place(reader: &Reader, run: &Run) -> u64 {
    let first = run.segments().first().map_or(0, |&(index, _)| index);
    let place = reader.place();
    place.segment.saturating_sub(first) * reader.segment().size + place.offset
}

//! Client order ids: the run's number and a counter. Never random, never reused.

use crate::event::ClientId;

/// Hands out the ids of one run. One per account, shared by its instruments.
#[derive(Debug)]
pub struct ClientIds {
    run: u32,
    last: u32,
}

impl ClientIds {
    /// The ids of the run `run`.
    ///
    /// # Panics
    /// For run 0: the zero id means "not ours".
    #[must_use]
    pub fn new(run: u32) -> Self {
        assert!(run != 0, "run 0 is not a run: the zero id means that an order is not ours");
        Self { run, last: 0 }
    }

    /// The next id that `free` accepts; ids it refuses are left out for ever. `None` after `tries` refusals or at the
    /// counter's end (four thousand million orders: the run must be restarted).
    pub fn next(&mut self, tries: usize, mut free: impl FnMut(ClientId) -> bool) -> Option<ClientId> {
        let mut seq = self.last;
        for _ in 0..tries {
            seq = seq.checked_add(1)?;
            let id = ClientId { run: self.run, seq };
            if free(id) {
                self.last = seq;
                return Some(id);
            }
        }
        None
    }

    /// Made by this run.
    #[must_use]
    pub fn is_ours(&self, id: ClientId) -> bool {
        id.run == self.run
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_count_up_and_skip_what_is_busy() {
        let mut ids = ClientIds::new(7);
        assert_eq!(ids.next(8, |_| true), Some(ClientId { run: 7, seq: 1 }));
        assert_eq!(ids.next(8, |id| id.seq >= 4), Some(ClientId { run: 7, seq: 4 }));
        assert_eq!(ids.next(8, |_| false), None);
        assert_eq!(ids.next(8, |_| true), Some(ClientId { run: 7, seq: 5 }));
        assert!(!ids.is_ours(ClientId { run: 6, seq: 1 }));
    }
}

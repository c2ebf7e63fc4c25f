//! The usual refresh in one pass: every live order rests whole and only its price changes. What diff, wishes, gate and sending do one after
//! the other is seen and done at once; where anything is unusual nothing is done, and they do it. Decides nothing that they would not.

use super::Desk;
use crate::event::{Command, CommandKind, LinkState};
use crate::maker::account::Account;
use crate::maker::order::diff::moves_all;
use crate::maker::order::table::is_reducing;
use crate::maker::output::{Decision, DecisionKind, Output};
use crate::maker::risk::{Exposure, Moves};
use crate::maker::strategy::Quote;
use crate::unit::{Lots, Nanos};

impl Desk {
    /// Carries the plan out, if it amends each live order in its price alone and the gate lets all of them pass. False: nothing was done.
    pub(super) fn reprice(&mut self, account: &mut Account, now: Nanos, clock: Nanos, out: &mut Output) -> bool {
        #[cfg(test)]
        if self.one_pass.is_none() {
            return false;
        }
        let count = self.plan.place.len();
        let room = out.commands.remaining_capacity().min(out.decisions.remaining_capacity());
        let waits = self.behind || now < self.backs_off_until || account.entry != LinkState::Up;
        if waits || !account.config.amend || count > room {
            return false;
        }
        let Some(split) = moves_all(&self.plan, &self.table, now) else { return false };
        let (buys, sells) = self.plan.place.split_at(split);
        let [buys, sells] = [buys, sells].map(Moves::of);
        let (Some((first, _)), Some((last, _))) = (self.plan.place.first(), self.plan.place.last()) else {
            return false;
        };
        // All quotes of a side are of a kind.
        let shrinks = |quote: &Quote| is_reducing(quote.side, quote.position_side, quote.reduce_only);
        let (Some(adding), false) = (buys.sum().zip(sells.sum()), shrinks(first) || shrinks(last)) else {
            return false;
        };
        // They are all live orders: what may execute of them is the worst case.
        let worst = |quote: &Quote| {
            let (position, at) = (self.holdings.qty(quote.position_side), quote.position_side);
            let reducible = self.holdings.reducible(at);
            Exposure { position, adding: adding.into(), reducing: [Lots::ZERO; 2], reducible }.worst(quote.side)
        };
        let mut ends = [Lots::ZERO; 2];
        ends[first.side.index()] = worst(first);
        ends[last.side.index()] = worst(last);
        let moment = self.moment(account, now);
        if !account.gate.check_moves([&buys, &sells], &moment, &self.instrument, ends) {
            return false;
        }
        for (at, &(quote, cause)) in self.plan.place.iter().enumerate() {
            let slot = self.table.at_mut(self.table.live_place(at));
            slot.send_whole(quote.price, quote.qty, quote.level, clock, now);
            out.commands.push(Command {
                kind: CommandKind::Amend,
                side: quote.side,
                tif: quote.tif,
                position_side: quote.position_side,
                reduce_only: quote.reduce_only,
                instrument: self.id,
                generation: slot.generation,
                client_id: slot.id,
                price: quote.price,
                qty: quote.qty,
                decided_at: now,
            });
            out.decisions.push(Decision {
                reference: self.plan.reference,
                client_id: slot.id,
                price: quote.price,
                qty: quote.qty,
                detail: 0,
                instrument: self.id,
                kind: DecisionKind::Amended,
                cause,
                side: quote.side,
                purpose: quote.purpose,
                level: quote.level,
                refusal: None,
            });
        }
        self.counters.amend += count as u64;
        #[cfg(test)]
        if let Some(times) = self.one_pass.as_mut() {
            *times += 1;
        }
        true
    }
}

//! The usual refresh in one pass: every live order rests whole and only its price changes. What diff, wishes, gate and sending do one after
//! the other is seen and done at once; where anything is unusual nothing is done, and they do it. Decides nothing that they would not.

use super::Desk;
use crate::event::{Command, CommandKind, LinkState, PositionSide, Side};
use crate::maker::account::Account;
use crate::maker::order::diff::moves_all;
use crate::maker::order::table::is_reducing;
use crate::maker::output::{Decision, DecisionKind, Output};
use crate::maker::risk::Exposure;
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
        if self.behind
            || !account.config.amend
            || account.entry != LinkState::Up
            || count > room
            || !moves_all(&self.plan, &self.table)
        {
            return false;
        }
        let Some(worst) = self.worst_of_moves(now) else { return false };
        let moment = self.moment(account, now);
        let moves = self.plan.place.iter().map(|(quote, _)| (quote.side, quote.price, quote.qty));
        if !account.gate.check_moves(&moment, &self.instrument, worst, moves) {
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

    /// The worst positions, by buying and by selling, while the plan's quotes take the places of all live orders. `None` where one of them
    /// changes its quantity, can only shrink a position, or has to wait.
    #[inline(always)]
    fn worst_of_moves(&mut self, now: Nanos) -> Option<[Lots; 2]> {
        let mut sums = [Lots::ZERO; 2];
        let mut of_side = [PositionSide::Net; 2];
        for (&place, (quote, _)) in self.table.live_places().iter().zip(&self.plan.place) {
            let (slot, side) = (self.table.at(place.into()), quote.side.index());
            let waits = now < slot.not_before || now < self.back_off[side][usize::from(quote.level)].until;
            if waits || slot.qty != quote.qty || is_reducing(quote.side, quote.position_side, quote.reduce_only) {
                return None;
            }
            sums[side] = sums[side].checked_add(quote.qty)?;
            of_side[side] = quote.position_side;
        }
        Some([Side::Buy, Side::Sell].map(|side| {
            let at = of_side[side.index()];
            let (position, reducible) = (self.holdings.qty(at), self.holdings.reducible(at));
            Exposure { position, adding: sums, reducing: [Lots::ZERO; 2], reducible }.worst(side)
        }))
    }
}

//! From quotes and wishes to commands: each through the gate, each with its decision; what may not go out now stays wished.

use super::{Desk, Flatten, REFUSAL_REPEAT, Worst};
use crate::event::{ClientId, Command, CommandKind, LinkState, PositionSide, Side, TimeInForce};
use crate::maker::account::Account;
use crate::maker::order::table::SLOTS;
use crate::maker::order::{Input, Leg, Slot, State, Wish};
use crate::maker::output::{Blocks, Decision, DecisionKind, Output};
use crate::maker::risk::{Exposure, Facts, Moment, Refusal};
use crate::maker::strategy::{Cause, Purpose, Quote};
use crate::unit::{Lots, Nanos, Ticks};

impl Desk {
    pub(super) fn place(
        &mut self,
        account: &mut Account,
        moment: &Moment,
        quote: &Quote,
        cause: Cause,
        clock: Nanos,
        out: &mut Output,
    ) {
        let now = moment.now();
        let mut command = Command {
            kind: CommandKind::New,
            side: quote.side,
            tif: quote.tif,
            position_side: quote.position_side,
            reduce_only: quote.reduce_only,
            instrument: self.id,
            generation: 1,
            client_id: ClientId::default(),
            price: quote.price,
            qty: quote.qty,
            decided_at: now,
        };
        let verdict = if now < self.back_off(quote.side, quote.level).until {
            self.found(account, Refusal::BackOff)
        } else if out.commands.is_full() {
            self.found(account, Refusal::OutputFull)
        } else if !self.table.has_room() {
            self.found(account, Refusal::NoSlot)
        } else {
            let exposure = self.exposure(quote.position_side, None);
            if exposure.reducing[quote.side.index()].is_zero() {
                self.holdings.watch_reducible(quote.position_side, quote.side);
            }
            let facts = self.facts(moment, exposure, quote.qty, Lots::ZERO, quote.purpose);
            account.gate.check(&command, &facts)
        };
        let id = match verdict {
            Ok(()) => {
                let table = &self.table;
                account.ids.next(SLOTS, |id| table.is_free(id, now))
            }
            Err(refusal) => return self.refused(refusal, quote, cause, now, out),
        };
        let Some(id) = id else {
            account.gate.count(Refusal::NoSlot);
            return self.refused(Refusal::NoSlot, quote, cause, now, out);
        };
        let place = self.table.open(id, quote, false, clock);
        let slot = self.table.at_mut(place);
        slot.generation = command.generation;
        (slot.placed_at, slot.sent_at) = (now, now);
        self.follow(place, Lots::ZERO, 2);
        command.client_id = id;
        out.commands.push(command);
        self.counters.new += 1;
        let decision = self.decision(DecisionKind::Placed, place, cause);
        out.note(decision);
    }

    fn found(&self, account: &mut Account, refusal: Refusal) -> Result<(), Refusal> {
        account.gate.count(refusal);
        Err(refusal)
    }

    #[cold]
    fn refused(&mut self, refusal: Refusal, quote: &Quote, cause: Cause, now: Nanos, out: &mut Output) {
        self.counters.refused += 1;
        let last = &mut self.refused[quote.side.index()][usize::from(quote.level)];
        if last.is_some_and(|(same, at)| same == refusal && now - at < REFUSAL_REPEAT) {
            return;
        }
        *last = Some((refusal, now));
        out.note(Decision {
            reference: self.plan.reference,
            price: quote.price,
            qty: quote.qty,
            side: quote.side,
            purpose: quote.purpose,
            level: quote.level,
            refusal: Some(refusal),
            ..Decision::of(DecisionKind::Refused, self.id, cause)
        });
    }

    /// Sends what the slots wish and their states allow. What does not fit or may not go out now stays wished.
    pub(super) fn pump(&mut self, account: &mut Account, now: Nanos, out: &mut Output) {
        if account.entry != LinkState::Up {
            return;
        }
        let (mut waiting, mut moment) = (false, None);
        for at in 0..self.table.live_count() {
            let place = self.table.live_place(at);
            let slot = self.table.at(place);
            if slot.state.is_unknown() {
                waiting = true;
                if slot.query_sent.is_none() && now >= slot.not_before {
                    self.query(account, place, now, out);
                }
                continue;
            }
            if let Wish::None = slot.wish {
                continue;
            }
            waiting = true;
            if now < slot.not_before || slot.state == State::PendingNew || slot.market {
                continue;
            }
            match slot.wish {
                Wish::Cancel(cause) if slot.state != State::PendingCancel => {
                    self.cancel(account, place, cause, now, out)
                }
                Wish::Amend(quote, cause) if slot.state != State::PendingAmend => {
                    let moment = moment.get_or_insert_with(|| self.moment(account, now));
                    self.amend(account, moment, place, &quote, cause, out);
                }
                _ => {}
            }
        }
        self.work = waiting;
    }

    fn query(&mut self, account: &mut Account, place: usize, now: Nanos, out: &mut Output) {
        if out.commands.is_full() || account.gate.check_plain(now).is_err() {
            return;
        }
        let slot = self.table.at_mut(place);
        out.commands.push(slot.command(CommandKind::Query, self.id, now));
        slot.query_sent = Some(now);
        self.counters.query += 1;
    }

    fn cancel(&mut self, account: &mut Account, place: usize, cause: Cause, now: Nanos, out: &mut Output) {
        if out.commands.is_full() || account.gate.check_plain(now).is_err() {
            return;
        }
        let before = self.table.at(place).exposure();
        let slot = self.table.at_mut(place);
        slot.on(Input::SendCancel, now);
        slot.wish = Wish::None;
        out.commands.push(slot.command(CommandKind::Cancel, self.id, now));
        self.follow(place, before, 1);
        self.counters.cancel += 1;
        let decision = self.decision(DecisionKind::Canceled, place, cause);
        out.note(decision);
    }

    fn amend(
        &mut self,
        account: &mut Account,
        moment: &Moment,
        place: usize,
        quote: &Quote,
        cause: Cause,
        out: &mut Output,
    ) {
        let now = moment.now();
        let slot = self.table.at(place);
        let (price, qty, filled, before) = (quote.price, slot.base + quote.qty, slot.filled, slot.exposure());
        if price == slot.price && qty == slot.qty {
            self.table.at_mut(place).wish = Wish::None;
            return;
        }
        if out.commands.is_full() {
            return;
        }
        let mut command = Command { price, qty, ..slot.peek(CommandKind::Amend, self.id, now) };
        let verdict = if qty <= filled {
            // Executed meanwhile beyond what is wanted: the rest goes.
            Err(Refusal::QtyRange)
        } else if now < self.back_off(quote.side, quote.level).until {
            self.found(account, Refusal::BackOff)
        } else {
            let exposure = self.exposure(quote.position_side, Some(place));
            let facts = self.facts(moment, exposure, qty - filled, before, quote.purpose);
            account.gate.check(&command, &facts)
        };
        if let Err(refusal) = verdict {
            // The strategy wanted the old quote gone; what may not replace it does not keep it.
            self.refused(refusal, quote, cause, now, out);
            let clock = self.clock(now);
            self.table.at_mut(place).wish_cancel(clock, cause);
            return self.cancel(account, place, cause, now, out);
        }
        let slot = self.table.at_mut(place);
        command.generation = slot.count_request(now);
        slot.leg = Some(Leg { generation: command.generation, price, qty });
        slot.wish = Wish::None;
        slot.on(Input::SendAmend, now);
        self.follow(place, before, 1);
        out.commands.push(command);
        self.counters.amend += 1;
        let decision = self.decision(DecisionKind::Amended, place, cause);
        out.note(decision);
    }

    /// One market order at a time, once everything else is gone and every outcome is known.
    pub(super) fn close_position(&mut self, account: &mut Account, now: Nanos, out: &mut Output) {
        let Some(flatten) = self.flatten else { return };
        let reconciling = account.blocks().any(Blocks::RECONCILE | Blocks::PRIVATE | Blocks::ENTRY | Blocks::MISMATCH);
        if !self.is_quiet() || self.behind || reconciling || now < flatten.not_before {
            return;
        }
        let open = self.holdings.sides().iter().copied().find(|&side| !self.holdings.qty(side).is_zero());
        let end = match open {
            None => Some(DecisionKind::Flat),
            Some(_) if flatten.tries >= account.config.flatten_tries => Some(DecisionKind::FlattenFailed),
            Some(_) => None,
        };
        if let Some(kind) = end {
            self.flatten = None;
            return out.note(Decision { qty: self.holdings.net(), ..Decision::of(kind, self.id, Cause::Operator) });
        }
        let Some(position_side) = open else { return };
        let held = self.holdings.qty(position_side);
        let quote = Quote {
            side: if held.0 > 0 { Side::Sell } else { Side::Buy },
            position_side,
            purpose: Purpose::Flatten,
            level: 0,
            price: Ticks::ZERO,
            qty: held.abs().min(self.instrument.market_qty_max),
            tif: TimeInForce::Ioc,
            reduce_only: true,
        };
        let table = &self.table;
        if out.commands.is_full() {
            return;
        }
        let Some(id) = account.ids.next(SLOTS, |id| table.is_free(id, now)) else { return };
        let place = self.table.open(id, &quote, true, now);
        let command = self.table.at_mut(place).command(CommandKind::Market, self.id, now);
        let exposure = self.exposure(position_side, Some(place));
        if exposure.reducing[quote.side.index()].is_zero() {
            self.holdings.watch_reducible(position_side, quote.side);
        }
        let before = self.table.at(place).exposure();
        let moment = self.moment(account, now);
        let facts = self.facts(&moment, exposure, Lots::ZERO, before, Purpose::Flatten);
        if account.gate.check(&command, &facts).is_err() {
            let slot = self.table.at_mut(place);
            slot.told = true;
            slot.on(Input::Unsent, now);
            self.table.settle(place);
            return;
        }
        self.flatten = Some(Flatten { tries: flatten.tries + 1, ..flatten });
        out.commands.push(command);
        self.counters.market += 1;
        let decision = self.decision(DecisionKind::Placed, place, Cause::Operator);
        out.note(decision);
    }

    /// What the gate must know of the market.
    pub(super) fn moment(&self, account: &Account, now: Nanos) -> Moment {
        let touch = self.touch();
        let best = [touch.map(|[bid, _]| bid.price), touch.map(|[_, ask]| ask.price)];
        let data_time = if self.data_time.is_zero() { Nanos::ZERO } else { self.data_time - account.clock_offset };
        account.gate.moment(now, &self.instrument, best, self.mark, data_time)
    }

    /// What the gate must know of a command after which `open` may execute of its order, and before which `before` may. `exposure`
    /// leaves that order out.
    #[inline(always)]
    fn facts<'a>(
        &'a self,
        moment: &'a Moment,
        exposure: Exposure,
        open: Lots,
        before: Lots,
        purpose: Purpose,
    ) -> Facts<'a> {
        Facts {
            moment,
            instrument: &self.instrument,
            exposure,
            open_qty: open.max(before),
            open_before: before,
            live: self.table.live_count(),
            purpose,
        }
    }

    /// The worst case of a position side, the order at `without` left out.
    #[inline(always)]
    pub(super) fn exposure(&mut self, position_side: PositionSide, without: Option<usize>) -> Exposure {
        if self.behind {
            return self.exposure_summed(position_side, without);
        }
        if self.worst.at != self.table.revision() {
            self.sum_worst();
        }
        let [mut adding, mut reducing] = self.worst.sums[position_side as usize];
        if let Some(slot) = without.map(|place| self.table.at(place)).filter(|slot| slot.state.is_live())
            && slot.position_side == position_side
        {
            let sums = if slot.is_reducing() { &mut reducing } else { &mut adding };
            sums[slot.side.index()] -= slot.exposure();
        }
        let (position, reducible) = (self.holdings.qty(position_side), self.holdings.reducible(position_side));
        let exposure = Exposure { position, adding, reducing, reducible };
        debug_assert_eq!(exposure, self.exposure_summed(position_side, without));
        exposure
    }

    #[inline(never)]
    fn sum_worst(&mut self) {
        let mut sums = [[[Lots::ZERO; 2]; 2]; 3];
        for slot in self.table.live() {
            sums[slot.position_side as usize][usize::from(slot.is_reducing())][slot.side.index()] += slot.exposure();
        }
        self.worst = Worst { at: self.table.revision(), sums };
    }

    /// Keeps the sums true after the order at `place`, and nothing else, was changed in the last `changes` accesses: it had `before`
    /// that could execute.
    #[inline(always)]
    fn follow(&mut self, place: usize, before: Lots, changes: u64) {
        if self.worst.at + changes == self.table.revision() {
            let slot = self.table.at(place);
            let reducing = usize::from(slot.is_reducing());
            self.worst.sums[slot.position_side as usize][reducing][slot.side.index()] += slot.exposure() - before;
            self.worst.at = self.table.revision();
        }
    }

    /// The twin of [`Desk::exposure`]: sums every order anew.
    #[inline(never)]
    pub(super) fn exposure_summed(&self, position_side: PositionSide, without: Option<usize>) -> Exposure {
        let (position, reducible) = (self.holdings.qty(position_side), self.holdings.reducible(position_side));
        let mut exposure = Exposure { position, reducible, ..Exposure::default() };
        let without = without.map(|place| self.table.at(place).id);
        let mut count = |slot: &Slot| {
            if slot.position_side == position_side && Some(slot.id) != without {
                let sums = if slot.is_reducing() { &mut exposure.reducing } else { &mut exposure.adding };
                sums[slot.side.index()] += slot.exposure();
            }
        };
        if self.behind {
            self.table.all().for_each(&mut count);
        } else {
            self.table.live().for_each(&mut count);
        }
        exposure
    }
}

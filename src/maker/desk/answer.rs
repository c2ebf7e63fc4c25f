//! What the venue says of our orders, taken in: executions counted once, states moved, the strategy told. Sends nothing.
//!
//! Which answers count: a terminal event always; a refusal, "unknown" or "not sent" only for the request that is still
//! outstanding (by generation, where the source can tell); a cumulative figure whenever it is larger than ours.

use super::Desk;
use crate::event::{ClientId, LinkState, OrderEvent, OrderEventKind, PositionSide, Side, TimeInForce};
use crate::maker::account::Account;
use crate::maker::config::Leftovers;
use crate::maker::order::table::SLOTS;
use crate::maker::order::{Input, Novelty, State};
use crate::maker::output::{Decision, DecisionKind, Output};
use crate::maker::position::Reconciled;
use crate::maker::strategy::{Cause, OwnEvent, Purpose, Quote};
use crate::unit::{Lots, Nanos, Price};

impl Desk {
    /// One order event of this instrument.
    pub(in crate::maker) fn on_order(
        &mut self,
        account: &mut Account,
        now: Nanos,
        event: &OrderEvent,
        out: &mut Output,
    ) {
        if event.client_id == ClientId::default() {
            self.counters.foreign += 1;
            return out.note(Decision {
                price: event.price,
                qty: event.qty,
                side: event.side,
                detail: event.venue_id.cast_signed(),
                ..Decision::of(DecisionKind::Foreign, self.id, Cause::Reconcile)
            });
        }
        let found = self.table.find(event.client_id);
        let is_lite = event.kind == OrderEventKind::Fill && event.filled.is_zero();
        if found.is_none() && is_lite {
            // Which position it belongs to only the order would know: the full report, which always follows, is counted.
            self.counters.strays += 1;
            return;
        }
        let novelty = match event.kind {
            OrderEventKind::Fill => {
                // `TRADE_LITE` names no position side: the order knows.
                let position_side = found.map_or(event.position_side, |place| self.table.at(place).position_side);
                self.count_fill(now, event, position_side)
            }
            _ => Novelty::Repeat,
        };
        let Some(place) = found else {
            return self.on_stray(account, now, event, out);
        };
        self.take_figures(place, now, event, novelty);
        match event.kind {
            OrderEventKind::Accepted => {
                self.move_to(place, Input::Accepted, now);
            }
            OrderEventKind::Amended => self.on_amended(place, now, event),
            OrderEventKind::Fill => self.on_fill(place, now, event, novelty),
            OrderEventKind::Canceled => self.on_gone(place, now, false),
            OrderEventKind::Expired => {
                let slot = self.table.at(place);
                if slot.state.is_live() && slot.tif == TimeInForce::PostOnly && slot.filled == slot.base {
                    self.wait(account, place, now);
                }
                self.on_gone(place, now, false);
            }
            OrderEventKind::Rejected => self.on_rejected(account, place, now, event, out),
            OrderEventKind::AmendRejected => {
                let slot = self.table.at_mut(place);
                if slot.leg.is_some_and(|leg| answers(event, leg.generation)) {
                    slot.leg = None;
                    self.move_to(place, Input::AmendRefused, now);
                    self.note_refusal(account, place, now, event, out);
                }
            }
            OrderEventKind::CancelRejected => {
                if answers(event, self.table.at(place).generation) {
                    self.move_to(place, Input::CancelRefused, now);
                }
            }
            OrderEventKind::Unknown => self.on_unknown(account, place, now, event, out),
            OrderEventKind::NotSent => self.on_not_sent(account, place, now, event),
            OrderEventKind::NotFound => self.on_not_found(account, place, now, event),
            OrderEventKind::Open => self.on_open(account, place, now, event),
            OrderEventKind::Closed => self.on_gone(place, now, false),
        }
        self.work = true;
        if !self.table.settle(place) {
            // A revived order without room: the next reconciliation lists it again.
            account.mismatch();
        }
    }

    /// Counts an execution once: the position, the P&L, the fee when first known.
    fn count_fill(&mut self, now: Nanos, event: &OrderEvent, position_side: PositionSide) -> Novelty {
        let fill = event.fill;
        let novelty = self.log.note(fill.trade_id, event.side, fill.fee_known);
        match novelty {
            Novelty::First => {
                self.holdings.fill(event.side, position_side, fill.price, fill.qty, event.venue_time, now);
                let (count, sum) = match event.side {
                    Side::Buy => (&mut self.counters.fills_buy, &mut self.counters.bought),
                    Side::Sell => (&mut self.counters.fills_sell, &mut self.counters.sold),
                };
                *count += 1;
                *sum += fill.qty.0.unsigned_abs();
            }
            Novelty::Fee => {}
            Novelty::Repeat => self.counters.fills_repeated += 1,
        }
        if fill.fee_known && novelty != Novelty::Repeat {
            self.holdings.fee(fill.fee);
        }
        novelty
    }

    /// Executed quantities: ours by executions, the venue's by its cumulative figure.
    fn take_figures(&mut self, place: usize, now: Nanos, event: &OrderEvent, novelty: Novelty) {
        let slot = self.table.at_mut(place);
        slot.cum = slot.cum.max(event.filled);
        if slot.by_venue {
            slot.filled = slot.filled.max(slot.cum);
        } else if novelty == Novelty::First {
            let largest = slot.leg.map_or(slot.qty, |leg| slot.qty.max(leg.qty)).max(slot.cum);
            slot.filled = (slot.filled + event.fill.qty).min(largest);
        }
        if slot.cum > slot.filled {
            slot.behind_since.get_or_insert(now);
            self.behind = true;
        } else if slot.behind_since.take().is_some() {
            self.behind = self.table.all().any(|slot| slot.behind_since.is_some());
        }
    }

    fn move_to(&mut self, place: usize, input: Input, now: Nanos) -> bool {
        let moved = self.table.at_mut(place).on(input, now);
        if moved {
            self.table.settle(place);
        }
        moved
    }

    fn on_fill(&mut self, place: usize, now: Nanos, event: &OrderEvent, novelty: Novelty) {
        let slot = self.table.at(place);
        let said = !event.filled.is_zero() && !event.qty.is_zero() && event.filled >= event.qty;
        // While an amend is under way only the venue knows which total counts.
        let counted = slot.leg.is_none() && slot.filled >= slot.qty
            || slot.leg.is_some_and(|leg| slot.filled >= slot.qty.max(leg.qty));
        let input = if said || counted { Input::Complete } else { Input::PartFill };
        self.move_to(place, input, now);
        if novelty == Novelty::First {
            let slot = self.table.at_mut(place);
            let complete = !slot.told && slot.state == State::Done && slot.filled >= slot.cum && (said || counted);
            slot.told |= complete;
            let order = slot.own();
            self.tell(now, &OwnEvent::Filled { order, price: event.fill.price, qty: event.fill.qty, complete });
        }
        if self.table.at(place).by_venue {
            // Its end may come with the figure of an execution that was told before.
            self.finish(place, now, false);
        }
    }

    fn on_amended(&mut self, place: usize, now: Nanos, event: &OrderEvent) {
        let slot = self.table.at_mut(place);
        match slot.leg {
            Some(leg) => {
                let by_terms = event.generation == 0 && event.price == leg.price && event.qty == leg.qty;
                if by_terms || event.generation == leg.generation {
                    (slot.price, slot.qty, slot.leg) = (leg.price, leg.qty, None);
                    slot.terms_time = slot.terms_time.max(event.venue_time);
                    let complete = slot.filled >= slot.qty;
                    self.move_to(place, Input::Amended, now);
                    if complete {
                        self.on_gone(place, now, false);
                    }
                }
            }
            // Nobody waits for it: an amend that was thought lost. An older one that comes late must not set the terms back.
            None if event.generation == 0 && event.venue_time > slot.terms_time && slot.state.is_live() => {
                if !event.price.is_zero() && !event.qty.is_zero() {
                    (slot.price, slot.qty) = (event.price, event.qty);
                }
                slot.terms_time = event.venue_time;
            }
            None => {}
        }
    }

    /// The end by the venue's word.
    fn on_gone(&mut self, place: usize, now: Nanos, rejected: bool) {
        self.move_to(place, Input::Gone, now);
        self.finish(place, now, rejected);
    }

    /// Tells the strategy that the order is gone, once, unless executions that complete it are still to come.
    fn finish(&mut self, place: usize, now: Nanos, rejected: bool) {
        let slot = self.table.at_mut(place);
        let completing = slot.cum > slot.filled && slot.cum >= slot.qty;
        if slot.state.is_live() || slot.told || completing {
            return;
        }
        slot.told = true;
        let order = slot.own();
        self.tell(now, &OwnEvent::Gone { order, rejected });
    }

    fn on_rejected(&mut self, account: &mut Account, place: usize, now: Nanos, event: &OrderEvent, out: &mut Output) {
        let slot = self.table.at(place);
        let was_live = slot.state.is_live();
        // The venue takes what closes a position, unless it would have to rest and cannot, or there is no such position.
        let must_close = slot.reduce_only && slot.tif != TimeInForce::PostOnly;
        self.move_to(place, Input::Refused, now);
        if was_live {
            self.note_refusal(account, place, now, event, out);
            let patience = account.config.mismatch_after;
            if must_close && account.reconciliation.last_asked.is_none_or(|asked| now - asked >= patience) {
                account.mismatch();
            }
        }
        self.finish(place, now, true);
    }

    fn note_refusal(&mut self, account: &Account, place: usize, now: Nanos, event: &OrderEvent, out: &mut Output) {
        self.counters.rejected += 1;
        self.wait(account, place, now);
        let decision = self.decision(DecisionKind::Rejected, place, Cause::None);
        out.note(Decision { detail: i64::from(event.code), ..decision });
    }

    /// No storm: after a refusal the level (or the flatten) waits.
    fn wait(&mut self, account: &Account, place: usize, now: Nanos) {
        let slot = self.table.at(place);
        let purpose = slot.purpose;
        let (side, level, market) = (slot.side, slot.level, slot.market);
        let waiting = self.back_off(side, level);
        waiting.refuse(now, account.config.reject_delay, purpose);
        let until = waiting.until;
        self.backs_off_until = self.backs_off_until.max(until);
        if let (true, Some(flatten)) = (market, self.flatten.as_mut()) {
            flatten.not_before = now + account.config.reject_delay;
        }
    }

    fn on_unknown(&mut self, account: &Account, place: usize, now: Nanos, event: &OrderEvent, out: &mut Output) {
        let slot = self.table.at_mut(place);
        if !answers(event, slot.generation) {
            return;
        }
        if slot.state.is_unknown() {
            // The query itself was lost.
            slot.query_sent = None;
            slot.not_before = now + account.config.reject_delay;
        } else if slot.state.awaits_answer() && self.move_to(place, Input::Lost, now) {
            self.counters.unknown += 1;
            let decision = self.decision(DecisionKind::Unknown, place, Cause::None);
            out.note(decision);
        }
    }

    fn on_not_sent(&mut self, account: &Account, place: usize, now: Nanos, event: &OrderEvent) {
        let slot = self.table.at_mut(place);
        if !answers(event, slot.generation) || !slot.state.is_live() {
            return;
        }
        // While order entry is being repaired the other way may be shut as well: no hurry then.
        let hurry = if account.entry == LinkState::Up { 1 } else { 10 };
        slot.not_before = now + account.config.reject_delay * hurry;
        if slot.state.is_unknown() {
            slot.query_sent = None;
            return;
        }
        if slot.state == State::PendingAmend {
            slot.leg = None;
        }
        self.move_to(place, Input::Unsent, now);
        self.wait(account, place, now);
        self.finish(place, now, false);
    }

    /// Absence is believed of a query sent a while after the doubt arose; of a new order only when said twice.
    fn on_not_found(&mut self, account: &Account, place: usize, now: Nanos, event: &OrderEvent) {
        let grace = account.config.query_grace;
        let slot = self.table.at_mut(place);
        if !slot.state.is_unknown() || !answers(event, slot.generation) {
            return;
        }
        let Some(sent) = slot.query_sent.take() else { return };
        let late_enough = sent - slot.unknown_at >= grace;
        if late_enough && (slot.state == State::Unknown || slot.misses > 0) {
            self.move_to(place, Input::Absent, now);
            return self.finish(place, now, false);
        }
        slot.misses = slot.misses.saturating_add(1);
        slot.not_before = if late_enough { now + grace } else { now.max(slot.unknown_at + grace) };
    }

    /// It rests. While an amend may still be on its way, an answer with the old terms proves nothing before the grace is over.
    fn on_open(&mut self, account: &Account, place: usize, now: Nanos, event: &OrderEvent) {
        let grace = account.config.query_grace;
        let slot = self.table.at_mut(place);
        slot.seen = true;
        let listed = account.reconciliation.asked.filter(|_| account.reconciliation.begun && event.generation == 0);
        if slot.state == State::Done && listed.is_some_and(|asked| slot.done_at < asked) {
            // The list is younger than the end that we believed in: it was none.
            slot.state = State::Presumed;
        }
        let has_terms = !event.price.is_zero() && !event.qty.is_zero();
        let doubted = slot.state == State::Unknown;
        if doubted {
            // The list of a reconciliation may be older than the doubt; only the query's own answer settles it.
            let own = event.generation == slot.generation || event.generation == 0 && !account.reconciliation.begun;
            let Some(sent) = slot.query_sent.filter(|_| own) else { return };
            slot.query_sent = None;
            // The venue's time has whole milliseconds: of two answers in one, the one that knows the amend is the later.
            let settled = match slot.leg {
                Some(leg) => (leg.price, leg.qty) == (event.price, event.qty),
                None => {
                    !has_terms
                        || event.venue_time > slot.terms_time
                        || (slot.price, slot.qty) == (event.price, event.qty)
                }
            };
            if !settled && sent - slot.unknown_at < grace {
                slot.not_before = now.max(slot.unknown_at + grace);
                return;
            }
            slot.leg = None;
        }
        // Without a doubt our terms are those of the last amend, and an answer of the same millisecond may be from before it.
        let is_newer = event.venue_time > slot.terms_time || doubted && event.venue_time == slot.terms_time;
        if has_terms && slot.leg.is_none() && slot.state != State::Done && (is_newer || slot.terms_time.is_zero()) {
            (slot.price, slot.qty) = (event.price, event.qty);
            slot.terms_time = slot.terms_time.max(event.venue_time);
        }
        self.move_to(place, Input::Open, now);
    }

    /// An event of an order that no slot holds.
    fn on_stray(&mut self, account: &mut Account, now: Nanos, event: &OrderEvent, out: &mut Output) {
        if event.kind != OrderEventKind::Open {
            self.counters.strays += 1;
            let rests = match event.kind {
                OrderEventKind::Accepted | OrderEventKind::Amended => true,
                OrderEventKind::Fill => event.filled < event.qty,
                _ => false,
            };
            if rests {
                // An order of ours that we do not hold may rest: the list of open orders has it.
                account.mismatch();
            }
            return;
        }
        self.counters.leftovers += 1;
        out.note(Decision {
            client_id: event.client_id,
            price: event.price,
            qty: event.qty,
            side: event.side,
            ..Decision::of(DecisionKind::Leftover, self.id, Cause::Reconcile)
        });
        let quote = Quote {
            side: event.side,
            position_side: event.position_side,
            purpose: Purpose::Adopted,
            level: 0,
            price: event.price,
            qty: event.qty,
            tif: event.tif,
            reduce_only: event.reduce_only,
        };
        let Some(place) = self.table.adopt(event.client_id, &quote, event.filled, now) else {
            account.reconciliation.due = true;
            account.reconciliation.not_before = now + account.config.reconcile_retry;
            return;
        };
        let keep = account.config.leftovers == Leftovers::Adopt && !account.ids.is_ours(event.client_id);
        if !keep {
            self.table.at_mut(place).wish_cancel(now, Cause::Reconcile);
        }
        self.work = true;
    }

    // ---- reconciliation ----

    pub(in crate::maker) fn reconcile_begin(&mut self) {
        self.named = [false; 3];
        self.table.all_mut().for_each(|slot| slot.seen = false);
    }

    /// The list of open orders was whole as of a moment after `asked`: what we hold and it did not name is in doubt. False when a
    /// position's figure must be asked for again.
    pub(in crate::maker) fn reconcile_end(&mut self, now: Nanos, asked: Nanos, out: &mut Output) -> bool {
        for at in 0..self.table.live_count() {
            let place = self.table.live_place(at);
            let slot = self.table.at_mut(place);
            if !slot.seen && !slot.state.is_unknown() && slot.placed_at < asked && slot.on(Input::Lost, now) {
                self.counters.unknown += 1;
                self.work = true;
                let decision = self.decision(DecisionKind::Unknown, place, Cause::Reconcile);
                out.note(decision);
            }
        }
        let mut settled = true;
        for side in [PositionSide::Net, PositionSide::Long, PositionSide::Short] {
            if !self.named[side as usize] {
                settled &= self.reconcile_position(side, Lots::ZERO, Price::ZERO, Nanos::ZERO, asked, out);
            }
        }
        if !self.behind {
            return settled;
        }
        // The position now includes what we were not told of.
        for place in 0..SLOTS {
            let slot = self.table.at_mut(place);
            if slot.behind_since.is_some_and(|since| since < asked) {
                (slot.filled, slot.by_venue) = (slot.cum, true);
                slot.behind_since = None;
                self.finish(place, now, false);
            }
        }
        self.behind = self.table.all().any(|slot| slot.behind_since.is_some());
        settled
    }

    /// The venue's position as a reconciliation names it; where ours differs the venue wins. False when it must be asked for again.
    pub(in crate::maker) fn reconcile_position(
        &mut self,
        side: PositionSide,
        qty: Lots,
        entry: Price,
        venue_time: Nanos,
        asked: Nanos,
        out: &mut Output,
    ) -> bool {
        self.named[side as usize] = true;
        let outcome = self.holdings.reconcile(side, qty, entry, venue_time, asked);
        if let Reconciled::Corrected(correction) = outcome {
            self.counters.corrections += 1;
            out.note(Decision {
                qty: correction,
                reference: entry,
                detail: side as i64,
                ..Decision::of(DecisionKind::Corrected, self.id, Cause::Reconcile)
            });
        }
        outcome != Reconciled::Doubtful
    }
}

/// The event answers the request `generation`, or cannot say which it answers.
fn answers(event: &OrderEvent, generation: u32) -> bool {
    event.generation == 0 || event.generation == generation
}

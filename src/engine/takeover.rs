//! What the I/O thread does of the kill ladder by itself when the engine thread does not: which of our orders may rest, whether new risk
//! is barred, when the engine has had its chance, and when to cancel again. Never sends anything.

use crate::event::{ClientId, Command, CommandKind, Operator, OrderEvent, OrderEventKind};
use crate::instrument::InstrumentId;
use crate::journal::command_page::Request;
use crate::unit::Nanos;

/// The engine looks at the operators' page every few milliseconds; one that has not taken a command after this is stuck.
const ENGINE_PATIENCE: Nanos = Nanos::from_millis(100);
/// An engine whose heartbeat stands still for longer watches nothing; it beats every few milliseconds.
const ENGINE_SILENT: Nanos = Nanos::from_secs(3);
/// A thread that has not looked for longer was away itself and cannot judge others.
const AWAY: Nanos = Nanos::from_millis(500);
/// Cancelling everything is tried this often, so far apart.
const CANCEL_TRIES: u32 = 10;
const CANCEL_AGAIN: Nanos = Nanos::from_secs(1);
/// Orders that are remembered; the venue's own limit is 200 a symbol. An order beyond is found by REST.
const ROSTER_MAX: usize = 1024;

/// Ends that are remembered: two sockets bring answers and events, so the acceptance may be read after the end.
const ENDED: usize = 256;

/// Orders of ours that may rest at the venue, as far as this thread sent them or heard of them.
#[derive(Debug)]
pub struct Roster {
    orders: Vec<(ClientId, InstrumentId)>,
    /// The last that ended by the venue's word for good, and where the next one goes.
    ended: [ClientId; ENDED],
    next: usize,
}

impl Default for Roster {
    fn default() -> Self {
        Self { orders: Vec::with_capacity(ROSTER_MAX), ended: [ClientId::default(); ENDED], next: 0 }
    }
}

impl Roster {
    /// A command is about to leave.
    pub fn sent(&mut self, command: &Command) {
        if matches!(command.kind, CommandKind::New) {
            self.add(command.client_id, command.instrument);
        }
    }

    /// The venue said something of an order.
    pub fn heard(&mut self, event: &OrderEvent) {
        use OrderEventKind as Kind;
        let whole = event.kind == Kind::Fill && !event.qty.is_zero() && event.filled >= event.qty;
        match event.kind {
            Kind::Accepted | Kind::Amended if self.ended.contains(&event.client_id) => {}
            Kind::Accepted | Kind::Amended | Kind::Open => self.add(event.client_id, event.instrument),
            Kind::Canceled | Kind::Expired => self.end(event.client_id),
            Kind::Rejected | Kind::NotFound | Kind::Closed => self.drop(event.client_id),
            Kind::Fill if whole => self.end(event.client_id),
            _ => {}
        }
    }

    /// What answered a request of this kind was heard: a new order that was never sent does not rest.
    pub fn answered(&mut self, asked: CommandKind, event: &OrderEvent) {
        if (asked, event.kind) == (CommandKind::New, OrderEventKind::NotSent) {
            self.drop(event.client_id);
        }
    }

    fn add(&mut self, id: ClientId, instrument: InstrumentId) {
        // Ours only: an order of others has no id here.
        if id != ClientId::default()
            && self.orders.len() < ROSTER_MAX
            && !self.orders.iter().any(|&(known, _)| known == id)
        {
            self.orders.push((id, instrument));
        }
    }

    fn drop(&mut self, id: ClientId) {
        self.orders.retain(|&(known, _)| known != id);
    }

    fn end(&mut self, id: ClientId) {
        self.drop(id);
        self.ended[self.next] = id;
        self.next = (self.next + 1) % ENDED;
    }

    /// None of ours may rest.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.orders.is_empty()
    }

    /// All of them.
    pub fn orders(&self) -> impl Iterator<Item = (ClientId, InstrumentId)> + '_ {
        self.orders.iter().copied()
    }
}

/// A command that takes risk away, until the engine has it in hand.
#[derive(Debug, Default)]
pub struct Takeover {
    /// Asked for, not yet known whether the engine acts.
    asked: Option<(Operator, u64, Nanos)>,
    /// New risk does not leave: since command `.0`; `.1` once the engine has taken it.
    barred: Option<(u64, bool)>,
}

impl Takeover {
    /// An operator asked for something.
    pub fn ask(&mut self, request: &Request, now: Nanos) {
        if matches!(request.verb, Operator::CancelAll | Operator::Flatten | Operator::Stop) {
            self.asked = Some((request.verb, request.seq, now));
            self.barred = Some((request.seq, false));
        }
    }

    /// What this thread must do now because the engine did not; once per command. To be asked between two looks into the order ring.
    pub fn due(&mut self, engine_took: impl Fn(u64) -> bool, now: Nanos) -> Option<Operator> {
        self.barred = match self.barred {
            // What the engine had decided before it took the command has been through the ring by now.
            Some((_, true)) => None,
            Some((seq, false)) => Some((seq, engine_took(seq))),
            None => None,
        };
        let (verb, seq, at) = self.asked?;
        if engine_took(seq) {
            self.asked = None;
            return None;
        }
        if now - at < ENGINE_PATIENCE {
            return None;
        }
        self.asked = None;
        Some(verb)
    }

    /// New orders and amends must not leave.
    #[must_use]
    pub const fn bars(&self) -> bool {
        self.barred.is_some()
    }
}

/// Whether the engine's loop turns, by its heartbeat as this thread sees it change. Time in which this thread did not look counts for
/// nothing: then the whole process was stopped.
#[derive(Debug, Default)]
pub struct Pulse {
    beat: i64,
    changed: Nanos,
    looked: Nanos,
    silent: bool,
}

impl Pulse {
    /// One look. True once per silence, when it has lasted; never before the first beat.
    pub fn stops(&mut self, beat: i64, now: Nanos) -> bool {
        let away = now - std::mem::replace(&mut self.looked, now) > AWAY;
        if beat != self.beat {
            self.silent = false;
        }
        if beat != self.beat || away {
            (self.beat, self.changed) = (beat, now);
        }
        let news = beat != 0 && !self.silent && now - self.changed >= ENGINE_SILENT;
        self.silent |= news;
        news
    }

    /// It has stopped and not begun again.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        self.silent
    }
}

/// Cancelling that goes on until nothing of ours may rest: the first try may meet a venue that wants silence, or get lost.
#[derive(Debug, Default)]
pub struct Insistence {
    left: u32,
    due: Nanos,
}

impl Insistence {
    /// Everything must go, from now on.
    pub fn begin(&mut self, now: Nanos) {
        (self.left, self.due) = (CANCEL_TRIES, now);
    }

    /// Under way.
    #[must_use]
    pub const fn is_under_way(&self) -> bool {
        self.left > 0
    }

    /// What asked for it holds no more.
    pub fn end(&mut self) {
        self.left = 0;
    }

    /// True when everything must be cancelled (again) now. `rests`: something of ours may rest; before `held_until` the venue hears nobody.
    pub fn due(&mut self, rests: bool, held_until: Nanos, now: Nanos) -> bool {
        let first = self.left == CANCEL_TRIES;
        if self.left == 0 || now < self.due.max(held_until) || !(first || rests) {
            return false;
        }
        self.left -= 1;
        self.due = now + CANCEL_AGAIN;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::OrderSource;
    use crate::journal::command_page::Signature;
    use crate::unit::Lots;
    use crate::venue::binance::usdm::answer::bare;

    fn id(seq: u32) -> ClientId {
        ClientId { run: 7, seq }
    }

    fn said(kind: OrderEventKind, seq: u32) -> OrderEvent {
        bare(kind, OrderSource::Stream, InstrumentId(0), id(seq), 0)
    }

    #[test]
    fn an_order_is_known_from_its_first_word_to_its_end() {
        let mut roster = Roster::default();
        let ids = |roster: &Roster| roster.orders().map(|(id, _)| id.seq).collect::<Vec<_>>();
        for seq in 1..=4 {
            roster.heard(&said(OrderEventKind::Accepted, seq));
            roster.heard(&said(OrderEventKind::Amended, seq));
        }
        roster.heard(&said(OrderEventKind::Open, 9));
        roster.heard(&bare(OrderEventKind::Open, OrderSource::Query, InstrumentId(0), ClientId::default(), 0));
        assert_eq!(ids(&roster), [1, 2, 3, 4, 9]);
        let part = |filled| OrderEvent { qty: Lots(5), filled: Lots(filled), ..said(OrderEventKind::Fill, 2) };
        roster.heard(&part(4));
        assert_eq!(ids(&roster), [1, 2, 3, 4, 9]);
        roster.heard(&part(5));
        for kind in [OrderEventKind::CancelRejected, OrderEventKind::Unknown, OrderEventKind::NotSent] {
            roster.heard(&said(kind, 3));
        }
        roster.heard(&said(OrderEventKind::Canceled, 1));
        assert_eq!(ids(&roster), [3, 4, 9]);
        // Its acceptance came by the other socket, after its end.
        roster.heard(&said(OrderEventKind::Accepted, 1));
        assert_eq!(ids(&roster), [3, 4, 9]);
        // A cancel that was not sent leaves its order; a new order that was not sent is none.
        roster.answered(CommandKind::Cancel, &said(OrderEventKind::NotSent, 3));
        roster.answered(CommandKind::New, &said(OrderEventKind::Unknown, 4));
        roster.answered(CommandKind::New, &said(OrderEventKind::NotSent, 9));
        assert_eq!(ids(&roster), [3, 4]);
    }

    #[test]
    fn a_stuck_engine_is_stood_in_for_once_and_new_risk_waits_until_it_knows() {
        let ms = Nanos::from_millis;
        let request = |seq, verb| Request { seq, verb, signature: Signature::default() };
        let mut takeover = Takeover::default();
        takeover.ask(&request(1, Operator::Pause), ms(0));
        assert!(!takeover.bars());
        takeover.ask(&request(2, Operator::CancelAll), ms(0));
        assert!(takeover.bars());
        assert_eq!(takeover.due(|_| false, ms(50)), None);
        assert_eq!(takeover.due(|_| false, ms(100)), Some(Operator::CancelAll));
        assert_eq!(takeover.due(|_| false, ms(200)), None);
        assert!(takeover.bars(), "for as long as the engine does not know");
        assert_eq!(takeover.due(|seq| seq <= 2, ms(300)), None);
        assert!(takeover.bars(), "its last orders are in the ring");
        takeover.due(|seq| seq <= 2, ms(305));
        assert!(!takeover.bars());
    }

    #[test]
    fn an_engine_that_acts_is_left_to_it() {
        let mut takeover = Takeover::default();
        takeover.ask(&Request { seq: 1, verb: Operator::Flatten, signature: Signature::default() }, Nanos(0));
        assert_eq!(takeover.due(|_| true, Nanos::from_secs(1)), None);
        assert_eq!(takeover.due(|_| true, Nanos::from_secs(2)), None);
        assert!(!takeover.bars());
    }

    #[test]
    fn an_engine_that_stops_turning_is_noticed_once_and_a_process_that_was_stopped_is_not_blamed() {
        let ms = Nanos::from_millis;
        let mut pulse = Pulse::default();
        let mut now = ms(0);
        let mut look = |pulse: &mut Pulse, beat: i64, after: i64| {
            now += ms(after);
            pulse.stops(beat, now)
        };
        for _ in 0..20 {
            assert!(!look(&mut pulse, 0, 400), "it has not begun");
        }
        assert!(!look(&mut pulse, 1, 400));
        // The whole process stood still.
        assert!(!look(&mut pulse, 1, 60_000));
        let news: Vec<bool> = (0..20).map(|_| look(&mut pulse, 1, 400)).collect();
        assert_eq!(news.iter().position(|&new| new), Some(7), "after three seconds");
        assert_eq!(news.iter().filter(|&&new| new).count(), 1);
        assert!(pulse.is_silent());
        assert!(!look(&mut pulse, 2, 400) && !pulse.is_silent());
    }

    #[test]
    fn cancelling_is_repeated_while_something_may_rest_and_waits_for_a_venue_that_wants_silence() {
        let ms = Nanos::from_millis;
        let mut insistence = Insistence::default();
        assert!(!insistence.due(true, ms(0), ms(1)));
        insistence.begin(ms(10));
        assert!(!insistence.due(true, ms(5_000), ms(10)), "it would not be heard");
        assert!(insistence.due(false, ms(5_000), ms(5_000)), "there may be orders that this thread does not know");
        assert!(!insistence.due(true, ms(0), ms(5_999)));
        assert!(insistence.due(true, ms(0), ms(6_000)));
        assert!(!insistence.due(false, ms(0), ms(7_000)), "nothing rests");
        let tries = (8..60).filter(|&second| insistence.due(true, ms(0), Nanos::from_secs(second))).count();
        assert_eq!(tries, 8);
        insistence.begin(ms(70_000));
        insistence.end();
        assert!(!insistence.due(true, ms(0), ms(71_000)));
    }
}

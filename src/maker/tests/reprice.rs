//! A refresh in one pass beside its twin, which goes step by step: the same messages, decisions, orders and counts, whatever happens between.

use super::*;
use OrderEventKind::{Accepted, AmendRejected, Canceled, Expired, NotSent};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Happening {
    /// So many quotes a side, that far apart, of that size, all moved by so much.
    Want(usize, i64, i64, i64),
    /// The same quotes as before, moved.
    Move(i64),
    /// The venue answers everything that is under way.
    Answered,
    Filled(usize, i64),
    Said(usize, OrderEventKind),
    Waited(i64),
    Asked(Operator),
    Position(i64),
    Entry(LinkState),
}

fn happening() -> impl proptest::strategy::Strategy<Value = Happening> {
    use proptest::strategy::Strategy as _;
    let verbs = vec![Operator::Pause, Operator::Resume, Operator::ReduceOnly, Operator::CancelAll];
    prop_oneof![
        2 => (1..6_usize, 2..9_i64, 4..6_i64, -3..4_i64).prop_map(|(n, gap, qty, by)| Happening::Want(n, gap, qty, by)),
        8 => (-5..6_i64).prop_map(Happening::Move),
        8 => Just(Happening::Answered),
        1 => (0..10_usize, 1..6_i64).prop_map(|(at, qty)| Happening::Filled(at, qty)),
        1 => (0..10_usize, prop::sample::select(vec![Expired, AmendRejected, NotSent, Canceled]))
            .prop_map(|(at, kind)| Happening::Said(at, kind)),
        2 => (0..3_000_i64).prop_map(Happening::Waited),
        1 => prop::sample::select(verbs).prop_map(Happening::Asked),
        1 => (-30..30_i64).prop_map(Happening::Position),
        1 => prop::sample::select(vec![LinkState::Down, LinkState::Up]).prop_map(Happening::Entry),
    ]
}

fn ladder(count: usize, gap: i64, qty: i64, by: i64) -> Vec<(Side, i64, i64)> {
    let side = |side: Side, first: i64| {
        (0..count as i64).map(move |level| (side, first + by - side.sign() * level * gap, qty))
    };
    side(Side::Buy, 999).chain(side(Side::Sell, 1011)).collect()
}

/// Everything that a step gives and leaves, but the twin's mark.
fn state(rig: &Rig) -> String {
    let (out, desk) = (&rig.out, &rig.maker.desks[0]);
    let slots: Vec<_> = desk.table.all().collect();
    let live = desk.table.live_places();
    format!("{:?}{:?}{slots:?}{live:?}{:?}{:?}", out.commands, out.decisions, desk.counters, rig.maker.account)
}

/// Lets it happen; the state after each step.
fn happen(rig: &mut Rig, terms: &mut (usize, i64, i64, i64), happening: &Happening) -> Vec<String> {
    let live: Vec<_> = rig.maker.desks[0].table.live().copied().collect();
    let mut states = Vec::new();
    match *happening {
        Happening::Want(count, gap, qty, by) => *terms = (count, gap, qty, by),
        Happening::Move(by) => terms.3 = (terms.3 + by).clamp(-9, 9),
        Happening::Answered => {
            for slot in live {
                match slot.state {
                    order::State::PendingNew => drop(rig.say(Accepted, slot.id.seq)),
                    order::State::PendingAmend => {
                        let leg = slot.leg.unwrap();
                        rig.amended(slot.id.seq, leg.price.0, leg.qty.0);
                    }
                    order::State::PendingCancel => drop(rig.say(Canceled, slot.id.seq)),
                    _ => {}
                }
                states.push(state(rig));
            }
        }
        Happening::Filled(at, qty) => {
            if let Some(slot) = live.get(at) {
                let (filled, total) = ((slot.filled.0 + qty).min(slot.qty.0), slot.qty.0);
                let trade = u64::from(slot.id.seq) * 1_000 + filled as u64;
                rig.full_fill(slot.id.seq, trade, slot.price.0, filled - slot.filled.0, filled, total);
            }
        }
        Happening::Said(at, kind) => {
            if let Some(slot) = live.get(at) {
                rig.say(kind, slot.id.seq);
            }
        }
        Happening::Waited(ms) => drop(rig.pass_ms(ms)),
        Happening::Asked(verb) => drop(rig.step(&Event::Operator(verb))),
        Happening::Position(qty) => drop(rig.position(qty, false)),
        Happening::Entry(link) => {
            rig.link(Link::OrderEntry, link);
            rig.reconciled(rig.status().position.0, &[]);
        }
    }
    states.push(state(rig));
    let (count, gap, qty, by) = *terms;
    rig.want(&ladder(count, gap, qty, by));
    states.push(state(rig));
    states
}

#[test]
fn a_ladder_that_moves_is_repriced_in_one_pass_and_an_unusual_order_one_by_one() {
    let mut rig = Rig::ready(Rig::config());
    let passes = |rig: &Rig| rig.maker.desks[0].one_pass.unwrap();
    let mut terms = (3, 4, 5, 0);
    for (happening, times) in [
        (Happening::Answered, 0),
        (Happening::Answered, 0),
        (Happening::Move(1), 1),
        (Happening::Answered, 1),
        (Happening::Move(-2), 2),
        (Happening::Answered, 2),
        (Happening::Filled(0, 1), 2),
        (Happening::Move(1), 2),
    ] {
        happen(&mut rig, &mut terms, &happening);
        assert_eq!(passes(&rig), times, "{happening:?}");
    }
}

proptest! {
    #[test]
    fn in_one_pass_as_one_by_one(
        happenings in prop::collection::vec(happening(), 1..60),
        position_max in prop::sample::select(vec![15, 25, 100]),
        orders_max in prop::sample::select(vec![25, 1_000]),
        headroom in prop::sample::select(vec![1, 100]),
        amend in prop::bool::weighted(0.9),
    ) {
        let limits = RiskLimits {
            position_max: Lots(position_max),
            orders_max,
            cancel_headroom: headroom,
            price_band: Rate::from_bps(if headroom == 1 { 150 } else { 1_000 }),
            ..limits()
        };
        let config = MakerConfig { limits, amend, ..Rig::config() };
        let mut rigs = [Rig::ready(config), Rig::ready(config)];
        rigs[1].maker.desks[0].one_pass = None;
        let mut terms = [(3, 4, 5, 0); 2];
        for happening in &happenings {
            let [quick, plain] = [0, 1].map(|at| happen(&mut rigs[at], &mut terms[at], happening));
            prop_assert_eq!(quick, plain, "{:?}", happening);
        }
    }
}

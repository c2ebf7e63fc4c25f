//! The kill ladder, the flatten and the stop.

use super::*;
use OrderEventKind::{Accepted, Canceled, Rejected};
use Side::{Buy, Sell};

#[test]
fn pause_withdraws_and_resume_quotes_again() {
    for word in [Operator::Pause, Operator::CancelAll] {
        let mut rig = Rig::quoting(Rig::config());
        assert_eq!(rig.step(&Event::Operator(word)), ["cancel 1", "cancel 2"]);
        rig.say(Canceled, 1);
        rig.say(Canceled, 2);
        assert!(rig.depth(&[], &[]).is_empty());
        rig.step(&Event::Operator(Operator::Resume));
        assert_eq!(rig.depth(&[], &[]), ["new 3 buy 1000x5", "new 4 sell 1010x5"]);
    }
}

#[test]
fn a_kill_withdraws_and_only_resume_re_arms() {
    let mut rig = Rig::quoting(Rig::config());
    assert_eq!(rig.step(&Event::Kill), ["cancel 1", "cancel 2"]);
    assert_eq!(rig.status().ladder, Ladder::Killed(KillReason::Flag));
    rig.say(Canceled, 1);
    rig.say(Canceled, 2);
    rig.step(&Event::Operator(Operator::ReduceOnly));
    assert!(rig.depth(&[], &[]).is_empty());
    rig.step(&Event::Operator(Operator::Resume));
    assert_eq!(rig.depth(&[], &[]).len(), 2);
}

#[test]
fn a_loss_at_the_limit_kills() {
    let limits = RiskLimits { loss_max: Money::parse(b"0.01").unwrap(), ..limits() };
    let mut rig = Rig::quoting(MakerConfig::new(RUN, limits));
    rig.desire.lock().unwrap().quotes = vec![quote(Sell, 1010, 5)];
    rig.lite_fill(1, 1, 1000, 5);
    // 5 lots bought 5 ticks under the mid; a tick lot is 0.0001. Loss of 0.01 is reached 20 + 5 ticks lower.
    rig.depth(&[(1000, 0), (990, 0), (981, 1)], &[(985, 1)]);
    assert_eq!(rig.status().ladder, Ladder::Quoting);
    let commands = rig.depth(&[(979, 1), (981, 0)], &[(981, 1)]);
    assert_eq!(rig.status().ladder, Ladder::Killed(KillReason::Loss));
    assert_eq!(commands, ["cancel 2"]);
}

#[test]
fn reduce_only_lets_through_what_shrinks() {
    let mut rig = Rig::quoting(Rig::config());
    rig.desire.lock().unwrap().quotes.clear();
    rig.lite_fill(1, 1, 1000, 5);
    rig.say(Canceled, 2);
    rig.step(&Event::Operator(Operator::ReduceOnly));
    assert_eq!(rig.want(&[(Buy, 1000, 5), (Sell, 1010, 6)]), Vec::<String>::new());
    assert_eq!(rig.maker.refusals()[Refusal::ReduceOnly as usize], 2);
    assert_eq!(rig.want(&[(Buy, 1000, 5), (Sell, 1010, 5)]), ["new 3 sell 1010x5"]);
}

#[test]
fn flatten_cancels_closes_and_ends_paused() {
    let mut rig = Rig::quoting(Rig::config());
    rig.lite_fill(1, 1, 1000, 5);
    assert_eq!(rig.step(&Event::Operator(Operator::Flatten)), ["cancel 3", "cancel 2"][1..]);
    assert_eq!(rig.say(Canceled, 2), Vec::<String>::new(), "3 is not confirmed yet");
    assert_eq!(rig.say(Accepted, 3), ["cancel 3"]);
    assert_eq!(rig.say(Canceled, 3), ["market 4 sell 5"]);
    assert!(rig.pass_ms(1).is_empty(), "one at a time");
    assert!(rig.say(Rejected, 4).is_empty());
    assert_eq!(rig.pass_ms(50), ["market 5 sell 5"]);
    rig.lite_fill(5, 2, 999, 5);
    rig.pass_ms(1);
    let status = rig.status();
    assert_eq!((status.position, status.ladder, rig.maker.is_quiet()), (Lots(0), Ladder::Paused, true));
    assert!(rig.depth(&[], &[]).is_empty());
}

#[test]
fn stop_ends_quiet() {
    let mut rig = Rig::quoting(Rig::config());
    assert_eq!(rig.step(&Event::Operator(Operator::Stop)), ["cancel 1", "cancel 2"]);
    assert!(!rig.maker.is_quiet());
    rig.say(Canceled, 1);
    rig.say(Canceled, 2);
    assert!(rig.maker.is_quiet());
    rig.step(&Event::Operator(Operator::Resume));
    assert!(rig.depth(&[], &[]).is_empty(), "the run ends");
}

#[test]
fn widening_requotes_and_never_narrows() {
    let mut rig = Rig::quoting(Rig::config());
    assert_eq!(rig.step(&Event::Operator(Operator::Widen { percent: 150 })), ["cancel 1", "cancel 2"]);
    assert_eq!((rig.maker.widened_percent(), rig.status().ladder), (150, Ladder::Quoting));
    assert_eq!(rig.say(Canceled, 1), ["new 3 buy 1000x5", "new 4 sell 1010x5"]);
    rig.say(Canceled, 2);
    assert_eq!(rig.widened(), Rate::parse(b"1.5").unwrap());
    rig.step(&Event::Operator(Operator::Widen { percent: 1 }));
    assert_eq!(rig.maker.widened_percent(), 100);
    rig.say(Canceled, 3);
    rig.say(Canceled, 4);
    rig.depth(&[], &[]);
    assert_eq!(rig.widened(), Rate::ONE);
    // A kill hears it and stays one.
    rig.step(&Event::Kill);
    rig.step(&Event::Operator(Operator::Widen { percent: 300 }));
    rig.step(&Event::Operator(Operator::Reload));
    assert_eq!(rig.status().ladder, Ladder::Killed(KillReason::Flag));
}

#[test]
fn lost_time_withdraws_and_only_a_reconciliation_begun_after_it_lets_quote_again() {
    let mut rig = Rig::quoting(Rig::config());
    let lapse = Event::Lapse { lost: Nanos::from_secs(60) };
    assert_eq!(rig.step(&lapse), ["cancel 1", "cancel 2", "reconcile"]);
    rig.say(Canceled, 1);
    rig.say(Canceled, 2);
    assert!(rig.depth(&[], &[]).is_empty(), "quiet until the answer is in");
    // Stopped again while the answer is under way: what still comes of it is older than the gap.
    assert_eq!(rig.step(&lapse), ["reconcile"]);
    rig.reconciled(0, &[]);
    assert_eq!(rig.depth(&[], &[]), ["new 3 buy 1000x5", "new 4 sell 1010x5"]);
}

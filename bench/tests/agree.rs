//! The measurements run small: ours and every naive peer compute the same results. A fact, not a time.

use spinquote_bench::frames::Session;
use spinquote_bench::suite;

fn agrees(session: &Session) {
    assert!(session.frames.len() >= 500, "{}", session.source);
    let report = suite::run(session, 10, |_| true);
    for what in ["decode depth", "decode bookTicker", "book", "decode + book", "frame to order"] {
        assert!(
            report.rows.iter().any(|row| row.name.starts_with(what)),
            "{what} was not run on the {}",
            session.source
        );
    }
    assert!(report.rows.iter().all(|row| row.ratio.is_finite() && row.checksum != 0), "{}", report.table());
}

#[test]
fn ours_and_the_peers_agree_on_the_session_at_hand() {
    let session = Session::load(600);
    eprintln!("{}", session.source);
    agrees(&session);
}

#[test]
fn ours_and_the_peers_agree_on_the_synthetic_market() {
    agrees(&Session::synthetic(600));
}

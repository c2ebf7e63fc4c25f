//! `sq top` where stdout is no terminal: one picture as text, at the sizes that people use.

mod support;

use support::{Fixture, golden, played};

#[test]
fn pictures_of_an_ended_run_at_three_sizes() {
    let run = played();
    for (width, height) in [(80, 24), (200, 60), (50, 40)] {
        let size = format!("{width}x{height}");
        let said = run.sq(&format!("top --plain --size {size}"));
        assert_eq!((said.code, said.err.as_str()), (0, ""));
        assert_eq!(said.out.lines().count(), height);
        assert!(said.out.lines().all(|line| line.chars().count() <= width));
        assert!(said.out.trim_end().lines().last().unwrap().starts_with("q quit  Tab instrument"));
        golden(&format!("top_{size}.txt"), &said.out);
    }
    assert_eq!(run.sq("top").out, run.sq("top --plain").out, "plain by itself when piped");
}

#[test]
fn own_orders_stand_in_the_book_and_what_is_missing_is_said() {
    use spinquote::event::{CommandKind, Side};
    let mut run = Fixture::new();
    support::publish(&run, run.now);
    run.command(CommandKind::New, 1, 1, Side::Buy, 617_985, 5);
    run.command(CommandKind::New, 2, 1, Side::Sell, 618_003, 5);
    let said = run.sq("top").out;
    assert!(said.contains("ask      61800.3 touch own 0.005 +0.0 bp"), "{said}");
    assert!(said.contains("bid      61798.5       own 0.005 -0.2 bp"), "{said}");
    assert!(
        said.contains("silent: no heartbeat for ")
            && said.contains("nothing was timed yet")
            && said.contains("this run has no histogram file")
    );
    assert!(run.sq("top --size 5x5").err.contains("want columns and rows from 20x8"));
    let tiny = run.sq("top --size 20x8");
    assert_eq!(tiny.code, 0, "{}", tiny.err);
}

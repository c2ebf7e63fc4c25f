//! `sq why ORDER`: the chain behind an order, from frame to fill.

mod support;

use support::{golden, played};

#[test]
fn a_filled_an_amended_and_a_rejected_order_tell_their_chains() {
    let run = played();
    for order in ["1", "2", "sq00000007-00000003"] {
        let said = run.sq(&format!("why {order}"));
        assert_eq!((said.code, said.err.as_str()), (0, ""));
        golden(&format!("why_{}.txt", order.chars().last().unwrap()), &said.out);
    }
}

#[test]
fn the_chain_as_json_names_input_decision_command_and_answer() {
    let run = played();
    let said: serde_json::Value = serde_json::from_str(&run.sq("why 00000007-00000002 --json").out).unwrap();
    assert_eq!(said["state"], "filled");
    let step = &said["links"][0]["step"];
    assert_eq!((&step["input"]["kind"], &step["decisions"][1]["cause"]), (&"frame".into(), &"quote".into()));
    assert_eq!(step["commands"][0]["what"], "new");
    // The market as the step saw it, what the rule made of it, and what the gate counted.
    assert_eq!((&step["book"]["bid"], &step["book"]["ask_qty"]), (&"61800.2".into(), &"2.000".into()));
    assert_eq!(step["rule"]["from_reference"], "+0.12bp");
    assert_eq!((&step["gate"]["worst"], &step["gate"]["messages"]), (&"-0.005".into(), &"2".into()));
    let after: Vec<_> =
        said["links"].as_array().unwrap()[1..].iter().map(|link| link["after"]["kind"].clone()).collect();
    assert_eq!(after, ["sent", "order", "order", "order", "order"]);
    assert_eq!(said["links"][1]["since_input_ns"], 35_000);
}

#[test]
fn an_order_that_is_not_there_is_said() {
    let run = played();
    let said = run.sq("why ff");
    assert!(
        said.code == 1 && said.err.contains("order 00000007-000000ff is nowhere in run 20231114-221320"),
        "{}",
        said.err
    );
    assert!(run.sq("why what").err.contains("is no order id"));
}

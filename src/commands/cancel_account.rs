//! `spinquote cancel-account`: the account-wide emergency: every open order of a symbol goes, whoever placed it. No run ever does this
//! by itself, and nothing goes without the symbol's name typed back.

use super::run::{engine, keys};
use crate::cli::CancelAccountArgs;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use spinquote::engine::clock::Clock;
use spinquote::engine::rest::{Caller, Rest};
use spinquote::venue::binance::usdm::client_id::Prefix;
use spinquote::venue::binance::usdm::rest;
use spinquote::venue::binance::usdm::sign::Signer;
use std::io::{IsTerminal, Write, stderr, stdin, stdout};
use std::sync::Arc;
use std::time::Duration;

/// An emergency does not wait longer for one answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

pub fn run(args: &CancelAccountArgs) -> Result<()> {
    let settings = engine(&args.engine)?;
    let symbol = args.symbol.clone().or_else(|| settings.venue.symbol.clone());
    let symbol = symbol.context("no symbol: give --symbol, or venue.symbol in the engine file")?;
    let prefix = Prefix::new(&settings.orders.id_prefix).map_err(anyhow::Error::msg)?;
    let keys = keys(&settings)?;
    let signer = Signer::new(&keys.credentials)?;
    let rest_client = Rest::new(&settings.venue.rest_url, keys.ca_pem.as_deref(), Some(signer.api_key()), CALL_TIMEOUT)
        .map_err(anyhow::Error::msg)?;
    let caller = Caller::new(rest_client, Some(signer), Clock::new(), Arc::default(), settings.orders.recv_window);
    caller.sync_time().context("the venue's time")?;

    let (all, ours) = open(&caller, &symbol, &prefix)?;
    eprintln!(
        "{}: {all} open orders of {symbol}, {ours} placed by this engine and {} by others: all of them will be cancelled",
        settings.venue.rest_url,
        all - ours
    );
    confirm(args.yes.as_deref(), &symbol)?;
    caller.json(&rest::cancel_everything(&symbol)).context("nothing is known to be cancelled")?;
    let (left, _) = open(&caller, &symbol, &prefix).context("cancelled; what is left is not known")?;
    anyhow::ensure!(
        left == 0,
        "{left} orders of {symbol} are still open (or new): look at the venue, and at what places them"
    );
    writeln!(stdout(), "{symbol}: no open order is left of {all}").context("stdout")
}

/// Open orders of the symbol: all, and ours.
fn open(caller: &Caller, symbol: &str, prefix: &Prefix) -> Result<(usize, usize)> {
    let answer = caller.json(&rest::open_orders(symbol))?;
    let orders = answer.as_array().context("open orders: the answer is no list")?;
    let is_ours = |order: &&Value| order["clientOrderId"].as_str().is_some_and(|id| prefix.parse(id).is_some());
    Ok((orders.len(), orders.iter().filter(is_ours).count()))
}

fn confirm(yes: Option<&str>, symbol: &str) -> Result<()> {
    let typed = match yes {
        Some(name) => name.to_owned(),
        None if stdin().is_terminal() && stderr().is_terminal() => {
            eprint!("type {symbol} to cancel them: ");
            let mut line = String::new();
            stdin().read_line(&mut line).context("reading the symbol")?;
            line.trim().to_owned()
        }
        None => bail!("nothing cancelled: give --yes {symbol}"),
    };
    anyhow::ensure!(typed == symbol, "nothing cancelled: `{typed}` is not {symbol}");
    Ok(())
}

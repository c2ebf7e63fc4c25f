//! Balances, positions, trades and income in the venue's words.

use super::params::{ApiError, Params};
use super::text::{Object, array, fixed};
use super::trade::{position_side_name, side_name};
use crate::event::PositionSide;
use crate::instrument::InstrumentId;
use crate::sim::account::{Entry, EntryKind, LEVERAGE_MAX, POSITION_SIDES, instrument_margin};
use crate::sim::exchange::Exchange;
use crate::sim::order::{AccountId, OwnTrade};
use crate::unit::{MONEY_PLACES, Money, Nanos, Price};

fn ids(exchange: &Exchange) -> impl Iterator<Item = InstrumentId> {
    (0..exchange.instruments() as u16).map(InstrumentId)
}

/// The position sides that exist in the account's mode.
fn sides(exchange: &Exchange, account: AccountId) -> &'static [PositionSide] {
    if exchange.account(account).hedge() { &POSITION_SIDES[1..] } else { &POSITION_SIDES[..1] }
}

/// `GET /fapi/v2|v3/balance` and `v2/account.balance`.
pub fn balance(now: Nanos, account: AccountId, exchange: &Exchange, out: &mut Vec<u8>) {
    let margin = exchange.margin(account);
    array(out, assets(exchange), |out, asset| {
        let own = asset == exchange.instrument(InstrumentId(0)).quote.as_str();
        let of = |amount: Money| if own { amount } else { Money::ZERO };
        Object::new(out)
            .str("accountAlias", "sim")
            .str("asset", asset)
            .money("balance", of(margin.wallet))
            .money("crossWalletBalance", of(margin.wallet))
            .money("crossUnPnl", of(margin.unrealized))
            .money("availableBalance", of(margin.available()))
            .money("maxWithdrawAmount", of(margin.available()))
            .bool("marginAvailable", true)
            .int("updateTime", now.as_millis())
            .end();
    });
}

/// The margin assets; the first instrument's is the one that is booked.
fn assets(exchange: &Exchange) -> Vec<&str> {
    let mut assets: Vec<&str> = Vec::new();
    for id in ids(exchange) {
        let quote = exchange.instrument(id).quote.as_str();
        if !assets.contains(&quote) {
            assets.push(quote);
        }
    }
    assets
}

/// `GET /fapi/v2|v3/account` and `v2/account.status`.
pub fn account(now: Nanos, account: AccountId, exchange: &Exchange, v3: bool, out: &mut Vec<u8>) {
    let margin = exchange.margin(account);
    let state = exchange.account(account);
    let initial = margin.position_initial + margin.order_initial;
    let mut object = Object::new(out);
    if !v3 {
        object
            .int("feeTier", 0)
            .bool("feeBurn", true)
            .bool("canTrade", true)
            .bool("canDeposit", true)
            .bool("canWithdraw", true)
            .int("updateTime", 0)
            .bool("multiAssetsMargin", state.multi_assets())
            .int("tradeGroupId", -1);
    }
    object
        .money("totalInitialMargin", initial)
        .money("totalMaintMargin", margin.maintenance)
        .money("totalWalletBalance", margin.wallet)
        .money("totalUnrealizedProfit", margin.unrealized)
        .money("totalMarginBalance", margin.equity())
        .money("totalPositionInitialMargin", margin.position_initial)
        .money("totalOpenOrderInitialMargin", margin.order_initial)
        .money("totalCrossWalletBalance", margin.wallet)
        .money("totalCrossUnPnl", margin.unrealized)
        .money("availableBalance", margin.available())
        .money("maxWithdrawAmount", margin.available());
    array(object.key("assets"), assets(exchange).into_iter().take(1), |out, asset| {
        let mut object = Object::new(out);
        object
            .str("asset", asset)
            .money("walletBalance", margin.wallet)
            .money("unrealizedProfit", margin.unrealized)
            .money("marginBalance", margin.equity())
            .money("maintMargin", margin.maintenance)
            .money("initialMargin", initial)
            .money("positionInitialMargin", margin.position_initial)
            .money("openOrderInitialMargin", margin.order_initial)
            .money("crossWalletBalance", margin.wallet)
            .money("crossUnPnl", margin.unrealized)
            .money("availableBalance", margin.available())
            .money("maxWithdrawAmount", margin.available());
        if !v3 {
            object.bool("marginAvailable", true);
        }
        object.int("updateTime", now.as_millis()).end();
    });
    let of_account = account;
    let listed = ids(exchange)
        .flat_map(|id| sides(exchange, of_account).iter().map(move |&side| (id, side)))
        .filter(|&(id, side)| !v3 || !exchange.account(of_account).position(id, side).qty.is_zero());
    array(object.key("positions"), listed, |out, (id, side)| account_position(out, exchange, of_account, id, side, v3));
    object.end();
}

fn account_position(
    out: &mut Vec<u8>,
    exchange: &Exchange,
    account: AccountId,
    id: InstrumentId,
    side: PositionSide,
    v3: bool,
) {
    let contract = exchange.instrument(id);
    let report = exchange.position(account, id, side);
    let part = exchange.margin_of(account, id);
    let holding = exchange.account(account).holding(id);
    let mark = exchange.mark(id).unwrap_or(Price::ZERO);
    let mut object = Object::new(out);
    object.str("symbol", &contract.symbol);
    if v3 {
        object.str("positionSide", position_side_name(side)).qty("positionAmt", contract, report.qty);
    }
    object
        .money("initialMargin", part.position_initial + part.order_initial)
        .money("maintMargin", part.maintenance)
        .money("unrealizedProfit", report.unrealized);
    if v3 {
        object
            .money("isolatedMargin", Money::ZERO)
            .money("notional", contract.notional_at(mark, report.qty))
            .money("isolatedWallet", Money::ZERO);
    } else {
        object
            .money("positionInitialMargin", part.position_initial)
            .money("openOrderInitialMargin", part.order_initial)
            .str("leverage", &holding.leverage.to_string())
            .bool("isolated", holding.isolated)
            .real("entryPrice", report.entry)
            .real("breakEvenPrice", report.entry)
            .str("maxNotional", "100000000")
            .str("bidNotional", "0")
            .str("askNotional", "0")
            .str("positionSide", position_side_name(side))
            .qty("positionAmt", contract, report.qty)
            .money("notional", contract.notional_at(mark, report.qty));
    }
    object.int("updateTime", exchange.account(account).position(id, side).updated_at.as_millis()).end();
}

/// `GET /fapi/v2|v3/positionRisk` and `account.position`: version 3 shows only instruments with a position or an open order.
///
/// # Errors
/// An unknown symbol.
pub fn position_risk(
    account: AccountId,
    params: &Params,
    exchange: &Exchange,
    v3: bool,
    out: &mut Vec<u8>,
) -> Result<(), ApiError> {
    let only = params.symbol_if(exchange)?;
    let busy = |id: InstrumentId, side: PositionSide| {
        !exchange.account(account).position(id, side).qty.is_zero()
            || exchange.orders().open(account).any(|o| o.instrument == id && o.position_side == side)
    };
    let listed = ids(exchange)
        .filter(|&id| only.is_none_or(|o| o == id))
        .flat_map(|id| sides(exchange, account).iter().map(move |&side| (id, side)))
        .filter(|&(id, side)| !v3 || busy(id, side));
    array(out, listed, |out, (id, side)| {
        let contract = exchange.instrument(id);
        let report = exchange.position(account, id, side);
        let holding = exchange.account(account).holding(id);
        let mark = exchange.mark(id).unwrap_or(Price::ZERO);
        let part = instrument_margin(contract, holding, mark, Default::default());
        let whole = exchange.margin_of(account, id);
        let quote = contract.quote.as_str();
        let mut object = Object::new(out);
        object
            .str("symbol", &contract.symbol)
            .str("positionSide", position_side_name(side))
            .qty("positionAmt", contract, report.qty)
            .real("entryPrice", report.entry)
            .real("breakEvenPrice", report.entry)
            .real("markPrice", mark)
            .money("unRealizedProfit", report.unrealized)
            .str("liquidationPrice", "0");
        if v3 {
            object
                .money("isolatedMargin", Money::ZERO)
                .money("notional", contract.notional_at(mark, report.qty))
                .str("marginAsset", quote)
                .money("isolatedWallet", Money::ZERO)
                .money("initialMargin", whole.position_initial + whole.order_initial)
                .money("maintMargin", part.maintenance)
                .money("positionInitialMargin", part.position_initial)
                .money("openOrderInitialMargin", whole.order_initial)
                .int("adl", 1)
                .str("bidNotional", "0")
                .str("askNotional", "0");
        } else {
            object
                .str("leverage", &holding.leverage.to_string())
                .str("maxNotionalValue", "100000000")
                .str("marginType", if holding.isolated { "isolated" } else { "cross" })
                .money("isolatedMargin", Money::ZERO)
                .str("isAutoAddMargin", "false")
                .money("notional", contract.notional_at(mark, report.qty))
                .money("isolatedWallet", Money::ZERO)
                .int("adlQuantile", 1);
        }
        object.int("updateTime", exchange.account(account).position(id, side).updated_at.as_millis()).end();
    });
    Ok(())
}

/// `GET /fapi/v1/userTrades`.
///
/// # Errors
/// A bad parameter.
pub fn user_trades(
    account: AccountId,
    params: &Params,
    exchange: &Exchange,
    out: &mut Vec<u8>,
) -> Result<(), ApiError> {
    let id = params.symbol(exchange)?;
    let contract = exchange.instrument(id);
    let (start, end) = (params.int("startTime")?.unwrap_or(0), params.int("endTime")?.unwrap_or(i64::MAX));
    let from = params.int("fromId")?.map(i64::unsigned_abs);
    let order = params.int("orderId")?.map(i64::unsigned_abs);
    let limit = usize::try_from(params.int("limit")?.unwrap_or(500).clamp(1, 1000)).expect("at most 1000");
    let wanted = |t: &&OwnTrade| {
        t.instrument == id
            && (start..=end).contains(&t.time.as_millis())
            && from.is_none_or(|f| t.id >= f)
            && order.is_none_or(|o| t.order_id == o)
    };
    let mut trades: Vec<&OwnTrade> = exchange.orders().trades(account).filter(wanted).collect();
    if from.is_some() {
        trades.truncate(limit);
    } else {
        trades.drain(..trades.len().saturating_sub(limit));
    }
    array(out, trades, |out, t| {
        let mut object = Object::new(out);
        object
            .str("symbol", &contract.symbol)
            .id("id", t.id)
            .id("orderId", t.order_id)
            .str("side", side_name(t.side))
            .real("price", t.price)
            .qty("qty", contract, t.qty)
            .money("realizedPnl", t.realized)
            .money("quoteQty", t.quote)
            .money("commission", t.fee)
            .str("commissionAsset", &contract.quote)
            .int("time", t.time.as_millis())
            .str("positionSide", position_side_name(t.position_side))
            .bool("buyer", t.side == crate::event::Side::Buy)
            .bool("maker", t.maker)
            .end();
    });
    Ok(())
}

const fn income_name(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Deposit => "TRANSFER",
        EntryKind::Trade | EntryKind::Liquidation => "REALIZED_PNL",
        EntryKind::Fee => "COMMISSION",
        EntryKind::Funding => "FUNDING_FEE",
        EntryKind::Insurance => "INSURANCE_CLEAR",
    }
}

/// `GET /fapi/v1/income`.
///
/// # Errors
/// A bad parameter.
pub fn income(account: AccountId, params: &Params, exchange: &Exchange, out: &mut Vec<u8>) -> Result<(), ApiError> {
    let only = params.symbol_if(exchange)?;
    let kind = params.find("incomeType");
    let (start, end) = (params.int("startTime")?.unwrap_or(0), params.int("endTime")?.unwrap_or(i64::MAX));
    let limit = usize::try_from(params.int("limit")?.unwrap_or(100).clamp(1, 1000)).expect("at most 1000");
    let wanted = |e: &&Entry| {
        (start..=end).contains(&e.time.as_millis())
            && kind.is_none_or(|k| k == income_name(e.kind))
            && only.is_none_or(|id| e.instrument == Some(id))
    };
    let mut entries: Vec<&Entry> = exchange.account(account).ledger().entries().filter(wanted).collect();
    entries.drain(..entries.len().saturating_sub(limit));
    array(out, entries, |out, e| {
        let symbol = e.instrument.map_or("", |id| exchange.instrument(id).symbol.as_str());
        Object::new(out)
            .str("symbol", symbol)
            .str("incomeType", income_name(e.kind))
            .money("income", e.amount)
            .str("asset", &exchange.instrument(e.instrument.unwrap_or_default()).quote)
            .str("info", income_name(e.kind))
            .int("time", e.time.as_millis())
            .id("tranId", e.trade_id)
            .str("tradeId", &if e.trade_id == 0 { String::new() } else { e.trade_id.to_string() })
            .end();
    });
    Ok(())
}

/// `GET /fapi/v1/accountConfig`.
pub fn account_config(account: AccountId, exchange: &Exchange, out: &mut Vec<u8>) {
    let state = exchange.account(account);
    Object::new(out)
        .int("feeTier", 0)
        .bool("canTrade", true)
        .bool("canDeposit", true)
        .bool("canWithdraw", true)
        .bool("dualSidePosition", state.hedge())
        .int("updateTime", 0)
        .bool("multiAssetsMargin", state.multi_assets())
        .int("tradeGroupId", -1)
        .end();
}

/// `GET /fapi/v1/symbolConfig`: of one symbol or of all.
///
/// # Errors
/// A bad symbol.
pub fn symbol_config(
    account: AccountId,
    params: &Params,
    exchange: &Exchange,
    out: &mut Vec<u8>,
) -> Result<(), ApiError> {
    let wanted = params.symbol_if(exchange)?;
    array(out, ids(exchange).filter(|&id| wanted.is_none_or(|one| one == id)), |out, id| {
        let holding = exchange.account(account).holding(id);
        Object::new(out)
            .str("symbol", &exchange.instrument(id).symbol)
            .str("marginType", if holding.isolated { "ISOLATED" } else { "CROSSED" })
            .bool("isAutoAddMargin", false)
            .int("leverage", i64::from(holding.leverage))
            .str("maxNotionalValue", "100000000")
            .end();
    });
    Ok(())
}

/// `GET /fapi/v1/leverageBracket`: one bracket, as the exchange reckons with.
///
/// # Errors
/// An unknown symbol.
pub fn leverage_bracket(params: &Params, exchange: &Exchange, out: &mut Vec<u8>) -> Result<(), ApiError> {
    let only = params.symbol_if(exchange)?;
    array(out, ids(exchange).filter(|&id| only.is_none_or(|o| o == id)), |out, id| {
        let contract = exchange.instrument(id);
        let mut object = Object::new(out);
        object.str("symbol", &contract.symbol).raw("notionalCoef", "1.0");
        let brackets = object.key("brackets");
        brackets.push(b'[');
        let mut ratio = Vec::new();
        fixed(&mut ratio, i128::from(contract.maintenance_margin.0), crate::unit::RATE_PLACES, 8);
        let ratio = String::from_utf8(ratio).expect("digits");
        Object::new(brackets)
            .int("bracket", 1)
            .int("initialLeverage", i64::from(LEVERAGE_MAX))
            .int("notionalCap", 100_000_000)
            .int("notionalFloor", 0)
            .raw("maintMarginRatio", ratio.trim_matches('"'))
            .raw("cum", "0.0")
            .end();
        brackets.push(b']');
        object.end();
    });
    Ok(())
}

/// `GET /fapi/v1/commissionRate`.
///
/// # Errors
/// An unknown symbol.
pub fn commission_rate(params: &Params, exchange: &Exchange, out: &mut Vec<u8>) -> Result<(), ApiError> {
    let contract = exchange.instrument(params.symbol(exchange)?);
    Object::new(out)
        .str("symbol", &contract.symbol)
        .rate("makerCommissionRate", contract.maker_fee)
        .rate("takerCommissionRate", contract.taker_fee)
        .rate("rpiCommissionRate", contract.maker_fee)
        .end();
    Ok(())
}

const _: () = assert!(MONEY_PLACES >= 8, "money prints with 8 places");

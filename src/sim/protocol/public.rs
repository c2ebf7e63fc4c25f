//! Market data by request, in the venue's words: what needs no key.

use super::World;
use super::limits::LimitTerms;
use super::params::{ApiError, Params};
use super::text::{Object, array, fixed};
use crate::event::{DepthSnapshot, Level, Side};
use crate::instrument::{Instrument, InstrumentId};
use crate::sim::frames;
use crate::sim::tape::Candle;
use crate::unit::{Lots, MONEY_PLACES, Money, Nanos, Price, Rate, Ticks};
use crate::wire::json::{write_i64, write_u64};

fn wanted(params: &Params, world: &World<'_>) -> Result<(Vec<InstrumentId>, bool), ApiError> {
    let only = params.symbol_if(world.exchange)?;
    let all = || (0..world.exchange.instruments() as u16).map(InstrumentId).collect();
    Ok((only.map_or_else(all, |id| vec![id]), only.is_some()))
}

/// One element, or an array of all where no symbol was asked for.
fn one_or_all(
    params: &Params,
    world: &World<'_>,
    out: &mut Vec<u8>,
    write: impl Fn(&mut Vec<u8>, InstrumentId),
) -> Result<(), ApiError> {
    let (ids, one) = wanted(params, world)?;
    if one {
        write(out, ids[0]);
    } else {
        array(out, ids, write);
    }
    Ok(())
}

fn limit(params: &Params, default: i64, most: i64) -> Result<usize, ApiError> {
    let limit = params.int("limit")?.unwrap_or(default);
    if limit < 1 {
        return Err(ApiError::missing("limit"));
    }
    Ok(usize::try_from(limit.min(most)).expect("a positive limit"))
}

/// `GET /fapi/v1/exchangeInfo`.
pub fn exchange_info(now: Nanos, world: &World<'_>, terms: &LimitTerms, out: &mut Vec<u8>) {
    let ids = (0..world.exchange.instruments() as u16).map(InstrumentId);
    let mut object = Object::new(out);
    object.str("timezone", "UTC").int("serverTime", now.as_millis()).str("futuresType", "U_MARGINED");
    let rules = [
        ("REQUEST_WEIGHT", "MINUTE", 1, terms.weight_1m),
        ("ORDERS", "MINUTE", 1, terms.orders_1m),
        ("ORDERS", "SECOND", 10, terms.orders_10s),
    ];
    array(object.key("rateLimits"), rules, |out, (kind, interval, number, most)| {
        Object::new(out)
            .str("rateLimitType", kind)
            .str("interval", interval)
            .int("intervalNum", number)
            .int("limit", i64::from(most))
            .end();
    });
    object.raw("exchangeFilters", "[]");
    let mut assets: Vec<&str> = ids.clone().map(|id| world.exchange.instrument(id).quote.as_str()).collect();
    assets.sort_unstable();
    assets.dedup();
    array(object.key("assets"), assets, |out, asset| {
        Object::new(out).str("asset", asset).bool("marginAvailable", true).str("autoAssetExchange", "-10000").end();
    });
    array(object.key("symbols"), ids, |out, id| symbol(out, world.exchange.instrument(id)));
    object.end();
}

fn symbol(out: &mut Vec<u8>, contract: &Instrument) {
    let mut object = Object::new(out);
    object
        .str("symbol", &contract.symbol)
        .str("pair", &contract.symbol)
        .str("contractType", "PERPETUAL")
        .int("deliveryDate", 4_133_404_800_000)
        .int("onboardDate", 1_569_398_400_000)
        .str("status", "TRADING")
        .str("maintMarginPercent", "2.5000")
        .str("requiredMarginPercent", "5.0000")
        .str("baseAsset", &contract.base)
        .str("quoteAsset", &contract.quote)
        .str("marginAsset", &contract.quote)
        .int("pricePrecision", i64::from(contract.price_places))
        .int("quantityPrecision", i64::from(contract.qty_places))
        .int("baseAssetPrecision", 8)
        .int("quotePrecision", 8)
        .str("underlyingType", "COIN")
        .raw("underlyingSubType", "[\"PoW\"]")
        .str("triggerProtect", "0.0500")
        .str("liquidationFee", "0.012500")
        .str("marketTakeBound", "0.05")
        .int("maxMoveOrderLimit", 10_000);
    let filters = object.key("filters");
    filters.push(b'[');
    Object::new(filters)
        .str("filterType", "PRICE_FILTER")
        .price("minPrice", contract, contract.price_min)
        .price("maxPrice", contract, contract.price_max)
        .price("tickSize", contract, Ticks(1))
        .end();
    for (name, most) in [("LOT_SIZE", contract.qty_max), ("MARKET_LOT_SIZE", contract.market_qty_max)] {
        filters.push(b',');
        Object::new(filters)
            .str("filterType", name)
            .qty("minQty", contract, contract.qty_min)
            .qty("maxQty", contract, most)
            .qty("stepSize", contract, Lots(1))
            .end();
    }
    for (name, most) in [("MAX_NUM_ORDERS", contract.orders_max), ("MAX_NUM_ALGO_ORDERS", 10)] {
        filters.push(b',');
        Object::new(filters).str("filterType", name).int("limit", i64::from(most)).end();
    }
    filters.push(b',');
    Object::new(filters).str("filterType", "MIN_NOTIONAL").str("notional", &contract.notional_min.to_string()).end();
    filters.push(b',');
    let mut percent = Object::new(filters);
    percent.str("filterType", "PERCENT_PRICE");
    for (key, rate) in [("multiplierUp", contract.percent_up), ("multiplierDown", contract.percent_down)] {
        fixed(percent.key(key), i128::from(rate.0), crate::unit::RATE_PLACES, 4);
    }
    percent.str("multiplierDecimal", "4").end();
    filters.push(b']');
    object
        .raw("orderTypes", "[\"LIMIT\",\"MARKET\"]")
        .raw("timeInForce", "[\"GTC\",\"IOC\",\"FOK\",\"GTX\",\"GTD\"]")
        .raw("permissionSets", "[\"GRID\",\"COPY\"]")
        .end();
}

/// `GET /fapi/v1/depth`.
///
/// # Errors
/// A bad symbol or limit.
pub fn depth(now: Nanos, params: &Params, world: &World<'_>, out: &mut Vec<u8>) -> Result<(), ApiError> {
    let instrument = params.symbol(world.exchange)?;
    let limit = params.int("limit")?.unwrap_or(500);
    if ![5, 10, 20, 50, 100, 500, 1000].contains(&limit) {
        return Err(ApiError::new(-4021, format!("{limit} is not valid depth limit")));
    }
    let (mut bids, mut asks) = (Vec::new(), Vec::new());
    let last = world.books.snapshot(instrument, limit as usize, &mut bids, &mut asks);
    if bids.is_empty() && asks.is_empty() {
        // A live market that is not known now: nobody may take it for a market without orders.
        let msg = "Internal error; unable to process your request. Please try again.";
        return Err(ApiError::with_status(503, -1001, msg));
    }
    let snapshot = DepthSnapshot { instrument, last, venue_time: now, bids: &bids, asks: &asks };
    frames::depth_snapshot(out, world.exchange.instrument(instrument), &snapshot, now);
    Ok(())
}

/// `GET /fapi/v1/premiumIndex`.
///
/// # Errors
/// A bad symbol.
pub fn premium_index(now: Nanos, params: &Params, world: &World<'_>, out: &mut Vec<u8>) -> Result<(), ApiError> {
    one_or_all(params, world, out, |out, id| {
        let exchange = &world.exchange;
        let mark = exchange.mark(id).unwrap_or(Price::ZERO);
        let (rate, next) = exchange.funding(id).unwrap_or((Rate::ZERO, Nanos::ZERO));
        let event = exchange.mark_event(id);
        Object::new(out)
            .str("symbol", &exchange.instrument(id).symbol)
            .real("markPrice", mark)
            .real("indexPrice", event.map_or(mark, |m| m.index))
            .real("estimatedSettlePrice", mark)
            .rate("lastFundingRate", rate)
            .str("interestRate", "0.00010000")
            .int("nextFundingTime", next.as_millis())
            .int("time", event.map_or(now, |m| m.venue_time).as_millis())
            .end();
    })
}

/// `GET /fapi/v1/fundingRate`: none was charged before the start.
pub fn funding_rate(out: &mut Vec<u8>) {
    out.extend_from_slice(b"[]");
}

/// `GET /fapi/v1/fundingInfo`.
pub fn funding_info(world: &World<'_>, out: &mut Vec<u8>) {
    array(out, (0..world.exchange.instruments() as u16).map(InstrumentId), |out, id| {
        let contract = world.exchange.instrument(id);
        Object::new(out)
            .str("symbol", &contract.symbol)
            .str("adjustedFundingRateCap", "0.02000000")
            .str("adjustedFundingRateFloor", "-0.02000000")
            .int("fundingIntervalHours", i64::from(contract.funding_interval_hours))
            .bool("disclaimer", false)
            .end();
    });
}

fn touch(world: &World<'_>, id: InstrumentId, side: Side) -> Level {
    world.exchange.matching(id).best(side).unwrap_or_default()
}

/// `GET /fapi/v1/ticker/bookTicker` and `ticker.book`.
///
/// # Errors
/// A bad symbol.
pub fn book_ticker(now: Nanos, params: &Params, world: &World<'_>, out: &mut Vec<u8>) -> Result<(), ApiError> {
    one_or_all(params, world, out, |out, id| {
        let contract = world.exchange.instrument(id);
        let (bid, ask) = (touch(world, id, Side::Buy), touch(world, id, Side::Sell));
        Object::new(out)
            .str("symbol", &contract.symbol)
            .price("bidPrice", contract, bid.price)
            .qty("bidQty", contract, bid.qty)
            .price("askPrice", contract, ask.price)
            .qty("askQty", contract, ask.qty)
            .int("time", now.as_millis())
            .id("lastUpdateId", world.exchange.matching(id).seq().0)
            .end();
    })
}

/// The last print's price; before the first one the best bid.
fn last_price(world: &World<'_>, id: InstrumentId) -> Ticks {
    world.exchange.matching(id).last_price().unwrap_or_else(|| touch(world, id, Side::Buy).price)
}

/// `GET /fapi/v1/ticker/price` and `ticker.price`.
///
/// # Errors
/// A bad symbol.
pub fn ticker_price(now: Nanos, params: &Params, world: &World<'_>, out: &mut Vec<u8>) -> Result<(), ApiError> {
    one_or_all(params, world, out, |out, id| {
        let contract = world.exchange.instrument(id);
        Object::new(out)
            .str("symbol", &contract.symbol)
            .price("price", contract, last_price(world, id))
            .int("time", now.as_millis())
            .end();
    })
}

/// `GET /fapi/v1/ticker/24hr`: since the start.
///
/// # Errors
/// A bad symbol.
pub fn ticker_day(now: Nanos, params: &Params, world: &World<'_>, out: &mut Vec<u8>) -> Result<(), ApiError> {
    one_or_all(params, world, out, |out, id| {
        let contract = world.exchange.instrument(id);
        let last = last_price(world, id);
        let day = world.tapes[usize::from(id.0)].day.unwrap_or_else(|| flat(last, now));
        let change = Ticks(day.close.0 - day.open.0);
        let mut object = Object::new(out);
        object.str("symbol", &contract.symbol).price("priceChange", contract, change);
        let percent = i128::from(change.0) * 100_000 / i128::from(day.open.0.max(1));
        fixed(object.key("priceChangePercent"), percent, 3, 3);
        object
            .real("weightedAvgPrice", super::trade::average(contract, day.volume, day.quote))
            .price("lastPrice", contract, day.close)
            .qty("lastQty", contract, world.tapes[usize::from(id.0)].prints.back().map_or(Lots::ZERO, |t| t.qty))
            .price("openPrice", contract, day.open)
            .price("highPrice", contract, day.high)
            .price("lowPrice", contract, day.low)
            .qty("volume", contract, day.volume)
            .money("quoteVolume", day.quote)
            .int("openTime", day.open_time.as_millis())
            .int("closeTime", now.as_millis())
            .id("firstId", day.first_id)
            .id("lastId", day.last_id)
            .id("count", day.trades)
            .end();
    })
}

fn flat(price: Ticks, now: Nanos) -> Candle {
    Candle {
        open_time: now,
        open: price,
        high: price,
        low: price,
        close: price,
        volume: Lots::ZERO,
        quote: Money::ZERO,
        taker_buy: Lots::ZERO,
        taker_quote: Money::ZERO,
        trades: 0,
        first_id: 0,
        last_id: 0,
    }
}

/// `GET /fapi/v1/trades` and `historicalTrades`.
///
/// # Errors
/// A bad parameter.
pub fn trades(params: &Params, world: &World<'_>, out: &mut Vec<u8>) -> Result<(), ApiError> {
    let id = params.symbol(world.exchange)?;
    let contract = world.exchange.instrument(id);
    let limit = limit(params, 500, 1000)?;
    let prints = &world.tapes[usize::from(id.0)].prints;
    array(out, prints.iter().skip(prints.len().saturating_sub(limit)), |out, t| {
        Object::new(out)
            .id("id", t.id)
            .price("price", contract, t.price)
            .qty("qty", contract, t.qty)
            .money("quoteQty", contract.notional(t.price, t.qty))
            .int("time", t.venue_time.as_millis())
            .bool("isBuyerMaker", t.taker == Side::Sell)
            .bool("isRPITrade", false)
            .end();
    });
    Ok(())
}

/// `GET /fapi/v1/aggTrades`.
///
/// # Errors
/// A bad parameter.
pub fn agg_trades(params: &Params, world: &World<'_>, out: &mut Vec<u8>) -> Result<(), ApiError> {
    let id = params.symbol(world.exchange)?;
    let contract = world.exchange.instrument(id);
    let limit = limit(params, 500, 1000)?;
    let list = &world.tapes[usize::from(id.0)].aggregates;
    array(out, list.iter().skip(list.len().saturating_sub(limit)), |out, a| {
        Object::new(out)
            .id("a", a.id)
            .price("p", contract, a.price)
            .qty("q", contract, a.qty)
            .id("f", a.first)
            .id("l", a.last)
            .int("T", a.venue_time.as_millis())
            .bool("m", a.taker == Side::Sell)
            .end();
    });
    Ok(())
}

/// Length of an interval such as `1m` or `4h`; months are not offered.
fn interval(text: &str) -> Option<i64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    let number: i64 = number.parse().ok().filter(|n| (1..=30).contains(n))?;
    Some(number * unit * 1_000_000_000)
}

/// `GET /fapi/v1/klines`: since the start.
///
/// # Errors
/// A bad parameter.
pub fn klines(params: &Params, world: &World<'_>, out: &mut Vec<u8>) -> Result<(), ApiError> {
    let id = params.symbol(world.exchange)?;
    let contract = world.exchange.instrument(id);
    let length = interval(params.need("interval")?).ok_or_else(|| ApiError::new(-1120, "Invalid interval."))?;
    let limit = limit(params, 500, 1500)?;
    let mut joined: Vec<Candle> = Vec::new();
    for candle in &world.tapes[usize::from(id.0)].candles {
        let open_time = Nanos(candle.open_time.0 / length * length);
        match joined.last_mut() {
            Some(last) if last.open_time == open_time => last.join(candle),
            _ => joined.push(Candle { open_time, ..*candle }),
        }
    }
    let skip = joined.len().saturating_sub(limit);
    array(out, &joined[skip..], |out, c| {
        out.push(b'[');
        write_i64(c.open_time.as_millis(), out);
        for price in [c.open, c.high, c.low, c.close] {
            out.extend_from_slice(b",\"");
            frames::price(out, contract, price);
            out.push(b'"');
        }
        let amounts = |out: &mut Vec<u8>, lots: Lots, quote: Money, between: &dyn Fn(&mut Vec<u8>)| {
            out.extend_from_slice(b",\"");
            frames::quantity(out, contract, lots);
            out.push(b'"');
            between(out);
            out.push(b',');
            fixed(out, quote.0, MONEY_PLACES, 8);
        };
        amounts(out, c.volume, c.quote, &|out| {
            out.push(b',');
            write_i64((c.open_time.0 + length) / 1_000_000 - 1, out);
        });
        out.push(b',');
        write_u64(c.trades, out);
        amounts(out, c.taker_buy, c.taker_quote, &|_| ());
        out.extend_from_slice(b",\"0\"]");
    });
    Ok(())
}

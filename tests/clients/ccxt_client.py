"""Drives ccxt (binanceusdm, REST and WebSocket) against a pretend venue.

Usage: ccxt_client.py BASE_URL KEY SECRET CA_PEM
"""
import asyncio
import sys

import ccxt
import ccxt.pro

SYMBOL = "BTC/USDT:USDT"


def redirect(exchange, base):
    """Points every URL of the client at the given base, paths unchanged."""
    host = base.split("://", 1)[1]
    secure = base.startswith("https")

    def moved(value):
        if isinstance(value, dict):
            return {key: moved(inner) for key, inner in value.items()}
        if not isinstance(value, str) or "://" not in value:
            return value
        scheme, rest = value.split("://", 1)
        path = "/" + rest.split("/", 1)[1] if "/" in rest else ""
        scheme = ("wss" if secure else "ws") if scheme.startswith("ws") else base.split("://")[0]
        return f"{scheme}://{host}{path}"

    exchange.urls["api"] = moved(exchange.urls["api"])


def settings(key, secret):
    return {"apiKey": key, "secret": secret, "options": {"fetchCurrencies": False}}


def check(truth, what):
    if not truth:
        sys.exit(f"ccxt: {what}")
    print(f"ok {what}")


def rest(base, key, secret, ca):
    exchange = ccxt.binanceusdm(settings(key, secret))
    redirect(exchange, base)
    exchange.validateServerSsl = ca  # requests' `verify` takes the path of the authority
    markets = exchange.load_markets()
    check(SYMBOL in markets, f"markets {list(markets)}")
    book = exchange.fetch_order_book(SYMBOL, 50)
    check(book["bids"][0][0] < book["asks"][0][0], f"book {book['bids'][0]} {book['asks'][0]}")
    check(exchange.fetch_balance()["USDT"]["free"] > 0, "balance")
    check(exchange.fetch_funding_rate(SYMBOL)["markPrice"] > 0, "funding rate")
    price = exchange.price_to_precision(SYMBOL, book["bids"][0][0] * 0.99)
    order = exchange.create_order(SYMBOL, "limit", "buy", 0.01, price, {"timeInForce": "GTX"})
    check(order["status"] == "open", f"placed {order['id']}")
    amended = exchange.edit_order(order["id"], SYMBOL, "limit", "buy", 0.02, price)
    check(amended["amount"] == 0.02, "amended")
    check(any(o["id"] == order["id"] for o in exchange.fetch_open_orders(SYMBOL)), "open orders")
    check(exchange.cancel_order(order["id"], SYMBOL)["status"] == "canceled", "cancelled")
    two = exchange.create_orders(
        [{"symbol": SYMBOL, "type": "limit", "side": "buy", "amount": 0.01, "price": price} for _ in range(2)]
    )
    exchange.cancel_orders([o["id"] for o in two], SYMBOL)
    check(not exchange.fetch_open_orders(SYMBOL), "cancelled in a batch")
    exchange.set_leverage(10, SYMBOL)
    check(exchange.fetch_leverage(SYMBOL)["longLeverage"] == 10, "leverage")
    bought = exchange.create_order(SYMBOL, "market", "buy", 0.01, None, {"newOrderRespType": "RESULT"})
    check(bought["filled"] == 0.01, f"bought at {bought['average']}")
    positions = [p for p in exchange.fetch_positions([SYMBOL]) if p["contracts"]]
    check(len(positions) == 1 and positions[0]["side"] == "long", "position")
    exchange.create_order(SYMBOL, "market", "sell", 0.01, None, {"reduceOnly": True})
    check(not [p for p in exchange.fetch_positions([SYMBOL]) if p["contracts"]], "flat")
    check(len(exchange.fetch_my_trades(SYMBOL)) >= 2, "own trades")
    try:
        exchange.create_order(SYMBOL, "limit", "buy", 0.01, book["asks"][0][0] * 1.01, {"timeInForce": "GTX"})
        check(False, "a crossing post-only order was taken")
    except ccxt.BaseError as error:
        check("-5022" in str(error), "post-only refused with -5022")


async def streams(base, key, secret, ca):
    exchange = ccxt.pro.binanceusdm({**settings(key, secret), "cafile": ca})
    redirect(exchange, base)
    try:
        await exchange.load_markets()
        book = await asyncio.wait_for(exchange.watch_order_book(SYMBOL), 20)
        for _ in range(5):
            book = await asyncio.wait_for(exchange.watch_order_book(SYMBOL), 20)
        check(book["bids"][0][0] < book["asks"][0][0], "watched book")
        trades = await asyncio.wait_for(exchange.watch_trades(SYMBOL), 30)
        check(len(trades) > 0, "watched trades")
        candles = await asyncio.wait_for(exchange.watch_ohlcv(SYMBOL, "1m"), 30)
        check(candles[-1][3] <= candles[-1][4] <= candles[-1][2], f"watched candle {candles[-1]}")
        tickers = await asyncio.wait_for(exchange.watch_tickers(), 30)
        check(SYMBOL in tickers, "watched every ticker")
        watch = asyncio.ensure_future(exchange.watch_orders(SYMBOL))
        await asyncio.sleep(2)
        price = exchange.price_to_precision(SYMBOL, book["bids"][0][0] * 0.99)
        order = await exchange.create_order_ws(SYMBOL, "limit", "buy", 0.01, price, {"timeInForce": "GTX"})
        check(order["id"], f"placed over the WebSocket API {order['id']}")
        seen = await asyncio.wait_for(watch, 20)
        check(seen[-1]["id"] == order["id"], "watched own order")
        await exchange.edit_order_ws(order["id"], SYMBOL, "limit", "buy", 0.02, price)
        await exchange.cancel_order_ws(order["id"], SYMBOL)
        check(not await exchange.fetch_open_orders(SYMBOL), "amended and cancelled over the WebSocket API")
    finally:
        await exchange.close()


def main():
    base, key, secret, ca = sys.argv[1:5]
    rest(base, key, secret, ca)
    asyncio.run(streams(base, key, secret, ca))
    print("ccxt", ccxt.__version__, "done")


main()

"""Drives python-binance (REST, market streams, user stream, WebSocket API) against a pretend venue.

Usage: python_binance_client.py BASE_URL KEY SECRET CA_PEM
"""
import asyncio
import ssl
import sys

import binance
from binance import AsyncClient, BinanceSocketManager, Client
from binance.exceptions import BinanceAPIException

SYMBOL = "BTCUSDT"


def check(truth, what):
    if not truth:
        sys.exit(f"python-binance: {what}")
    print(f"ok {what}")


def rest(base, key, secret, ca):
    client = Client(key, secret, {"verify": ca}, ping=False)
    client.FUTURES_URL = base + "/fapi"
    check(client.futures_ping() == {}, "ping")
    info = client.futures_exchange_info()
    check(SYMBOL in [s["symbol"] for s in info["symbols"]], "exchangeInfo")
    book = client.futures_order_book(symbol=SYMBOL, limit=20)
    bid = float(book["bids"][0][0])
    check(bid < float(book["asks"][0][0]), "book")
    price = f"{bid * 0.99:.1f}"
    order = client.futures_create_order(
        symbol=SYMBOL, side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.010", price=price
    )
    check(order["status"] == "NEW", f"placed {order['orderId']}")
    amended = client.futures_modify_order(
        symbol=SYMBOL, orderId=order["orderId"], side="BUY", quantity="0.020", price=price
    )
    check(float(amended["origQty"]) == 0.02, "amended")
    check(len(client.futures_get_open_orders(symbol=SYMBOL)) == 1, "open orders")
    check(client.futures_cancel_order(symbol=SYMBOL, orderId=order["orderId"])["status"] == "CANCELED", "cancelled")
    two = [
        {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.010", "price": price}
        for _ in range(2)
    ]
    placed = client.futures_place_batch_order(batchOrders=two)
    check([o.get("status") for o in placed] == ["NEW", "NEW"], "batch")
    client.futures_cancel_orders(symbol=SYMBOL, orderidlist=[placed[0]["orderId"]])
    check(len(client.futures_get_open_orders(symbol=SYMBOL)) == 1, "one cancelled in a batch")
    client.futures_cancel_all_open_orders(symbol=SYMBOL)
    check(not client.futures_get_open_orders(symbol=SYMBOL), "all cancelled")
    check(any(float(b["balance"]) > 0 for b in client.futures_account_balance()), "balance")
    client.futures_create_order(symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.010")
    held = [p for p in client.futures_position_information() if float(p["positionAmt"])]
    check(len(held) == 1, f"position {held[0]['positionAmt']} at {held[0]['entryPrice']}")
    client.futures_create_order(symbol=SYMBOL, side="SELL", type="MARKET", quantity="0.010", reduceOnly="true")
    check(not [p for p in client.futures_position_information() if float(p["positionAmt"])], "flat")
    try:
        client.futures_create_order(symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.0105")
        check(False, "a quantity off the grid was taken")
    except BinanceAPIException as error:
        check(error.code == -1111, "refused with -1111")


async def streams(base, key, secret, ca):
    client = AsyncClient(key, secret)
    client.FUTURES_URL = base + "/fapi"
    context = ssl.create_default_context(cafile=ca)
    client.session._connector._ssl = context
    sockets = BinanceSocketManager(client)
    sockets.FSTREAM_URL = base.replace("http", "ws", 1) + "/"
    sockets.ws_kwargs = {"ssl": context} if base.startswith("https") else {}
    try:
        async with sockets.futures_depth_socket(SYMBOL) as depth:
            frame = await asyncio.wait_for(depth.recv(), 20)
            check(frame["data"]["e"] == "depthUpdate", "depth stream")
        async with sockets.futures_user_socket() as user:
            await asyncio.sleep(1)
            book = await client.futures_order_book(symbol=SYMBOL, limit=5)
            price = f"{float(book['bids'][0][0]) * 0.99:.1f}"
            order = await client.futures_create_order(
                symbol=SYMBOL, side="BUY", type="LIMIT", timeInForce="GTX", quantity="0.010", price=price
            )
            event = await asyncio.wait_for(user.recv(), 20)
            check(event["e"] == "ORDER_TRADE_UPDATE" and event["o"]["i"] == order["orderId"], "user stream")
            await client.futures_cancel_order(symbol=SYMBOL, orderId=order["orderId"])
            event = await asyncio.wait_for(user.recv(), 20)
            check(event["o"]["X"] == "CANCELED", "user stream cancel")
    finally:
        await client.close_connection()


def main():
    base, key, secret, ca = sys.argv[1:5]
    rest(base, key, secret, ca)
    asyncio.run(streams(base, key, secret, ca))
    print("python-binance", binance.__version__, "done")


main()

"""Drives the venue's official SDK (REST, streams, WebSocket API) against a pretend venue.

Usage: official_client.py BASE_URL KEY SECRET CA_PEM
"""
import asyncio
import ssl
import sys

from binance_common.configuration import (
    ConfigurationRestAPI,
    ConfigurationWebSocketAPI,
    ConfigurationWebSocketStreams,
)
from binance_sdk_derivatives_trading_usds_futures.derivatives_trading_usds_futures import (
    DerivativesTradingUsdsFutures,
)

SYMBOL = "BTCUSDT"


def check(truth, what):
    if not truth:
        sys.exit(f"official SDK: {what}")
    print(f"ok {what}")


def make(base, key, secret, ca):
    context = ssl.create_default_context(cafile=ca) if base.startswith("https") else None
    ws = base.replace("http", "ws", 1)
    return DerivativesTradingUsdsFutures(
        config_rest_api=ConfigurationRestAPI(
            api_key=key, api_secret=secret, base_path=base, https_agent=context, timeout=10000
        ),
        config_ws_api=ConfigurationWebSocketAPI(
            api_key=key, api_secret=secret, stream_url=ws + "/ws-fapi/v1", https_agent=context
        ),
        config_ws_streams=ConfigurationWebSocketStreams(stream_url=ws, https_agent=context),
    )


def rest(client):
    api = client.rest_api
    symbols = [s.symbol for s in api.exchange_information().data().symbols]
    check(SYMBOL in symbols, f"exchangeInfo {symbols}")
    book = api.order_book(symbol=SYMBOL, limit=20).data()
    bid = float(book.bids[0][0])
    check(bid < float(book.asks[0][0]), "book")
    price = round(bid * 0.99, 1)
    order = api.new_order(
        symbol=SYMBOL, side="BUY", type="LIMIT", time_in_force="GTX", quantity=0.01, price=price
    ).data()
    check(order.status == "NEW", f"placed {order.order_id}")
    amended = api.modify_order(
        symbol=SYMBOL, side="BUY", quantity=0.02, price=price, order_id=order.order_id
    ).data()
    check(float(amended.orig_qty) == 0.02, "amended")
    check(api.cancel_order(symbol=SYMBOL, order_id=order.order_id).data().status == "CANCELED", "cancelled")
    check(any(float(b.balance) > 0 for b in api.futures_account_balance_v3().data()), "balance")
    api.new_order(symbol=SYMBOL, side="BUY", type="MARKET", quantity=0.01)
    held = api.position_information_v3().data()
    check(float(held[0].position_amt) == 0.01, f"position at {held[0].entry_price}")
    api.new_order(symbol=SYMBOL, side="SELL", type="MARKET", quantity=0.01, reduce_only="true")
    check(not api.position_information_v3().data(), "flat")
    return price


async def streams(client, price):
    listen_key = client.rest_api.start_user_data_stream().data().listen_key
    connection = await client.websocket_streams.create_connection()
    told, depth = asyncio.Queue(), asyncio.Queue()
    user = await connection.user_data(listen_key)
    user.on("message", told.put_nowait)
    stream = await connection.diff_book_depth_streams(symbol=SYMBOL.lower())
    stream.on("message", depth.put_nowait)
    frame = await asyncio.wait_for(depth.get(), 20)
    check(frame.u is not None, "depth stream")
    api = await client.websocket_api.create_connection()
    order = (
        await api.new_order(symbol=SYMBOL, side="BUY", type="LIMIT", time_in_force="GTX", quantity=0.01, price=price)
    ).data().result
    check(order.order_id, f"placed over the WebSocket API {order.order_id}")
    event = await asyncio.wait_for(told.get(), 20)
    event = getattr(event, "actual_instance", event)
    check(type(event).__name__ == "OrderTradeUpdate" and event.o.i == order.order_id, "user stream")
    await api.modify_order(symbol=SYMBOL, side="BUY", quantity=0.02, price=price, order_id=order.order_id)
    await api.cancel_order(symbol=SYMBOL, order_id=order.order_id)
    check(not client.rest_api.current_all_open_orders().data(), "amended and cancelled over the WebSocket API")
    await api.close_connection(close_session=True)
    await connection.close_connection(close_session=True)


def main():
    base, key, secret, ca = sys.argv[1:5]
    client = make(base, key, secret, ca)
    price = rest(client)
    asyncio.run(streams(client, price))
    print("official SDK done")


main()

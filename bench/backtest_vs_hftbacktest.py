#!/usr/bin/env python3
"""Backtest speed beside hftbacktest 2.4, in one run, on the same events: medians of interleaved repetitions, and their ratios.

    cargo build --release && bench/backtest_vs_hftbacktest.py [RECORDING] [--spinquote BINARY] [--repeat N] [--work DIR]

RECORDING is raw frames of Binance USD-M (gz), by default btcusdt_20240808.gz in SPINQUOTE_DATA or ../shared/data. hftbacktest is
installed from PyPI into a virtual environment in the work directory. Both read the recording's depth changes and prints, each converted
beforehand into its own format. Both re-quote one bid and one ask 0.01 % off the mid, every 10 ms and every
1 ms, replacing an order only when its price changes, with a power queue model, partial fills, fees and 500 us of latency each way.
Both run on one core, and neither's time has loading, conversion or compilation in it. An event is a level change or a print; those that
hftbacktest reads twice, once as the exchange and once as itself, are one. Raw frames are the same frames as they were recorded: their time
has the inflating, the decoding and the search for their grid and their clock in it. What a person waits for, from the start of the
program to its end, stands beside it.
"""
import argparse
import gzip
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
import venv

# The defaults' rate limits are a venue's; here they would stop the quoting.
ENGINE = """[risk]
position_max = "1000"
order_qty_max = "10"
order_notional_max = "1000000"
price_band = "10"
loss_max = "1000000000"
orders_per_10s = 100000
orders_per_min = 100000
messages_per_s = 100000
"""
INTERVALS = {"10 ms": 10_000_000, "1 ms": 1_000_000}


def peer(npz, interval, repeat):
    """Runs inside the virtual environment; prints one JSON line per request line."""
    import numpy as np
    from hftbacktest import BUY, GTX, LIMIT, BacktestAsset, HashMapMarketDepthBacktest, ROIVectorMarketDepthBacktest
    from numba import njit

    data = np.load(npz)["data"]
    mids = data["px"][(data["ev"] & 0xFF) == 2]

    @njit
    def run(hbt, interval, tick):
        fills, steps, sent, number = 0.0, 0, 0, 0
        while hbt.elapse(interval) == 0:
            steps += 1
            hbt.clear_inactive_orders(0)
            depth = hbt.depth(0)
            if depth.best_bid_tick <= 0 or depth.best_ask_tick >= 2**31 - 1:
                continue
            mid = (depth.best_bid_tick + depth.best_ask_tick) / 2.0
            bid, ask = np.floor(mid * 0.9999), np.ceil(mid * 1.0001)
            has_bid, has_ask = False, False
            values = hbt.orders(0).values()
            while values.has_next():
                order = values.get()
                buys = order.side == BUY
                if not order.cancellable or order.price_tick == (bid if buys else ask):
                    if buys:
                        has_bid = True
                    else:
                        has_ask = True
                else:
                    hbt.cancel(0, order.order_id, False)
                    sent += 1
            if not has_bid:
                number += 1
                sent += 1
                hbt.submit_buy_order(0, number, bid * tick, 0.005, GTX, LIMIT, False)
            if not has_ask:
                number += 1
                sent += 1
                hbt.submit_sell_order(0, number, ask * tick, 0.005, GTX, LIMIT, False)
        state = hbt.state_values(0)
        return steps, sent, state.num_trades

    def once(kind):
        asset = (
            BacktestAsset().data([npz]).linear_asset(1.0).constant_order_latency(500_000, 500_000)
            .power_prob_queue_model(1.0).partial_fill_exchange().trading_value_fee_model(0.0002, 0.0005)
            .tick_size(0.1).lot_size(0.001)
        )
        if kind == "roi":
            asset = asset.roi_lb(float(mids.min()) * 0.8).roi_ub(float(mids.max()) * 1.2)
        make = ROIVectorMarketDepthBacktest if kind == "roi" else HashMapMarketDepthBacktest
        hbt = make([asset])
        started = time.perf_counter()
        steps, sent, trades = run(hbt, interval, 0.1)
        seconds = time.perf_counter() - started
        hbt.close()
        return {"seconds": seconds, "steps": int(steps), "sent": int(sent), "trades": int(trades)}

    for kind in ("roi", "hash"):
        once(kind)
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(once(line.strip())), flush=True)


def convert(raw, npz):
    """Inside the virtual environment."""
    from hftbacktest.data.utils import binancefutures

    binancefutures.convert(raw, output_filename=npz, base_latency=1_000_000, buffer_size=10_000_000)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    root = pathlib.Path(__file__).resolve().parent.parent
    folder = pathlib.Path(os.environ.get("SPINQUOTE_DATA", root.parent / "shared" / "data"))
    parser.add_argument("recording", nargs="?", default=folder / "binance_usdm" / "btcusdt_20240808.gz", type=pathlib.Path)
    parser.add_argument("--spinquote", default=root / "target" / "release" / "spinquote", type=pathlib.Path)
    parser.add_argument("--repeat", default=7, type=int)
    parser.add_argument("--work", default=root / "target" / "backtest_bench", type=pathlib.Path)
    args = parser.parse_args()
    if not args.recording.exists():
        sys.exit(f"{args.recording}: not there; name a recording, or its folder in SPINQUOTE_DATA")
    work = args.work
    work.mkdir(parents=True, exist_ok=True)
    python = work / "venv" / "bin" / "python"
    if not python.exists():
        venv.create(work / "venv", with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "hftbacktest==2.4.*"], check=True)
    stem = args.recording.name.split(".")[0]
    npz, feed, full = work / f"{stem}.npz", work / f"{stem}.sqf", work / f"{stem}_full.sqf"
    if not npz.exists():
        subprocess.run([python, __file__, "--convert", args.recording, npz], check=True, stdout=subprocess.DEVNULL)
    # hftbacktest's converter leaves best quotes out: ours gets the same frames.
    lean = work / f"{stem}_lean.gz"
    if not lean.exists():
        with gzip.open(args.recording) as every, gzip.open(lean, "wb", compresslevel=6) as out:
            out.writelines(line for line in every if b"@bookTicker" not in line)
    for source, out in ((lean, feed), (args.recording, full)):
        if not out.exists():
            subprocess.run([args.spinquote, "convert", source, "-o", out], check=True, stdout=subprocess.DEVNULL)
    (work / "engine.toml").write_text(ENGINE)
    core = min(os.sched_getaffinity(0))
    pin = ["taskset", "-c", str(core)]

    def ours(data, interval):
        tick = f"{interval // 1_000_000}ms"
        line = pin + [args.spinquote, "backtest", "requote", "--data", data, "--engine", work / "engine.toml", "--tick", tick]
        line += ["--timer", tick, "--latency", "500us", "--queue", "power1", "--fees", "vip0", "--json"]
        started = time.perf_counter()
        done = json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout)
        return done["seconds"], time.perf_counter() - started, done

    for name, interval in INTERVALS.items():
        line = pin + [python, __file__, "--peer", npz, str(interval), str(args.repeat)]
        other = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert other.stdout.readline().strip() == "ready", "hftbacktest did not start"

        def theirs(kind):
            other.stdin.write(kind + "\n")
            other.stdin.flush()
            return json.loads(other.stdout.readline())

        files = {"raw with quotes": args.recording, "with quotes": full, "raw": lean, "ours": feed}
        seconds = {kind: [] for kind in ("roi", "hash", *files)}
        wall = {kind: [] for kind in files}
        for _ in range(args.repeat):
            for kind in ("roi", "hash"):
                last = theirs(kind)
                seconds[kind].append(last["seconds"])
            for kind, data in files.items():
                loop, whole, mine = ours(data, interval)
                assert mine["orders"]["new"] > 0, "nothing was quoted: the data have no book"
                seconds[kind].append(loop)
                wall[kind].append(whole)
        other.stdin.close()
        other.wait()
        events = mine["events"]
        orders = mine["orders"]
        sent = orders["new"] + orders["amend"] + orders["cancel"]
        print(f"re-quoting every {name}, {events} events, {args.repeat} times, million events/s: median (best)")

        def rate(kind, of):
            return events / of(seconds[kind]) / 1e6

        for kind, label, note in (
            ("ours", "spinquote", f"{sent} messages, {sum(mine['fills'].values())} fills"),
            ("raw", "spinquote, from raw frames (gz)", "inflated and decoded"),
            ("with quotes", "spinquote, with best quotes too", "the same events are counted"),
            ("raw with quotes", "spinquote, these from raw frames", "inflated and decoded"),
            ("roi", "hftbacktest, ROIVector depth", f"{last['sent']} messages, {last['trades']} fills"),
            ("hash", "hftbacktest, HashMap depth", ""),
        ):
            print(f"  {label:32} {rate(kind, statistics.median):7.1f} ({rate(kind, min):.1f})   {note}")
        for of, label in ((statistics.median, "medians"), (min, "bests")):
            mine_rate = rate("ours", of)
            raw = [rate("raw", of) / mine_rate, rate("raw with quotes", of) / rate("with quotes", of)]
            print(f"  ratios of {label}: {mine_rate / rate('roi', of):.2f} x ROIVector, {mine_rate / rate('hash', of):.2f} x HashMap;", end=" ")
            print(f"from raw frames {raw[0]:.2f} of it, with best quotes {raw[1]:.2f}")
        whole = ", ".join(f"{kind} {statistics.median(times) * 1e3:.0f}" for kind, times in wall.items())
        print(f"  whole program, ms: {whole}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        peer(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    elif sys.argv[1:2] == ["--convert"]:
        convert(sys.argv[2], sys.argv[3])
    else:
        main()

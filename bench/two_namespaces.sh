#!/usr/bin/env bash
# The loopback rig over a veth pair between two network namespaces, each end a program of its own. Needs root and iproute2.
# Usage: bench/two_namespaces.sh [options of both programs, such as --rate 1000 --levels 5 --rounds 3]
# Everything it makes (two namespaces, one veth pair, one temporary folder) is gone when it ends.
set -euo pipefail
cd "$(dirname "$0")/.."

peer=sq-peer-$$ engine=sq-engine-$$ work=$(mktemp -d)
listen=10.177.0.1:9443 # inside the peer's namespace; reaches nothing but the other one
clean() {
    ip netns del "$peer" 2>/dev/null || true
    ip netns del "$engine" 2>/dev/null || true
    rm -rf "$work"
}
trap clean EXIT

cargo build -p spinquote-bench --profile bench --bins
bin=${CARGO_TARGET_DIR:-target}/release

ip netns add "$peer"
ip netns add "$engine"
ip -n "$peer" link add sq0 type veth peer name sq1 netns "$engine"
ip -n "$peer" addr add 10.177.0.1/24 dev sq0
ip -n "$engine" addr add 10.177.0.2/24 dev sq1
for space in "$peer" "$engine"; do ip -n "$space" link set lo up; done
ip -n "$peer" link set sq0 up
ip -n "$engine" link set sq1 up

ip netns exec "$peer" "$bin/spinquote-peer" --listen "$listen" --certificate "$work/peer.pem" "$@" &
playing=$!
until [ -s "$work/peer.pem" ]; do
    kill -0 "$playing"
    sleep 0.1
done
ip netns exec "$engine" "$bin/spinquote-reactor" --peer "$listen" --certificate "$work/peer.pem" "$@"
wait "$playing"

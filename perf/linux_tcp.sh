#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# TCP echo by Linux sockets and epoll, over veth and over loopback:
# linux.tcp.{echo.1,echo.64,bulk,cps}.{veth,loopback}. The load is as plain, on
# core 0; what is measured is core 1's time.
set -uo pipefail
# shellcheck source=perf/lib/lab.sh
. "$(dirname "$0")/lib/lab.sh"

REPEATS=5 SECONDS_EACH=1
[ -z "$PERF_QUICK" ] || REPEATS=1

# run MODE CONNECTIONS BYTES: sets DID, and BUSY, TIME in ns.
run() {
	DID=$(lab_in client "$PERF_BIN/busy" $SUT_CORE "$LAB_DIR/busy.json" \
		taskset -c $GEN_CORE "$PERF_BIN/tcpecho" "$1" "$AT" $VPORT \
		"$2" "$3" $SECONDS_EACH) || perf_fail "the load has failed"
	[ "${DID:-0}" -gt 0 ] || perf_fail "nothing was answered"
	BUSY=$(jq .busy_ns "$LAB_DIR/busy.json")
	TIME=$(jq .ns "$LAB_DIR/busy.json")
}

# Who else uses the core, or nothing: seen while there is no load.
others() {
	"$PERF_BIN/busy" $SUT_CORE "$LAB_DIR/idle.json" sleep 0.2 &&
		jq -r 'if .busy_ns > 0.05 * .ns
			then "other work on the system'"'"'s core" else "" end' \
			"$LAB_DIR/idle.json"
}

line() { # WHAT UNIT PER MODE CONNECTIONS BYTES
	local took=() did=() limit share i per=1 rate=1
	[ "$2" != ms/GB ] || per="1e3/$6" rate="8e-9*$6"
	run "$4" "$5" "$6" # to warm up
	limit=$(others)
	for ((i = 0; i < REPEATS; i++)); do
		run "$4" "$5" "$6"
		took+=("$(jq -n "$BUSY / $DID * $per")")
		did+=("$(jq -n "$DID * 1e9 / $TIME * $rate")")
	done
	share=$(jq -n "100 * $BUSY / $TIME | round")
	set -- "$1.$OVER" "$2" "$3" "read() and write() of one process by epoll, over $OVER; $5 connections, $6 bytes there and back; all work of core $SUT_CORE, which was at $share%"
	perf_line "linux.tcp.$1" "$2" "$limit" "$4" "${took[@]}"
	[ -n "$limit" ] || [ "$share" -ge 90 ] || limit=generator
	perf_line "linux.tcp.$1.rate" "$3" "$limit" "$4" "${did[@]}"
}

lines() {
	perf_ready echo
	line echo.1 "ns/round trip" "round trips/s" load 1 64
	line echo.64 "ns/round trip" "round trips/s" load 64 64
	line bulk ms/GB Gb/s load 4 65536
	line cps ns/connection connections/s open 64 0
	perf_kill echo
}

perf_begin
perf_lab_kernel
lab_address box "$WAN" "$VIP4/32" || perf_fail "no address"
lab_in client sysctl -qw net.ipv4.tcp_tw_reuse=1 || perf_fail "no sysctl"
OVER=veth AT=$VIP4
perf_sut echo "$PERF_BIN/tcpecho" serve "$AT" $VPORT
lines
perf_steered || perf_fail "packets were not received on core $SUT_CORE"
OVER=loopback AT=127.0.0.1
lab_spawn echo client nice -n -15 taskset -c $SUT_CORE "$PERF_BIN/tcpecho" \
	serve "$AT" $VPORT
lines

#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# bound: 120
#
# The device of the stores fails while connections run: it refuses writes, has
# no space, takes half of them, does not answer, is gone. Nobody on the data
# path notices but by durability; status and one line tell; when it works
# again, the logs catch up, and connections that were opened meanwhile outlive
# their instances.
set -u
# shellcheck source=tests/lab/check.sh
. "$(dirname "$0")/../lab/check.sh"
# shellcheck source=tests/lab/config.sh
. "$(dirname "$0")/../lab/config.sh"
# shellcheck source=tests/lab/faultfs.sh
. "$(dirname "$0")/../lab/faultfs.sh"
faults_begin
IDLE=40

# --- one fault ---

# traffic_begin SECONDS: new connections, and flows that have been there.
traffic_begin() {
	rm -f "$LAB_DIR"/pulse.log "$LAB_DIR"/probe.log
	lab_spawn pulse client "$PEER" pulse "$VIP4" 16 "$1"
	pulse=$LAB_PID
	wait_for 5 test -s "$LAB_DIR/pulse.log"
	lab_spawn probe client "$PEER" probe "$VIP4" "$1"
	probe=$LAB_PID
}
# traffic_end WHAT GAP_MS NEW_MS: nothing failed, nor stood still for longer.
traffic_end() {
	local gap worst
	wait_for 15 lab_gone "$pulse"
	wait_for 15 lab_gone "$probe"
	gap=$(tail -n 1 "$LAB_DIR/pulse.log" | jq .gap_ms)
	worst=$(jq .worst_ms "$LAB_DIR/probe.log")
	echo "# $1: flows stood still for $gap ms at most; of" \
		"$(jq .count "$LAB_DIR/probe.log") new connections the" \
		"slowest took $worst ms, $(jq .slow "$LAB_DIR/probe.log")" \
		"above 300 ms"
	check "$1: flows go on" "$gap" -le "$2"
	check "$1: every new connection is served" \
		"$(jq -c .errors "$LAB_DIR/probe.log")" = '{}'
	check "$1: in time" "$worst" -le "$3"
}

# with_fault WORDS STATE ERROR COUNTER NEW_MS
with_fault() {
	local what="$durability, $1" counted lines again
	counted=$(log_sum "$4")
	lines=$(said 'serving on without durability')
	again=$(said 'log: durable again')
	traffic_begin 3
	fault "$1"
	check_run "$what: both logs are $2" wait_for 4 log_all state "$2"
	[ -z "$3" ] || check_run "$what: with the error" log_all error "$3"
	idle_open 10
	traffic_end "$what" 400 "$5"
	check "$what: $4 are counted" "$(log_sum "$4")" -gt "$counted"
	check "$what: one line for each instance" \
		$(($(said 'serving on without durability') - lines)) = 2
	fault ok
	check_run "$what: then they are durable again" \
		wait_for 5 log_all state ok
	check_run "$what: which is said" \
		wait_for 3 said_times 'log: durable again' $((again + 2))
}

each_fault() {
	with_fault "write EIO" failing "Input/output error" errors 400
	with_fault "write ENOSPC" failing "No space left on device" errors 400
	with_fault "short" failing "Input/output error" errors 400
	# With sync, who comes first waits until the log counts as stalled.
	with_fault "hang" stalled "" stalls $((durability_waits ? 2500 : 400))
	with_fault "gone" failing "No such device" errors 400
}

# --- more during a fault than memory holds ---

mac() {
	ip -n "cy-$LAB_ID-$1" -j link show "$2" | jq -r '.[0].address'
}
flows() {
	client "$ROOT/build/tests/udpflows" eth0 "$(mac client eth0)" \
		"$(mac box wan0)" 10.77.1.100 "$VIP4" 54 "$1" 20000
}
caught_up() {
	[ "$(log_sum records)" = "$(log_sum durable)" ] &&
		[ "$(log_sum checkpoints)" -gt "$1" ]
}
overflow() {
	local before after
	before=$(log_sum checkpoints)
	fault "write EIO"
	flows 60000 >/dev/null
	flows 60000 >/dev/null
	idle_open 10
	check "batch, overflow: records are missed" "$(log_sum missed)" -gt 0
	after=$(connections)
	echo "# $after connections, $(log_sum missed) records missed"
	fault ok
	check_run "batch, overflow: a checkpoint catches up" \
		wait_for 10 caught_up "$before"
	both_die "after the overflow"
	check "batch, overflow: connections are recovered" \
		"$(web '[.instances[].log.recovered] | add')" -ge \
		$((after * 98 / 100))
}

# --- death ---

both_die() {
	local old
	old=$(web '.instances[].pid')
	# shellcheck disable=SC2086
	kill -KILL $old
	# shellcheck disable=SC2086
	check_run "$durability: both are killed, and serve again" \
		wait_for 5 serves_anew $old
	idle_ask
	check "$durability: all idle connections answer $1" "$(idle_good)" = \
		$((IDLE + 10 * (${#IDLES[@]} - 1)))
}

config_services() {
	config_service site4 "$VIP4" 80 tcp 4; echo ,
	config_service site6 "$VIP6" 80 tcp 6; echo ,
	config_service dns4 "$VIP4" 53 udp 4; echo ,
	config_service bulk4 "$VIP4" 54 udp 4; echo
}

with_durability() {
	durability=$1
	durability_waits=$([ "$1" = sync ] && echo 1 || echo 0)
	CFG_WEB="log = { durability = \"$1\"; size = \"16M\"; };"
	test_serve
	idle_open $IDLE
	rm -f "$LAB_DIR/fetch.log"
	PEER_TIMEOUT=100 lab_spawn fetch client "$PEER" fetch "$VIP6" \
		"/file?rate=60k" 40 "$sum"
	fetch=$LAB_PID
	each_fault
	check_run "$1: the transfers still run" kill -0 "$fetch"
	both_die "after all faults"
	[ "$1" = sync ] || overflow
	check_run "$1: the transfers end" wait_for 40 lab_gone "$fetch"
	check "$1: all 40 transfers, bit for bit" \
		"$(jq -c . "$LAB_DIR/fetch.log")" = '{"ok":40,"failed":{}}'
	check "$1: none was put aside" \
		"$(find "$STORES" -name '*damaged*' | wc -l)" = 0
	idle_end
	carryall_stop || bail "it stops"
	rm -rf "$STORES"
}

sum=$(lab_file file 2)
for ns in b1 b2 b3; do
	lab_spawn "mirror-$ns" $ns "$PEER" mirror 54
done
with_durability sync
with_durability batch
test_end

#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# bound: 90
#
# The NIC in software dies, alone and with the control plane; instances stand
# still, or die again and again; the config changes: all under traffic, and
# every transfer arrives bit for bit.
set -u
# shellcheck source=tests/lab/check.sh
. "$(dirname "$0")/../lab/check.sh"
PROVIDER=soft
# shellcheck source=tests/lab/config.sh
. "$(dirname "$0")/../lab/config.sh"
# shellcheck source=tests/lab/soft.sh
. "$(dirname "$0")/../lab/soft.sh"
CFG_WEB='log = { durability = "batch"; size = "4M"; };'

# transfers TITLE COUNT RATE: of the file of two MiB, in the background as
# `fetch`.
transfers() {
	lab_spawn "$1" client "$PEER" fetch "$VIP4" "/file?rate=$3" "$2" "$sum"
	fetch=$LAB_PID
	before=$(web '[.instances[].opened] | add')
	check_run "$1: $2 transfers run" wait_for 10 opened_more "$2"
}
opened_more() {
	[ "$(web '[.instances[].opened] | add')" -ge $((before + $1)) ]
}
# whole TITLE COUNT: they have ended, and nothing is amiss.
whole() {
	check_run "$1: the transfers end" wait_for 60 lab_gone "$fetch"
	check "$1: all $2, bit for bit" "$(jq -c . "$LAB_DIR/$1.log")" = \
		"{\"ok\":$2,\"failed\":{}}"
	check "$1: misdirected" \
		"$(web '[.instances[].misdirected] | add')" = 0
}
still_run() {
	check_run "$1: the transfers still run $2" kill -0 "$fetch"
}
pids() {
	st '[.functions[].instances[].pid] | tostring'
}

# pulse_start, pulse_gap: how long packets stood still meanwhile, in ms.
pulse_start() {
	: > "$LAB_DIR/pulse.log"
	lab_spawn pulse client "$PEER" pulse "$VIP4" 8 2.5
	pulse=$LAB_PID
	wait_for 5 test -s "$LAB_DIR/pulse.log"
}
pulse_gap() {
	wait_for 15 lab_gone "$pulse"
	tail -n 1 "$LAB_DIR/pulse.log" | jq -e 'select(.until > 0) | .gap_ms'
}

nic_is_new() {
	nic_serves && [ "$(nic .pid)" != "$1" ] && [ "$(nic .attached)" = 3 ]
}

# nic_dies N: killed, it is there again, with the same instances.
nic_dies() {
	local old gap kept
	old=$(nic .pid) kept=$(pids)
	pulse_start
	kill -KILL "$old"
	check_run "killed, $1: the NIC serves again" wait_for 5 nic_is_new "$old"
	check "killed, $1: the same instances" "$(pids)" = "$kept"
	gap=$(pulse_gap)
	check "killed, $1: packets flow again" "${gap:-0}" -gt 0
	echo "# killed, $1: packets stood still for ${gap:-ever} ms"
	check_run "killed, $1: new connections" client "$PEER" fetch "$VIP6" / 20
}

test_begin
test_serve
sum=$(lab_file file 2)

# --- the NIC is killed
transfers killed 100 100k
for i in 1 2 3 4 5; do
	nic_dies $i
done
still_run killed "after five deaths"
kept=$(pids)
kill -KILL "$CTL_PID" "$(nic .pid)"
wait_for 5 lab_gone "$CTL_PID"
carryall_run "$LAB_DIR/$NAME.cfg" || bail "it serves after both died"
check "killed, the control plane too: it has adopted" "$(st .adopted)" = true
check "killed, the control plane too: the same instances" "$(pids)" = "$kept"
check_run "killed, the control plane too: new connections" \
	client "$PEER" fetch "$VIP4" / 50
whole killed 100
check "killed: no instance was started again" \
	"$(st '[.functions[].instances[].restarts] | add')" = 0

# --- an instance stands still
sent_0() {
	web '.instances[0].vnic.tx_bytes'
}
descriptors() {
	find "/proc/$(nic .pid)/fd" -type l | wc -l
}
kept=$(pids) fds=$(descriptors)
own=$(web '.instances[0].opened')
transfers still 40 1m
own=$(($(web '.instances[0].opened') - own))
check "still: both have some ($own)" $((own > 5 && own < 35)) = 1
hung=$(pid_of 1)
kill -STOP "$hung"
from=$(sent_0)
sleep 3
check "still: the other's transfers go on" \
	$(($(sent_0) - from)) -ge $((own * 1000000))
check_run "still: it has not been ended" state_is "$hung" T
still_run still "of the one that stands still"
kill -CONT "$hung"
whole still 40
check "still: the same instances" "$(pids)" = "$kept"
check "still: the NIC has the descriptors it had" "$(descriptors)" = "$fds"
check "still: no packet buffer is lost" "$(nic .no_buffers)" = 0

# --- an instance dies 20 times. With a new control plane now and then: an old
# one makes it wait longer and longer.
serves_anew() {
	[ "$(pid_of 1)" != "$1" ] && web_serving
}
one_dies() {
	local old
	old=$(pid_of 1)
	kill -KILL "$old"
	wait_for 5 serves_anew "$old"
}
nic_pid=$(nic .pid)
transfers dies 40 100k
deaths=0
for n in 5 10 15 20; do
	while one_dies && deaths=$((deaths + 1)) && [ $deaths -lt $n ]; do
		:
	done
	kill -KILL "$CTL_PID"
	wait_for 5 lab_gone "$CTL_PID"
	carryall_run "$LAB_DIR/$NAME.cfg" || bail "it serves after a death"
done
check "dies: 20 times, and each time it served again" $deaths = 20
still_run dies "after 20 deaths"
whole dies 40
check "dies: the same NIC" "$(nic .pid)" = "$nic_pid"
check "dies: the NIC has the descriptors it had" "$(descriptors)" = "$fds"

# --- a reload
reload() {
	config > "$LAB_DIR/$NAME.cfg"
	check_run "$1: reload" "$CARRYALL" reload "$NAME"
}
lab_file large 20 > /dev/null
# Bytes per second of one connection, without the headers.
speed() {
	client curl -so /dev/null -m 30 -w '%{speed_download}' \
		"http://$VIP4/large" | cut -d. -f1
}
transfers reload 20 200k
fast=$(speed)
kept=$(pids)
CFG_BACKENDS="22=1 23=1" CFG_WEB="$CFG_WEB"' rate = "40Mb/s";'
reload "other backends, and a rate"
served=$(lab_requests b1)
check_run "reload: new connections" client "$PEER" fetch "$VIP6" / 60
check "reload: none of them at the backend that is gone" \
	$(($(lab_requests b1) - served - 1)) = 0
whole reload 20
limit=$((40000000 / 8))
# 1,448 bytes of each 1,514 are the file's.
check_near "reload: one connection has the rate" "$(speed)" \
	$((limit * 1448 / 1514)) 5
CFG_WEB=${CFG_WEB% rate*}
reload "no rate"
check "reload: without it, all it can (as $fast before)" \
	"$(speed)" -gt $((limit * 2))
check "reload: the same instances and NIC" \
	"$(pids) $(nic .pid)" = "$kept $nic_pid"
check_run "stop" carryall_stop
check "nothing is left" "$(ls -d "/run/carryall/$NAME" 2>/dev/null)" = ""
test_end

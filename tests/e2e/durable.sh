#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# providers: xdp soft
# bound: 120
#
# Connections outlive the processes that carry them. 200 transfers run and 200
# connections are idle while an instance is killed, then both, then both and
# the control plane: every transfer completes, bit for bit, and every idle
# connection answers. Once with durability "batch", once with "sync".
set -u
# shellcheck source=tests/lab/check.sh
. "$(dirname "$0")/../lab/check.sh"
# shellcheck source=tests/lab/config.sh
. "$(dirname "$0")/../lab/config.sh"
test_begin
sum=$(lab_file file 2)

connections() {
	web '[.instances[].connections] | add'
}
at_least() {
	[ "$(connections)" -ge "$1" ]
}
# serves_anew PID...: other processes than these serve.
serves_anew() {
	local pid
	web_serving || return 1
	for pid; do
		case " $(web '.instances[].pid' | tr '\n' ' ') " in
		*" $pid "*) return 1 ;;
		esac
	done
}
# The lines that the idle connections have told, and that they are so many.
idle_told() {
	[ "$(wc -l < "$LAB_DIR/idle.log")" = "$1" ]
}
# idle_answers WHEN: all 200 ask once more.
idle_answers() {
	local n
	n=$(wc -l < "$LAB_DIR/idle.log")
	kill -USR1 "$idle"
	wait_for 30 idle_told $((n + 1))
	check "$durability: 200 idle connections answer $1" \
		"$(tail -n 1 "$LAB_DIR/idle.log" | jq -c .)" = \
		'{"ok":200,"failed":{}}'
}

# The transfers have not ended by themselves before the next death.
still_run() {
	check_run "$durability: the transfers still run when $1" \
		kill -0 "$fetch"
}

one_dies() {
	local old
	still_run "one is killed"
	old=$(pid_of 0)
	kill -KILL "$old"
	check_run "$durability: an instance that was killed serves again" \
		wait_for 5 serves_anew "$old"
	idle_answers "after an instance was killed"
}

both_die() {
	local old
	still_run "both are killed"
	old=$(web '.instances[].pid')
	# shellcheck disable=SC2086
	kill -KILL $old
	# shellcheck disable=SC2086
	check_run "$durability: both that were killed serve again" \
		wait_for 5 serves_anew $old
	idle_answers "after both were killed"
}

all_die() {
	local old
	still_run "all are killed"
	old=$(web '.instances[].pid')
	# shellcheck disable=SC2086
	kill -KILL "$CTL_PID" $old
	wait_for 5 lab_gone "$CTL_PID"
	carryall_run "$LAB_DIR/$NAME.cfg" || bail "it serves after all died"
	# shellcheck disable=SC2086
	check_run "$durability: all that were killed serve again" \
		wait_for 5 serves_anew $old
	idle_answers "after all were killed, the control plane too"
}

with_durability() {
	durability=$1
	CFG_WEB="log = { durability = \"$durability\"; size = \"4M\"; };"
	rm -f "$LAB_DIR"/idle.log "$LAB_DIR"/fetch.log
	test_serve
	lab_spawn idle client "$PEER" idle "$VIP4" 200
	idle=$LAB_PID
	PEER_TIMEOUT=70 lab_spawn fetch client "$PEER" fetch "$VIP6" \
		"/file?rate=150k" 200 "$sum"
	fetch=$LAB_PID
	check_run "$durability: 200 transfers and 200 idle connections" \
		wait_for 10 at_least 400
	check_run "$durability: the idle ones have asked" \
		wait_for 10 idle_told 1
	one_dies
	sleep 1
	both_die
	sleep 1
	all_die
	check_run "$durability: the transfers end" wait_for 60 lab_gone "$fetch"
	check "$durability: all 200, bit for bit" \
		"$(jq -c . "$LAB_DIR/fetch.log")" = '{"ok":200,"failed":{}}'
	idle_answers "after the transfers"
	check "$durability: no packet misdirected" \
		"$(web '[.instances[].misdirected] | add')" = 0
	check "$durability: nothing missed by the log" \
		"$(web '[.instances[].log.missed] | add')" = 0
	kill -TERM "$idle"
	carryall_stop
}

with_durability batch
with_durability sync
test_end

#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# bound: 90
#
# Stores that cannot be read to their end when an instance starts, or are
# damaged while it runs: it goes on, the next one recovers what is before the
# damage, and the store is put aside. And an instance that is killed while the
# device does not answer, for a moment and for long.
set -u
# shellcheck source=tests/lab/check.sh
. "$(dirname "$0")/../lab/check.sh"
# shellcheck source=tests/lab/config.sh
. "$(dirname "$0")/../lab/config.sh"
# shellcheck source=tests/lab/faultfs.sh
. "$(dirname "$0")/../lab/faultfs.sh"
faults_begin
IDLE=40
CFG_WEB='log = { durability = "batch"; size = "4M"; };'
test_serve

replaced() { # PID
	[ "$(pid_of 0)" != "$1" ] && web_serving
}
first_dies() { # WHAT
	local old
	old=$(pid_of 0)
	kill -KILL "$old"
	check_run "$1: it serves again" wait_for 10 replaced "$old"
}
aside() {
	find "$STORES" -name 'web.0.log.damaged-*' | wc -l
}
# The block of web.0 that is written next: it is in use, or at rest.
next_block() {
	"$CARRYALL" log check "$STORES/web.0.log" |
		sed -n 's/^blocks .* block \([0-9]*\)$/\1/p'
}
# Half of the idle connections more, and some room in the log between.
two_halves() {
	idle_open $((IDLE / 2))
	sleep 0.3
	middle=$(next_block)
	idle_open $((IDLE / 2))
	sleep 0.3
}
# put_aside WHAT COUNT: it is, as so many; and the first half goes on.
put_aside() {
	idle_ask
	check "$1: the store is put aside" "$(aside)" = "$2"
	check "$1: which is said" "$(said 'web.0.log.*it is kept as')" = "$2"
	check "$1: what was before goes on" "$(idle_of 0)" = $((IDLE / 2))
	echo "# $1: of what was behind, $(idle_of 1) of $((IDLE / 2)) go on"
	check_run "$1: and it is durable again" wait_for 5 log_all state ok
	idle_end
}

read_error() {
	local what="read error at recovery"
	two_halves
	fault "read $(((middle + 1) * 4096))"
	first_dies "$what"
	fault ok
	put_aside "$what" 1
}

scribble() {
	local what="scribbled on in use" before
	two_halves
	dd if=/dev/urandom of="$STORES/web.0.log" bs=4096 count=1 conv=notrunc \
		oflag=direct seek=$((middle + 1)) status=none
	"$CARRYALL" log check "$STORES/web.0.log" > "$LAB_DIR/check.log"
	check "$what: log check tells" $? = 1
	before=$(log_sum durable)
	check_run "$what: new connections" client "$PEER" fetch "$VIP4" / 50
	check "$what: the log goes on" "$(log_sum durable)" -gt "$before"
	first_dies "$what"
	put_aside "$what" 2
}

cut_short() {
	local what="cut short in use"
	two_halves
	truncate -s 1M "$STORES/web.0.log"
	check_run "$what: new connections" client "$PEER" fetch "$VIP4" / 50
	check_run "$what: the log goes on" log_all state ok
	first_dies "$what"
	put_aside "$what" 3
}

hang() { # WHAT
	fault hang
	client "$PEER" fetch "$VIP4" / 50 >/dev/null
	check_run "$1: they are stalled" wait_for 4 log_all state stalled
	old=$(pid_of 0)
	kill -KILL "$old"
}

# What the dead one has in flight ends before the next begins: it waits.
killed_while_it_hangs() {
	local what="killed while it hangs" old
	idle_open $IDLE
	hang "$what"
	sleep 2
	check "$what: the next one waits for the store" \
		"$(web '.instances[0].state')" = starting
	fault ok
	check_run "$what: it serves when that ends" wait_for 5 replaced "$old"
	idle_ask
	check "$what: all connections answer" "$(idle_good)" = $IDLE
}

# But not for ever: it serves without, and with it when it is killed again.
killed_while_it_hangs_on() {
	local what="killed while it hangs for long" old
	hang "$what"
	check_run "$what: it serves without the store" \
		wait_for 14 replaced "$old"
	check "$what: which is said" \
		"$(said 'web.0: .* starting without the store')" = 1
	check_run "$what: new connections" client "$PEER" fetch "$VIP4" / 50
	check "$what: status tells" "$(web '.instances[0].log.state')" = none
	fault ok
	check_run "$what: the other one is durable again" \
		wait_for 5 other_is ok
	first_dies "$what"
	check_run "$what: then the first one is, too" \
		wait_for 5 log_all state ok
	idle_end
}
other_is() {
	[ "$(web '.instances[1].log.state')" = "$1" ]
}

read_error
scribble
cut_short
killed_while_it_hangs
killed_while_it_hangs_on
check "the other store is as it was" \
	"$(find "$STORES" -name 'web.1.log.damaged-*' | wc -l)" = 0
test_end

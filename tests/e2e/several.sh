#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Three appliances on one machine that are started, and stopped, at the same
# time: none takes what another has reserved, and each gives back its own.
set -u
# shellcheck source=tests/lab/check.sh
. "$(dirname "$0")/../lab/check.sh"
test_begin

POOL=/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages

# Huge pages of the machine that no appliance, of whomever, has added.
unclaimed() {
	local total
	total=$(cat $POOL)
	cat /run/carryall/*/hugepages 2>/dev/null |
		awk -v n="${total:-0}" '{ n -= $1 } END { print n }'
}

# several_config I: an appliance on the uplink up$I, with instances of 3.
several_config() {
	cat <<-END
	appliance: { name = "$NAME-$1"; share_cores = true; };
	uplinks: ( { name = "up"; device = "up$1"; } );
	functions: ( { name = "f$1"; type = "echo"; instances = 3;
	  services: ( { name = "p"; address = "10.78.0.$1";
	    protocol = "icmp"; } ); } );
	END
}

# Every instance serves, and none had to be started twice.
several_good() {
	[ "$("$CARRYALL" status "$NAME-$1" --json | jq '[.functions[].instances[]
		| select(.state == "serving" and .restarts == 0)] | length')" = 3 ]
}

# several_round: all three at once, then all away at once.
several_round() {
	local i pids=() bad=0
	for i in 1 2 3; do
		lab_spawn "run$i" box "$CARRYALL" run -f "$LAB_DIR/$i.cfg"
		pids+=("$LAB_PID")
	done
	for i in 1 2 3; do
		wait_for 10 several_good "$i" || bad=$((bad + 1))
	done
	kill -TERM "${pids[@]}"
	for i in "${pids[@]}"; do
		wait_for 15 lab_gone "$i" || bad=$((bad + 1))
	done
	return "$bad"
}

for i in 1 2 3; do
	lab_wire box "up$i" client "down$i" || bail "wires"
	several_config "$i" > "$LAB_DIR/$i.cfg"
done
before=$(unclaimed)
for round in 1 2 3; do
	check_run "round $round: all serve at the first try" several_round
done
check "no file is left" \
	"$(find /run/carryall -name "$NAME-*" 2>/dev/null | wc -l)" = 0
check "every huge page is given back" "$(unclaimed)" -le "$before"
test_end

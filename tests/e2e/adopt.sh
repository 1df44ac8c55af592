#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# bound: 90
#
# The control plane is killed during 100 transfers, and started again: no
# transfer notices, no instance is replaced.
set -u
# shellcheck source=tests/lab/check.sh
. "$(dirname "$0")/../lab/check.sh"
# shellcheck source=tests/lab/config.sh
. "$(dirname "$0")/../lab/config.sh"
test_begin
test_serve
sum=$(lab_file file 3)

# 100 downloads that take about six seconds, the result in fetch.log.
lab_spawn fetch client "$PEER" fetch "$VIP4" "/file?rate=500k" 100 "$sum"
fetch=$LAB_PID
all_open() {
	[ "$(web '[.instances[].connections] | add')" = 100 ]
}
check_run "100 transfers run" wait_for 5 all_open
pids=$(st '[.functions[].instances[].pid] | tostring')
first=$CTL_PID

if out=$(box "$CARRYALL" run -f "$LAB_DIR/$NAME.cfg" 2>&1); then
	fail "a second run is refused" "it ran"
else
	check "a second run is refused, and told why" \
		"$(grep -c "$first" <<< "$out")" -ge 1
fi
check "the first goes on" "$(st .pid)" = "$first"

kill -KILL "$first"
wait_for 5 lab_gone "$first"
check_run "new connections without a control plane" \
	client "$PEER" fetch "$VIP4" / 50
if "$CARRYALL" status "$NAME" > "$LAB_DIR/status.txt" 2>&1; then
	fail "status without a control plane" "it says all is well"
else
	ok "status without a control plane says so"
fi
check_run "the transfers still run" kill -0 "$fetch"

carryall_run "$LAB_DIR/$NAME.cfg" || bail "a new control plane serves"
check "it has adopted" "$(st .adopted)" = true
check "the same processes" \
	"$(st '[.functions[].instances[].pid] | tostring')" = "$pids"
check "no restart" "$(st '[.functions[].instances[].restarts] | add')" = 0
check_run "the transfers end" wait_for 40 lab_gone "$fetch"
check "all 100, bit for bit" "$(jq .ok "$LAB_DIR/fetch.log")" = 100
check_run "new connections with the new control plane" \
	client "$PEER" fetch "$VIP6" / 50

# An adopted instance is watched like any other.
old=$(pid_of 0)
kill -KILL "$old"
replaced() {
	[ "$(pid_of 0)" != "$old" ] && web_serving
}
check_run "an adopted instance that dies is started again" \
	wait_for 5 replaced

# One that hangs answers nobody; it is ended all the same.
hung=$(pid_of 1)
kill -STOP "$hung"
kill -KILL "$CTL_PID"
wait_for 5 lab_gone "$CTL_PID"
check_run "stop without a control plane, with an instance that hangs" \
	box "$CARRYALL" stop "$NAME"
check_run "that instance is gone too" wait_for 10 lab_gone "$hung"
check "no file is left" "$(ls -d "/run/carryall/$NAME" 2>/dev/null)" = ""
test_end

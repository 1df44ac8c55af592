#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# bound: 150
#
# The NIC in software as a process: it is killed during transfers, alone, with
# an instance, and while there is no control plane; adopted; told of a changed
# config; ended when it hangs. No connection and no instance notices.
set -u
# shellcheck source=tests/lab/check.sh
. "$(dirname "$0")/../lab/check.sh"
# shellcheck source=tests/lab/config.sh
. "$(dirname "$0")/../lab/config.sh"
# shellcheck disable=SC2034 # read by config
PROVIDER=soft
test_begin

# --- what is refused leaves nothing ----------------------------------------
CFG_WEB='log = { durability = "batch"; size = "16M"; };'
box ip link set dev wan0 mtu 2000
config > "$LAB_DIR/$NAME.cfg"
if out=$(box "$CARRYALL" run -f "$LAB_DIR/$NAME.cfg" 2>&1); then
	fail "a device with too large an MTU is refused" "it ran"
else
	check "a device with too large an MTU is refused, with what mends it" \
		"$(grep -c 'ip link set dev wan0 mtu 1500' <<< "$out")" = 1
fi
check "a start that is refused leaves no store" \
	"$(find "$LAB_DIR/state" -type f 2>/dev/null)" = ""
check "nor files" "$(ls -d "/run/carryall/$NAME" 2>/dev/null)" = ""
box ip link set dev wan0 mtu 1500
# shellcheck disable=SC2034 # read by config
CFG_WEB=

# --- it dies ---------------------------------------------------------------
test_serve
sum=$(lab_file file 3)
instances=$(st '[.functions[].instances[].pid] | tostring')
first=$(st .nic.pid)
check "the NIC serves" "$(st .nic.state)" = serving
check "it has attached all instances" "$(st .nic.attached)" = 3

lab_spawn fetch client "$PEER" fetch "$VIP4" "/file?rate=500k" 100 "$sum"
fetch=$LAB_PID
all_open() {
	[ "$(web '[.instances[].connections] | add')" = 100 ]
}
check_run "100 transfers run" wait_for 5 all_open

# nic_again OLD: another one serves.
nic_again() {
	[ "$(st .nic.pid)" != "$1" ] && [ "$(st .nic.state)" = serving ] &&
		[ "$(st .nic.attached)" = 3 ]
}
kill -KILL "$first"
check_run "killed, it is started again" wait_for 10 nic_again "$first"
check "the log says so" "$(grep -c "the NIC (pid $first) was killed by \
signal 9 (Killed); starting it again" "$LAB_DIR/run.log")" = 1
check "one restart" "$(st .nic.restarts)" = 1
check_run "the transfers still run" kill -0 "$fetch"

# --- adopted ---------------------------------------------------------------
second=$(st .nic.pid)
kill -KILL "$CTL_PID"
wait_for 5 lab_gone "$CTL_PID"
check_run "new connections without a control plane" \
	client "$PEER" fetch "$VIP4" / 50
carryall_run "$LAB_DIR/$NAME.cfg" || bail "a new control plane serves"
check "it has adopted the NIC" "$(st .nic.adopted)" = true
check "the same process" "$(st .nic.pid)" = "$second"

# --- and dies while nobody looks -------------------------------------------
kill -KILL "$CTL_PID"
wait_for 5 lab_gone "$CTL_PID"
kill -KILL "$second"
wait_for 5 lab_gone "$second"
carryall_run "$LAB_DIR/$NAME.cfg" || bail "a new control plane serves"
check_run "a new control plane starts it" wait_for 10 nic_again "$second"
check_run "the transfers end" wait_for 60 lab_gone "$fetch"
check "all 100, bit for bit" "$(jq .ok "$LAB_DIR/fetch.log")" = 100
check "the same instances" \
	"$(st '[.functions[].instances[].pid] | tostring')" = "$instances"
check "none restarted" \
	"$(st '[.functions[].instances[].restarts] | add')" = 0

# --- together with an instance ---------------------------------------------
third=$(st .nic.pid)
old=$(pid_of 0)
kill -KILL "$third" "$old"
both_again() {
	nic_again "$third" && [ "$(pid_of 0)" != "$old" ] && web_serving
}
check_run "killed with an instance, both come again" wait_for 15 both_again
check_run "and serve" client "$PEER" fetch "$VIP6" / 50

# --- a changed config ------------------------------------------------------
generation=$(st .nic.generation)
sed -i 's/instances = 2;/instances = 2; weight = 3;/' "$LAB_DIR/$NAME.cfg"
check_run "a reload" box "$CARRYALL" reload "$NAME"
told() {
	[ "$(st .nic.generation)" -gt "$generation" ]
}
check_run "the NIC takes it" wait_for 5 told
check "and refuses nothing" "$(st '.nic.refused // "no"')" = no
check_run "it still serves" client "$PEER" fetch "$VIP4" / 50

# --- the end ---------------------------------------------------------------
last=$(st .nic.pid)
kill -STOP "$last"
kill -KILL "$CTL_PID"
wait_for 5 lab_gone "$CTL_PID"
check_run "stop without a control plane, with a NIC that hangs" \
	box "$CARRYALL" stop "$NAME"
check_run "the NIC is gone" wait_for 10 lab_gone "$last"
check "no file is left" "$(ls -d "/run/carryall/$NAME" 2>/dev/null)" = ""
check "no program on the device" \
	"$(box ip -j link show wan0 | jq -r '.[0].xdp.prog.id // "none"')" = none
test_end

#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# providers: xdp soft
# bound: 90
#
# An instance is killed. The other's transfers complete; new connections to
# the dead one's buckets work within a second. The load is light, so that a
# slow connection is one that met the dead instance, not a full queue.
set -u
# shellcheck source=tests/lab/check.sh
. "$(dirname "$0")/../lab/check.sh"
# shellcheck source=tests/lab/config.sh
. "$(dirname "$0")/../lab/config.sh"
test_begin
test_serve
sum=$(lab_file file 1)

PEER_TIMEOUT=20 lab_spawn fetch client "$PEER" fetch "$VIP6" \
	"/file?rate=100k" 40 "$sum"
fetch=$LAB_PID
all_open() {
	[ "$(web '[.instances[].connections] | add')" = 40 ]
}
check_run "40 transfers run" wait_for 5 all_open
kept=$(web '.instances[1].connections')
check "they are on both instances" $((kept > 5 && kept < 35)) = 1
check "new connections beside them are quick" \
	"$(client "$PEER" probe "$VIP4" 1 | jq .slow)" = 0

# Probes go on: one every 10 ms, each to a bucket of its own.
before=$(web '[.instances[].opened] | add')
probes_run() {
	[ "$(web '[.instances[].opened] | add')" -ge $((before + 30)) ]
}
lab_spawn probe client "$PEER" probe "$VIP4" 4
probe=$LAB_PID
check_run "probes run" wait_for 5 probes_run
dead=$(pid_of 0) other=$(pid_of 1) opened=$(web '.instances[1].opened')
killed=$EPOCHREALTIME
kill -KILL "$dead"
replaced() {
	[ "$(pid_of 0)" != "$dead" ] && web_serving
}
check_run "it is started again within a second" wait_for 1 replaced
check "the other is the same process" "$(pid_of 1)" = "$other"
check "one restart" "$(web '[.instances[].restarts] | tostring')" = "[1,0]"
check_run "the probes end" wait_for 15 lab_gone "$probe"

# When, after the kill, the last connection began that was not served at
# once; in ms.
after() {
	jq "(.$1 - $killed) * 1000 | floor" "$LAB_DIR/probe.log"
}
check "probes went on for two seconds" "$(after last)" -ge 2000
check "some met the dead instance" "$(jq .slow "$LAB_DIR/probe.log")" -ge 1
check "none did a second after the kill" "$(after slow_until)" -le 1000
echo "# the last that did began $(after slow_until) ms after the kill"
check "the other instance took new ones meanwhile" \
	"$(web '.instances[1].opened')" -gt "$opened"

check_run "the transfers end" wait_for 40 lab_gone "$fetch"
check "all of the other instance's completed ($kept)" \
	"$(jq .ok "$LAB_DIR/fetch.log")" -ge "$kept"
check "no transfer was altered" \
	"$(jq '.failed | has("altered")' "$LAB_DIR/fetch.log")" = false
check_run "100 new connections after all" \
	client "$PEER" fetch "$VIP4" / 100
check "misdirected" "$(web '[.instances[].misdirected] | add')" = 0
test_end

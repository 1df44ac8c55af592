#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# bound: 180
#
# A million SYNs from random sources, while 100 connections transfer: these
# all complete, half-open ones and memory stay bounded, and afterwards the
# table empties.
set -u
# shellcheck source=tests/lab/check.sh
. "$(dirname "$0")/../lab/check.sh"
# shellcheck source=tests/lab/config.sh
. "$(dirname "$0")/../lab/config.sh"
test_begin
HALF_OPEN=4096
CFG_WEB="connections = 32768; half_open = $HALF_OPEN;
	    timeouts = { syn = \"2s\"; closed = \"2s\"; fin = \"5s\";
	                 udp_new = \"2s\"; udp = \"2s\"; };"
test_serve
sum=$(lab_file file 2)

mac() {
	ip -n "cy-$LAB_ID-$1" -j link show "$2" | jq -r '.[0].address'
}
# Resident memory of the instances, huge pages too, in MiB.
resident() {
	local pid sum=0
	for pid in $(web '.instances[].pid'); do
		sum=$((sum + $(awk '$1 ~ /^(VmRSS|HugetlbPages):/ {
			n += $2 } END { print n }' "/proc/$pid/status")))
	done
	echo $((sum / 1024))
}
open_now() {
	web '[.instances[].connections] | add'
}
all_open() {
	[ "$(open_now)" -ge 100 ]
}
empty() {
	[ "$(open_now)" = 0 ]
}

PEER_TIMEOUT=150 lab_spawn fetch client "$PEER" fetch "$VIP4" \
	"/file?rate=80k" 100 "$sum"
fetch=$LAB_PID
check_run "100 transfers run" wait_for 5 all_open
before=$(resident)

# Sources are fictitious; what comes back to them ends at the client.
lab_spawn flood client "$ROOT/build/tests/synflood" eth0 \
	"$(mac client eth0)" "$(mac box wan0)" "$VIP4" 80 1000000 60000
flood=$LAB_PID
most=0 peak=0 samples=0
while kill -0 "$flood" 2>/dev/null; do
	now=$(web '[.instances[].half_open] | max')
	most=$((now > most ? now : most))
	now=$(resident)
	peak=$((now > peak ? now : peak))
	samples=$((samples + 1))
	sleep 0.2
done
check_run "the transfers outlast the flood" kill -0 "$fetch"
check "SYNs sent" "$(cat "$LAB_DIR/flood.log")" = 1000000
check "samples taken meanwhile" $samples -ge 10
check "SYNs that got as far as an instance" \
	"$(web '[.instances[].opened] | add')" -ge 250000
echo "# $(web '[.instances[].opened] | add') of them; at most $most half" \
	"open, $before to $peak MiB resident"
check "half-open ones, at most, of one instance" $most -le $HALF_OPEN
check "half-open ones filled their share" $most -ge $((HALF_OPEN / 2))
check "the oldest made room" "$(web '[.instances[].evicted] | add')" -ge 1
check "memory grew by less than 32 MiB" $((peak - before)) -lt 32
check "no instance was started again" \
	"$(web '[.instances[].restarts] | add')" = 0

check_run "the transfers end" wait_for 120 lab_gone "$fetch"
check "all 100, bit for bit" "$(jq -c '[.ok, .failed]' \
	"$LAB_DIR/fetch.log")" = "[100,{}]"
check_run "the table empties" wait_for 30 empty
check "nothing half open is left" \
	"$(web '[.instances[].half_open] | add')" = 0
check_run "new connections after it" client "$PEER" fetch "$VIP4" / 100
check "misdirected" "$(web '[.instances[].misdirected] | add')" = 0
test_end

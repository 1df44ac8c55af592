#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# bound: 60
#
# The NIC in software and an instance that means harm: whatever a program does
# in the place of ping.0, the NIC goes on, counts it by name, keeps nothing of
# it, and the transfers of others arrive bit for bit.
set -u
# shellcheck source=tests/lab/check.sh
. "$(dirname "$0")/../lab/check.sh"
PROVIDER=soft
# shellcheck source=tests/lab/config.sh
. "$(dirname "$0")/../lab/config.sh"
# shellcheck source=tests/lab/soft.sh
. "$(dirname "$0")/../lab/soft.sh"
BAD=$ROOT/build/tests/bad_vnic
LOAD=$ROOT/build/tests/udpload

# dropped NAME: drops of ping.0's VNIC.
dropped() {
	st ".functions[] | select(.name == \"ping\") |
		.instances[0].vnic.drops.$1 // 0"
}

# transfers TITLE COUNT: of the file, in the background as `fetch`. At this
# rate they take twenty seconds.
transfers() {
	lab_spawn "$1" client "$PEER" fetch "$VIP4" "/file?rate=100k" "$2" \
		"$sum"
	fetch=$LAB_PID
}
all_open() {
	[ "$(web '[.instances[].connections] | add')" -ge "$1" ]
}

# hostile MODE [MS]: in the place of ping.0; the program says what it did.
hostile() {
	place_take ping.0
	check_run "$1: the NIC does as it should" \
		box "$BAD" "$1" "$place" ${2:+"$2"}
	place_give
	check "$1: it is the same NIC" "$(nic .pid)" = "$nic_pid"
}

# counted MODE NAME [MS]: beside that, it is counted by name.
counted() {
	local before
	before=$(dropped "$2")
	hostile "$1" ${3:+"$3"}
	check "$1: counted as $2" "$(dropped "$2")" -gt "$before"
}

all_attached() {
	nic_serves && [ "$(nic .attached)" = 3 ]
}
descriptors() {
	find "/proc/$nic_pid/fd" -type l | wc -l
}
descriptors_are() {
	[ "$(descriptors)" = "$1" ]
}
resident_kb() {
	awk '$1 == "VmRSS:" { print $2 }' "/proc/$nic_pid/status"
}
mappings() {
	wc -l < "/proc/$nic_pid/maps"
}

test_begin
test_serve
sum=$(lab_file file 2)
check_run "all are attached" wait_for 5 all_attached
nic_pid=$(nic .pid)
fds=$(descriptors) kb=$(resident_kb) maps=$(mappings)
transfers fetch 40
check_run "40 transfers run" wait_for 5 all_open 40

counted bad-index bad_index
counted bad-desc bad_descriptor
counted loop bad_descriptor
counted bad-address bad_address
counted bad-length bad_address
counted truncate bad_memory
hostile half-message 500
hostile tables
hostile close

# One that takes nothing: what is sent to it is dropped, when its ring is full.
lab_spawn load client "$LOAD" "$ECHO4" 7 100 1000 32 4
load=$LAB_PID
counted stop rx_full 1500
counted garbage instance_down 2000
check_run "the load ends" wait_for 10 lab_gone "$load"

check_run "the transfers still run" kill -0 "$fetch"
check_run "the transfers end" wait_for 40 lab_gone "$fetch"
check "all 40, bit for bit" "$(jq -c . "$LAB_DIR/fetch.log")" = \
	'{"ok":40,"failed":{}}'

# --- one that comes and goes
transfers again 20
check_run "20 more transfers run" wait_for 5 all_open 20
start=${EPOCHREALTIME/./}
hostile cycle
echo "# 1,000 times attached in $(((${EPOCHREALTIME/./} - start) / 1000)) ms"
check_run "they end" wait_for 40 lab_gone "$fetch"
check "all 20, bit for bit" "$(jq -c . "$LAB_DIR/again.log")" = \
	'{"ok":20,"failed":{}}'

# --- nothing is kept
check_run "all are attached again" wait_for 40 all_attached
check_run "the NIC has as many descriptors as before" \
	wait_for 5 descriptors_are "$fds"
check "and as many mappings" "$(mappings)" -le "$maps"
check "and no more memory than 4 MiB above it" \
	$(($(resident_kb) - kb)) -le 4096
echo "# descriptors $fds, $(descriptors); mappings $maps, $(mappings);" \
	"resident $kb KiB, $(resident_kb) KiB"
check "no packet buffer is lost" "$(nic .no_buffers)" = 0
check "it was never started again" "$(nic .restarts)" = 0
check_run "ping.0 answers" client ping -qc 3 -i 0.1 -W 1 "$ECHO4"
check "misdirected" "$(web '[.instances[].misdirected] | add')" = 0
test_end

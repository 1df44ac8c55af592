#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# providers: xdp soft
# bound: 150
#
# The main job: 20,000 connections through one VIP, over IPv4 and IPv6, and
# 1,000 UDP flows, with two instances and with four.
set -u
# shellcheck source=tests/lab/check.sh
. "$(dirname "$0")/../lab/check.sh"
# shellcheck source=tests/lab/config.sh
. "$(dirname "$0")/../lab/config.sh"
test_begin

# A field of ab's report, 0 if it is not there.
ab_field() {
	awk -F': *' -v f="$1" '$1 == f { n = $2 } END { print n + 0 }' \
		"$LAB_DIR/ab.txt"
}

# connections TITLE URL SERVICE: 20,000 of them, and where they went.
connections() {
	local i before=() now=() all opened tried
	for i in 1 2 3; do before[i]=$(lab_requests b$i); done
	opened=$(web '[.instances[].opened] | add')
	tried=$(client_opened)
	client ab -q -n 20000 -c 100 "$2" > "$LAB_DIR/ab.txt" 2>&1
	check "$1: complete" "$(ab_field 'Complete requests')" = 20000
	check "$1: failed" "$(ab_field 'Failed requests')" = 0
	for i in 1 2 3; do
		now[i]=$(($(lab_requests b$i) - before[i] - 1))
	done
	all=$((now[1] + now[2] + now[3]))
	check "$1: answered by the backends' own count" $all = 20000
	check_near "$1: backend of weight 2" "${now[1]}" 10000 6
	check_near "$1: backend of weight 1" "${now[2]}" 5000 8
	check_near "$1: another of weight 1" "${now[3]}" 5000 8
	check "$1: opened, as the instances and the client count" \
		$(($(web '[.instances[].opened] | add') - opened)) = \
		$(($(client_opened) - tried))
}

# Connections that the client's kernel has tried to open. ab opens a few more
# than it uses.
client_opened() {
	client nstat -asz TcpActiveOpens |
		awk '$1 == "TcpActiveOpens" { print $2 }'
}

instances_used() {
	local total share i
	total=$(web '[.instances[].opened] | add')
	share=$((total / CFG_INSTANCES))
	for ((i = 0; i < CFG_INSTANCES; i++)); do
		check_near "$1: connections of web.$i" \
			"$(web ".instances[$i].opened")" $share 15
	done
}

nothing_lost() {
	check "$1: misdirected" \
		"$(st '[.functions[].instances[].misdirected] | add')" = 0
	check "$1: drops of instances" \
		"$(web '[.instances[].drops | del(.port_reused)] | add |
			tostring')" = "{}"
	check "$1: drops of VNICs" \
		"$(web '[.instances[].vnic.drops] | add | tostring')" = "{}"
}

for CFG_INSTANCES in 2 4; do
	n="$CFG_INSTANCES instances"
	# Not those of the run before: the backends have its ports in
	# TIME-WAIT still, and would not take half of the SYNs from them.
	CFG_SNAT=$((CFG_SNAT + 1))
	test_serve
	check "$n serve" "$(web '.instances | length')" = "$CFG_INSTANCES"
	connections "$n, IPv4" "http://$VIP4/"
	connections "$n, IPv6" "http://[$VIP6]/"
	check_run "$n: 1,000 UDP flows" client "$PEER" dns "$VIP4" 1000
	check_run "$n: 1,000 UDP flows, IPv6" client "$PEER" dns "$VIP6" 1000
	check_run "$n: UDP echo" client "$PEER" echo "$ECHO4" 200
	check_run "$n: UDP echo, IPv6" client "$PEER" echo "$ECHO6" 200
	check_run "$n: ping" client ping -qc 20 -i 0.01 -W 1 "$ECHO4"
	check_run "$n: ping, IPv6" client ping -qc 20 -i 0.01 -W 1 "$ECHO6"
	instances_used "$n"
	nothing_lost "$n"
	check_run "$n: stop" carryall_stop
done
test_end

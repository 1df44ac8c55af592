#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# providers: xdp soft
# bound: 180
#
# The instance's own TCP and the kernel's over a bad wire: frames are lost,
# overtaken, doubled, late, damaged. Every byte comes back, whole and in
# order, nothing is left, and the counters of the stack say what happened.
set -u
# shellcheck source=tests/lab/check.sh
. "$(dirname "$0")/../lab/check.sh"
# shellcheck source=tests/lab/config.sh
. "$(dirname "$0")/../lab/config.sh"
make -s build/tests/streams build/tests/impair || exit 1
STREAMS=$ROOT/build/tests/streams
CFG_ECHO_TCP=true
# shellcheck disable=SC2034 # of lib.sh
LAB_IMPAIRED=true

ping_of() {
	st ".functions[] | select(.name == \"ping\") | $1"
}
gone() {
	[ "$(ping_of '[.instances[].connections] | add')" = 0 ]
}

# run WHAT HOST COUNT BYTES PARALLEL [SLOW_MS]
run() {
	local what=$1 said
	shift
	said=$(client "$STREAMS" "$1" 7 "${@:2}")
	check "$what" "$(jq -c '[.complete, .failed, .fault]' <<< "$said")" \
		= "[$2,0,\"\"]"
	echo "# $what: $(jq -r '"\(.seconds) s"' <<< "$said")"
}

# The counters of the stack, one object.
counters() {
	ping_of '[.instances[] | .tcp + { wrong: (.drops.tcp_checksum // 0) }] |
		.[0]'
}
# grown COUNTER: by how much, since `before`.
grown() {
	jq -n --argjson was "$before" --argjson is "$after" "\$is.$1 - \$was.$1"
}
# wire_up NAME OPTION=N...: from here on the wire does this; wire_down NAME:
# what it did is `did`, and nothing is left.
wire_up() {
	local name=$1
	shift
	before=$(counters)
	lab_impair seed=7 "$@" || bail "$name: the wire is up"
}
wire_down() {
	local key said=""
	check_run "$1: no connection is left" wait_for 30 gone
	after=$(counters)
	did=$(lab_impaired)
	echo "# $1: the wire: $(jq -c 'map_values(with_entries(select(.value >
		0)))' <<< "$did")"
	check "$1: the wire had room" "$(jq '[.[] | .full + .missed +
		.refused] | add' <<< "$did")" = 0
	for key in retransmits timeouts duplicates out_of_order wrong \
		zero_windows probes dead; do
		said+=" $key $(grown $key)"
	done
	echo "# $1: the stack:$said"
}
# bad NAME BYTES OPTION=N...: over such a wire 8 connections at once of so
# many bytes each way, and 100 short ones.
bad() {
	local name=$1 bytes=$2 host
	shift 2
	wire_up "$name" "$@"
	for host in "$ECHO4" "$ECHO6"; do
		run "$name, $host: 8 large ones" "$host" 8 "$bytes" 8
		run "$name, $host: 100 short ones" "$host" 100 1000 20
	done
	wire_down "$name"
	check "$name: none is given up" "$(grown dead)" = 0
}
# The clients offer little, and read a page twice a second.
small_windows() {
	local name="small windows, loss of 1%" host
	client sysctl -qw net.ipv4.tcp_rmem="4096 8192 16384"
	wire_up "$name" loss=10000
	for host in "$ECHO4" "$ECHO6"; do
		run "$name, $host: 20 that hardly read" "$host" 20 40000 20 500
	done
	wire_down "$name"
	check "$name: they are shut at times" "$(grown zero_windows)" -gt 0
	check "$name: and asked for" "$(grown probes)" -gt 0
}

test_begin
test_serve
bad "a good wire" 4000000
check "a good wire: nothing is lost" "$(jq '[.[].lost] | add' <<< "$did")" = 0
bad "loss of 0.1%" 4000000 loss=1000
check "loss of 0.1%: is made good" "$(grown retransmits)" -gt 0
bad "loss of 1%" 1000000 loss=10000
check "loss of 1%: is made good" "$(grown retransmits)" -gt 0
check "loss of 1%: gaps are seen" "$(grown out_of_order)" -gt 0
bad "loss of 5%" 300000 loss=50000
check "loss of 5%: is made good" "$(grown retransmits)" -gt 0
bad "reordering of 10%" 1000000 delay=1000 reorder=100000 late=3000
check "reordering of 10%: is seen" "$(grown out_of_order)" -gt 0
bad "duplicates of 10%" 2000000 duplicate=100000
check "duplicates of 10%: are seen" "$(grown duplicates)" -gt 0
bad "1 ms each way" 2000000 delay=1000 jitter=500
bad "50 ms each way" 1000000 delay=50000 jitter=10000
bad "200 ms each way" 300000 delay=200000 jitter=2000
bad "damage of 2%" 1000000 corrupt=20000
check "damage of 2%: is seen" "$(grown wrong)" -gt 0
check "damage of 2%: is made good" "$(grown retransmits)" -gt 0
bad "all at once" 300000 delay=10000 jitter=5000 loss=10000 reorder=50000 \
	late=5000 duplicate=20000 corrupt=10000
check "all at once: is made good" "$(grown retransmits)" -gt 0
small_windows
test_end

#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# providers: xdp soft
# bound: 300
#
# The instance's own TCP beside the kernel's: an echo service, whose clients
# are the kernel's. Every byte comes back, whole and in order, whether in one
# connection or in thousands; and nothing is left of them afterwards.
set -u
# shellcheck source=tests/lab/check.sh
. "$(dirname "$0")/../lab/check.sh"
# shellcheck source=tests/lab/config.sh
. "$(dirname "$0")/../lab/config.sh"
make -s build/tests/streams || exit 1
STREAMS=$ROOT/build/tests/streams
CFG_ECHO_TCP=true

ping_of() {
	st ".functions[] | select(.name == \"ping\") | $1"
}

# run WHAT HOST COUNT BYTES PARALLEL [SLOW_MS]
run() {
	local what=$1
	shift
	lab_said=$(client "$STREAMS" "$1" 7 "${@:2}")
	check "$what" "$(jq -c '[.complete, .failed, .fault]' <<< "$lab_said")" \
		= "[$2,0,\"\"]"
	echo "# $what: $(jq -r '"\(.bytes / .seconds * 8e-9 * 100 | round /
		100) Gb/s each way, \(.complete / .seconds | round) connections/s"' \
		<<< "$lab_said")"
}

test_begin
test_serve
for host in "$ECHO4" "$ECHO6"; do
	run "$host: 1 GiB there and back" "$host" 1 $((1 << 30)) 1
	run "$host: 10,000 short connections" "$host" 10000 1000 20
	run "$host: 1,000 at once" "$host" 1000 100000 1000
	run "$host: empty ones" "$host" 100 0 10
	run "$host: 20 that hardly read" "$host" 20 1000000 20 5
done
gone() {
	[ "$(ping_of '[.instances[].connections] | add')" = 0 ]
}
check_run "no connection is left" wait_for 10 gone
check "no byte was lost on the way in" \
	"$(ping_of '[.instances[].drops.tcp_checksum // 0] | add')" = 0
test_end

#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Load balancing over raw sockets, all instances on one core:
# linux.rawsock.{64,1024}.instances.{1,2,4}.{plain,mmsg,filter,filter.mmsg}.
set -uo pipefail
# shellcheck source=perf/lib/lab.sh
. "$(dirname "$0")/lib/lab.sh"

# Frames are to a station that the box is not: see rawsock.c.
PERF_MAC=02:ca:44:00:00:99

declare -A WHAT=(
	[plain]="recv() and send() of one frame"
	[mmsg]="recvmmsg() and sendmmsg() of up to 64"
	[filter]="a classic BPF filter on the client's port for each instance; recv() and send()"
	[filter.mmsg]="a classic BPF filter on the client's port for each instance; recvmmsg() and sendmmsg() of up to 64"
)
declare -A OPTIONS=([plain]="" [mmsg]=-m [filter]=-f [filter.mmsg]="-f -m")

one() { # BYTES INSTANCES VARIANT
	local i
	for ((i = 0; i < $2; i++)); do
		# shellcheck disable=SC2086 # options are words
		perf_sut "raw-$i" "$PERF_BIN/rawsock" -i $i -n "$2" \
			${OPTIONS[$3]} -w "$WAN" -l "$LAN" -v "$VIP4:$VPORT" \
			-s 10.77.2.9 -b 02:ca:44:00:00:01 \
			10.77.2.21 10.77.2.22 10.77.2.23
		perf_ready "raw-$i"
	done
	perf_gen lb "linux.rawsock.$1.instances.$2.$3" "$1" \
		"full NAT over AF_PACKET, $2 processes on core $SUT_CORE, round robin, 3 backends; ${WHAT[$3]}" || exit 1
	for ((i = 0; i < $2; i++)); do
		perf_kill "raw-$i"
		: >"$LAB_DIR/raw-$i.log"
	done
}

perf_begin
perf_lab
# The main lines: the paper's own variant, and what is best as a rule.
sizes="64 1024" variants="plain mmsg filter filter.mmsg"
[ -z "$PERF_QUICK" ] || sizes=64 variants="plain filter.mmsg"
for bytes in $sizes; do
	for n in 1 2 4; do
		for variant in $variants; do
			one "$bytes" "$n" "$variant"
		done
	done
done

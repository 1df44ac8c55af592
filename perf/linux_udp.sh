#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# UDP echo by Linux sockets: linux.udp.{64,1024}.{plain,mmsg}.
set -uo pipefail
# shellcheck source=perf/lib/lab.sh
. "$(dirname "$0")/lib/lab.sh"

one() { # BYTES VARIANT WHAT
	perf_sut "echo-$1-$2" "$PERF_BIN/udpecho" "$2" "$VIP4" $VPORT
	perf_ready "echo-$1-$2"
	perf_gen echo "linux.udp.$1.$2" "$1" "$3" -L || exit 1
	perf_kill "echo-$1-$2"
}

perf_begin
perf_lab
lab_address box "$WAN" "$VIP4/32" || perf_fail "no address"
for bytes in 64 1024; do
	one $bytes plain "recvfrom() and sendto() of one process, one socket"
	one $bytes mmsg "recvmmsg() and sendmmsg() of one process, one socket, up to 64"
done

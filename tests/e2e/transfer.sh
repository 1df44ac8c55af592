#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# providers: xdp soft
# bound: 120
#
# Large transfers, each way, bit for bit.
set -u
# shellcheck source=tests/lab/check.sh
. "$(dirname "$0")/../lab/check.sh"
# shellcheck source=tests/lab/config.sh
. "$(dirname "$0")/../lab/config.sh"
test_begin
test_serve

download() {
	client curl -sgm 60 "$1" | sha256sum | cut -d' ' -f1
}

upload() {
	client "$PEER" send "$1" 81 "$LAB_DIR/www/$2" | jq -r .sha256
}

# The load balancer is the same with either provider: a part will do for the
# second, 180,000 frames each way.
mib=1024
[ "$PROVIDER" = xdp ] || mib=256
whole=$(lab_file whole $mib)
part=$(lab_file part 128)
check "$mib MiB down" "$(download "http://$VIP4/whole")" = "$whole"
check "$mib MiB up" "$(upload "$VIP4" whole)" = "$whole"
check "128 MiB down, IPv6" "$(download "http://[$VIP6]/part")" = "$part"
check "128 MiB up, IPv6" "$(upload "$VIP6" part)" = "$part"
check "misdirected" "$(web '[.instances[].misdirected] | add')" = 0
test_end

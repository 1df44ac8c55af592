#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# providers: xdp soft
#
# A way to the backend that takes 1280 bytes, where both ends think 1500: a
# router's ICMP "fragmentation needed" and "packet too big", sent to the SNAT
# address, must reach the client as if the VIP's path were short.
set -u
# shellcheck source=tests/lab/check.sh
. "$(dirname "$0")/../lab/check.sh"
# shellcheck source=tests/lab/config.sh
. "$(dirname "$0")/../lab/config.sh"
test_begin
lab_far || bail "the far backend comes up"
CFG_BACKENDS="24=1"
test_serve

# A counter of the router's kernel.
router_count() {
	lab_in router nstat -asz "$1" | awk -v c="$1" '$1 == c { print $2 }'
}

sum=$(lab_file file 20)
for vip in "$VIP4" "$VIP6"; do
	check "upload to $vip" "$(client "$PEER" send "$vip" 81 \
		"$LAB_DIR/www/file" | jq -r .sha256)" = "$sum"
	check_run "download from $vip" client "$PEER" fetch "$vip" /file 3 "$sum"
	check "the client has learnt the path to $vip" "$(client ip route get \
		"$vip" | grep -o 'mtu 1280')" = "mtu 1280"
done
check "the router sent ICMP errors" "$(router_count IcmpOutDestUnreachs)" -ge 1
check "and ICMPv6 errors" "$(router_count Icmp6OutPktTooBigs)" -ge 1
test_end

#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The kernel's own NAT as a balancer, by nftables: linux.nft.{64,1024} with
# known flows, linux.nft.new with a new one each packet.
set -uo pipefail
# shellcheck source=perf/lib/lab.sh
. "$(dirname "$0")/lib/lab.sh"

rules() {
	cat <<-END
	table ip lb {
		chain pre {
			type nat hook prerouting priority dstnat;
			iif "$WAN" ip daddr $VIP4 udp dport $VPORT dnat to \
				numgen inc mod 3 map { 0 : 10.77.2.21, \
				1 : 10.77.2.22, 2 : 10.77.2.23 }
		}
		chain post {
			type nat hook postrouting priority srcnat;
			oif "$LAN" snat to 10.77.2.9
		}
	}
	END
}

# New flows: nobody else's connections are in the way, and theirs end soon.
perf_begin
command -v nft >/dev/null || perf_fail "needs nft"
perf_lab
box sysctl -qw net.ipv4.ip_forward=1 ||
	perf_fail "no forwarding"
rules | box nft -f - || perf_fail "nftables refuses the rules"
what="nftables: dnat to numgen inc mod 3, snat to one address"
perf_gen lb linux.nft.64 64 "$what; known flows" -L || exit 1
[ -n "$PERF_QUICK" ] ||
	perf_gen lb linux.nft.1024 1024 "$what; known flows" -L || exit 1
perf_gen fresh linux.nft.new 64 "$what; each packet a new flow, from clients alone" ||
	exit 1

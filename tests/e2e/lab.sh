#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The lab itself, without an appliance: the kernel routes in its place. What
# is asserted here is what all other tests take for granted.
set -u
# shellcheck source=tests/lab/check.sh
. "$(dirname "$0")/../lab/check.sh"
test_begin

lab_far || bail "the far backend comes up"
box sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
lab_route client "10.77.0.0/16 via 10.77.1.1"
lab_route client "fd77:2::/31 via fd77:1::1"
for ns in b1 b2 b3 router; do
	lab_route $ns "10.77.1.0/24 via 10.77.2.1"
	lab_route $ns "fd77:1::/64 via fd77:2::1"
done

for i in 1 2 3; do
	check "backend $i answers over IPv4" \
		"$(client curl -s "http://10.77.2.2$i/")" = "backend $i"
	check "backend $i answers over IPv6" \
		"$(client curl -s "http://[fd77:2::2$i]/")" = "backend $i"
done
check "a backend counts its requests" "$(lab_requests b1)" -ge 3

# Frames on the XDP devices must be whole: no partial checksums, none longer
# than the MTU.
box ethtool -K wan0 gro off
lab_dump in box -Q in -i wan0 tcp
head -c 1M /dev/urandom > "$LAB_DIR/up"
sum=$(sha256sum < "$LAB_DIR/up" | cut -d' ' -f1)
check "an upload arrives as it was sent" "$(client "$PEER" send 10.77.2.21 \
	81 "$LAB_DIR/up" | jq -r .sha256)" = "$sum"
check_run "tcpdump missed nothing" lab_dumped in
tcpdump -nvvr "$LAB_DIR/in.pcap" 2>/dev/null > "$LAB_DIR/in.txt"
check "200 frames were seen" "$(grep -c 'cksum' "$LAB_DIR/in.txt")" -ge 200
check "none with a wrong checksum" \
	"$(grep -c incorrect "$LAB_DIR/in.txt")" = 0
check "none above the MTU" "$(tcpdump -nr "$LAB_DIR/in.pcap" \
	'greater 1515' 2>/dev/null | wc -l)" = 0

sum=$(lab_file one 1)
check_run "10 downloads at once" client "$PEER" fetch 10.77.2.22 /one 10 "$sum"
check "a wrong checksum is noticed" "$(client "$PEER" fetch 10.77.2.22 /one \
	2 "${sum/[0-7]/8}" | jq -r '.failed.altered')" = 2
check "a missing file is noticed" "$(client "$PEER" fetch 10.77.2.22 /two \
	2 | jq -r '.failed["HTTP 404"]')" = 2
check_run "100 UDP flows" client "$PEER" dns 10.77.2.23 100
check_run "100 UDP flows over IPv6" client "$PEER" dns fd77:2::23 100
check "probes of a live server are quick" \
	"$(client "$PEER" probe 10.77.2.21 1 | jq .slow)" = 0

mtu=$(client ping -c 1 -W 1 -M "do" -s 1400 10.77.3.24 2>&1)
check "the far path refuses more than 1280 bytes" \
	"$(grep -o 'mtu = 1280' <<< "$mtu")" = "mtu = 1280"
check_run "an upload learns the far path's MTU" \
	client "$PEER" send 10.77.3.24 81 "$LAB_DIR/up"
check_run "and over IPv6" \
	client "$PEER" send fd77:3::24 81 "$LAB_DIR/up"
test_end

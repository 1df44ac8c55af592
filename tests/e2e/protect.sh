#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# providers: xdp soft
#
# What an instance may not do, it cannot: it has no privilege, and frames
# that are not its own die on the far side of its VNIC, each counted under
# the name of what was wrong.
set -u
# shellcheck source=tests/lab/check.sh
. "$(dirname "$0")/../lab/check.sh"
# shellcheck source=tests/lab/config.sh
. "$(dirname "$0")/../lab/config.sh"
# shellcheck source=tests/lab/soft.sh
. "$(dirname "$0")/../lab/soft.sh"
test_begin
test_serve
SEND=$ROOT/build/tests/vnic_send

# as_instance ARGUMENTS...: put frames on web.0's VNIC, in the place of the
# instance. With the xdp provider the VNIC's near end is a device.
as_instance() {
	local status
	case $PROVIDER in
	xdp) box "$SEND" web.0 "$@" ;;
	soft)
		place_take web.0
		box "$SEND" "$place" "$@"
		status=$?
		place_give
		return $status
		;;
	esac
}

# --- privileges
for pid in $(st '.functions[].instances[].pid'); do
	proc=/proc/$pid/status
	field() {
		awk -v f="$1:" '$1 == f { print $2 }' "$proc"
	}
	for caps in CapInh CapPrm CapEff CapBnd CapAmb; do
		check "$pid: $caps" "$((16#$(field $caps)))" = 0
	done
	check "$pid: NoNewPrivs" "$(field NoNewPrivs)" = 1
	check "$pid: Seccomp" "$(field Seccomp)" = 2
	check "$pid: not root" "$(field Uid)" != 0
	check "$pid: not root's group" "$(field Gid)" != 0
	check "$pid: no other groups" \
		"$(awk '$1 == "Groups:" { print NF - 1 }' "$proc")" = 0
done
out=$(box setpriv --reuid nobody --regid nogroup --clear-groups \
	--no-new-privs "$SEND" web.0 udp 02:00:00:00:00:01 02:00:00:00:00:02 \
	"$VIP4" 80 10.77.1.2 40000 1 2>&1)
check "the instance's user may open no raw socket" \
	"$(grep -c 'Operation not permitted' <<< "$out")" = 1

# --- frames
mac() {
	ip -n "cy-$LAB_ID-$1" -j link show "$2" | jq -r '.[0].address'
}
wan=$(mac box wan0) lan=$(mac box lan0)
peer=$(mac client eth0) back=$(mac b1 eth0)
lab_dump at-client client -i eth0 -Q in
lab_dump at-switch switch -i p-box -Q in

dropped() {
	web ".instances[0].vnic.drops.$1 // 0"
}
all_dropped() {
	web '[.instances[0].vnic.drops | to_entries[] |
		select(.key | startswith("tx_")) | .value] | add // 0'
}
sent() {
	web '.instances[0].vnic.tx_packets'
}
counted() {
	[ $(($(all_dropped) - all + $(sent) - out)) -ge "$1" ]
}

# refused DROP WHAT COUNT ARGUMENTS...: all are dropped, under that name.
refused() {
	local drop=$1 what=$2 n=$3 before
	shift 3
	before=$(dropped "$drop") all=$(all_dropped) out=$(sent)
	as_instance "$@" "$n" > "$LAB_DIR/sent.log" 2>&1 ||
		fail "$what" "$(cat "$LAB_DIR/sent.log")"
	wait_for 3 counted "$n"
	check "$what: counted as $drop" $(($(dropped "$drop") - before)) = "$n"
	check "$what: none sent" $(($(sent) - out)) = 0
}

# shared WHAT COUNT ARGUMENTS...: some are its own, the others dropped.
shared() {
	local what=$1 n=$2 before
	shift 2
	before=$(dropped tx_bucket) all=$(all_dropped) out=$(sent)
	as_instance "$@" "$n" > "$LAB_DIR/sent.log" 2>&1 ||
		fail "$what" "$(cat "$LAB_DIR/sent.log")"
	wait_for 3 counted "$n"
	foreign=$(($(dropped tx_bucket) - before)) own=$(($(sent) - out))
	check "$what: each sent or counted as tx_bucket" \
		$((foreign + own)) = "$n"
}

client_is="10.77.1.2" client_is6="fd77:1::2"
refused tx_address "a foreign source" 10 udp "$wan" "$peer" \
	10.77.9.9 80 $client_is 41000+
refused tx_address "a foreign IPv6 source" 10 udp "$wan" "$peer" \
	fd77:9::9 80 $client_is6 41000+
refused tx_address "the box's own address" 10 tcp "$wan" "$peer" \
	10.77.1.1 22 $client_is 41000+
refused tx_port "the VIP, a port of no service" 10 tcp "$wan" "$peer" \
	"$VIP4" 22 $client_is 41000+
refused tx_port "the VIP, the service's port, another protocol" 10 udp \
	"$wan" "$peer" "$VIP4" 80 $client_is 41000+
refused tx_port "a SNAT port of the kernel's" 10 udp "$lan" "$back" \
	10.77.2.9 500+ 10.77.2.21 41000
refused tx_address "another function's service" 10 udp "$wan" "$peer" \
	"$ECHO4" 7 $client_is 41000+
refused tx_ethertype "an ARP reply that takes a neighbour's place" 10 arp \
	02:00:00:00:00:99 "$peer" 10.77.1.77 0 $client_is 0
refused tx_ethertype "an ARP reply for its own VIP" 10 arp \
	"$wan" "$peer" "$VIP4" 0 $client_is 0
refused tx_ethertype "a VLAN tag" 10 vlan "$wan" "$peer" \
	"$VIP4" 80 $client_is 41000+
refused tx_ethertype "an unknown Ethernet type" 10 junk "$wan" "$peer" \
	"$VIP4" 80 $client_is 41000+

# Ports first, MAC address last: of 128 SNAT ports in turn, half are its own.
before=$(dropped tx_mac) all=$(all_dropped) out=$(sent)
as_instance udp 02:00:00:00:00:99 "$back" 10.77.2.9 2048+ \
	10.77.2.21 41000 128 >/dev/null
wait_for 3 counted 128
check "a foreign MAC address: counted as tx_mac" \
	$(($(dropped tx_mac) - before)) = 64
check "a foreign MAC address: none sent" $(($(sent) - out)) = 0

refused tx_icmp "a neighbour advertisement for another's address" 10 na \
	"$wan" "$peer" fd77:1::77 0 $client_is6 0
refused tx_icmp "a neighbour advertisement for its own VIP" 10 na \
	02:00:00:00:00:99 "$peer" "$VIP6" 0 $client_is6 0

shared "SNAT ports of all 128 buckets" 128 udp "$lan" "$back" \
	10.77.2.9 2048+ 10.77.2.21 42000
check "SNAT ports: half of the buckets are its own" "$own" = 64
snat_own=$own
shared "the VIP to 200 client ports" 200 tcp "$wan" "$peer" \
	"$VIP4" 80 $client_is 43000+
check "client ports: some are its own" "$own" -gt 40
check "client ports: some are not" "$foreign" -gt 40
vip_own=$own

# --- what has left
check_run "tcpdump at the client missed nothing" lab_dumped at-client
check_run "tcpdump at the switch missed nothing" lab_dumped at-switch
seen() {
	tcpdump -nner "$LAB_DIR/$1.pcap" "$2" 2>/dev/null | wc -l
}
for at in at-client at-switch; do
	check "$at: nothing that was refused" "$(seen $at \
		'portrange 41000-41100 or host 10.77.1.77 or
		 host 10.77.9.9 or host fd77:9::9 or host fd77:1::77 or
		 vlan 5 or ether proto 0x88b5 or
		 ether src 02:00:00:00:00:99')" = 0
done
check "at the switch: its own SNAT ports, and no more" \
	"$(seen at-switch 'udp dst port 42000')" = "$snat_own"
check "at the client: its own client ports, and no more" \
	"$(seen at-client 'tcp dst portrange 43000-43199')" = "$vip_own"
# With its back-off, for one whose place was taken so often.
check_run "all instances serve" wait_for 40 web_serving
check_run "it serves as before" client "$PEER" fetch "$VIP4" / 50
test_end

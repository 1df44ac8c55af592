#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# bound: 60
#
# An uplink that is a port of DPDK's own: `device` is then the kernel's end of
# it, a tap. ARP, ND and ping go through it to the kernel and back; services
# are served; a reload changes them under traffic; a stop leaves no tap, and a
# device of that name that is another's stays as it is.
#
# The port is the packet socket of a veth: like a NIC's, it gets every frame.
# The veth's own stack must not answer for the box, so it has no address; and
# must not join segments to frames that no wire would have.
set -u
# shellcheck source=tests/lab/check.sh
. "$(dirname "$0")/../lab/check.sh"
PROVIDER=soft
# shellcheck source=tests/lab/config.sh
. "$(dirname "$0")/../lab/config.sh"
# shellcheck source=tests/lab/soft.sh
. "$(dirname "$0")/../lab/soft.sh"
TAP=wantap

port_config() {
	local port="port = \"net_af_packet0,iface=wan0\";"
	config | sed "s|device = \"wan0\";|device = \"$TAP\"; $port|" \
		> "$LAB_DIR/$NAME.cfg"
}
reload() {
	port_config
	check_run "$1: reload" "$CARRYALL" reload "$NAME"
}
# The box's own addresses on the kernel's end: the operator's part.
tap_addresses() {
	ip -n "cy-$LAB_ID-box" link set dev $TAP up &&
		lab_address box $TAP 10.77.1.1/24 fd77:1::1/64
}
# MAC address that the client has learnt for an address.
learnt() {
	ip -n "cy-$LAB_ID-client" -j neigh show "$1" dev eth0 |
		jq -r '.[0].lladdr'
}
tap_mac() {
	ip -n "cy-$LAB_ID-box" -j link show $TAP | jq -r '.[0].address'
}
no_tap() {
	! ip -n "cy-$LAB_ID-box" link show "$TAP" 2>/dev/null
}
no_sockets() {
	[ "$(box ss -xHl src "/run/carryall/$NAME/*" | wc -l)" = 0 ]
}

test_begin
box sysctl -qw net.ipv6.conf.wan0.disable_ipv6=1
ip -n "cy-$LAB_ID-box" addr flush dev wan0
ip -n "cy-$LAB_ID-box" link set dev wan0 arp off
box ethtool -K wan0 gro off

# --- another's device of that name
ip -n "cy-$LAB_ID-box" link add name $TAP type bridge
port_config
if out=$(box timeout 20 "$CARRYALL" run -f "$LAB_DIR/$NAME.cfg" 2>&1); then
	fail "a device of that name is refused" "it ran"
else
	check "a device of that name is refused, and told" \
		"$(grep -c "a network device \"$TAP\" already" <<< "$out")" = 1
fi
check_run "it is left as it was" \
	ip -n "cy-$LAB_ID-box" link show $TAP type bridge
check "no file is left" "$(ls -d "/run/carryall/$NAME" 2>/dev/null)" = ""
ip -n "cy-$LAB_ID-box" link del $TAP

# --- the kernel's end
carryall_run "$LAB_DIR/$NAME.cfg" || bail "the appliance serves"
tap_addresses || bail "the tap has addresses"
for a in 10.77.1.1 fd77:1::1; do
	check_run "$a answers" client ping -qc 5 -i 0.1 -W 1 $a
	check "$a: by the tap's MAC address" "$(learnt $a)" = "$(tap_mac)"
done
check_run "the box asks the client" box ping -qc 5 -i 0.1 -W 1 10.77.1.2
check_run "a large ping" client ping -qc 3 -i 0.1 -W 1 -s 1472 10.77.1.1

# --- services
for vip in "$VIP4" "$VIP6"; do
	check_run "$vip: 200 connections" client "$PEER" fetch "$vip" / 200
done
check_run "100 UDP flows" client "$PEER" dns "$VIP4" 100
check_run "ping of the echo function" \
	client ping -qc 5 -i 0.1 -W 1 "$ECHO4"
check "$VIP4: by the tap's MAC address" "$(learnt "$VIP4")" = "$(tap_mac)"
sum=$(lab_file file 2)
check_run "20 downloads" client "$PEER" fetch "$VIP4" /file 20 "$sum"
check "an upload" "$(client "$PEER" send "$VIP6" 81 "$LAB_DIR/www/file" |
	jq -r .sha256)" = "$sum"

# --- a reload under traffic
lab_spawn fetch client "$PEER" fetch "$VIP4" "/file?rate=500k" 40 "$sum"
fetch=$LAB_PID
open=$(web '[.instances[].opened] | add')
opened_more() {
	[ "$(web '[.instances[].opened] | add')" -ge $((open + 40)) ]
}
check_run "40 transfers run" wait_for 5 opened_more
nic_pid=$(nic .pid) generation=$(nic .generation)
CFG_BACKENDS="21=1 22=1"
config_services() {
	config_service more4 10.77.1.81 80 tcp 4; echo ,
	config_service site4 "$VIP4" 80 tcp 4; echo ,
	config_service site6 "$VIP6" 80 tcp 6; echo
}
reload "a service more, a backend less"
told() {
	[ "$(nic .generation)" -gt "$generation" ]
}
check_run "a service more: the NIC has it" wait_for 5 told
check_run "a service more: new connections" \
	client "$PEER" fetch 10.77.1.81 / 30
check "a service more: by the tap's MAC address" \
	"$(learnt 10.77.1.81)" = "$(tap_mac)"
served=$(lab_requests b3)
check_run "a backend less: new connections" client "$PEER" fetch "$VIP6" / 60
check "a backend less: none of them there" \
	$(($(lab_requests b3) - served - 1)) = 0
check_run "the transfers still run" kill -0 "$fetch"
check_run "they end" wait_for 40 lab_gone "$fetch"
check "all 40, bit for bit" "$(jq -c . "$LAB_DIR/fetch.log")" = \
	'{"ok":40,"failed":{}}'
check "the same NIC" "$(nic .pid)" = "$nic_pid"
check "misdirected" "$(web '[.instances[].misdirected] | add')" = 0

# --- the NIC dies: the tap stays, with its addresses
kill -KILL "$nic_pid"
again() {
	nic_serves && [ "$(nic .pid)" != "$nic_pid" ] &&
		[ "$(nic .attached)" = 3 ]
}
check_run "killed, it is started again" wait_for 5 again
check_run "the tap is there, and the kernel behind it" \
	client ping -qc 3 -i 0.1 -W 1 10.77.1.1
check_run "and the services" client "$PEER" fetch "$VIP4" / 100

# --- the end
check_run "stop" carryall_stop
check_run "the tap is gone" no_tap
check_run "no socket is left" no_sockets
check "nor a file" "$(ls -d "/run/carryall/$NAME" 2>/dev/null)" = ""
test_end

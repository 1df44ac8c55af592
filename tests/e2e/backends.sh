#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# providers: xdp soft
# bound: 90
#
# Backends that refuse, fall silent, vanish, or are unreachable: the client
# learns what a client of theirs would, and the other backends' connections
# do not notice.
set -u
# shellcheck source=tests/lab/check.sh
. "$(dirname "$0")/../lab/check.sh"
# shellcheck source=tests/lab/config.sh
. "$(dirname "$0")/../lab/config.sh"
test_begin
lab_far || bail "the far backend comes up"
CFG_BACKENDS="21=1 22=1 23=1 24=1"
CFG_WEB='timeouts = { syn = "2s"; closed = "2s"; };'
test_serve

# A field of a backend: backend SERVICE I FIELD.
backend() {
	web ".services[] | select(.name == \"$1\") | .backends[$2].$3"
}

# fetches COUNT VIP: their outcome into $good and $bad (JSON).
fetches() {
	local out
	out=$(PEER_TIMEOUT=3 client "$PEER" fetch "$2" / "$1")
	good=$(jq .ok <<< "$out") bad=$(jq -c .failed <<< "$out")
}

# outcome WHAT REASON COUNT: some served, the others failed by REASON alone.
outcome() {
	local n
	n=$(jq -r ".$2 // 0" <<< "$bad")
	check "$1: the others serve" "$good" -ge $(($3 / 2))
	check "$1: some are told ($2)" "$n" -ge 1
	check "$1: nothing else happens" "$good served, $bad" = \
		"$(($3 - n)) served, {\"$2\":$n}"
}

nginx_stop() {
	kill -QUIT "$(cat "$LAB_DIR/$1/nginx.pid")" &&
		wait_for 5 lab_refuses "$1"
}
lab_refuses() {
	! lab_in "$1" curl -so /dev/null http://127.0.0.1/
}

fetches 80 "$VIP4"
check "all four serve at first" "$good" = 80

# --- it refuses
nginx_stop b3
for v in 4 6; do
	vip=VIP$v
	fetches 80 "${!vip}"
	outcome "a refusing backend, IPv$v" ECONNREFUSED 80
	check "a refusing backend, IPv$v: counted as failed" \
		"$(backend site$v 2 failed)" -ge 1
done
lab_nginx b3
wait_for 5 lab_in b3 curl -sfo /dev/null http://127.0.0.1/

# --- it is silent: takes packets, sends none
lab_in b2 ip route add blackhole 10.77.2.9/32
fetches 80 "$VIP4"
outcome "a silent backend" timeout 80
timed_out() {
	[ "$(backend site4 1 failed)" -ge 1 ] &&
		[ "$(web '[.instances[].half_open] | add')" = 0 ]
}
check_run "a silent backend: counted, and its half-open ones are forgotten" \
	wait_for 10 timed_out
lab_in b2 ip route del blackhole 10.77.2.9/32
fetches 80 "$VIP4"
check "it speaks again" "$good" = 80

# --- its router says that it cannot be reached. Linux rations what it says
# for IPv4 (six at once to one address), so that a few must wait in vain.
lab_route router "unreachable 10.77.3.24/32"
fetches 40 "$VIP4"
told=$(jq '.EHOSTUNREACH // 0' <<< "$bad")
late=$(jq '.timeout // 0' <<< "$bad")
check "an unreachable backend: clients are told" "$told" -ge 3
check "an unreachable backend: the others serve" \
	"$good served, $bad" = "$((40 - told - late)) served, $bad"
lab_route router "10.77.3.24/32 dev eth1"
lab_in router ip -6 route del fd77:3::24
lab_in router ip -6 route add unreachable fd77:3::24
fetches 80 "$VIP6"
outcome "an unreachable backend, IPv6" ENETUNREACH 80
lab_in router ip -6 route del fd77:3::24
lab_route router "fd77:3::24 dev eth1"
for v in 4 6; do
	vip=VIP$v
	fetches 40 "${!vip}"
	check "it can be reached again, IPv$v" "$good, $bad" = "40, {}"
done

# --- UDP: its kernel says that nobody listens
kill "$(cat "$LAB_DIR/dns-b1.pid")"
for v in 4 6; do
	vip=VIP$v
	out=$(client "$PEER" dns "${!vip}" 40)
	check "UDP port unreachable, IPv$v: some are told" \
		"$(jq '.answers.ECONNREFUSED // 0' <<< "$out")" -ge 1
	check "UDP port unreachable, IPv$v: the others serve" \
		"$(jq '.ok + .answers.ECONNREFUSED' <<< "$out")" = 40
done

# --- it is gone: no answer to ARP
ip -n "cy-$LAB_ID-b1" link set dev eth0 down
unresolved() {
	[ "$(backend site4 0 state)" = unresolved ]
}
resolved() {
	[ "$(backend site4 0 state)" = up ]
}
check_run "a vanished backend is noticed" wait_for 30 unresolved
fetches 80 "$VIP4"
check "and gets no new connections" "$good" = 80
ip -n "cy-$LAB_ID-b1" link set dev eth0 up
check_run "it is noticed when it is back" wait_for 30 resolved
opened=$(backend site4 0 opened)
fetches 80 "$VIP4"
check "all serve" "$good" = 80
check "and it has its share" "$(backend site4 0 opened)" -gt "$opened"
check "misdirected" "$(web '[.instances[].misdirected] | add')" = 0
test_end

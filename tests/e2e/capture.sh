#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# providers: xdp soft
# bound: 90
#
# `carryall capture` of a VNIC shows the packets of that instance's buckets
# and no others. The buckets are computed here once more, from the packets
# and the appliance's secret, by other code than the appliance's.
set -u
# shellcheck source=tests/lab/check.sh
. "$(dirname "$0")/../lab/check.sh"
# shellcheck source=tests/lab/config.sh
. "$(dirname "$0")/../lab/config.sh"
test_begin
test_serve
seed=$(cat "/run/carryall/$NAME/seed")

# capture INSTANCE: 4,000 packets of it under traffic, into INSTANCE.pcap.
capture() {
	lab_spawn "capture-$1" box timeout 30 "$CARRYALL" capture "$NAME" \
		"$1" -w "$LAB_DIR/$1.pcap" -c 4000
	local pid=$LAB_PID
	while kill -0 "$pid" 2>/dev/null; do
		client ab -q -n 500 -c 10 "http://$VIP4/" >/dev/null 2>&1
		client ab -q -n 500 -c 10 "http://[$VIP6]/" >/dev/null 2>&1
	done
	wait_for 5 lab_gone "$pid"
	/usr/bin/python3 "$ROOT/tests/e2e/buckets.py" "$LAB_DIR/$1.pcap" \
		"$seed" 128 "$VIP4" "$VIP6" -- 10.77.2.9 fd77:2::9 \
		> "$LAB_DIR/$1.json" || fail "capture $1" "unreadable"
}

of() {
	jq -c "$2" "$LAB_DIR/$1.json"
}

for i in web.0 web.1; do
	capture $i
	check "$i: packets" "$(of $i .packets)" = 4000
	check "$i: nothing but VIPs and SNAT addresses" "$(of $i .other)" = 0
	check "$i: buckets seen from the client" \
		"$(of $i '.vip | length')" -ge 32
	check "$i: no more buckets than it has" \
		"$(of $i '.vip + .snat | unique | length')" -le 64
	check_run "$i: tcpdump reads it" \
		tcpdump -nnr "$LAB_DIR/$i.pcap" -c 10
done
check "no bucket is on both" "$(jq -sc '[.[0].vip + .[0].snat, .[1].vip +
	.[1].snat] | map(unique) | .[0] - (.[0] - .[1])' \
	"$LAB_DIR/web.0.json" "$LAB_DIR/web.1.json")" = "[]"

# matching FILE FILTER...: packets in it that tcpdump's own filter lets pass.
matching() {
	tcpdump -nnr "$@" 2>/dev/null | wc -l
}

size() {
	stat -c %s "$1" 2>/dev/null || echo none
}

lab_spawn traffic client ab -q -t 20 -n 1000000 -c 10 "http://$VIP4/"

# One backend's packets and no others, told apart before they are written.
f=$LAB_DIR/filtered
check_run "capture with a filter" box timeout 20 "$CARRYALL" capture "$NAME" \
	web.0 -w "$f" -c 50 tcp src port 80 and src host 10.77.2.21
check "filter: as many as were asked for" "$(matching "$f")" = 50
check "filter: all of them match" "$(matching "$f" \
	tcp src port 80 and src host 10.77.2.21)" = 50

# Refused before the file or anything else is touched.
echo old > "$LAB_DIR/refused"
check "a filter that is none" "$(box "$CARRYALL" capture "$NAME" web.0 \
	-w "$LAB_DIR/refused" tcp prot 80 2>&1 >/dev/null |
	grep -c 'syntax error')" = 1
check "a filter that is none leaves the file" \
	"$(cat "$LAB_DIR/refused")" = old
for wrong in "-C 64" "-C 1K" "-W 2" "-C 64K -W 2" "-c x"; do
	# shellcheck disable=SC2086 # they are several words
	box "$CARRYALL" capture "$NAME" web.0 $wrong >/dev/null 2>&1
	check "refused: $wrong" $? != 0
done

# A bound ends it; a ring of files goes on until it is told to end.
f=$LAB_DIR/bounded
check_run "capture with a bound" box timeout 20 "$CARRYALL" capture "$NAME" \
	web.0 -w "$f" -C 64K
check "bound: kept" "$(size "$f")" -le 65536
check "bound: made use of" "$(size "$f")" -gt 49152
check_run "bound: the file is whole" tcpdump -nnr "$f"

f=$LAB_DIR/ring
rotated() {
	[ -e "$f.1" ] && [ "$f.0" -nt "$f.1" ]
}
lab_spawn ring box "$CARRYALL" capture "$NAME" web.0 -w "$f" -C 64K -W 2
pid=$LAB_PID
check_run "ring: the first file is begun again" wait_for 15 rotated
kill -TERM "$pid"
check_run "ring: ends" wait_for 5 lab_gone "$pid"
check "ring: ends in order" "$(grep -c 'packets captured' "$LAB_DIR/ring.log")" = 1
for i in 0 1; do
	check "ring: file $i is bounded" "$(size "$f.$i")" -le 65536
	check_run "ring: file $i is whole" tcpdump -nnr "$f.$i"
done
check "ring: no further file" "$(size "$f.2")" = none

# Into a pipe, and ended by whoever reads.
out=$(box timeout 20 "$CARRYALL" capture "$NAME" web.0 2>/dev/null |
	tcpdump -nnr - -c 5 2>/dev/null | wc -l)
check "capture into tcpdump" "$out" = 5
check "capture of no such instance" "$(box "$CARRYALL" capture "$NAME" \
	web.7 -c 1 2>&1 >/dev/null | grep -c 'web\.7')" = 1
check "misdirected" "$(web '[.instances[].misdirected] | add')" = 0
test_end

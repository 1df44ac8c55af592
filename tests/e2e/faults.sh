#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Backends that fail in every way they can, a config that changes meanwhile,
# and a client that means harm: others must not notice, and status says it.
set -u
# shellcheck source=tests/lab/check.sh
. "$(dirname "$0")/../lab/check.sh"
# shellcheck source=tests/lab/config.sh
. "$(dirname "$0")/../lab/config.sh"

CFG_BACKENDS="21=1 22=1 23=1"
CFG_SCHEDULER=rr
CFG_WEB='timeouts = { syn = "4s"; };'

# Beside the usual: services that nobody listens on, and large datagrams.
faults_services() {
	local f
	for f in 4 6; do
		local vip=VIP$f
		CFG_SERVICE=""
		config_service "shut$f" "${!vip}" 82 tcp "$f"; echo ,
		config_service "void$f" "${!vip}" 9 udp "$f"; echo ,
		config_service "plain$f" "${!vip}" 7001 udp "$f"; echo ,
		CFG_SERVICE='hash = "source";'
		config_service "large$f" "${!vip}" 7000 udp "$f"; echo ,
		CFG_SERVICE=""
	done
	config_service site4 "$VIP4" 80 tcp 4; echo ,
	config_service site6 "$VIP6" 80 tcp 6
}
config_services() {
	faults_services
}

# backend SERVICE HOST FILTER, e.g. backend site4 21 .failed
backend() {
	web ".services[] | select(.name == \"$1\") | .backends[] |
		select(.address | test(\"[.:]$2\$\")) | $3"
}

no_restarts() {
	check "$1: no instance was started again" \
		"$(st '[.functions[].instances[].restarts] | add')" = 0
}

fetches() {
	client env PEER_TIMEOUT="$1" "$PEER" fetch "$2" / "$3"
}

test_begin
for i in 1 2 3; do
	lab_spawn mirror b$i /usr/bin/python3 "$PEER" mirror 7000
	lab_spawn mirror b$i /usr/bin/python3 "$PEER" mirror 7001
done
test_serve

# --- a backend falls silent ------------------------------------------------

ip -n "cy-$LAB_ID-b1" route add blackhole 10.77.2.9/32
# Less than the SYN time-out: the client's next SYN may go elsewhere.
seen=$(fetches 2 $VIP4 60)
# Each of two instances takes turns by itself: 20 of 60, or one more or less
# on either.
own=$(jq -r '.failed.timeout // 0' <<< "$seen")
check "silent backend: its own clients wait" $((own >= 18 && own <= 22)) = 1
check "silent backend: the others' clients are served" "$seen" = \
	"{\"ok\": $((60 - own)), \"failed\": {\"timeout\": $own}}"
failed() {
	[ "$(backend site4 21 .failed)" -ge "$own" ]
}
check_run "silent backend: status counts them failed" wait_for 10 failed
check "silent backend: none counted for another" \
	"$(backend site4 22 .failed) $(backend site4 23 .failed)" = "0 0"
check "silent backend: IPv6 goes on" "$(fetches 3 $VIP6 30 | jq .ok)" = 30
ip -n "cy-$LAB_ID-b1" route del blackhole 10.77.2.9/32
check "and serves again" "$(fetches 3 $VIP4 60 | jq .ok)" = 60

# --- a backend is gone -----------------------------------------------------

ip -n "cy-$LAB_ID-switch" link set p-b1 down
box ip neigh flush dev lan0
gone() {
	[ "$(backend site4 21 .state)" != up ] &&
		[ "$(backend site6 21 .state)" != up ]
}
check_run "gone backend: status says so" wait_for 10 gone
check "gone backend: and why" "$(backend site4 21 '.why | length > 0')" = true
others_up() {
	[ "$(web '[.services[].backends[] | select(.state != "up") | .address] |
		unique | length')" = 2 ]
}
check_run "gone backend: the others are up" wait_for 5 others_up
check "gone backend: no new connection tries it" \
	"$(fetches 3 $VIP4 60 | jq .ok)" = 60
check "gone backend: nor over IPv6" "$(fetches 3 $VIP6 60 | jq .ok)" = 60
ip -n "cy-$LAB_ID-switch" link set p-b1 up
back() {
	[ "$(web '[.services[].backends[] | select(.state != "up")] |
		length')" = 0 ]
}
check_run "gone backend: it is found again" wait_for 20 back
before=$(backend site4 21 .opened)
check "gone backend: all are served" "$(fetches 3 $VIP4 30 | jq .ok)" = 30
share=$(($(backend site4 21 .opened) - before))
check "gone backend: it takes its share" $((share >= 8 && share <= 12)) = 1

# --- nobody listens --------------------------------------------------------

for vip in $VIP4 "[$VIP6]"; do
	start=${EPOCHREALTIME/./}
	client curl -s -m 5 "http://$vip:82/" 2>/dev/null
	check "closed port of $vip: refused" $? = 7
	check "closed port of $vip: at once" \
		$(((${EPOCHREALTIME/./} - start) / 1000)) -lt 500
done
check "closed port: status counts it" "$(web '[.services[] |
	select(.name | test("shut")) | .backends[].failed] | add')" = 2
# Not more at once: a kernel makes only 6 such errors for one host.
check_run "no UDP listener: the client is told" client "$PEER" refused $VIP4 9 12
check_run "and over IPv6" client "$PEER" refused $VIP6 9 12

# --- large datagrams -------------------------------------------------------

dropped() {
	st '[.uplinks[].drops.fragment // 0] | add'
}
for vip in $VIP4 $VIP6; do
	check_run "fragments to $vip, hashed by source, and back" \
		client "$PEER" large "$vip" 7000 4000 20
	before=$(dropped)
	check "fragments to $vip, hashed by port: none goes through" \
		"$(client "$PEER" large "$vip" 7001 4000 3 | jq .ok)" = 0
	check "fragments to $vip: all 9 are counted" \
		"$(($(dropped) - before))" = 9
	check_run "whole datagrams to $vip go through" \
		client "$PEER" large "$vip" 7001 1400 20
done

# --- the config changes ----------------------------------------------------

cfg=$LAB_DIR/$NAME.cfg
lab_site() {
	web '[.services[] | select(.name == "site4") | .backends[] |
		"\(.address) \(.weight)"] | join(", ")'
}
reload_with() {
	CFG_BACKENDS=$1
	config > "$cfg"
	"$CARRYALL" reload "$NAME"
}
sum=$(lab_file big 4)
client env PEER_TIMEOUT=20 "$PEER" fetch $VIP4 '/big?rate=1m' 30 "$sum" > "$LAB_DIR/down4" &
down4=$!
client env PEER_TIMEOUT=20 "$PEER" fetch $VIP6 '/big?rate=1m' 30 "$sum" > "$LAB_DIR/down6" &
down6=$!
running() {
	[ "$(web '[.services[] | select(.name | test("site")) |
		.backends[].connections] | add')" -ge 60 ]
}
wait_for 5 running || fail "reload: 60 downloads run"

check_run "reload: without a backend" reload_with "22=1 23=1"
check "reload: status has the new backends" "$(lab_site)" = \
	"10.77.2.22 1, 10.77.2.23 1"
before=$(lab_requests b1)
check "reload: new connections are served" "$(fetches 3 $VIP4 40 | jq .ok)" = 40
check "reload: by the others alone" "$(lab_requests b1)" = $((before + 1))
check_run "reload: weights" reload_with "22=3 23=1"
a=$(backend site4 22 .opened) b=$(backend site4 23 .opened)
check "reload: served by weight" "$(fetches 3 $VIP4 40 | jq .ok)" = 40
check_near "reload: 3 of 4 to the heavier" \
	"$(($(backend site4 22 .opened) - a))" 30 15
check_run "reload: a drained backend" reload_with "22=0 23=1"
a=$(backend site4 22 .opened)
check "reload: a drained one gets none" \
	"$(fetches 3 $VIP4 20 | jq .ok) $(($(backend site4 22 .opened) - a))" = \
	"20 0"

pids=$(st '[.functions[].instances[].pid] | tojson')
sed -i 's/port = 80;/port = 80800;/; s/weight/wieght/' "$cfg"
said=$("$CARRYALL" reload "$NAME" 2>&1)
check "faulty config: refused" $? != 0
check "faulty config: and what to do" \
	"$(grep -c "carryall check -f $cfg" <<< "$said")" = 1
check "faulty config: all faults are in the log, with their lines" \
	"$(grep -cE "$cfg:[0-9]+: .*(80800|wieght)" "$LAB_DIR/run.log")" = \
	"$(grep -cE '80800|wieght' "$cfg")"
check "faulty config: nothing changes" "$(lab_site)" = \
	"10.77.2.22 0, 10.77.2.23 1"
check "faulty config: new connections are served" \
	"$(fetches 3 $VIP4 20 | jq .ok)" = 20
wait $down4
check "reload: all 30 downloads arrive, bit-exact" "$(cat "$LAB_DIR/down4")" = \
	'{"ok": 30, "failed": {}}'
wait $down6
check "reload: and over IPv6" "$(cat "$LAB_DIR/down6")" = \
	'{"ok": 30, "failed": {}}'
check "reload: by the same processes" \
	"$(st '[.functions[].instances[].pid] | tojson')" = "$pids"
check_run "mended config: taken" reload_with "21=1 22=1 23=1"

# --- a hostile client ------------------------------------------------------

mac=$(box ip -j link show dev wan0 | jq -r '.[0].address')
client env PEER_TIMEOUT=45 "$PEER" fetch $VIP4 '/big?rate=1m' 20 "$sum" > "$LAB_DIR/down4" &
down4=$!
received() {
	st '[.functions[].instances[].rx_packets] | add'
}
before=$(received)
for a in "$VIP4 80" "$VIP6 80" "$VIP4 9" "$VIP6 7000" "$ECHO4 7" "$ECHO6 7" \
	"10.77.2.9 4096" "fd77:2::9 4160"; do
	# shellcheck disable=SC2086
	check_run "20,000 damaged frames to $a" \
		client "$PEER" garbage eth0 "$mac" $a 20000 1
done
check "some of them were steered to instances" \
	"$(($(received) - before))" -ge 20000
client ping -q -c 3 -i 0.2 -s 60000 $ECHO4 > /dev/null 2>&1
client ping -q -c 3 -i 0.2 -s 60000 $ECHO6 > /dev/null 2>&1
check_run "the echo function answers" client ping -q -c 1 -W 2 $ECHO4

# A datagram that the echo function would send to itself, or that it would
# answer to a service: it must not go round.
echoed() {
	st '.functions[] | select(.name == "ping") | .instances[0].rx_packets'
}
loop_frame() {
	client /usr/bin/python3 - "$mac" "$1" "$2" <<-'END'
	import socket, struct, sys
	sys.path.insert(0, "tests/lab")
	mac, source, target = sys.argv[1:]
	udp = struct.pack(">HHHH", 7, 7, 12, 0) + b"loop"
	head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 32, 1, 0, 64, 17, 0,
	                   socket.inet_aton(source), socket.inet_aton(target))
	total = sum(struct.unpack(">10H", head))
	total = ~((total & 0xffff) + (total >> 16)) & 0xffff
	s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
	s.bind(("eth0", 0))
	s.send(bytes.fromhex(mac.replace(":", "")) + b"\2\0\0\0\0\1\x08\0" +
	       head[:10] + struct.pack(">H", total) + head[12:] + udp)
	END
}
before=$(echoed)
loop_frame $ECHO4 $ECHO4
loop_frame $VIP4 $ECHO4
seen_two() {
	[ "$(echoed)" -ge $((before + 2)) ]
}
wait_for 3 seen_two
check_run "the echo function answers after its own" \
	client "$PEER" echo $ECHO4 10
check "no datagram goes round" "$(($(echoed) - before))" -le 14
wait $down4
check "meanwhile all 20 downloads arrive" "$(cat "$LAB_DIR/down4")" = \
	'{"ok": 20, "failed": {}}'
check "and new connections" "$(fetches 5 $VIP4 50 | jq .ok)" = 50
no_restarts "hostile client"
test_end

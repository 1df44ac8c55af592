#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# providers: xdp soft
# bound: 170
#
# Rates and shares, kept outside the instances: what comes back from echo
# functions that are sent more than they may answer, and what TCP gets through
# a load balancer. A frame counts from its Ethernet header to its last byte;
# of UDP over IPv4 that is the datagram and 42 bytes.
#
# PROVIDER (xdp, soft): whose rates. xdp drops what is above, soft lets it
# wait; what gets through is the same.
set -u
# shellcheck source=tests/lab/check.sh
. "$(dirname "$0")/../lab/check.sh"
# shellcheck source=tests/lab/config.sh
. "$(dirname "$0")/../lab/config.sh"
test_begin
LOAD=$ROOT/build/tests/udpload
UDP_HEADERS=42

# --- the appliance

# function_of NAME ADDRESS KEYS: an echo function.
function_of() {
	cat <<-END
	  { name = "$1"; type = "echo"; uplink = "wan"; $3
	    services = ( { name = "udp"; address = "10.77.1.$2"; port = 7;
	                   protocol = "udp"; } ); }
	END
}

# echo_config UPLINK_KEYS FUNCTION...
echo_config() {
	local f sep=""
	echo "appliance: { name = \"$NAME\"; state = \"$LAB_DIR/state\";"
	echo "  share_cores = true; };"
	echo "uplinks: ( { name = \"wan\"; device = \"wan0\";"
	echo "  provider = \"$PROVIDER\"; $1 } );"
	echo "functions: ("
	shift
	for f; do
		echo "$sep$f"
		sep=,
	done
	echo ");"
}

serve() {
	echo_config "$@" > "$LAB_DIR/$NAME.cfg"
	carryall_run "$LAB_DIR/$NAME.cfg" || bail "the appliance serves"
}

reload() {
	echo_config "$@" > "$LAB_DIR/$NAME.cfg"
	check_run "$what: reload" "$CARRYALL" reload "$NAME"
}

# of FUNCTION FILTER: a jq filter on what is said of a function.
of() {
	st ".functions[] | select(.name == \"$1\") | $2"
}

# --- traffic

# load TITLE ADDRESS SIZE PER_SECOND SECONDS: a sender and what it gets back.
load() {
	: > "$LAB_DIR/$1.log"
	lab_spawn "$1" client "$LOAD" "10.77.1.$2" 7 "$3" "$4" 32 "$5"
}
lines() {
	[ "$(wc -l < "$LAB_DIR/$1.log")" -ge "$2" ]
}
ended() {
	lab_gone "$(cat "$LAB_DIR/$1.pid")"
}

# until_line TITLE N: lines come every half second.
until_line() {
	wait_for 30 lines "$1" "$2" || bail "$what" "udpload $1 has stopped"
}
until_end() {
	wait_for 40 ended "$1" || bail "$what" "udpload $1 does not end"
}

# per_second TITLE FROM TO FIELD: how many of a field (2: sent, 3: received)
# per second, between two lines.
per_second() {
	awk -v a="$2" -v b="$3" -v f="$4" '
		NR == a { t = $1; n = $f }
		NR == b { printf "%.0f\n", ($f - n) * 1e9 / ($1 - t) }
	' "$LAB_DIR/$1.log"
}

# bits TITLE SIZE FROM TO: what came back, in bits/s of frames.
bits() {
	echo $(($(per_second "$1" "$3" "$4" 3) * ($2 + UDP_HEADERS) * 8))
}

# offered TITLE SIZE FROM TO BITS: without that much a limit is no limit.
offered() {
	check "$what: more than the limit was offered" \
		$(($(per_second "$1" "$3" "$4" 2) * ($2 + UDP_HEADERS) * 8)) \
		-gt "$5"
}

# lossless TITLE FUNCTION: all came back, and nothing was dropped.
lossless() {
	check "$what: $2 has lost nothing" \
		"$(awk 'END { print $2 - $3 }' "$LAB_DIR/$1.log")" = 0
	check "$what: no drop of $2's" \
		"$(of "$2" '[.instances[].vnic.drops] | add | tostring')" = "{}"
}

# dropped FUNCTION NAME OP: where rates are policed, drops have a name.
dropped() {
	[ "$PROVIDER" = xdp ] || return
	check "$what: drops of $1 as $2" \
		"$(of "$1" "[.instances[].vnic.drops.$2 // 0] | add")" "$3" 0
}

FREE=$(function_of free 91 "")

# --- a rate of each instance, changed while it is in force
what="rate"
serve "" "$(function_of lim 90 'instances = 2; rate = "10Mb/s";')" "$FREE"
load lim 90 1000 7500 15
load free 91 1000 500 15
until_line lim 3
sent=$(of lim '[.instances[].vnic.tx_bytes] | join(" ")')
until_line lim 13
now=$(of lim '[.instances[].vnic.tx_bytes] | join(" ")')
reload "" "$(function_of lim 90 'instances = 2; rate = "20Mb/s";')" "$FREE"
from=$(($(wc -l < "$LAB_DIR/lim.log") + 2))
until_end lim
until_end free
offered lim 1000 3 13 20000000
offered lim 1000 $from 30 40000000
check_near "$what: two instances of 10 Mb/s" \
	"$(bits lim 1000 3 13)" 20000000 3
read -r a0 b0 <<< "$sent"
read -r a1 b1 <<< "$now"
check_near "$what: one is as fast as the other" \
	$((a1 - a0)) $((b1 - b0)) 3
check_near "$what: two instances of 20 Mb/s, without a restart" \
	"$(bits lim 1000 $from 30)" 40000000 3
dropped lim tx_rate -gt
dropped lim tx_share =
lossless free free
check_run "$what: stop" carryall_stop

# --- packets of each instance
what="packet_rate"
serve "" "$(function_of lim 90 'packet_rate = "2k/s";')" "$FREE"
load lim 90 100 5000 8
load free 91 1000 500 8
until_end lim
until_end free
offered lim 100 4 16 $((2000 * 142 * 8))
check_near "$what: 2,000 per second" "$(per_second lim 4 16 3)" 2000 3
dropped lim tx_rate -gt
lossless free free
check_run "$what: stop" carryall_stop

# --- a function's instances together
what="total_rate"
serve "" "$(function_of lim 90 'instances = 2; total_rate = "20Mb/s";')" \
	"$FREE"
load lim 90 1000 5000 8
load free 91 1000 500 8
until_end lim
until_end free
offered lim 1000 4 16 20000000
check_near "$what: two instances of 20 Mb/s together" \
	"$(bits lim 1000 4 16)" 20000000 3
check "$what: both had their part" "$(of lim '[.instances[] |
	select(.vnic.tx_packets > 1000)] | length')" = 2
dropped lim tx_rate -gt
lossless free free
check_run "$what: stop" carryall_stop

what="total_packet_rate"
serve "" "$(function_of lim 90 \
	'instances = 2; total_packet_rate = "2k/s";')" "$FREE"
load lim 90 100 5000 8
load free 91 1000 500 8
until_end lim
until_end free
offered lim 100 4 16 $((2000 * 142 * 8))
check_near "$what: two instances of 2,000 per second together" \
	"$(per_second lim 4 16 3)" 2000 3
dropped lim tx_rate -gt
lossless free free
check_run "$what: stop" carryall_stop

# --- an uplink that is full: one of weight 1, one of weight 3, one small
what="weight"
serve 'rate = "40Mb/s";' "$(function_of one 90 'weight = 1;')" \
	"$(function_of three 92 'weight = 3;')" "$FREE"
load one 90 1000 7200 15
load three 92 1000 7200 8
load free 91 100 500 7
until_end free
lossless free free
until_end three
until_end one
offered one 1000 4 14 40000000
offered three 1000 4 14 40000000
one=$(bits one 1000 4 14) three=$(bits three 1000 4 14)
small=$(bits free 100 4 14)
check_near "$what: three times as much" "$three" $((one * 3)) 10
check_near "$what: all together have the uplink's rate" \
	$((one + three + small)) 40000000 5
check_near "$what: one alone has all of it" "$(bits one 1000 20 30)" \
	40000000 5
dropped one tx_share -gt
dropped three tx_share -gt
dropped one tx_rate =
check_run "$what: stop" carryall_stop

# --- an uplink that is not full
what="not full"
serve 'rate = "40Mb/s";' "$(function_of one 90 'weight = 1;')" \
	"$(function_of three 92 'weight = 3;')"
load one 90 1000 3300 5
load three 92 1000 1200 5
until_end one
until_end three
lossless one one
lossless three three
check_run "$what: stop" carryall_stop

# --- TCP through a load balancer, ten connections that take what they get
what="TCP"
CFG_INSTANCES=1
CFG_WEB='rate = "50Mb/s";'
test_serve
lab_file big 200 > /dev/null
sent_bytes() {
	web '.instances[0].vnic.tx_bytes'
}
# sent_past BYTES: sets `at_us` and `at_bytes` when the VNIC has sent so many.
sent_past() {
	at_bytes=$(sent_bytes)
	at_us=${EPOCHREALTIME/./}
	[ "$at_bytes" -ge "$1" ]
}
for i in 1 2 3 4 5 6 7 8 9 10; do
	lab_spawn "tcp$i" client curl -so /dev/null --max-time 20 \
		"http://$VIP4/big"
done
check_run "$what: two seconds' worth" wait_for 10 sent_past 12500000
wait_for 10 sent_past 12500000
from_us=$at_us from_bytes=$at_bytes
wait_for 15 sent_past 50000000
check "$what: six seconds' worth more" "$at_bytes" -ge 50000000
check_near "$what: ten connections through an instance of 50 Mb/s" \
	$(((at_bytes - from_bytes) * 8000000 / (at_us - from_us))) 50000000 3
[ "$PROVIDER" != xdp ] ||
	check "$what: drops of web as tx_rate" \
		"$(web '.instances[0].vnic.drops.tx_rate // 0')" -gt 0
test_end

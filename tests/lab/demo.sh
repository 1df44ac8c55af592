#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The demo: what Carryall does, shown in about half a minute on real traffic.
# Each step prints what is done and what is seen; the exit status is 1 if
# anything seen is not what the step says. All it makes is removed at the end,
# also after Ctrl-C.
set -u
# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"

BAD=0
bold='' plain=''
[ ! -t 1 ] || { bold=$'\e[1m' plain=$'\e[0m'; }

step() {
	printf '\n%s%s%s\n' "$bold" "$1" "$plain"
}

seen() {
	echo "   $*"
}

# expect WHAT CMD...: what the step promises.
expect() {
	local what=$1
	shift
	if "$@" >/dev/null 2>&1; then
		seen "ok: $what"
	else
		seen "NOT SO: $what"
		BAD=1
	fi
}

finish() {
	local status=$?
	trap - EXIT INT TERM
	lab_down
	if [ "$status" = 0 ] && [ "$BAD" = 0 ]; then
		printf '\nAll of it was seen to work; the lab is removed.\n'
		printf 'Next: make lab, to play with it yourself.\n'
	else
		printf '\nSomething was not as it should be, see above.\n'
		status=1
	fi
	exit "$status"
}

# The answers of COUNT requests to URL, by backend, on one line.
by_backend() {
	client curl -s --no-progress-meter -m 10 -Z --parallel-max 20 \
		-H "Connection: close" "$1?[1-$2]" | sort |
		uniq -c | awk '{ printf "%s%s %s: %d", sep, $2, $3, $1
			sep = ", " } END { print "" }'
}

instances() {
	web '.instances[] | "\(.name): \(.opened) connections, " +
		"\(.rx_packets) packets in, \(.tx_packets) out, " +
		"misdirected \(.misdirected)"' | while read -r line; do
		seen "$line"
	done
}

every_instance_used() {
	[ "$(web '[.instances[] | select(.opened == 0)] | length')" = 0 ]
}

none_misdirected() {
	[ "$(st '[.functions[].instances[].misdirected] | add')" = 0 ]
}

same_processes() {
	[ "$(st '[.functions[].instances[].pid] | tostring')" = "$1" ]
}

# download FILE: at a rate that lasts some four seconds; the hash in FILE. One
# that stands still is given up after three.
download() {
	client curl -s -m 60 --speed-limit 1000 --speed-time 3 \
		"http://$VIP4/big?rate=8m" | sha256sum |
		cut -d' ' -f1 > "$LAB_DIR/$1.sum"
}

same_sum() {
	[ "$(cat "$LAB_DIR/$1.sum")" = "$SUM" ]
}

replaced() {
	[ "$(pid_of 0)" != "$1" ] && web_serving
}

traffic() {
	step "3. Real traffic of a kernel client, through one address"
	seen "curl, 100 requests to http://$VIP4/"
	seen "   $(by_backend "http://$VIP4/" 100)   (weights 2, 1, 1)"
	seen "curl, 100 requests to http://[$VIP6]/"
	seen "   $(by_backend "http://[$VIP6]/" 100)"
	seen "wrk, 50 connections for 3 s:"
	client wrk -t1 -c50 -d3 --latency "http://$VIP4/" |
		awk '/Requests\/sec/ { r = $2 } /99%/ { l = $2 }
		/Socket errors/ { e = $0 } END {
		printf "   %d requests/s, 99%% within %s\n", r, l
		if (e) print "  " e }' | while read -r line; do
		seen "   $line"
	done
	seen "ping and UDP to the echo function at $ECHO4:"
	expect "3 pings answered" client ping -q -c 3 -i 0.2 -W 1 "$ECHO4"
	expect "3 pings answered over IPv6" \
		client ping -q -c 3 -i 0.2 -W 1 "$ECHO6"
	expect "100 UDP datagrams came back" \
		client "$PEER" echo "$ECHO4" 100
}

control_plane_dies() {
	local pids get before
	step "5. The control plane is killed with SIGKILL, during a download"
	SUM=$(lab_file big 32)
	pids=$(st '[.functions[].instances[].pid] | tostring')
	before=$(opened)
	download one &
	get=$!
	wait_for 5 more_than "$before"
	kill -KILL "$CTL_PID"
	wait_for 5 lab_gone "$CTL_PID"
	seen "it is dead; a new connection all the same:"
	seen "   $(client curl -s -m 3 "http://$VIP4/")"
	seen "started again, it finds what runs and adopts it:"
	carryall_run "$LAB_DIR/$NAME.cfg" || exit 1
	expect "the same instances, by process number: $pids" \
		same_processes "$pids"
	wait "$get"
	expect "the download of 32 MiB has arrived, bit for bit" same_sum one
}

instance_dies() {
	local old get i before
	step "6. Instance web.0 is killed, during ten downloads"
	old=$(pid_of 0)
	before=$(opened)
	other=$(web '.instances[1].opened')
	for i in 0 1 2 3 4 5 6 7 8 9; do
		download "part$i" &
		get="${get:-} $!"
	done
	wait_for 5 ten_more "$before"
	owner=$(($(web '.instances[1].opened') - other))
	kill -KILL "$old"
	expect "web.0 serves again within a second" wait_for 1 replaced "$old"
	seen "web.0 was process $old and is $(pid_of 0)"
	expect "100 new connections work" \
		client "$PEER" fetch "$VIP4" / 100
	# shellcheck disable=SC2086
	wait $get
	expect "downloads on web.1 ($owner of 10) have not noticed" \
		test "$(whole)" -ge "$owner"
	seen "(in this version those on web.0 end with it)"
}

opened() {
	web '[.instances[].opened] | add'
}

more_than() {
	[ "$(opened)" -gt "$1" ]
}

ten_more() {
	[ $(($(opened) - $1)) = 10 ]
}

whole() {
	grep -l "$SUM" "$LAB_DIR"/part*.sum 2>/dev/null | wc -l
}

lacks=$(lab_lacks)
[ -z "$lacks" ] || { echo "demo: $lacks" >&2; exit 1; }
[ -x "$CARRYALL" ] || { echo "demo: make it first: make" >&2; exit 1; }
lab_names "$(lab_unique)"
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

step "1. A lab in network namespaces: a client, the appliance, three servers"
lab_up "$LAB_ID" || exit 1
seen "client 10.77.1.2 -- wan0 [appliance] lan0 -- nginx 10.77.2.21, .22, .23"
seen "(and the same over IPv6)"

step "2. carryall run -f conf/demo.cfg"
sed "s/name = \"demo\"/name = \"$NAME\"/" "$ROOT/conf/demo.cfg" \
	> "$LAB_DIR/$NAME.cfg"
carryall_run "$LAB_DIR/$NAME.cfg" || exit 1
grep -E ' serves' "$LAB_DIR/run.log" | while read -r line; do
	seen "$line"
done

traffic

step "4. Who did it: every instance got its own connections, and no others"
instances
expect "every instance was used" every_instance_used
expect "no packet reached a wrong instance" none_misdirected

control_plane_dies
instance_dies

step "7. carryall status, at the end"
"$CARRYALL" status "$NAME" | sed 's/^/   /'

step "8. carryall stop"
expect "it stops, and removes all it made" "$CARRYALL" stop "$NAME"
expect "no device of it is left" test "$(box ip -br link | wc -l)" = 3
expect "no file of it is left" test ! -e "/run/carryall/$NAME"

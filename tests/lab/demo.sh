#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The demo: what Carryall does, shown in about half a minute on real traffic.
# Each step prints what is done and what is seen; the exit status is 1 if
# anything seen is not what the step says. All it makes is removed at the end,
# also after Ctrl-C.
#
# PROVIDER=soft: on the NIC in software, which is killed as well.
set -u
# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"

BAD=0
bold='' plain=''
[ ! -t 1 ] || { bold=$'\e[1m' plain=$'\e[0m'; }

STEP=0
step() {
	STEP=$((STEP + 1))
	printf '\n%s%s. %s%s\n' "$bold" $STEP "$1" "$plain"
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
	step "Real traffic of a kernel client, through one address"
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

edge() {
	st ".functions[] | select(.name == \"edge\") | $1"
}

# Ten requests with the cookie that the first was given: the servers, counted.
by_cookie() {
	local jar=$LAB_DIR/jar
	client curl -s -m 3 -c "$jar" "http://$EDGE4/" > "$LAB_DIR/first"
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		client curl -s -m 3 -b "$jar" "http://$EDGE4/"
	done | sort -u
}

one_server() {
	[ "$(by_cookie)" = "$(cat "$LAB_DIR/first")" ]
}

proxy_serves() {
	local old
	step "HTTP, through the proxy and its own TCP, at $EDGE4"
	seen "curl, 100 requests: $(by_backend "http://$EDGE4/" 100)"
	seen "$(client curl -s -m 3 -D - -o /dev/null "http://$EDGE4/" |
		grep -i set-cookie | tr -d '\r')"
	expect "ten requests with the cookie reach one server" one_server
	SUM=$(lab_file big 32)
	expect "32 MiB arrive, bit for bit" test "$(client curl -s -m 30 \
		"http://$EDGE4/big" | sha256sum | cut -d' ' -f1)" = "$SUM"
	seen "wrk, 50 connections for 3 s:"
	client wrk -t1 -c50 -d3 --latency "http://$EDGE4/" |
		awk '/Requests\/sec/ { r = $2 } /99%/ { l = $2 }
		/Socket errors/ { e = $0 } END {
		printf "   %d requests/s, 99%% within %s\n", r, l
		if (e) print "  " e }' | while read -r line; do
		seen "   $line"
	done
	old=$(edge '.instances[0].pid')
	kill -KILL "$old"
	seen "its instance, process $old, is killed with SIGKILL"
	expect "the cookie still leads to that server" wait_for 5 one_server
}

control_plane_dies() {
	local pids get before
	step "The control plane is killed with SIGKILL, during a download"
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

# Ten downloads, in the background as GET; ON_0 of them are web.0's.
downloads_start() {
	local i before on_0
	before=$(opened)
	on_0=$(web '.instances[0].opened')
	GET=
	for i in 0 1 2 3 4 5 6 7 8 9; do
		download "part$i" &
		GET="$GET $!"
	done
	wait_for 5 more_than $((before + 9))
	ON_0=$(($(web '.instances[0].opened') - on_0))
}

downloads_whole() {
	# shellcheck disable=SC2086
	wait $GET
	[ "$(grep -lx "$SUM" "$LAB_DIR"/part*.sum | wc -l)" = 10 ]
}

instance_dies() {
	local old
	step "Instance web.0 is killed with SIGKILL, during ten downloads"
	downloads_start
	old=$(pid_of 0)
	seen "on web.0: $ON_0, on web.1: $((10 - ON_0))"
	kill -KILL "$old"
	expect "web.0 serves again within a second" wait_for 1 replaced "$old"
	seen "web.0 was process $old and is $(pid_of 0); from its log:"
	wait_for 3 told 'web.0 recovered'
	seen "   $(told 'web.0 recovered')"
	expect "100 new connections work" \
		client "$PEER" fetch "$VIP4" / 100
	expect "all ten downloads have arrived, bit for bit" downloads_whole
}

nic_again() {
	[ "$(st .nic.pid)" != "$1" ] && [ "$(st .nic.state)" = serving ] &&
		[ "$(st .nic.attached)" = 4 ]
}

nic_dies() {
	local old pids
	step "The NIC in software is killed with SIGKILL, during ten downloads"
	downloads_start
	old=$(st .nic.pid)
	pids=$(st '[.functions[].instances[].pid] | tostring')
	kill -KILL "$old"
	expect "it serves again within a second" wait_for 1 nic_again "$old"
	seen "it was process $old and is $(st .nic.pid)"
	expect "the same instances, by process number: $pids" \
		same_processes "$pids"
	expect "100 new connections work" \
		client "$PEER" fetch "$VIP4" / 100
	expect "all ten downloads have arrived, bit for bit" downloads_whole
}

# What the control plane has said of that, for which it takes a second.
told() {
	grep "$1" "$LAB_DIR/run.log"
}

idle_lines() {
	[ "$(wc -l < "$LAB_DIR/idle.log")" = "$1" ]
}

# The connections that stay have answered so far, now once more.
idle_answers() {
	kill -USR1 "$IDLE" && wait_for 10 idle_lines 2 &&
		[ "$(jq -s 'map(.ok == 50) | all' "$LAB_DIR/idle.log")" = true ]
}

# How long packets stood still: UDP queries, 100 a second, tell.
stood_still() {
	wait_for 10 lab_gone "$PULSE" || return 1
	tail -n 1 "$LAB_DIR/pulse.log" |
		jq -e "(.until - $1) * 1000 | floor | select(. > 0)"
}

all_die() {
	local old died took name
	step "All of Carryall is killed, during ten downloads"
	lab_spawn idle client "$PEER" idle "$VIP4" 50
	IDLE=$LAB_PID
	wait_for 5 idle_lines 1
	seen "50 more connections are open and idle"
	downloads_start
	lab_spawn pulse client "$PEER" pulse "$VIP4" 8 3
	PULSE=$LAB_PID
	sleep 0.5
	old=$(st '[.functions[].instances[].pid, .nic.pid // empty] |
		map(tostring) | join(" ")')
	died=$EPOCHREALTIME
	# shellcheck disable=SC2086
	kill -KILL "$CTL_PID" $old
	seen "kill -9 $CTL_PID $old"
	seen "carryall run again:"
	carryall_run "$LAB_DIR/$NAME.cfg" || exit 1
	for name in web.0 web.1; do
		wait_for 3 told "$name recovered"
		seen "   $(told "$name recovered")"
	done
	took=$(stood_still "$died") || BAD=1
	seen "from death to the first packet forwarded: ${took:-too many} ms"
	expect "the 50 idle connections answer" idle_answers
	expect "all ten downloads have arrived, bit for bit" downloads_whole
}

opened() {
	web '[.instances[].opened] | add'
}

more_than() {
	[ "$(opened)" -gt "$1" ]
}

lacks=$(lab_lacks)
[ -z "$lacks" ] || { echo "demo: $lacks" >&2; exit 1; }
[ -x "$CARRYALL" ] || { echo "demo: make it first: make" >&2; exit 1; }
lab_names "$(lab_unique)"
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

step "A lab in network namespaces: a client, the appliance, three servers"
lab_up "$LAB_ID" || exit 1
seen "client 10.77.1.2 -- wan0 [appliance] lan0 -- nginx 10.77.2.21, .22, .23"
seen "(and the same over IPv6)"

step "carryall run -f conf/demo.cfg${PROVIDER:+, provider = \"$PROVIDER\"}"
demo_config "$NAME" > "$LAB_DIR/$NAME.cfg"
carryall_run "$LAB_DIR/$NAME.cfg" || exit 1
grep -E ' serves' "$LAB_DIR/run.log" | while read -r line; do
	seen "$line"
done

traffic
proxy_serves

step "Who did it: every instance got its own connections, and no others"
instances
expect "every instance was used" every_instance_used
expect "no packet reached a wrong instance" none_misdirected

control_plane_dies
instance_dies
[ "${PROVIDER:-xdp}" != soft ] || nic_dies
all_die

step "carryall status, at the end"
"$CARRYALL" status "$NAME" | sed 's/^/   /'

step "carryall stop"
expect "it stops, and removes all it made" "$CARRYALL" stop "$NAME"
expect "no device of it is left" test "$(box ip -br link | wc -l)" = 3
expect "no file of it is left" test ! -e "/run/carryall/$NAME"
expect "but its logs stay, for the next start" "$CARRYALL" log check "$NAME/web.0"
"$CARRYALL" log check "$NAME/web.0" | grep -E '^(store|records|end) ' |
	sed 's/^/   /'

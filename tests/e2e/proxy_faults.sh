#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# providers: xdp soft
# bound: 200
#
# The proxy when those at either end of it do wrong, or die: the answer is the
# right one, in time; nobody gets what is another's; nothing is left of it.
#
# FAULTS_SECONDS is how long servers die under mixed load: a part of a minute,
# or as long as one likes (600 is a good soak).
set -u
# shellcheck source=tests/lab/check.sh
. "$(dirname "$0")/../lab/check.sh"
# shellcheck source=tests/lab/config.sh
. "$(dirname "$0")/../lab/config.sh"
# shellcheck source=tests/lab/origins.sh
. "$(dirname "$0")/../lab/origins.sh"

CFG_FUNCTIONS=edge
CFG_PORT=8080
CFG_SITE="max_header = \"8K\"; max_body = \"1M\"; timeouts = {
	connect = \"1s\"; response = \"2s\"; idle = \"4s\"; header = \"8s\"; };"
# No connection of it is kept, so that each request finds out by itself.
CFG_EDGE_SERVICES=",
    $(config_site fresh "$VIP4" 8001 "max_idle = 0; $CFG_SITE
	$(config_origins 8080 10.77.2.21 fd77:2::22 10.77.2.23)")"
seconds=${FAULTS_SECONDS:-30}
url=http://$VIP4

code() {
	client curl -s -o /dev/null -m 20 -w '%{http_code}' "$@"
}
# codes N: the same of N requests, which are there
codes() {
	local i
	for ((i = 0; i < $1; i++)); do
		code "$url:8001/id/100"
		echo
	done | sort | uniq -c | tr -s ' \n' ' '
}
# How curl ends, 18: it was told of more than came.
ending() {
	client curl -s -o /dev/null -m 20 "$@"
	echo $?
}
errors() {
	edge "[.services[].http.errors.$1 // 0] | add"
}
# What an instance takes of the machine, huge pages and all, in KiB.
resident() {
	awk '/^(VmRSS|HugetlbPages)/ { sum += $2 } END { print sum }' \
		"/proc/$(edge '.instances[0].pid')/status"
}
mbufs() {
	edge '[.instances[].mbufs] | add'
}

test_begin
for i in 1 2 3; do
	origin $i || bail "origin $i"
done
test_serve
started=$(edge '.instances[0].pid')
ask load "$VIP4" 2 16 > "$LAB_DIR/warm.log"
wait_for 10 edge_idle || bail "all is idle before it begins"
kib=$(resident)

# --- servers -----------------------------------------------------------------

origin_kill 1
check "a server that refuses: others answer" "$(codes 30)" = " 30 200 "
lab_in switch ip link set dev p-b2 down
check "one that is gone: others answer" "$(codes 6)" = " 6 200 "
origin_kill 3
check "none is left" "$(code "$url:8001/id/100")" = 503
check "and that is counted" "$(errors no_backend)" -ge 1
lab_in switch ip link set dev p-b2 up
for i in 1 3; do
	origin $i || bail "origin $i again"
done
well() {
	[ "$(codes 12)" = " 12 200 " ]
}
check_run "they come back" wait_for 15 well
check "one that is silent" "$(code "$url/silent")" = 504
check "one that stops halfway" "$(ending "$url/half/100000")" = 18
check "one that ends halfway" "$(ending "$url/cut/100000")" = 18

# churn: two of the servers die and return in turn. A server that was found
# dead is left alone for a moment, both may be: the third makes up for them.
churn() {
	local end=$((SECONDS + seconds)) i=1
	while [ "$SECONDS" -lt "$end" ]; do
		{ origin_kill "$i" && origin "$i"; } || return 1
		i=$((3 - i))
	done
}
lab_spawn mixed4 client /usr/bin/python3 "$ASKER" load "$VIP4" "$seconds" 24
four=$LAB_PID
lab_spawn mixed6 client /usr/bin/python3 "$ASKER" load "$VIP6" "$seconds" 8
six=$LAB_PID
check_run "servers die and return under load, $seconds s" churn
for pid in $four $six; do
	wait_for 90 lab_gone "$pid"
done
for log in mixed4 mixed6; do
	echo "# $log: $(cat "$LAB_DIR/$log.log")"
	check "$log: no wrong byte, no other's answer" \
		"$(jq .wrong "$LAB_DIR/$log.log")" = 0
	check "$log: most are well" \
		"$(jq '.ok > .asked * 0.9' "$LAB_DIR/$log.log")" = true
	check "$log: 502 is the worst that is said" "$(jq -c \
		'.status | keys - ["200", "502"]' "$LAB_DIR/$log.log")" = "[]"
done
check_run "nothing is left under way" wait_for 15 edge_idle

# --- clients -----------------------------------------------------------------

# A head of N bytes more than usual.
huge() {
	code -H "X-Long: $(head -c "$1" /dev/zero | tr '\0' a)" "$url/id/1"
}
head -c 2M /dev/zero > "$LAB_DIR/www/huge"
check "a head of 7 KiB" "$(huge 7000)" = 200
check "a head of 9 KiB" "$(huge 9000)" = 431
check "a body of 2 MiB" "$(code -T "$LAB_DIR/www/huge" "$url/seen")" = 413
check "the same in chunks" "$(code -H 'Transfer-Encoding: chunked' \
	-H 'Expect:' -T "$LAB_DIR/www/huge" "$url/seen")" = 413
check "nonsense" "$(ask raw "$VIP4" 80 open "$(hex 'GET\r\n\r\n')" |
	head -n 1 | cut -d' ' -f2)" = 400
check_run "1,000 requests at once on a connection" ask pipeline "$VIP4" 1000
check_run "who reads no answer is not asked for more requests" \
	ask flood "$VIP4" 200000

# slow NAME COMMAND...: clients that are slow in the background, as slow_pid.
slow() {
	local name=$1
	shift
	lab_spawn "$name" client /usr/bin/python3 "$ASKER" "$@"
	slow_pid=$LAB_PID
	wait_for 60 grep -q '"open"' "$LAB_DIR/$name.log"
}

# others WHAT: meanwhile others are served. How fast is told, not judged: a VNIC
# loses what comes in a burst, and a SYN is then sent again after a second. Who
# had to wait for a slow client would wait for its time-out, 4 s and more.
others() {
	local said
	said=$(ask paced "$VIP4" 4)
	echo "# $1: $said"
	check "$1: others are all served" "$(jq .bad <<< "$said")" = 0
	check "$1: none waits for them" "$(jq .max_ms <<< "$said" |
		cut -d. -f1)" -lt 4000
}
others "at rest"
slow unread unread "$VIP4" 500 1000000 5
others "500 that never read"
wait_for 20 lab_gone "$slow_pid"
slow drip drip "$VIP4" 10000 20
check "10,000 drip" "$(jq -s '.[0].open' "$LAB_DIR/drip.log")" = 10000
others "10,000 that drip"
wait_for 60 lab_gone "$slow_pid"
echo "# drip: $(tail -n 1 "$LAB_DIR/drip.log")"
check "each is told, and closed" "$(jq -s -c '.[1].ended |
	[([.[]] | add), (keys - ["408", "503", "reset"])]' \
	"$LAB_DIR/drip.log")" = "[10000,[]]"
check_run "nothing is left under way" wait_for 30 edge_idle
check "memory is bounded" "$(($(resident) - kib))" -le 16384
check "the same instance all the time" "$(edge '.instances[0].pid')" = "$started"

# --- an instance -------------------------------------------------------------

passive() {
	edge '.instances[0].tcp.passive_opens'
}
before=$(passive)
lab_spawn hold client /usr/bin/python3 "$ASKER" hold "$VIP4" 40 6
pid=$LAB_PID
holds() {
	[ "$(edge '[.services[].connections] | add')" = 40 ]
}
check_run "40 connections are held" wait_for 5 holds
theirs=$(($(passive) - before))
kill -KILL "$started"
# Its clients say again what was lost: first after 1 s, then after 2 more.
others "an instance has died" 3500
wait_for 20 lab_gone "$pid"
check "its connections broke, and no other's" \
	"$(jq .broken "$LAB_DIR/hold.log")" = "$theirs"
check "none got a wrong answer" "$(jq .bad "$LAB_DIR/hold.log")" = 0
check_run "it serves again" wait_for 10 edge_serving

# --- the books ---------------------------------------------------------------

check_run "nothing is left under way" wait_for 15 edge_idle
check "every request has its answer" "$(edge '[.services[].http |
	.requests - ([.answers[]] | add)] | add')" = 0
check "connections are those kept for reuse" "$(edge \
	'([.instances[].tcp.established] | add) -
	([.services[].backends[].idle] | add)')" = 0
# All that is not in a ring of a driver's: 2048 of each VNIC to receive, and
# a burst of sent ones that it has not looked at yet.
returned() {
	[ "$(mbufs)" -le $((2 * (2048 + 64))) ]
}
check_run "no packet is kept" wait_for 10 returned
echo "# mbufs: $(mbufs)"
test_end

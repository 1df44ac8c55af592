#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# providers: xdp soft
# bound: 240
#
# The proxy between kernel clients and kernel servers: what HTTP, websockets,
# the PROXY protocol and plain relaying need comes through as it should.
set -u
# shellcheck source=tests/lab/check.sh
. "$(dirname "$0")/../lab/check.sh"
# shellcheck source=tests/lab/config.sh
. "$(dirname "$0")/../lab/config.sh"
# shellcheck source=tests/lab/origins.sh
. "$(dirname "$0")/../lab/origins.sh"

# --- what it serves ----------------------------------------------------------

# more NAME ADDRESS PORT KEYS: one more service.
more() {
	CFG_EDGE_SERVICES+=",
    $(config_site "$@")"
}

both4="10.77.2.21 10.77.2.23"
CFG_FUNCTIONS=edge
CFG_PORT=8080
# shellcheck disable=SC2086 # lists of words
services() {
	CFG_EDGE="access_log = { file = \"$LAB_DIR/access.log\"; format = \"${1:-common}\"; };"
	CFG_EDGE_SERVICES=""
	more files4 $VIP4 8000 "$(config_origins 80 $both4)"
	more files6 $VIP6 8000 "$(config_origins 80 fd77:2::21 fd77:2::23)"
	more sticky $VIP4 8001 "cookie = \"SRV\";
		$(config_origins 8080 $both4 fd77:2::22)"
	more routed $VIP4 8002 "$(config_origins 8080 10.77.2.21)
	    groups = ( { name = \"two\"; $(config_origins 8080 fd77:2::22) },
	        { name = \"three\"; $(config_origins 8080 10.77.2.23) } );
	    routes = ( { host = \"two.test\"; group = \"two\"; },
	        { host = \"*.many.test\"; path = \"/api/\"; group = \"three\"; },
	        { path = \"/three\"; group = \"three\"; } );"
	more behind $VIP4 8003 "proxy_protocol = \"any\"; forwarded = true;
		$(config_origins 8080 10.77.2.21)"
	more v1 $VIP4 8004 "send_proxy = \"v1\"; $(config_origins 83 10.77.2.21)"
	more v2 $VIP4 8005 "send_proxy = \"v2\"; $(config_origins 8081 10.77.2.21)"
	more relay $VIP4 8006 "mode = \"tcp\"; $(config_origins 81 $both4)"
	more relay6 $VIP6 8006 "mode = \"tcp\"; send_proxy = \"v2\";
		$(config_origins 83 fd77:2::22)"
}

# get ARGUMENTS...: curl, in silence, for a moment at most.
get() {
	client curl -s --max-time 20 "$@"
}

sum() {
	sha256sum | cut -d' ' -f1
}

test_begin
services
for i in 1 2 3; do
	origin $i || bail "origin $i"
done
origin 1 8081 proxy || bail "origin behind the PROXY protocol"
test_serve

# --- bodies ------------------------------------------------------------------

small=$(head -c 100K /dev/urandom | tee "$LAB_DIR/www/small" | sum)
for host in "$VIP4" "[$VIP6]"; do
	check "$host: 100 KiB down" \
		"$(get "http://$host:8000/small" | sum)" = "$small"
	check "$host: 100 KiB up" "$(get -T "$LAB_DIR/www/small" \
		"http://$host/seen" | jq -r .sha256)" = "$small"
	check "$host: in chunks up" "$(get -H 'Transfer-Encoding: chunked' \
		-T "$LAB_DIR/www/small" "http://$host/seen" |
		jq -r '[.sha256, .chunked] | join(" ")')" = "$small true"
	check "$host: and back" "$(get --data-binary "@$LAB_DIR/www/small" \
		"http://$host/mirror" | sum)" = "$small"
done
mib=1024
[ "$PROVIDER" = xdp ] || mib=256
whole=$(lab_file whole $mib)
check "$mib MiB down" "$(get -m 60 "http://$VIP4:8000/whole" | sum)" = "$whole"
check "$mib MiB up" "$(get -m 60 -T "$LAB_DIR/www/whole" "http://$VIP4/seen" |
	jq -r .sha256)" = "$whole"

# --- kinds of messages -------------------------------------------------------

url=http://$VIP4
check "HEAD" "$(get -I -w '%{http_code} %{size_download}' -o /dev/null \
	"$url/id/1000")" = "200 0"
check "HEAD announces the body" "$(get -I "$url/id/1000" |
	tr -d '\r' | sed -n 's/^Content-Length: //p')" = 1000
tag=$(get -I "$url:8000/small" | tr -d '\r' | sed -n 's/^ETag: //p')
check "304, and the connection goes on" "$(get -H "If-None-Match: $tag" \
	-o /dev/null -o /dev/null -w '%{http_code} %{num_connects},' \
	"$url:8000/small" "$url:8000/small")" = "304 1,304 0,"
check "204" "$(get -w '%{http_code}' "$url/status/204")" = 204
check "100-continue" "$(get -v -H 'Expect: 100-continue' --data-binary \
	"@$LAB_DIR/www/small" "$url/seen" 2>&1 | grep -c '^< HTTP/1.1 [12]00')" = 2
check "103 before 200" "$(get -i "$url/early" | grep -c '^HTTP/1.1 [12]0[30]')" = 2
check "a range" "$(get -r 100-199 "$url:8000/small" | sum)" = \
	"$(tail -c +101 "$LAB_DIR/www/small" | head -c 100 | sum)"
check "up to the connection's end" "$(get -H 'X-Id: c' "$url/close/300000" |
	sum)" = "$(get -H 'X-Id: c' "$url/id/300000" | sum)"
check "in chunks down, with a trailer" \
	"$(get -H 'X-Id: c' "$url/chunked/300000" | sum)" = \
	"$(get -H 'X-Id: c' "$url/id/300000" | sum)"
check "HTTP/1.0 gets no chunks" "$(get -0 -H 'X-Id: c' "$url/chunked/300000" |
	sum)" = "$(get -H 'X-Id: c' "$url/id/300000" | sum)"
check "HTTP/1.0, keep-alive" "$(client ab -k -q -n 100 -c 1 "$url/id/100" |
	awk '/Keep-Alive requests/ { print $3 }')" = 100
check_run "a websocket" ask websocket "$VIP4" 200
check_run "a websocket, IPv6" ask websocket "$VIP6" 50
check_run "200 pipelined requests, answered in order" ask pipeline "$VIP4" 200

# --- who asks ----------------------------------------------------------------

seen() {
	jq -r "[.fields[] | select(.[0] | ascii_downcase == \"$1\") | .[1]] |
		join(\"|\")"
}
check "X-Forwarded-For" "$(get "$url/seen" | seen x-forwarded-for)" = 10.77.1.2
check "X-Forwarded-For, IPv6" "$(get "http://[$VIP6]/seen" |
	seen x-forwarded-for)" = fd77:1::2
check "X-Forwarded-Proto, -Port" "$(get "$url/seen" |
	jq -r '[.fields[] | select(.[0] | test("(?i)^x-forwarded-p")) | .[1]] |
	sort | join(" ")')" = "80 http"
check "a client's own is taken out" "$(get -H 'X-Forwarded-For: 1.1.1.1' \
	"$url/seen" | seen x-forwarded-for)" = 10.77.1.2
check "PROXY version 1 from a client's proxy" "$(get --haproxy-protocol \
	"$url:8003/seen" | seen x-forwarded-for)" = 10.77.1.2
v2=0d0a0d0a000d0a515549540a2111000c010203040506070830390050
check "PROXY version 2" "$(ask raw "$VIP4" 8003 open "$v2$(hex \
	'GET /seen HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')" |
	tail -n 1 | seen forwarded)" = "for=1.2.3.4;proto=http"
check "without it nothing is served" "$(get -w '%{http_code}' \
	"$url:8003/seen")" = 000
check "PROXY version 1 to a server" "$(get "$url:8004/")" = 10.77.1.2
check "PROXY version 2 to a server" "$(get "$url:8005/seen" |
	jq -r '.proxy | split(" ") | .[0:3] + .[4:5] | join(" ")')" = \
	"v2 10.77.1.2 $VIP4 8005"

# --- which server ------------------------------------------------------------

name_at() {
	get "$@" | jq -r .name
}
check "by host" "$(name_at -H 'Host: two.test' "$url:8002/seen")" = o2
check "by host, with a port" "$(name_at -H 'Host: TWO.test:8002' \
	"$url:8002/seen")" = o2
check "by host and path" "$(name_at -H 'Host: a.many.test' \
	"$url:8002/api/x")" = o3
check "by path" "$(name_at "$url:8002/three")" = o3
check "by none of these" "$(name_at -H 'Host: a.many.test' \
	"$url:8002/app")" = o1
# Each instance takes turns by itself: the sum of two is off by one at most.
check "each in its turn" "$(for _ in {1..30}; do
	name_at "$url:8001/seen"; done | sort | uniq -c | sort -n |
	awk '{ print ($1 >= 9 && $1 <= 11) }' | tr -d '\n')" = 111

# stick JAR: a client's server, with its cookies.
stick() {
	name_at -b "$LAB_DIR/$1" -c "$LAB_DIR/$1" "$url:8001/seen"
}
sticks() {
	local jar first
	for jar in 1 2 3; do
		first=$(stick "$jar")
		echo "$first" > "$LAB_DIR/$jar.first"
		for _ in 1 2 3 4; do
			[ "$(stick "$jar")" = "$first" ] || return 1
		done
	done
}
check_run "a cookie keeps a client on its server" sticks
pids=$(edge '.instances[].pid' | sort)
restarted() {
	edge_serving && [ -z "$(comm -12 <(echo "$pids") \
		<(edge '.instances[].pid' | sort))" ]
}
# shellcheck disable=SC2086 # a list
kill -KILL $pids
check_run "instances come back" wait_for 10 restarted
for jar in 1 2 3; do
	check "client $jar finds its server after it" "$(stick "$jar")" = \
		"$(cat "$LAB_DIR/$jar.first")"
done
check "the server does not see our cookie" "$(get -b "$LAB_DIR/1" \
	-b 'a=b' "$url:8001/seen" | seen cookie)" = "a=b"

# --- mode tcp ----------------------------------------------------------------

check_run "relayed, half-closed, answered" ask relay "$VIP4" 8006 50000000
check "relayed to PROXY version 2" "$(get "http://[$VIP6]:8006/")" = fd77:1::2

# --- load generators ---------------------------------------------------------

# failures of the tool's own report; none is 0
wrk_bad() {
	client wrk -t2 -c50 -d3 "$@" | awk '/Non-2xx|Socket errors/ { bad = 1 }
		/requests in/ { n = $1 } END { print (n > 100 ? bad + 0 : "few") }'
}
ab_bad() {
	client ab -q "$@" | awk '/^(Failed|Non-2xx)/ { bad += $NF }
		/^Complete/ { n = $3 } END { print (n > 0 ? bad + 0 : "none") }'
}
# By itself it would leave out the brackets of an IPv6 address in Host.
h2load_bad() {
	client h2load --h1 -H ':authority: a' "$@" | sed -n \
		's/^requests:.* \([0-9]* succeeded, [0-9]* failed, [0-9]* errored\).*/\1/p'
}
for host in "$VIP4" "[$VIP6]"; do
	check "$host: wrk" "$(wrk_bad "http://$host:8000/")" = 0
	check "$host: wrk, a connection each" "$(wrk_bad -H 'Connection: close' \
		"http://$host:8000/")" = 0
	check "$host: ab, a connection each" "$(ab_bad -n 3000 -c 50 \
		"http://$host:8000/")" = 0
	check "$host: ab, keep-alive" "$(ab_bad -k -n 5000 -c 50 \
		"http://$host:8000/small")" = 0
	check "$host: h2load" "$(h2load_bad -n 5000 -c 20 -m 4 \
		"http://$host:8000/")" = "5000 succeeded, 0 failed, 0 errored"
done

# --- reload, numbers, the log ------------------------------------------------

services json
: > "$LAB_DIR/access.log"
config > "$LAB_DIR/$NAME.cfg"
lab_spawn load client /usr/bin/python3 "$ASKER" load "$VIP4" 4 8
loading=$LAB_PID
for _ in 1 2 3 4 5; do
	"$CARRYALL" reload "$NAME" >/dev/null || fail "reload" "refused"
done
wait_for 30 lab_gone "$loading"
check "reload while requests run" "$(jq -c \
	'[.wrong, .broken, (.status | keys)]' "$LAB_DIR/load.log")" = \
	'[0,0,["200"]]'
check_run "nothing is left under way" wait_for 15 edge_idle
check "every request has its answer" "$(edge '[.services[] |
	select(.http) | .http | .requests - ([.answers[]] | add)] | add')" = 0
check "what servers answered" "$(site files4 \
	'([.backends[].requests] | add) - .http.requests')" = 0
check "no line of the log is lost" \
	"$(edge '[.services[].http.access_lost // 0] | add')" = 0
logged() {
	[ "$(grep -c '^{.*"service":"site4"' "$LAB_DIR/access.log")" -ge "$(jq .asked "$LAB_DIR/load.log")" ]
}
check_run "a line for each request" wait_for 10 logged
check_run "all of them JSON" jq -e .status <(grep '^{' "$LAB_DIR/access.log")
check "what a line says" "$(get -A 'me' -H 'Referer: there' "$url/id/77" \
	>/dev/null; wait_for 5 grep -q '"agent":"me"' "$LAB_DIR/access.log"
	grep '"agent":"me"' "$LAB_DIR/access.log" | tail -n 1 |
	jq -c '[.method, .target, .version, .status, .client, .referer,
	.host]')" = \
	'["GET","/id/77","HTTP/1.1",200,"10.77.1.2","there","10.77.1.80"]'
services common
config > "$LAB_DIR/$NAME.cfg"
check_run "back to the common format" "$CARRYALL" reload "$NAME"
size=$(get -A 'myself' -o /dev/null -w '%{size_header} + %{size_download}' \
	"$url/id/77")
wait_for 5 grep -q '"myself"' "$LAB_DIR/access.log"
check "a line in common format" "$(grep '"myself"' "$LAB_DIR/access.log" |
	sed -E 's/\[[^]]*\]/[]/; s/ host=.*//' | tail -n 1)" = \
	"10.77.1.2 - - [] \"GET /id/77 HTTP/1.1\" 200 $((size)) \"-\" \"myself\""
test_end

#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# HTTP through HAProxy over veth and over loopback, and through the appliance's
# proxy on the same veth, with kernel clients and servers: haproxy.WHAT.OVER,
# xdp.proxy.WHAT.
#   close      a connection for each request, on both sides; 1 KiB
#   keepalive  kept connections on both sides; 1 KiB
#   big        1 MiB answers over kept connections
#   tcp        relayed, a connection for each request; 1 KiB
set -uo pipefail
# shellcheck source=perf/lib/http.sh
. "$(dirname "$0")/lib/http.sh"

CLOSE="HTTP, connections with one request each on both sides, of 1 KiB"
KEEP="HTTP, requests over kept connections on both sides, of 1 KiB"
BIG="HTTP, answers of 1 MiB over kept connections on both sides"
TCP="relayed connections with one request each, of 1 KiB"
SAME="round robin, a cookie set, X-Forwarded-For"

haproxy_lines() { # veth|loopback
	local system
	system="$(haproxy_title), one thread"
	http_over "$1"
	haproxy_serve close
	http_lines "haproxy.close.$1" "$CLOSE" "$system, $SAME" 1k \
		-H "Connection: close"
	haproxy_end
	haproxy_serve keepalive
	http_lines "haproxy.keepalive.$1" "$KEEP" "$system, $SAME" 1k
	[ -z "$PERF_QUICK" ] || return 0
	http_lines "haproxy.big.$1" "$BIG" "$system, $SAME" 1m
	haproxy_end
	# Over veth it is among tcp.sh's: haproxy.tcp.connection.
	[ "$1" = loopback ] || return 0
	haproxy_serve tcp
	http_lines "haproxy.tcp.$1" "$TCP" "$system, round robin" 1k \
		-H "Connection: close"
	haproxy_end
}

appliance_end() {
	carryall_stop || perf_fail "carryall does not stop"
}

appliance_lines() {
	local http="cookie = \"SRV\"; forwarded_for = true;"
	local system="carryall, provider xdp, one proxy instance; it shares its core with an idle one, and so does not poll"
	http_appliance proxy "$http max_idle = 0;"
	http_lines xdp.proxy.close "$CLOSE" "$system, $SAME" 1k \
		-H "Connection: close"
	appliance_end
	http_appliance proxy "$http max_idle = 64;"
	http_lines xdp.proxy.keepalive "$KEEP" "$system, $SAME" 1k
	http_lines xdp.proxy.big "$BIG" "$system, $SAME" 1m
	appliance_end
	http_appliance proxy 'mode = "tcp";'
	http_lines xdp.proxy.tcp "$TCP" "$system, round robin" 1k \
		-H "Connection: close"
	appliance_end
}

http_begin
haproxy_lines veth
[ -z "$PERF_QUICK" ] || exit 0
haproxy_lines loopback
http_over veth
appliance_lines

#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# TCP through HAProxy in TCP mode and through the appliance on the same veth,
# with wrk and nginx: core time of a request over kept connections, and of a
# connection with one request: {haproxy.tcp,xdp.lb}.{request,connection}.
#
# wrk and nginx share core 0 and are slower than what is between them, so core
# time is what is measured here; rates are printed as the generator's.
set -uo pipefail
# shellcheck source=perf/lib/lab.sh
. "$(dirname "$0")/lib/lab.sh"

CONNECTIONS=64
REPEATS=5 SECONDS_EACH=2
[ -z "$PERF_QUICK" ] || REPEATS=1 SECONDS_EACH=1

# One thread, pinned; as little as can be per connection: no log, no checks.
haproxy_config() {
	cat <<-END
	global
		nbthread 1
		cpu-map 1/1 $SUT_CORE
		maxconn 4000
	defaults
		mode tcp
		balance roundrobin
		option splice-auto
		option tcp-smart-accept
		option tcp-smart-connect
		timeout connect 5s
		timeout client 30s
		timeout server 30s
	frontend f
		bind $VIP4:80 backlog 4096
		default_backend b
	backend b
		server b1 10.77.2.21:80
		server b2 10.77.2.22:80
		server b3 10.77.2.23:80
	END
}

# The second function gets no traffic. An instance that shares its core sleeps
# at once when there is nothing to do, as HAProxy does; one alone polls for a
# while first, and a core's time would be that, for core 0 is the limit here.
appliance_config() {
	cat <<-END
	appliance: { name = "$NAME"; state = "$LAB_DIR/state";
	  share_cores = true; };
	uplinks: ( { name = "wan"; device = "$WAN"; provider = "xdp"; },
	           { name = "lan"; device = "$LAN"; provider = "xdp"; } );
	functions: (
	{ name = "it"; type = "lb"; uplink = "wan"; backend_uplink = "lan";
	  cores = "$SUT_CORE"; snat = [ "10.77.2.9" ];
	  services = ( { name = "s"; address = "$VIP4"; port = 80;
	    protocol = "tcp"; scheduler = "rr"; backends = (
	      { address = "10.77.2.21"; port = 80; },
	      { address = "10.77.2.22"; port = 80; },
	      { address = "10.77.2.23"; port = 80; } ); } ); },
	{ name = "other"; type = "echo"; uplink = "wan"; cores = "$SUT_CORE";
	  services = ( { name = "s"; address = "$ECHO4"; port = 7;
	                 protocol = "udp"; } ); } );
	END
}

servers() {
	mkdir -p "$LAB_DIR/client"
	head -c 1024 /dev/urandom >"$LAB_DIR/www/1k"
	lab_nginx_conf 1 "$LAB_DIR/client" >"$LAB_DIR/client/nginx.conf"
	lab_nginx client || perf_fail "no nginx"
}

answers() {
	lab_in client curl -sfo /dev/null --max-time 1 "http://$VIP4/1k"
}

# load HEADER...: wrk for a while; sets TOOK (ns of the core a request), DID
# (requests/s) and SHARE (of the core that worked, percent).
load() {
	local n out
	out=$(lab_in client "$PERF_BIN/busy" $SUT_CORE "$LAB_DIR/busy.json" \
		taskset -c $GEN_CORE wrk -t1 -c$CONNECTIONS \
		-d${SECONDS_EACH}s "$@" "http://$VIP4/1k") ||
		perf_fail "wrk: $out"
	! grep -q 'Non-2xx' <<<"$out" || perf_fail "wrk: $out"
	n=$(sed -n 's/^ *\([0-9]*\) requests in .*/\1/p' <<<"$out")
	[ "${n:-0}" -gt 0 ] || perf_fail "wrk: $out"
	TOOK=$(jq ".busy_ns / $n / 1000" "$LAB_DIR/busy.json")
	SHARE=$(jq '100 * .busy_ns / .ns | round' "$LAB_DIR/busy.json")
	DID=$(jq "$n * 1e9 / .ns" "$LAB_DIR/busy.json")
}

# Who else uses the core, or nothing: seen while there is no load.
others() {
	"$PERF_BIN/busy" $SUT_CORE "$LAB_DIR/idle.json" sleep 0.2 &&
		jq -r 'if .busy_ns > 0.05 * .ns
			then "other work on the system'"'"'s core" else "" end' \
			"$LAB_DIR/idle.json"
}

lines() { # NAME WHAT SYSTEM HEADER...
	local name=$1 what=$2 system=$3 took=() did=() limit i
	shift 3
	load "$@" # to warm up
	limit=$(others)
	for ((i = 0; i < REPEATS; i++)); do
		load "$@"
		took+=("$TOOK") did+=("$DID")
	done
	perf_steered || perf_fail "$name was not received on core $SUT_CORE"
	what="$system; $what of 1 KiB, wrk with $CONNECTIONS connections, nginx; all work of core $SUT_CORE, which was at $SHARE%, by requests"
	perf_line "$name" us "$limit" "$what" "${took[@]}"
	[ -n "$limit" ] || [ "$SHARE" -ge 90 ] || limit=generator
	perf_line "$name.rate" requests/s "$limit" "$what" "${did[@]}"
}

both() { # NAME SYSTEM
	wait_for 10 answers || perf_fail "$1 does not answer"
	lines "$1.request" "requests over kept connections" "$2"
	lines "$1.connection" "connections with one request each" "$2" \
		-H "Connection: close"
}

haproxy_serves() {
	haproxy_config >"$LAB_DIR/haproxy.cfg"
	lab_address box "$WAN" "$VIP4/32" || perf_fail "no address"
	perf_sut haproxy haproxy -db -f "$LAB_DIR/haproxy.cfg"
}

perf_begin
for tool in haproxy wrk; do
	command -v $tool >/dev/null || perf_fail "needs $tool"
done
perf_lab_kernel
servers
box sysctl -qw net.ipv4.tcp_tw_reuse=1 || perf_fail "no sysctl"
haproxy_serves
both haproxy.tcp "$(haproxy -v | sed -n '1s/ -.*//p'), TCP mode, one thread"
perf_kill haproxy
ip -n "cy-$LAB_ID-box" addr del "$VIP4/32" dev "$WAN"
appliance_config >"$LAB_DIR/$NAME.cfg"
perf_serve
both xdp.lb "carryall, provider xdp, one lb instance, round robin; it shares its core with an idle one, and so does not poll"

# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# HTTP over veth, in the lab of lab.sh: wrk and nginx on core 0, what is
# between them on core 1, HAProxy or the appliance.
#
# HAProxy is measured over loopback as well, in the clients' namespace: there a
# packet is work of the core that sends it, the system's own included, and no
# thread has to be woken for it.
#
# wrk and nginx share core 0 and are slower than what is between them, so core
# time is what is measured; rates are printed as the generator's.

# shellcheck source=perf/lib/lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

CONNECTIONS=64
REPEATS=5 SECONDS_EACH=2
[ -z "$PERF_QUICK" ] || REPEATS=1 SECONDS_EACH=1

# Over veth or over loopback: where clients ask, and where servers are.
http_over() { # veth|loopback
	OVER=$1
	AT=$VIP4:80 SERVERS="10.77.2.21 10.77.2.22 10.77.2.23"
	[ "$OVER" = veth ] || AT=127.0.0.1:8080 \
		SERVERS="127.0.0.21 127.0.0.22 127.0.0.23"
}

http_begin() {
	local tool
	perf_begin
	for tool in haproxy wrk; do
		command -v $tool >/dev/null || perf_fail "needs $tool"
	done
	perf_lab_kernel
	mkdir -p "$LAB_DIR/client"
	head -c 1024 /dev/urandom >"$LAB_DIR/www/1k"
	head -c 1048576 /dev/urandom >"$LAB_DIR/www/1m"
	lab_nginx_conf 1 "$LAB_DIR/client" >"$LAB_DIR/client/nginx.conf"
	lab_nginx client || perf_fail "no nginx"
	box sysctl -qw net.ipv4.tcp_tw_reuse=1 &&
		lab_in client sysctl -qw net.ipv4.tcp_tw_reuse=1 ||
		perf_fail "no sysctl"
	http_over veth
}

# What a mode of HAProxy's adds to the least that all have. Its manual: with
# "httpclose" both sides are told to close; with "http-reuse always" a kept
# connection to a server serves whatever request is next.
haproxy_mode() { # tcp|close|keepalive
	case $1 in
	tcp)
		cat <<-END
		mode tcp
		option splice-auto
		END
		return
		;;
	close) echo "option httpclose" ;;
	keepalive) printf '%s\n' "http-reuse always" "option http-keep-alive" ;;
	esac
	cat <<-END
		mode http
		option splice-auto
		option forwardfor
		timeout http-request 10s
		timeout http-keep-alive 30s
	END
}

# One thread, pinned; as little as can be per connection: no log, no checks.
haproxy_config() { # tcp|close|keepalive
	local s i=0 cookie=""
	[ "$1" = tcp ] || cookie="cookie SRV insert indirect nocache"
	cat <<-END
	global
		nbthread 1
		cpu-map 1/1 $SUT_CORE
		maxconn 4000
		tune.maxaccept 64
	defaults
		balance roundrobin
		$(haproxy_mode "$1")
		option tcp-smart-accept
		option tcp-smart-connect
		timeout connect 5s
		timeout client 30s
		timeout server 30s
	frontend f
		bind $AT backlog 4096
		default_backend b
	backend b
		$cookie
	END
	for s in $SERVERS; do
		i=$((i + 1))
		echo "	server b$i $s:80 ${cookie:+cookie s$i}"
	done
}

haproxy_title() {
	haproxy -v | sed -n '1s/ -.*//p'
}

haproxy_serve() { # tcp|close|keepalive
	haproxy_config "$1" >"$LAB_DIR/haproxy.cfg"
	if [ "$OVER" = veth ]; then
		lab_address box "$WAN" "$VIP4/32" || perf_fail "no address"
		perf_sut haproxy haproxy -db -f "$LAB_DIR/haproxy.cfg"
	else
		lab_spawn haproxy client nice -n -15 taskset -c $SUT_CORE \
			haproxy -db -f "$LAB_DIR/haproxy.cfg"
	fi
	wait_for 10 http_answers || perf_fail "haproxy does not answer"
}

haproxy_end() {
	perf_kill haproxy
	[ "$OVER" != veth ] || ip -n "cy-$LAB_ID-box" addr del "$VIP4/32" dev "$WAN"
}

# The second function gets no traffic. An instance that shares its core sleeps
# at once when there is nothing to do, as HAProxy does; one alone polls for a
# while first, and a core's time would be that, for core 0 is the limit here.
http_appliance() { # TYPE SERVICE-KEYS
	cat >"$LAB_DIR/$NAME.cfg" <<-END
	appliance: { name = "$NAME"; state = "$LAB_DIR/state";
	  share_cores = true; };
	uplinks: ( { name = "wan"; device = "$WAN"; provider = "xdp"; },
	           { name = "lan"; device = "$LAN"; provider = "xdp"; } );
	functions: (
	{ name = "it"; type = "$1"; uplink = "wan"; backend_uplink = "lan";
	  cores = "$SUT_CORE"; snat = [ "10.77.2.9" ];
	  services = ( { name = "s"; address = "$VIP4"; port = 80;
	    protocol = "tcp"; scheduler = "rr"; $2 backends = (
	      { address = "10.77.2.21"; port = 80; },
	      { address = "10.77.2.22"; port = 80; },
	      { address = "10.77.2.23"; port = 80; } ); } ); },
	{ name = "other"; type = "echo"; uplink = "wan"; cores = "$SUT_CORE";
	  services = ( { name = "s"; address = "$ECHO4"; port = 7;
	                 protocol = "udp"; } ); } );
	END
	perf_serve
	wait_for 10 http_answers || perf_fail "the appliance does not answer"
}

http_answers() {
	lab_in client curl -sfo /dev/null --max-time 1 "http://$AT/1k"
}

# http_load FILE HEADER...: wrk for a while; sets DID (requests), BUSY (ns of
# the core that worked) and TIME (ns).
http_load() {
	local out file=$1
	shift
	out=$(lab_in client "$PERF_BIN/busy" $SUT_CORE "$LAB_DIR/busy.json" \
		taskset -c $GEN_CORE wrk -t1 -c$CONNECTIONS \
		-d${SECONDS_EACH}s "$@" "http://$AT/$file") ||
		perf_fail "wrk: $out"
	! grep -q 'Non-2xx' <<<"$out" || perf_fail "wrk: $out"
	DID=$(sed -n 's/^ *\([0-9]*\) requests in .*/\1/p' <<<"$out")
	[ "${DID:-0}" -gt 0 ] || perf_fail "wrk: $out"
	BUSY=$(jq .busy_ns "$LAB_DIR/busy.json")
	TIME=$(jq .ns "$LAB_DIR/busy.json")
}

# Who else uses the core, or nothing: seen while there is no load.
http_others() {
	"$PERF_BIN/busy" $SUT_CORE "$LAB_DIR/idle.json" sleep 0.2 &&
		jq -r 'if .busy_ns > 0.05 * .ns
			then "other work on the system'"'"'s core" else "" end' \
			"$LAB_DIR/idle.json"
}

# http_lines NAME WHAT SYSTEM FILE HEADER...: us of the core per request and
# requests/s; of the file 1m, ms per GB and Gb/s.
http_lines() {
	local name=$1 what=$2 system=$3 file=$4 took=() did=() limit i share
	local units=(us requests/s rate) cost=1 size=1
	shift 4
	# ns / 1000 a request are us; ns * 1e3 a byte are ms a GB.
	[ "$file" != 1m ] || units=(ms/GB Gb/s gbps) cost=1e6/1048576 \
		size=1048576*8/1e9
	http_load "$file" "$@" # to warm up
	limit=$(http_others)
	for ((i = 0; i < REPEATS; i++)); do
		http_load "$file" "$@"
		took+=("$(jq -n "$BUSY / $DID / 1000 * $cost")")
		did+=("$(jq -n "$DID * 1e9 / $TIME * $size")")
	done
	share=$(jq -n "100 * $BUSY / $TIME | round")
	[ "$OVER" != veth ] || perf_steered ||
		perf_fail "$name was not received on core $SUT_CORE"
	what="$system; over $OVER; $what, wrk with $CONNECTIONS connections, nginx; all work of core $SUT_CORE, which was at $share%"
	perf_line "$name" "${units[0]}" "$limit" "$what" "${took[@]}"
	[ -n "$limit" ] || [ "$share" -ge 90 ] || limit=generator
	perf_line "$name.${units[2]}" "${units[1]}" "$limit" "$what" "${did[@]}"
}

# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# The lab: an appliance, a client and three backends in network namespaces.
#
#   client            box (the appliance)          switch        b1 b2 b3
#   eth0 ------ wan0 [carryall runs here] lan0 ------ br0 ------ eth0
#   10.77.1.2   10.77.1.1          10.77.2.1                 10.77.2.21-23
#   fd77:1::2   fd77:1::1          fd77:2::1                 fd77:2::21-23
#
#   VIP 10.77.1.80, fd77:1::80    echo 10.77.1.90, fd77:1::90
#   SNAT 10.77.2.9, fd77:2::9
#
# With lab_far: a router (10.77.2.30) on the switch, behind it a backend far
# (10.77.3.24, fd77:3::24), reached by a path whose MTU is 1280.
#
# With LAB_IMPAIRED=true, what client and box send each other goes through a
# namespace between them, where lab_impair says what becomes of it.
#
# Names carry the lab's id, so that any number of labs can be up at once.
# Whoever sources this sets nothing else; all state is LAB_* and NAME.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
CARRYALL=${CARRYALL:-$ROOT/build/carryall}
PEER=$ROOT/tests/lab/peer.py

# shellcheck disable=SC2034 # for those who source this
VIP4=10.77.1.80 VIP6=fd77:1::80
# shellcheck disable=SC2034
EDGE4=10.77.1.70
# shellcheck disable=SC2034
ECHO4=10.77.1.90 ECHO6=fd77:1::90

# --- waiting ---------------------------------------------------------------

# wait_for SECONDS CMD...: 0 as soon as CMD succeeds, 1 if it never does.
wait_for() {
	local end=$((${EPOCHREALTIME/./} + $1 * 1000000))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "${EPOCHREALTIME/./}" -lt "$end" ] || return 1
		sleep 0.05
	done
}

# --- names -----------------------------------------------------------------

# lab_names ID: the names of the lab ID, whether it is up or not.
lab_names() {
	LAB_ID=$1
	LAB_DIR=${TMPDIR:-/tmp}/carryall-lab-$LAB_ID
	NAME=lab-$LAB_ID
	LAB_NS="client box switch b1 b2 b3 router far wire"
}

lab_unique() {
	printf '%x%04x' "$$" "$RANDOM"
}

# lab_in NS CMD...: run in a namespace of the lab. Only the network is
# entered: the mounts (bpffs) stay those of the caller.
lab_in() {
	local ns=$1
	shift
	nsenter --net="/run/netns/cy-$LAB_ID-$ns" "$@"
}
box() {
	lab_in box "$@"
}
client() {
	lab_in client "$@"
}

# Why no lab can be made here, or nothing.
lab_lacks() {
	local tool
	[ "$(id -u)" = 0 ] || { echo "needs root"; return; }
	for tool in ip ethtool nsenter nginx jq curl; do
		command -v $tool >/dev/null || { echo "needs $tool"; return; }
	done
	ip netns add "cy-try$$" 2>/dev/null ||
		{ echo "no network namespaces here"; return; }
	ip netns del "cy-try$$"
}

# --- wires -----------------------------------------------------------------

# One namespace: IPv6 addresses are usable at once, ICMP errors are not
# rationed (all go to one SNAT address).
lab_ns() {
	ip netns add "cy-$LAB_ID-$1" &&
		ip -n "cy-$LAB_ID-$1" link set lo up &&
		lab_in "$1" sysctl -qw net.ipv6.conf.all.accept_dad=0 \
			net.ipv6.conf.default.accept_dad=0 \
			net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0 \
			net.ipv4.ip_local_port_range="2048 65000"
}

# lab_wire NS DEV NS DEV: a veth pair.
lab_wire() {
	ip -n "cy-$LAB_ID-$1" link add name "$2" type veth \
		peer name "$4" netns "cy-$LAB_ID-$3" &&
		lab_peer "$1" "$2" && lab_peer "$3" "$4" &&
		ip -n "cy-$LAB_ID-$1" link set dev "$2" up &&
		ip -n "cy-$LAB_ID-$3" link set dev "$4" up
}

# Whoever sends to an XDP device must do by itself what a NIC would: fill in
# checksums, cut segments. And XDP can redirect into a veth only if the other
# end has NAPI, which GRO switches on.
lab_peer() {
	lab_in "$1" ethtool -K "$2" tx off tso off gso off gro on >/dev/null
}

# lab_address NS DEV ADDRESS...
lab_address() {
	local ns=$1 dev=$2 a
	shift 2
	for a in "$@"; do
		case $a in
		*:*) ip -n "cy-$LAB_ID-$ns" addr add "$a" dev "$dev" nodad ;;
		*) ip -n "cy-$LAB_ID-$ns" addr add "$a" dev "$dev" ;;
		esac || return 1
	done
}

# lab_port NS: connect NS's eth0 to the switch.
lab_port() {
	lab_wire switch "p-$1" "$1" eth0 &&
		ip -n "cy-$LAB_ID-switch" link set dev "p-$1" master br0
}

lab_wires() {
	local ns i
	for ns in client box switch b1 b2 b3; do
		lab_ns $ns || return 1
	done
	ip -n "cy-$LAB_ID-switch" link add name br0 type bridge \
		mcast_snooping 0 || return 1
	ip -n "cy-$LAB_ID-switch" link set dev br0 up || return 1
	if [ "${LAB_IMPAIRED:-false}" = true ]; then
		lab_bad_wire || return 1
	else
		lab_wire box wan0 client eth0 || return 1
	fi
	lab_wire box lan0 switch p-box || return 1
	ip -n "cy-$LAB_ID-switch" link set dev p-box master br0 || return 1
	lab_address client eth0 10.77.1.2/24 fd77:1::2/64 || return 1
	lab_address box wan0 10.77.1.1/24 fd77:1::1/64 || return 1
	lab_address box lan0 10.77.2.1/24 fd77:2::1/64 || return 1
	# A neighbour that is gone is noticed in seconds, not in 45.
	box sysctl -qw net.ipv4.neigh.lan0.base_reachable_time_ms=3000 \
		net.ipv6.neigh.lan0.base_reachable_time_ms=3000 || return 1
	for i in 1 2 3; do
		lab_port b$i || return 1
		lab_address b$i eth0 10.77.2.2$i/24 fd77:2::2$i/64 || return 1
	done
}

# Two veth pairs with nobody between them. The ends in the middle have no
# address and speak no protocol; GRO, which lets frames be redirected to them,
# may not join any: what is passed on must fit.
lab_bad_wire() {
	lab_ns wire && lab_in wire sysctl -qw \
		net.ipv6.conf.default.disable_ipv6=1 &&
		lab_wire wire far box wan0 && lab_wire wire near client eth0 &&
		ip -n "cy-$LAB_ID-wire" link set dev far gro_max_size 1 &&
		ip -n "cy-$LAB_ID-wire" link set dev near gro_max_size 1 ||
		return 1
	# shellcheck disable=SC2119 # a good wire
	lab_impair
}

# lab_impair [OPTION=N]...: from here on this happens to what passes; see
# tests/e2e/impair.c. None: all passes.
# shellcheck disable=SC2120 # those who source this give them
lab_impair() {
	lab_impaired > /dev/null || return 1
	: > "$LAB_DIR/impair.log"
	lab_spawn impair wire "$ROOT/build/tests/impair" near far "$@"
	wait_for 5 grep -q ready "$LAB_DIR/impair.log"
}

# What lab_impair has done: its JSON object. Nothing passes after it.
lab_impaired() {
	local pid
	[ -e "$LAB_DIR/impair.pid" ] || return 0
	pid=$(cat "$LAB_DIR/impair.pid")
	rm "$LAB_DIR/impair.pid"
	kill -TERM "$pid" && wait_for 5 lab_gone "$pid" &&
		grep '^{' "$LAB_DIR/impair.log"
}

# A backend behind a router whose way to it takes packets of 1280 bytes.
# Both ends think 1500: only the router's ICMP tells them.
lab_far() {
	lab_ns router && lab_ns far && lab_port router &&
		lab_address router eth0 10.77.2.30/24 fd77:2::30/64 &&
		lab_wire router eth1 far eth0 &&
		lab_address router eth1 10.77.3.1/24 fd77:3::1/64 &&
		lab_address far eth0 10.77.3.24/24 fd77:3::24/64 || return 1
	lab_in router sysctl -qw net.ipv4.ip_forward=1 \
		net.ipv6.conf.all.forwarding=1 || return 1
	lab_route box "10.77.3.0/24 via 10.77.2.30" &&
		lab_route box "fd77:3::/64 via fd77:2::30" &&
		lab_route far "default via 10.77.3.1" &&
		lab_route far "default via fd77:3::1" &&
		lab_route router "10.77.3.24/32 dev eth1 mtu lock 1280" &&
		lab_route router "fd77:3::24/128 dev eth1 mtu lock 1280" &&
		lab_backend far 4
}

# lab_route NS ROUTE: put it in, or in the place of what is there.
lab_route() {
	local family=-4
	case $2 in *:*) family=-6 ;; esac
	# shellcheck disable=SC2086
	ip -n "cy-$LAB_ID-$1" $family route replace $2
}

# --- backends --------------------------------------------------------------

# lab_spawn TITLE NS CMD...: in the background, as process LAB_PID (also in
# TITLE.pid), its output in TITLE.log.
lab_spawn() {
	local title=$1 ns=$2
	shift 2
	nsenter --net="/run/netns/cy-$LAB_ID-$ns" "$@" \
		</dev/null >>"$LAB_DIR/$title.log" 2>&1 &
	LAB_PID=$!
	disown
	echo "$LAB_PID" > "$LAB_DIR/$title.pid"
}

# lab_backend NS I: nginx on 80 (and 83, with the PROXY protocol), a
# checksumming sink on 81, DNS on 53.
lab_backend() {
	local ns=$1 i=$2
	mkdir -p "$LAB_DIR/$ns" && lab_nginx_conf "$i" "$LAB_DIR/$ns" \
		> "$LAB_DIR/$ns/nginx.conf" && lab_nginx "$ns" || return 1
	lab_spawn "sink-$ns" "$ns" /usr/bin/python3 "$PEER" sink 81 "$i"
	command -v dnsmasq >/dev/null && lab_spawn "dns-$ns" "$ns" dnsmasq \
		--conf-file=/dev/null --keep-in-foreground --no-resolv \
		--no-hosts --user=root --pid-file= --log-facility=- \
		--address="/backend.test/10.99.0.$i"
	wait_for 5 lab_in "$ns" curl -sfo /dev/null http://127.0.0.1/
}

lab_nginx() {
	lab_in "$1" nginx -c "$LAB_DIR/$1/nginx.conf" -p "$LAB_DIR/$1" \
		-e "$LAB_DIR/$1/error.log"
}

# `?rate=BYTES` makes a download last: bytes per second of one connection.
lab_nginx_conf() {
	cat <<-END
	user www-data;
	worker_processes 1;
	worker_rlimit_nofile 16384;
	pid $2/nginx.pid;
	error_log $2/error.log;
	events { worker_connections 8192; }
	http {
		access_log off;
		sendfile on;
		keepalive_requests 10000000;
		client_body_temp_path $2/t1; proxy_temp_path $2/t2;
		fastcgi_temp_path $2/t3; uwsgi_temp_path $2/t4;
		scgi_temp_path $2/t5;
		server {
			listen 80 backlog=4096;
			listen [::]:80 backlog=4096;
			default_type text/plain;
			location = / { return 200 "backend $1\n"; }
			location = /nginx { stub_status; }
			location / { root $LAB_DIR/www; limit_rate \$arg_rate; }
		}
		server {
			listen 83 proxy_protocol;
			listen [::]:83 proxy_protocol;
			location / { return 200 "\$proxy_protocol_addr\n"; }
		}
	}
	END
}

# Requests that backend NS has answered, from its own books.
lab_requests() {
	lab_in "$1" curl -s http://127.0.0.1/nginx |
		awk 'NR == 3 { print $3 - 1 }'
}

# lab_file NAME MIB: random bytes at http://VIP/NAME; prints their SHA-256.
lab_file() {
	head -c "$2M" /dev/urandom > "$LAB_DIR/www/$1" &&
		sha256sum "$LAB_DIR/www/$1" | cut -d' ' -f1
}

# lab_dump TITLE NS ARGUMENTS...: tcpdump into TITLE.pcap, until lab_dumped.
lab_dump() {
	local title=$1 ns=$2
	shift 2
	: > "$LAB_DIR/$title.log"
	lab_spawn "$title" "$ns" tcpdump --immediate-mode -Z root \
		-s 1600 -B 16384 -Un -w "$LAB_DIR/$title.pcap" "$@"
	wait_for 5 grep -q listening "$LAB_DIR/$title.log"
}

# lab_dumped TITLE: end it; what it has seen is in the file then. 1 if it
# has missed any.
lab_dumped() {
	local pid
	pid=$(cat "$LAB_DIR/$1.pid")
	kill -INT "$pid" && wait_for 5 lab_gone "$pid" &&
		grep -q '^0 packets dropped' "$LAB_DIR/$1.log"
}

lab_gone() {
	! kill -0 "$1" 2>/dev/null
}

# --- up and down -----------------------------------------------------------

# lab_up ID: namespaces, wires, backends. What fails is said, and 1 returned.
lab_up() {
	lab_names "$1"
	mkdir -p "$LAB_DIR/www" && chmod 755 "$LAB_DIR" || return 1
	lab_wires || { echo "lab: no wires" >&2; return 1; }
	local i
	for i in 1 2 3; do
		lab_backend b$i $i ||
			{ echo "lab: no backend $i" >&2; return 1; }
	done
}

# All processes in the lab's namespaces: every one was started by the lab.
lab_pids() {
	local ns
	for ns in $LAB_NS; do
		[ -e "/run/netns/cy-$LAB_ID-$ns" ] &&
			ip netns pids "cy-$LAB_ID-$ns"
	done
}

lab_quiet() {
	[ -z "$(lab_pids)" ]
}

lab_kill() {
	local pid
	for pid in $(lab_pids); do
		kill "-$1" "$pid" 2>/dev/null
	done
}

# Ends the lab and all it made. Safe at any time, as often as one likes.
lab_down() {
	local ns
	if lab_running; then
		carryall_stop || echo "lab: carryall did not stop" >&2
	fi
	lab_kill TERM
	wait_for 2 lab_quiet || { lab_kill KILL; wait_for 5 lab_quiet; }
	if mountpoint -q "/run/carryall/$NAME/bpf"; then
		umount -l "/run/carryall/$NAME/bpf"
	fi
	# One whose process is gone answers nothing, not even that it is one.
	if grep -q " $LAB_DIR/state " /proc/mounts; then
		umount -l "$LAB_DIR/state"
	fi
	rm -rf "/run/carryall/$NAME" "/var/lib/carryall/${NAME:?}"
	[ ! -d /var/lib/carryall ] ||
		rmdir --ignore-fail-on-non-empty /var/lib/carryall
	for ns in $LAB_NS; do
		[ ! -e "/run/netns/cy-$LAB_ID-$ns" ] ||
			ip netns del "cy-$LAB_ID-$ns"
	done
	rm -rf "$LAB_DIR"
}

# --- the appliance ---------------------------------------------------------

# demo_config NAME: conf/demo.cfg, for the provider PROVIDER if that is set.
demo_config() {
	sed "s/name = \"demo\"/name = \"$1\"/${PROVIDER:+
s/device = .*;/& provider = \"$PROVIDER\";/}" "$ROOT/conf/demo.cfg"
}

# carryall_run FILE: start the control plane in the box; its log is run.log.
# 0 once all instances serve; else the log's end on stderr, and 1.
carryall_run() {
	: > "$LAB_DIR/run.log"
	lab_spawn run box "$CARRYALL" run -f "$1"
	CTL_PID=$LAB_PID
	wait_for 20 carryall_settled && carryall_serves && return 0
	echo "carryall does not serve:" >&2
	tail -n 20 "$LAB_DIR/run.log" >&2
	return 1
}

carryall_serves() {
	grep -q "$NAME serves " "$LAB_DIR/run.log"
}

carryall_settled() {
	carryall_serves || ! kill -0 "$CTL_PID"
}

lab_running() {
	CTL_PID=$(cat "$LAB_DIR/run.pid" 2>/dev/null) &&
		kill -0 "$CTL_PID" 2>/dev/null
}

# Ask it to end, as an init system would, and see that it does.
carryall_stop() {
	kill -TERM "$CTL_PID" && wait_for 15 lab_gone "$CTL_PID"
}

# st FILTER: a jq filter on what the appliance says of itself.
st() {
	"$CARRYALL" status "$NAME" --json | jq -r "$1"
}

# web FILTER: the same, on the function web.
web() {
	st ".functions[] | select(.name == \"web\") | $1"
}

# pid_of I: the process of instance web.I.
pid_of() {
	web ".instances[$1].pid"
}

web_serving() {
	[ "$(web '[.instances[] | select(.state != "serving")] | length')" = 0 ]
}

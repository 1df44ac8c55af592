# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# The lab of the benchmarks over veth: two namespaces and two wires.
#
#   client                                  box (what is measured)
#   c-ID  clients, 198.18.0.0/16  --------- w-ID  10.77.1.1
#   b-ID  backends, 10.77.2.21-23 --------- l-ID  10.77.2.1
#
#   VIP 10.77.1.80; SNAT 10.77.2.9
#
# The generator runs in `client`, on core 0, and is clients and backends both:
# its kernel sees nothing of it; the box knows all
# neighbours. What is measured runs in the box, on core 1.
#
# A veth delivers on the core that sends. Here it must not: what arrives at the
# client is for the generator, which polls the device itself (lib/wire.h); what
# arrives at the box is polled by a kernel thread of each of its devices, pinned
# to core 1 (threaded NAPI), for all systems alike. perf_steered checks that it
# is so. Receive packet steering interrupts the core more often, and was slower:
# 11 us beside 8 for UDP echo, on a virtual machine.

# shellcheck source=tests/lab/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../tests/lab/lib.sh"

GEN_CORE=0
SUT_CORE=1
PERF_BIN=$ROOT/build/perf
VPORT=9000
PERF_QUICK=${PERF_QUICK:-}
CORES="core $GEN_CORE: generator, clients and backends; core $SUT_CORE: the system, its softirqs and kernel threads"

perf_fail() {
	echo "$(basename "$0"): $1" >&2
	exit 1
}

perf_end() {
	local status=$?
	trap - EXIT INT TERM
	[ "$status" = 0 ] || perf_logs >&2
	lab_down
	exit "$status"
}

perf_logs() {
	local log
	for log in "$LAB_DIR"/*.log; do
		[ ! -s "$log" ] || { echo "# $log"; tail -n 8 "$log"; }
	done
}

# The names, and that all goes away in the end.
perf_begin() {
	local lacks
	lacks=$(lab_lacks)
	[ -z "$lacks" ] || perf_fail "$lacks"
	[ "$(nproc)" -ge 2 ] || perf_fail "needs two cores"
	lab_names "$(lab_unique)"
	trap perf_end EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	mkdir -p "$LAB_DIR/www" && chmod 755 "$LAB_DIR"
	taskset -cp $GEN_CORE $$ >/dev/null # all but what is told otherwise
}

perf_ns() {
	ip netns exec "cy-$LAB_ID-$1" "${@:2}"
}

perf_mac() { # NS DEV
	perf_ns "$1" cat "/sys/class/net/$2/address"
}

# The kernel thread that polls DEV, whose name no other device has.
perf_thread() {
	local p
	for p in $(pgrep "^napi/${1:0:10}"); do
		[[ "$(cat "/proc/$p/comm")" != "napi/$1-"* ]] || echo "$p"
	done
}

# perf_polled DEV MAC ADDRESS: one of the generator's: who polls it has it for
# himself until he has not polled for 1 ms.
perf_polled() {
	ip -n "cy-$LAB_ID-client" link set dev "$1" address "$2" &&
		lab_address client "$1" "$3" &&
		perf_ns client sh -c "cd /sys/class/net/$1 &&
			echo 1000 > napi_defer_hard_irqs &&
			echo 1000000 > gro_flush_timeout"
}

# perf_napi NS DEV CORE
perf_napi() {
	local pid
	perf_ns "$1" sh -c "echo 1 > /sys/class/net/$2/threaded" || return 1
	pid=$(perf_thread "$2")
	[ -n "$pid" ] || return 1
	for pid in $pid; do
		taskset -cp "$3" "$pid" >/dev/null &&
			renice -n -15 "$pid" >/dev/null || return 1
	done
}

perf_wire() { # BOX-DEV CLIENT-DEV ADDRESS
	lab_wire box "$1" client "$2" && lab_address box "$1" "$3" &&
		perf_napi box "$1" $SUT_CORE
}

# A neighbour that never needs asking.
perf_neighbour() { # DEV ADDRESS MAC
	ip -n "cy-$LAB_ID-box" neigh replace "$2" lladdr "$3" dev "$1" \
		nud permanent
}

# That the box's devices are polled on the core of the system, and have been.
perf_steered() {
	local dev pid
	for dev in "$WAN" "$LAN"; do
		for pid in $(perf_thread "$dev"); do
			[ "$(taskset -cp "$pid" | sed 's/.*: //')" = $SUT_CORE ] ||
				return 1
		done
	done
	# schedstat: nanoseconds run, waited, times. Clients are at WAN always.
	pid=$(perf_thread "$WAN")
	[ -n "$pid" ] && [ "$(cut -d' ' -f1 "/proc/$pid/schedstat")" -gt 0 ]
}

# The devices, and the box's addresses.
perf_wires() {
	WAN=w-$LAB_ID LAN=l-$LAB_ID CLIENT=c-$LAB_ID BACKEND=b-$LAB_ID
	lab_ns client && lab_ns box || perf_fail "no namespaces"
	box sysctl -qw net.ipv6.conf.all.disable_ipv6=1 \
		net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
	lab_in client sysctl -qw net.ipv6.conf.all.disable_ipv6=1 \
		net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
	perf_wire "$WAN" "$CLIENT" 10.77.1.1/24 &&
		perf_wire "$LAN" "$BACKEND" 10.77.2.1/24 ||
		perf_fail "no wires"
}

# The lab of the generator: neighbours are known and need no asking.
perf_lab() {
	local i
	perf_wires
	perf_polled "$CLIENT" 02:ca:44:00:00:00 10.77.1.2/24 &&
		perf_polled "$BACKEND" 02:ca:44:00:00:01 10.77.2.21/24 ||
		perf_fail "no polling"
	perf_neighbour "$WAN" 10.77.1.2 02:ca:44:00:00:00
	for i in 21 22 23; do
		perf_neighbour "$LAN" 10.77.2.$i 02:ca:44:00:00:01
	done
	lab_route box "198.18.0.0/15 via 10.77.1.2"
	MAC_WAN=$(perf_mac box "$WAN") MAC_LAN=$(perf_mac box "$LAN")
}

# The lab of real clients and servers, whose kernel is on core 0.
perf_lab_kernel() {
	local i
	perf_wires
	perf_napi client "$CLIENT" $GEN_CORE &&
		perf_napi client "$BACKEND" $GEN_CORE || perf_fail "no polling"
	lab_address client "$CLIENT" 10.77.1.2/24 || perf_fail "no address"
	for i in 21 22 23; do
		lab_address client "$BACKEND" 10.77.2.$i/24 ||
			perf_fail "no address"
	done
}

# perf_sut TITLE CMD...: in the box, on core 1.
perf_sut() {
	local title=$1
	shift
	lab_spawn "$title" box nice -n -15 taskset -c $SUT_CORE "$@"
}

perf_ready() { # TITLE
	wait_for 5 grep -q ready "$LAB_DIR/$1.log" || perf_fail "$1 is not ready"
}

# The appliance serves $NAME.cfg, which has one instance. It pins the instance by
# itself, and must be let to.
perf_serve() {
	taskset -cp $GEN_CORE,$SUT_CORE $$ >/dev/null
	carryall_run "$LAB_DIR/$NAME.cfg" || perf_fail "no appliance"
	taskset -cp $GEN_CORE "$CTL_PID" >/dev/null
	taskset -cp $GEN_CORE $$ >/dev/null
	renice -n -15 "$(st '.functions[0].instances[0].pid')" >/dev/null ||
		perf_fail "no process of the instance"
}

# perf_kill TITLE: it and what it has started, and wait until they are gone.
perf_kill() {
	local pid
	pid=$(cat "$LAB_DIR/$1.pid")
	kill "$pid" 2>/dev/null
	wait_for 5 lab_gone "$pid" || perf_fail "$1 does not end"
}

# perf_gen MODE NAME BYTES CONDITIONS [OPTION...]: the generator's lines.
perf_gen() {
	local mode=$1 name=$2 bytes=$3 conditions=$4
	shift 4
	lab_in client nice -n -15 taskset -c $GEN_CORE "$PERF_BIN/gen" -m "$mode" \
		-n "$name" -l "$bytes" -v "$VIP4:$VPORT" \
		-c "$CLIENT,10.77.1.2,$WAN,${PERF_MAC:-$MAC_WAN}" \
		-b "$BACKEND,10.77.2.21,$LAN,${PERF_MAC:-$MAC_LAN}" \
		-N "/run/netns/cy-$LAB_ID-box" -s $SUT_CORE -k "$CORES" \
		-w "$bytes-byte frames, 1000 UDP flows over veth, threaded NAPI, in a bunch every 50 us; $conditions" \
		${PERF_QUICK:+-q} "$@" || return 1
	perf_steered || perf_fail "$name was not received on core $SUT_CORE"
}

# perf_line NAME UNIT LIMIT CONDITIONS RUN...: a line, as lib/report.h has it;
# LIMIT "" is none.
perf_line() {
	local name=$1 unit=$2 limit=$3 conditions=$4
	shift 4
	printf '%s\n' "$@" | jq -cs --arg name "$name" --arg unit "$unit" \
		--arg limit "$limit" --arg conditions "$conditions" \
		--arg cores "$CORES" 'sort | {name: $name,
			median: (if $limit == "" then .[length / 2 | floor]
				else null end),
			unit: $unit, baseline: null, ratio: null,
			min: .[0], max: .[-1],
			spread: ((.[-1] - .[0]) / .[length / 2 | floor]),
			repeats: length, cores: $cores,
			limited_by: (if $limit == "" then null else $limit end),
			conditions: $conditions}
			| if $limit == "" then . else .at_least = .min
				| .min = null | .max = null | .spread = null end'
}

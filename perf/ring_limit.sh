#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What DPDK's own ends of the same rings carry, to hold `limit` against:
#   limit.testpmd.{64,1024}   net_vhost and net_virtio_user, both testpmd, each
#                             on its own core, and 512 packets that go round
# There is no steering, no filter and no counter in it.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
HUGE=/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages
MB=256 # of each end; so many pages for both
dir=$(mktemp -d)
last=$(($(nproc) - 1))
vhost="" virtio="" added=0
runs=7 seconds=0.5
[ -z "${PERF_QUICK:-}" ] || { runs=3 seconds=0.2; }

end() {
	trap - EXIT INT TERM
	for pid in $vhost $virtio; do kill -9 "$pid" 2>/dev/null; done
	wait
	[ "$added" = 0 ] || echo $(($(<$HUGE) - added)) >$HUGE
	rm -rf "$dir"
	exit "${1:-1}"
}
trap 'end 1' EXIT INT TERM

fail() {
	echo "ring_limit: $1" >&2
	tail -n 5 "$dir"/*.log >&2
	end 1
}

# Its main thread waits for commands, on the other's core.
testpmd() { # NAME CORE OTHER-CORE ARGUMENT...
	local name=$1 core=$2 other=$3
	shift 3
	mkfifo "$dir/$name.in"
	: >"$dir/$name.log"
	stdbuf -oL dpdk-testpmd --lcores "0@$other,1@$core" --in-memory --no-pci \
		--no-telemetry --single-file-segments -m $MB "$@" -- -i \
		--nb-cores=1 --no-mlockall --rxd=1024 --txd=1024 \
		<"$dir/$name.in" >>"$dir/$name.log" 2>&1 &
}

# The N'th line of its log with PATTERN.
await() { # NAME PID PATTERN N
	timeout 20 grep -q -m "$4" "$3" \
		<(tail -n +1 -F --pid="$2" "$dir/$1.log" 2>/dev/null) &&
		[ "$(grep -c "$3" "$dir/$1.log")" -ge "$4" ]
}

# Packets per second since the last time that it was asked, by its own clock.
ask() {
	asked=$((asked + 1))
	echo "show port stats 0" >&8
	await virtio "$virtio" "Rx-pps" "$asked" || fail "no figures"
	figure=$(grep "Rx-pps" "$dir/virtio.log" |
		sed -n "${asked}s/.*Rx-pps: *\([0-9]*\).*/\1/p")
}

round() { # LEN
	local figures=""
	printf 'set txpkts %s\nstart tx_first 16\n' "$1" >&8
	ask
	for ((r = 0; r <= runs; r++)); do
		sleep "$seconds"
		ask
		# The first is the warm-up.
		[ "$r" = 0 ] || figures+="$figure "
	done
	echo stop >&8
	report "$1" "$figures"
}

report() { # LEN FIGURES
	jq -cn --arg name "limit.testpmd.$1" --arg runs "$2" --arg len "$1" \
		--arg ms "$seconds" --arg last "$last" '
		($runs | split(" ") | map(select(. != "") | tonumber) | sort)
		as $r | ($r[$r | length / 2 | floor]) as $median
		| {name: $name, median: $median, unit: "packets/s",
		baseline: null, ratio: null, min: $r[0], max: $r[-1],
		spread: (($r[-1] - $r[0]) / $median), repeats: ($r | length),
		cores: "core 0: testpmd with net_vhost; core \($last): testpmd with net_virtio_user",
		limited_by: null,
		conditions: "both io, 512 packets of \($len) bytes go round, rings of 1024; runs of \($ms) s"}'
}

command -v dpdk-testpmd >/dev/null || fail "needs dpdk-testpmd (dpdk-dev)"
[ "$last" -ge 1 ] || fail "needs two cores"
had=$(<$HUGE)
echo $((had + MB + 8)) >$HUGE
added=$(($(<$HUGE) - had))

# A pair for each size: what goes round does so until the end.
for len in 64 1024; do
	asked=0
	testpmd vhost 0 "$last" --vdev "net_vhost0,iface=$dir/s,queues=1"
	vhost=$!
	exec 7>"$dir/vhost.in"
	await vhost $vhost "Checking link statuses" 1 || fail "vhost does not start"
	testpmd virtio "$last" 0 \
		--vdev "net_virtio_user0,path=$dir/s,queues=1,queue_size=1024"
	virtio=$!
	exec 8>"$dir/virtio.in"
	await virtio $virtio "Checking link statuses" 1 || fail "virtio does not start"
	echo start >&7
	round $len
	printf 'quit\n' >&8
	wait $virtio
	printf 'quit\n' >&7
	wait $vhost
	virtio='' vhost=''
	exec 7>&- 8>&-
	rm -f "$dir"/*
done
end 0

#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# providers: xdp soft
#
# An idle appliance uses next to no CPU; a stopped one leaves nothing, be it
# stopped by signal, by `carryall stop`, or after its control plane was
# killed.
set -u
# shellcheck source=tests/lab/check.sh
. "$(dirname "$0")/../lab/check.sh"
# shellcheck source=tests/lab/config.sh
. "$(dirname "$0")/../lab/config.sh"
test_begin

# --- what there is of it
files() {
	ls -A "/run/carryall/$NAME" 2>/dev/null
	grep -c " /run/carryall/$NAME" /proc/mounts
}
devices() {
	ip -n "cy-$LAB_ID-box" -o link | awk '{ print $2 }' | sort
	ip -n "cy-$LAB_ID-box" -o addr | awk '{ print $2, $4 }' |
		grep -v ' fe80' | sort
	box bpftool -j net show | jq -c '.[].xdp'
}
processes() {
	ip netns pids "cy-$LAB_ID-box" | wc -l
}
# The programs on the box's devices, their maps and their links; all of the
# appliance's, and none of another's that runs beside it.
bpf_ids() {
	local progs p
	progs=$(box bpftool -j net show | jq -r '.[].xdp[].id' | sort -u)
	for p in $progs; do
		echo "prog $p"
		bpftool -j prog show id "$p" |
			jq -r '.map_ids // [] | .[] | "map \(.)"'
		bpftool -j link show | jq -r ".[] |
			select(.prog_id == $p) | \"link \(.id)\""
	done 2>/dev/null | sort -u
}
huge_pages() {
	cat /proc/sys/vm/nr_hugepages
}

# Of those that were there while it ran, how many still are.
bpf_left() {
	local kind id n=0
	while read -r kind id; do
		bpftool "$kind" show id "$id" >/dev/null 2>&1 && n=$((n + 1))
	done <<< "$bpf_run"
	echo $n
}
no_bpf_left() {
	[ "$(bpf_left)" = 0 ]
}

# Other appliances on this machine take and give back huge pages as well.
others_run() {
	[ -n "$(find /run/carryall -mindepth 1 -maxdepth 1 -type d \
		! -name "$NAME" 2>/dev/null)" ]
}

nothing_left() {
	check "$1: files and mounts" "$(files)" = 0
	check "$1: devices, addresses, XDP programs" "$(devices)" = "$dev_none"
	check "$1: processes" "$(processes)" = 0
	# The kernel frees them a moment after the last user has gone.
	wait_for 5 no_bpf_left
	check "$1: BPF programs, maps, links" "$(bpf_left)" = 0
	others_run || [ "$others" = 1 ] || check "$1: huge pages" "$(huge_pages)" = "$huge_none"
}

# Nanoseconds of CPU that a process has used, all its threads.
cpu_ns() {
	cat "/proc/$1/task/"*/schedstat | awk '{ n += $1 } END { print n }'
}

# all_idle TITLE=PID...: CPU of these processes over five seconds.
all_idle() {
	local p now used start
	declare -A begin
	start=${EPOCHREALTIME/./}
	for p; do begin[$p]=$(cpu_ns "${p#*=}"); done
	sleep 5
	now=$((${EPOCHREALTIME/./} - start))
	for p; do
		# In thousandths of a percent of one core.
		used=$((($(cpu_ns "${p#*=}") - ${begin[$p]}) * 100 / now))
		echo "# ${p%=*}: $((used / 1000)).$(printf %03d \
			$((used % 1000)))% of a core"
		check "idle: ${p%=*} uses less than 2% of a core" \
			"$used" -lt 2000
	done
}

serve() {
	carryall_run "$LAB_DIR/$NAME.cfg" || bail "the appliance serves"
	client "$PEER" fetch "$VIP4" / 50 > /dev/null ||
		fail "traffic before the stop" "it does not flow"
	bpf_run=$(bpf_ids)
}

config > "$LAB_DIR/$NAME.cfg"
others=0
if others_run; then others=1; fi
dev_none=$(devices) huge_none=$(huge_pages)

serve
check "there is something to leave behind" "$(wc -l <<< "$bpf_run")" -ge 12
check "and it is there" "$(bpf_left)" = "$(wc -l <<< "$bpf_run")"
mapfile -t who < <(st '"control=\(.pid)",
	(select(.nic) | "nic=\(.nic.pid)"),
	(.functions[].instances[] | "\(.name)=\(.pid)")')
check "processes to watch, all there are" ${#who[@]} = "$(processes)"
least=4
[ "$PROVIDER" != soft ] || least=5
check "processes to watch" ${#who[@]} = $least
all_idle "${who[@]}"
check_run "SIGTERM stops it" carryall_stop
nothing_left "after SIGTERM"

serve
check_run "carryall stop" box "$CARRYALL" stop "$NAME"
check_run "the control plane ends" wait_for 10 lab_gone "$CTL_PID"
nothing_left "after carryall stop"

serve
kill -INT "$CTL_PID"
check_run "Ctrl-C stops it" wait_for 10 lab_gone "$CTL_PID"
nothing_left "after Ctrl-C"

serve
kill -KILL "$CTL_PID"
wait_for 5 lab_gone "$CTL_PID"
check "a killed one leaves its instances" "$(processes)" -ge 3
check_run "carryall stop cleans up after it" box "$CARRYALL" stop "$NAME"
nothing_left "after a killed control plane"

serve
check_run "and it can be started once more" \
	client "$PEER" fetch "$VIP6" / 50
test_end

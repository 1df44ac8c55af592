# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# For tests of stores that fail: the stores are on a file system whose faults
# are switched while it runs (tests/e2e/faultfs.c), and connections stay to
# see what becomes of them. Sourced after check.sh; it comes with the lab by
# faults_begin, and goes with it.

FS=""
# Titles of the sets of connections that stay.
IDLES=()

# What waits for an answer gets one, or the appliance could not be stopped.
faults_end() {
	local status=$?
	[ ! -e "$FS/.faults" ] || fault ok
	(exit "$status")
	test_end
}

# In the place of test_begin.
faults_begin() {
	[ -c /dev/fuse ] || skip_all "needs /dev/fuse"
	command -v dnsmasq >/dev/null || skip_all "needs dnsmasq"
	test_begin
	FS=$LAB_DIR/state
	# shellcheck disable=SC2034 # for those who source this
	STORES=$FS/$NAME
	trap faults_end EXIT
	mkdir -p "$LAB_DIR/back" "$FS"
	lab_spawn faultfs box "$ROOT/build/tests/faultfs" "$LAB_DIR/back" "$FS"
	wait_for 5 test -e "$FS/.faults" && return 0
	local why
	why=$(tail -n 1 "$LAB_DIR/faultfs.log")
	lab_down
	skip_all "FUSE does not work here: $why"
}

# fault WORDS: from now on; see faultfs.c.
fault() {
	echo "$*" > "$FS/.faults"
}

# --- what is seen ------------------------------------------------------------

log_sum() { # FIELD
	web "[.instances[].log.$1] | add"
}
log_all() { # FIELD VALUE: of both instances
	[ "$(web "[.instances[].log.$1] | unique | join(\" \")")" = "$2" ]
}
said() { # WORDS: how often
	grep -c "$1" "$LAB_DIR/run.log"
}
said_times() { # WORDS COUNT
	[ "$(said "$1")" -ge "$2" ]
}
connections() {
	web '[.instances[].connections] | add'
}
# serves_anew PID...: other processes than these serve.
serves_anew() {
	local pid
	web_serving || return 1
	for pid; do
		case " $(web '.instances[].pid' | tr '\n' ' ') " in
		*" $pid "*) return 1 ;;
		esac
	done
}

# --- connections that stay ---------------------------------------------------

idle_told() { # TITLE LINES
	[ "$(wc -l < "$LAB_DIR/$1.log")" -ge "$2" ]
}
# idle_open COUNT: they have been answered once when this returns.
idle_open() {
	local title=idle-${#IDLES[@]}
	rm -f "$LAB_DIR/$title.log"
	PEER_TIMEOUT=5 lab_spawn "$title" client "$PEER" idle "$VIP4" "$1"
	IDLES+=("$title")
	wait_for 10 idle_told "$title" 1
}
# All ask once more; idle_of and idle_good tell.
idle_ask() {
	local title n
	for title in "${IDLES[@]}"; do
		n=$(wc -l < "$LAB_DIR/$title.log")
		kill -USR1 "$(cat "$LAB_DIR/$title.pid")"
		wait_for 10 idle_told "$title" $((n + 1))
	done
}
# How many of set I were answered when they asked last.
idle_of() {
	tail -n 1 "$LAB_DIR/idle-$1.log" | jq .ok
}
# The same of all sets.
idle_good() {
	local i n=0
	for i in "${!IDLES[@]}"; do
		n=$((n + $(idle_of "$i")))
	done
	echo $n
}
idle_end() {
	local title
	for title in "${IDLES[@]}"; do
		kill -KILL "$(cat "$LAB_DIR/$title.pid")"
	done
	IDLES=()
}

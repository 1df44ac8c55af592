# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# What tests of the NIC in software need besides lib.sh: the NIC's process,
# and an instance's place for a program that does wrong in it.

# nic FILTER: a jq filter on what is said of the NIC.
nic() {
	st ".nic | $1"
}

nic_serves() {
	[ "$(nic .state)" = serving ]
}

# State of a process: one letter, Z or nothing when it is dead.
state_of() {
	sed 's/.*) \(.\) .*/\1/' "/proc/$1/stat" 2>/dev/null
}
state_is() {
	[ "$(state_of "$1")" = "$2" ]
}
is_dead() {
	case $(state_of "$1") in Z | '') ;; *) return 1 ;; esac
}

# No child of the control plane is between fork and exec.
children_are_named() {
	! pgrep -P "$CTL_PID" -f '^[^ ]*carryall run' >/dev/null
}

# place_take INSTANCE: end the instance, and stop the control plane so that it
# starts no other. Who listens on `place` is then the instance to the NIC.
place_take() {
	local pid
	kill -STOP "$CTL_PID"
	wait_for 5 state_is "$CTL_PID" T
	wait_for 5 children_are_named
	for pid in $(pgrep -P "$CTL_PID" -xf "carryall instance $1"); do
		kill -KILL "$pid"
		wait_for 5 is_dead "$pid"
	done
	# shellcheck disable=SC2034 # for those who source this
	place=/run/carryall/$NAME/$1.vnic
}

# The control plane goes on: it sees the dead, and starts it again.
place_give() {
	kill -CONT "$CTL_PID"
}

#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The demo's lab, left up to play with.
#
#   lab.sh up        make it, and run carryall in it with conf/demo.cfg; with
#                    PROVIDER=soft: on the NIC in software
#   lab.sh down      end both
#   lab.sh in NS CMD...   run a command in client, box, b1, b2 or b3
set -u
# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"

lab_names play
NAME=demo

up() {
	local lacks
	lacks=$(lab_lacks)
	[ -z "$lacks" ] || { echo "lab: $lacks" >&2; exit 1; }
	[ ! -e "/run/netns/cy-$LAB_ID-box" ] || {
		echo "lab: it is up already; make lab-down ends it" >&2
		exit 1
	}
	trap 'lab_down; exit 1' INT TERM
	# lab_up names the appliance after the lab; conf/demo.cfg has its own.
	if ! { lab_up "$LAB_ID" && NAME=demo &&
		demo_config demo > "$LAB_DIR/demo.cfg" &&
		carryall_run "$LAB_DIR/demo.cfg"; }; then
		lab_down
		exit 1
	fi
	cat <<-END
	The lab is up, and carryall serves in it. Try

	  tests/lab/lab.sh in client curl http://$VIP4/
	  tests/lab/lab.sh in client curl "http://[$VIP6]/"
	  tests/lab/lab.sh in client wrk -c50 -d5 http://$VIP4/
	  tests/lab/lab.sh in client ping $ECHO4
	  build/carryall status
	  build/carryall top
	  build/carryall capture web.0 | tcpdump -nr -
	  build/carryall log show web.0 --follow
	  build/carryall log check web.0
	  kill -9 $CTL_PID     the control plane; packets flow on
	  kill -9 $(web '.instances | map(.pid | tostring) | join(" ")')     the balancer; its connections go on$(nic_line)
	  tests/lab/lab.sh in box build/carryall run -f $LAB_DIR/demo.cfg
	                   a control plane again; it stays in the foreground

	make lab-down ends it, and removes its logs in /var/lib/carryall/demo.
	END
}

# Only the NIC in software is a process.
nic_line() {
	[ -z "$(st '.nic.pid // ""')" ] ||
		printf '\n  kill -9 %s     the NIC; its instances stay' "$(st .nic.pid)"
}

down() {
	# Whoever runs it now, or whatever a killed one has left.
	[ ! -d "/run/carryall/$NAME" ] || box "$CARRYALL" stop "$NAME"
	lab_down
}

case ${1:-} in
up) up ;;
down) down ;;
in)
	shift
	[ $# -ge 2 ] || { echo "usage: lab.sh in NS CMD..." >&2; exit 2; }
	lab_in "$@"
	;;
*)
	echo "usage: lab.sh up | down | in NS CMD..." >&2
	exit 2
	;;
esac

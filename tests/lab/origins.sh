# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# What tests of the proxy need besides lib.sh: origins, which are servers that
# tell what has come to them, on port 8080 of each backend (and 8081, behind
# the PROXY protocol), and clients that check every answer.

ORIGIN=$ROOT/tests/e2e/origin.py
ASKER=$ROOT/tests/e2e/asker.py

# edge FILTER: a jq filter on what is said of the function edge.
edge() {
	st ".functions[] | select(.name == \"edge\") | $1"
}

edge_serving() {
	[ "$(edge '[.instances[] | select(.state != "serving")] | length')" = 0 ]
}

# site NAME FILTER: the same on one of its services.
site() {
	edge ".services[] | select(.name == \"$1\") | $2"
}

ask() {
	client /usr/bin/python3 "$ASKER" "$@"
}

# origin I [PORT [proxy]]: start it in backend I.
origin() {
	local port=${2:-8080}
	lab_spawn "origin-$1-$port" "b$1" /usr/bin/python3 "$ORIGIN" "$port" \
		"o$1" ${3:+"$3"}
	wait_for 10 origin_listens "$1" "$port"
}

origin_listens() {
	lab_in "b$1" ss -Htln "sport = :$2" | grep -q .
}

# origin_kill I: as if its machine had lost it.
origin_kill() {
	local pid
	pid=$(cat "$LAB_DIR/origin-$1-8080.pid")
	kill -KILL "$pid"
	wait_for 5 lab_gone "$pid"
}

# Nothing is under way any more, in the instances' own books.
edge_idle() {
	[ "$(edge '[.services[].connections] | add')" = 0 ] &&
		[ "$(edge '[.services[].backends[].active] | add')" = 0 ]
}

# hex TEXT: as asker.py wants it; \r and \n as printf has them.
hex() {
	# shellcheck disable=SC2059 # it is a format
	printf "$1" | od -An -v -tx1 | tr -d ' \n'
}

# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# What an end-to-end test says: lines `ok NAME`, `FAIL NAME: reason`,
# `skip NAME: reason`. A test sources this and calls test_begin first; its
# exit status is 1 if anything failed. If PROVIDER is set, the names say whose
# VNICs were tested.

# shellcheck source=tests/lab/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

TEST=$(basename "$0" .sh)${PROVIDER:+ $PROVIDER}
TEST_FAILED=0

ok() {
	echo "ok $TEST: $1"
}

fail() {
	echo "FAIL $TEST: $1: ${2:-}"
	TEST_FAILED=1
}

# check WHAT LEFT OP RIGHT: a comparison of test(1), its values told if it fails.
check() {
	if test "$2" "$3" "$4" 2>/dev/null; then
		ok "$1"
	else
		fail "$1" "have '$2', want $3 '$4'"
	fi
}

# check_run WHAT CMD...: that a command succeeds.
check_run() {
	local what=$1 out
	shift
	if out=$("$@" 2>&1); then
		ok "$what"
	else
		fail "$what" "$(tail -n 1 <<< "$out")"
	fi
}

# check_near WHAT HAVE WANT PERCENT: within so many percent of what it is to be.
check_near() {
	local off=$(($2 > $3 ? $2 - $3 : $3 - $2))
	if [ $((off * 100)) -le $(($3 * $4)) ]; then
		ok "$1 ($2, ideal $3)"
	else
		fail "$1" "$2 is more than $4% off $3"
	fi
}

skip_all() {
	echo "skip $TEST: $1"
	trap - EXIT
	exit 0
}

# Nothing further makes sense: say so and end. The trap cleans up.
bail() {
	fail "$1" "${2:-cannot go on}"
	exit 1
}

test_end() {
	local status=$?
	trap - EXIT INT TERM
	[ "$TEST_FAILED" = 0 ] || status=1
	[ "$status" = 0 ] || test_keep
	lab_down
	exit "$status"
}

# What helps to understand a failure, kept under build/test.
test_keep() {
	local kept=build/test/${TEST// /-}
	local keep="$ROOT/$kept"
	mkdir -p "$keep"
	cp "$LAB_DIR"/*.log "$LAB_DIR"/*.cfg "$keep" 2>/dev/null
	"$CARRYALL" status "$NAME" --json > "$keep/status.json" 2>&1
	echo "# the appliance's log (all of it is in $kept):"
	tail -n 15 "$LAB_DIR/run.log" 2>/dev/null | sed 's/^/#   /'
}

# The lab is up when this returns; it goes down however the test ends.
test_begin() {
	local lacks
	lacks=$(lab_lacks)
	[ -z "$lacks" ] || skip_all "$lacks"
	lab_names "$(lab_unique)"
	trap test_end EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	lab_up "$LAB_ID" || bail "the lab comes up"
}

# The appliance serves `config` (see config.sh) when this returns.
test_serve() {
	config > "$LAB_DIR/$NAME.cfg"
	carryall_run "$LAB_DIR/$NAME.cfg" || bail "the appliance serves"
}

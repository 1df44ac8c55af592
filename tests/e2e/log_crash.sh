#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# bound: 120
#
# A process that appends to a log, on a real file, and tells what is durable,
# is killed at random moments: nothing told is missing, altered or invented.
# Then what carryall log says of such a store, whole and damaged.
set -u
# shellcheck source=tests/lab/check.sh
. "$(dirname "$0")/../lab/check.sh"

CRASH=$ROOT/build/tests/log_crash
KILLS=${KILLS:-500}
DIR=$(mktemp -d "$ROOT/build/log_crash.XXXXXX")
STORE=$DIR/web.0.log
trap 'rm -rf "$DIR"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Not where the file system has no direct I/O (tmpfs before Linux 6.5).
dd if=/dev/zero of="$DIR/try" bs=4096 count=1 oflag=direct 2>/dev/null ||
	skip_all "no direct I/O below $ROOT/build"
[ "$(cat /proc/sys/kernel/io_uring_disabled 2>/dev/null || echo 0)" != 2 ] ||
	skip_all "io_uring is disabled here"

# crash WHAT KIB KILLS: the result in result.
crash() {
	local seed=$RANDOM
	if "$CRASH" "$STORE" "$2" "$3" "$seed" > "$DIR/result" 2> "$DIR/why"
	then
		ok "$1 (seed $seed)"
	else
		fail "$1" "seed $seed: $(cat "$DIR/why")"
	fi
}
of() {
	jq ".$1" "$DIR/result"
}

crash "a store of 1 MiB, killed $KILLS times" 1024 "$KILLS"
echo "# $(of acked) records were told durable, $(of recovered) recovered"
check "it was worth it" "$(of acked)" -gt $((KILLS * 10))

# --- carryall log ---

check_run "check calls it good" "$CARRYALL" log check "$STORE"
check "show prints its records" "$("$CARRYALL" log show "$STORE" | tail -n 1 |
	awk '{ print $1 }')" = "$(of recovered)"
"$CARRYALL" log show "$STORE" --json > "$DIR/json"
check "one JSON object per record, LSNs without a gap" \
	"$(jq -n '[inputs.lsn] | .[-1] - .[0] + 1 == length' "$DIR/json")" \
	= true
check "the records that check counts" "$(wc -l < "$DIR/json")" = \
	"$("$CARRYALL" log check "$STORE" | sed -n 's/^records *\([0-9]*\),.*/\1/p')"

# status WHAT WANT COMMAND...: the exit status, and no crash.
status() {
	local what=$1 want=$2 have
	shift 2
	"$CARRYALL" log "$@" > "$DIR/out" 2> "$DIR/err"
	have=$?
	check "log $1 of what is $what" $have = "$want"
}

# field NAME: of what check says.
field() {
	"$CARRYALL" log check "$STORE" | awk -v f="$1" '$1 == f { print $NF }'
}
slots=254 head=$(field blocks) tail=$(field tail)
# The last block that the head says was durable when it was sealed: those
# behind it may have been in flight at the kill, and nobody would miss them.
behind=$(od -An -tu2 -N2 -j $(((1 + (head - 1) % slots) * 4096 + 36)) "$STORE")
known=$((head - 2 - behind))
# scribble BLOCK: random bytes over a block of the log.
scribble() {
	dd if=/dev/urandom of="$DIR/bad" bs=4096 count=1 conv=notrunc \
		seek="$1" 2>/dev/null
}

cp "$STORE" "$DIR/bad"
scribble $((1 + known % slots))
status "scribbled on" 1 check "$DIR/bad"
check "check says where" \
	"$(grep -c "DAMAGED.*block $known " "$DIR/out")" = 1
status "scribbled on" 1 show "$DIR/bad"
check "show prints what is before" "$(tail -n 1 "$DIR/out" |
	awk '{ print $1 }')" = "$("$CARRYALL" log check "$DIR/bad" |
	sed -n 's/^records.* to //p')"

cp "$STORE" "$DIR/bad"
truncate -s 500K "$DIR/bad"
status "cut short" 1 check "$DIR/bad"

cp "$STORE" "$DIR/bad"
scribble 0
status "without its first superblock" 0 check "$DIR/bad"
scribble $((slots + 1))
status "without superblocks" 1 check "$DIR/bad"

cp "$STORE" "$DIR/bad"
scribble $((1 + (tail - 1) % slots))
status "damaged where nothing is needed" 0 check "$DIR/bad"

head -c 40960 /dev/zero > "$DIR/bad"
status "empty" 2 check "$DIR/bad"
status "no store" 2 check "$ROOT/README.md"
status "not there" 2 show "$DIR/nothing"
status "not there" 2 check no-such-appliance/web.0

# A reader while it is written: the records come, in order.
"$CRASH" "$STORE" 1024 20 1 > "$DIR/result" &
crash=$!
wait_for 5 "$CARRYALL" log check "$STORE"
timeout -s INT 20 "$CARRYALL" log show "$STORE" --json --follow > "$DIR/json" &
follow=$!
wait "$crash"
sleep 0.5
kill -INT "$(pgrep -P "$follow")"
wait "$follow"
check "--follow ends quietly when it is interrupted" $? = 0
check "it has come to the last record" \
	"$(jq -n '[inputs | .lsn // empty] | max' "$DIR/json")" = \
	"$(of recovered)"
check "no record twice, none out of order" "$(jq -n '[inputs | .lsn // empty] |
	. == sort and . == unique' "$DIR/json")" = true
check "none missing without a word" "$(jq -n '
	reduce inputs as $r ({ next: 0, bad: 0 };
	if $r.overwritten then .next += $r.overwritten
	elif .next == 0 or $r.lsn == .next then .next = $r.lsn + 1
	else .bad += 1 end) | .bad' "$DIR/json")" = 0
exit $TEST_FAILED

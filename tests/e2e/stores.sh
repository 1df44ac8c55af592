#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# bound: 90
#
# Stores as the control plane keeps them: made at the first start, there after
# a stop, refused when they do not fit, put aside when they are damaged, and
# never written by two.
set -u
# shellcheck source=tests/lab/check.sh
. "$(dirname "$0")/../lab/check.sh"
# shellcheck source=tests/lab/config.sh
. "$(dirname "$0")/../lab/config.sh"
test_begin
STORES="$LAB_DIR/state/$NAME"
CFG_INSTANCES=2
CFG_WEB='log: { durability = "sync"; size = "2M"; };'

log_of() { # INSTANCE FIELD
	st ".functions[].instances[] | select(.name == \"$1\") | .log.$2"
}

# refused WORDS: a start is refused with these words, and leaves nothing.
refused() {
	local out
	config > "$LAB_DIR/$NAME.cfg"
	out=$(box timeout 20 "$CARRYALL" run -f "$LAB_DIR/$NAME.cfg" 2>&1) &&
		{ echo "it ran"; return 1; }
	grep -q "$1" <<< "$out" || { echo "$out"; return 1; }
	[ ! -e "/run/carryall/$NAME" ] || { echo "a run directory"; return 1; }
	! box ip -o link | grep -q 'web\.' || { echo "a VNIC"; return 1; }
}

stores_sum() {
	sha256sum "$STORES"/*.log | sha256sum
}

test_serve
check "a store for each instance that keeps a log" \
	"$(cd "$STORES" && echo ./*)" = "./seed ./web.0.log ./web.1.log"
check "of the size that was asked for" \
	"$(stat -c '%s %a %u' "$STORES/web.0.log")" = "2097152 600 0"
check "the status says so" "$(log_of web.0 state)" = ok
check "with the store's name" "$(log_of web.1 store)" = "$STORES/web.1.log"
check "an echo keeps none" "$(log_of ping.0 store)" = null
check_run "it is shown" \
	bash -c "\"$CARRYALL\" status $NAME | grep -q 'log: ok, sync, '"
seed=$(cat "/run/carryall/$NAME/seed")
check "the seed is kept" "$(cat "$STORES/seed")" = "$seed"
if python3 - "$STORES/web.0.log" <<-'END'
	import fcntl, sys
	fcntl.flock(open(sys.argv[1], "r+"), fcntl.LOCK_EX | fcntl.LOCK_NB)
	END
then
	fail "an instance holds its store" "the lock is free"
else
	ok "an instance holds its store"
fi 2>/dev/null

CFG_WEB='log: { durability = "batch"; size = "2M"; };'
config > "$LAB_DIR/$NAME.cfg"
box "$CARRYALL" reload "$NAME" > "$LAB_DIR/reload.txt" 2>&1
check_run "a reload cannot change it" grep -q \
	'web: log.durability changes from sync to batch' "$LAB_DIR/reload.txt"
CFG_WEB='log: { durability = "sync"; size = "2M"; };'
config > "$LAB_DIR/$NAME.cfg"

# All at once: what the dead had in flight ends before the next begins.
pids=$(st '.functions[].instances[] | select(.name | test("web")) | .pid')
# shellcheck disable=SC2086
kill -KILL "$CTL_PID" $pids
test_serve
check "after all were killed they serve with their stores" \
	"$(log_of web.0 state) $(log_of web.1 state)" = "ok ok"
check "none was put aside" "$(find "$STORES" -name '*damaged*' | wc -l)" = 0

check_run "stop" box "$CARRYALL" stop "$NAME"
check "stores outlive a stop" \
	"$(cd "$STORES" && echo ./*)" = "./seed ./web.0.log ./web.1.log"
sum=$(stores_sum)
CFG_WEB='log: { durability = "sync"; size = "3M"; };'
check_run "another size is refused" refused 'is of 2M, not'
CFG_WEB='log: { durability = "sync"; size = "2M"; };'
exec 9<> "$STORES/web.1.log"
flock -x 9
check_run "a store in use is refused" refused "web.1.log is in use by process"
exec 9>&-
check "refused stores are as they were" "$(stores_sum)" = "$sum"

# Both superblocks of one, the end of the other.
dd if=/dev/zero of="$STORES/web.0.log" bs=4096 count=1 conv=notrunc \
	status=none
printf x | dd of="$STORES/web.0.log" bs=1 seek=2093056 conv=notrunc \
	status=none
truncate -s 1M "$STORES/web.1.log"
test_serve
check "after a stop the seed is the same" \
	"$(cat "/run/carryall/$NAME/seed")" = "$seed"
check "both damaged stores are kept aside" "$(cd "$STORES" &&
	echo ./*damaged* | sed 's/-[0-9]*-[0-9]*//g')" \
	= "./web.0.log.damaged ./web.1.log.damaged"
check "and told of" "$(grep -c 'it is kept as' "$LAB_DIR/run.log")" = 2
both_ok() {
	[ "$(log_of web.0 state) $(log_of web.1 state)" = "ok ok" ]
}
check_run "with new ones in their place" wait_for 5 both_ok

# While it runs: the next start goes without one, the one after has it again.
serves_again() {
	[ "$(st ".functions[].instances[] | select(.name == \"web.0\") |
		select(.state == \"serving\" and .pid != $1) | .pid")" != "" ]
}
mv "$STORES/web.0.log" "$STORES/away"
mkdir "$STORES/web.0.log"
pid=$(st '.functions[].instances[] | select(.name == "web.0") | .pid')
kill -KILL "$pid"
check_run "an instance without its store serves" wait_for 10 serves_again "$pid"
check_run "which is said" grep -q \
	'web.0 serves without durability: .*neither a file' "$LAB_DIR/run.log"
check "and shown" "$(log_of web.0 state)" = none
rmdir "$STORES/web.0.log"
mv "$STORES/away" "$STORES/web.0.log"
pid=$(st '.functions[].instances[] | select(.name == "web.0") | .pid')
kill -KILL "$pid"
check_run "the next one serves" wait_for 10 serves_again "$pid"
check_run "with durability again" wait_for 5 grep -q \
	'web.0: log: durable again' "$LAB_DIR/run.log"
test_end

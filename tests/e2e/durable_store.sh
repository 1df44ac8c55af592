#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# bound: 120
#
# Stores: connections outlive `carryall stop`; what carryall log and status
# say of a store in use and at rest; damage done while it was stopped; and
# that nobody else can have a store that is in use.
set -u
# shellcheck source=tests/lab/check.sh
. "$(dirname "$0")/../lab/check.sh"
# shellcheck source=tests/lab/config.sh
. "$(dirname "$0")/../lab/config.sh"
test_begin
CFG_WEB='log = { durability = "batch"; size = "4M"; };'
test_serve
STORES=$LAB_DIR/state/$NAME
CONNS=100

check "status tells where the logs are" \
	"$(web '[.instances[].log.store] | join(" ")')" = \
	"$STORES/web.0.log $STORES/web.1.log"
# Its first block is on its way when an instance begins to serve.
logs_are() {
	[ "$(web '[.instances[].log.state] | unique | tostring')" = "[\"$1\"]" ]
}
check_run "and that they work" wait_for 5 logs_are ok
check "and people are told so too" \
	"$("$CARRYALL" status "$NAME" | grep -c '^ *log: ')" = 2
check "a function without connections has none" \
	"$(st '.functions[] | select(.name == "ping") |
		.instances[0] | has("log")')" = false
check "no one but root may read a store" "$(stat -c %a "$STORES/web.0.log")" = 600

idle_told() {
	[ "$(wc -l < "$LAB_DIR/idle.log")" = "$1" ]
}
idle_start() {
	rm -f "$LAB_DIR/idle.log"
	lab_spawn idle client "$PEER" idle "$VIP4" $CONNS
	idle=$LAB_PID
	wait_for 10 idle_told 1
}
# How many of the idle connections answer.
idle_good() {
	local n
	n=$(wc -l < "$LAB_DIR/idle.log")
	kill -USR1 "$idle"
	wait_for 30 idle_told $((n + 1))
	tail -n 1 "$LAB_DIR/idle.log" | jq .ok
}
idle_end() {
	kill -KILL "$idle"
	wait_for 5 lab_gone "$idle"
}
conns_of() {
	web ".instances[$1].connections"
}
again() {
	carryall_run "$LAB_DIR/$NAME.cfg" || bail "it serves again"
}
log_json() {
	"$CARRYALL" log show "$NAME/web.$1" --json
}

# --- in use ---

idle_start
check "$CONNS idle connections" "$(idle_good)" = $CONNS
all_told() {
	local opened
	opened=$({ log_json 0; log_json 1; } | jq -s '[.[] |
		select(.client // "" | test("10.77.1.2"))] | length')
	[ "$opened" -ge "$CONNS" ]
}
check_run "log show of stores in use has them" wait_for 5 all_told
for i in 0 1; do
	check_run "log check of web.$i in use, found by its name" \
		"$CARRYALL" log check "$NAME/web.$i"
done
sed -e "s/name = \"$NAME\"/name = \"$NAME-2\"/" "$LAB_DIR/$NAME.cfg" \
	> "$LAB_DIR/other.cfg"
ln -s "$NAME" "$LAB_DIR/state/$NAME-2"
if out=$(box timeout 20 "$CARRYALL" run -f "$LAB_DIR/other.cfg" 2>&1); then
	fail "a second appliance on the same stores is refused" "it ran"
else
	ok "a second appliance on the same stores is refused"
fi
echo "# it says: $(tail -n 1 <<< "$out")"
box "$CARRYALL" stop "$NAME-2" >/dev/null 2>&1
rm "$LAB_DIR/state/$NAME-2"
check "the first one goes on" "$(idle_good)" = $CONNS

# --- stopped, and started again ---

carryall_stop || bail "it stops"
for i in 0 1; do
	check_run "log check of web.$i at rest" \
		"$CARRYALL" log check "$STORES/web.$i.log"
	check "it ends clean" "$("$CARRYALL" log check "$STORES/web.$i.log" |
		awk '$1 == "end" { print $2 }')" = clean
done
again
check "after stop and run all connections answer" "$(idle_good)" = $CONNS
check "and none was lost" "$(web '[.instances[].log |
	.lost_config + .lost_expired + .lost_other] | add')" = 0

# --- damaged while stopped ---

# The block behind the last one, and what it is in the file.
next_block() {
	"$CARRYALL" log check "$STORES/web.0.log" |
		sed -n 's/^blocks .* block \([0-9]*\)$/\1/p'
}
slots() {
	"$CARRYALL" log check "$STORES/web.0.log" |
		sed -n 's/^size .* \([0-9]*\) blocks$/\1/p'
}
aside() {
	find "$STORES" -name "web.$1.log.damaged-*" | wc -l
}

carryall_stop || bail "it stops"
before=$(slots) last=$(($(next_block) - 1))
dd if=/dev/urandom of="$STORES/web.0.log" bs=4096 count=1 conv=notrunc \
	seek=$((1 + (last - 2) % before)) 2>/dev/null
"$CARRYALL" log check "$STORES/web.0.log" > "$LAB_DIR/check.log"
check "a scribbled store is called damaged" $? = 1
again
check "it is put aside" "$(aside 0)" = 1
check "the other one is not" "$(aside 1)" = 0
check "the store is a new one, and good" \
	"$("$CARRYALL" log check "$STORES/web.0.log" >/dev/null; echo $?)" = 0
check "status says that it came from a damaged one" \
	"$(web '.instances[0].log.damaged')" = true
good=$(idle_good)
check "what was before the damage goes on" "$good" -ge "$(conns_of 1)"
echo "# $good of $CONNS go on; web.1 has $(conns_of 1)"
idle_end
idle_start
check "new connections are kept again" "$(idle_good)" = $CONNS
old=$(pid_of 0)
kill -KILL "$old"
replaced() {
	[ "$(pid_of 0)" != "$old" ] && web_serving
}
check_run "its instance is killed" wait_for 5 replaced
check "and they go on" "$(idle_good)" = $CONNS

carryall_stop || bail "it stops"
truncate -s 1M "$STORES/web.0.log"
again
check "a store that was cut short is put aside too" "$(aside 0)" = 2
check "connections go on" "$(idle_good)" -ge "$(conns_of 1)"
idle_end
check_run "new connections after all" client "$PEER" fetch "$VIP4" / 50

# --- of another size or function ---

carryall_stop || bail "it stops"
sed -i 's/size = "4M"/size = "8M"/' "$LAB_DIR/$NAME.cfg"
sum=$(sha256sum "$STORES/web.1.log")
if out=$(box timeout 20 "$CARRYALL" run -f "$LAB_DIR/$NAME.cfg" 2>&1); then
	fail "a store of another size is refused" "it ran"
else
	check "a store of another size is refused, and told why" \
		"$(grep -c 'log.size' <<< "$out")" -ge 1
fi
check "and left as it is" "$(sha256sum "$STORES/web.1.log")" = "$sum"
test_end

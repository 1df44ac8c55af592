#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Faulty configs: every fault is told with its line, in one run, and nothing
# is made of the rest. What is to be told stands in each file:
# `# expect [FILE:]LINE: text`.
set -u
# shellcheck source=tests/lab/check.sh
. "$(dirname "$0")/../lab/check.sh"
# shellcheck source=tests/lab/config.sh
. "$(dirname "$0")/../lab/config.sh"
test_begin
BAD=$ROOT/tests/config/bad

# The machine that the files are written for has all devices but eth9.
devices() {
	grep -ohE 'device = "[a-z0-9.]{1,15}"' "$BAD"/*.cfg |
		cut -d'"' -f2 | sort -u | grep -vx eth9
}
machine() {
	local dev
	for dev in $(devices); do
		ip -n "cy-$LAB_ID-box" link "$1" name "$dev" type bridge \
			2>/dev/null
	done
}

# All that a run could leave behind. Other labs may come and go meanwhile.
traces() {
	find /run/carryall /sys/fs/bpf -mindepth 1 -maxdepth 1 \
		! -name 'lab-*' ! -name demo 2>/dev/null
	ip -n "cy-$LAB_ID-box" -o link
	ip -n "cy-$LAB_ID-box" -o addr
	box bpftool net show
	ip netns pids "cy-$LAB_ID-box"
}
more_traces() {
	comm -13 <(sort <<< "$before") <(traces | sort)
}

# told FILE OUTPUT: what was to be told and was not, or nothing. What follows
# ; or : depends on the build and the machine; and it has four cores.
told() {
	local line text place
	while IFS= read -r line; do
		text=${line#*: } place=${line%%: *}
		[[ $text != *"of the machine's 4"* || $(nproc) = 4 ]] ||
			continue
		text=${text%%[;:]*}
		[[ $place == *:* ]] || place=$(basename "$1"):$place
		grep -F -- "$text" <<< "$2" | grep -qF -- "$place: " ||
			echo "not told: $place: $text"
	done < <(sed -n 's/^# expect //p' "$1")
}

# refused FILE VERB: 0, or 1 with the reason on stdout.
refused() {
	local out status missing
	out=$(box timeout 20 "$CARRYALL" "$2" -f "$1" 2>&1)
	status=$?
	[ $status = 1 ] || { echo "exit status $status"; return 1; }
	missing=$(told "$1" "$out")
	[ -z "$missing" ] || { echo "$missing" | head -n 1; return 1; }
}

machine add
before=$(traces)
n=0
for file in "$BAD"/*.cfg; do
	n=$((n + 1))
	for verb in check run; do
		why=$(refused "$file" $verb) ||
			fail "$verb $(basename "$file")" "$why"
	done
done
check "faulty configs" $n -ge 60
[ "$TEST_FAILED" = 1 ] || ok "each is refused by check and by run"
check "nothing was created" "$(more_traces)" = ""
machine del

# A good one passes, and a running appliance survives a bad reload.
config > "$LAB_DIR/$NAME.cfg"
check_run "a good config passes" box "$CARRYALL" check -f "$LAB_DIR/$NAME.cfg"
test_serve
pids=$(st '[.functions[].instances[].pid] | tostring')
sed -i 's/weight = 1/weihgt = 1/' "$LAB_DIR/$NAME.cfg"
if out=$("$CARRYALL" reload "$NAME" 2>&1); then
	fail "a bad reload is refused" "it was taken"
else
	check "a bad reload is refused" "$(grep -c 'faults' <<< "$out")" = 1
	check "the log has the nearest name" \
		"$(grep -c 'did you mean weight' "$LAB_DIR/run.log")" = 12
fi
check "what runs goes on" \
	"$(st '[.functions[].instances[].pid] | tostring')" = "$pids"
check_run "and serves" client "$PEER" fetch "$VIP4" / 20
test_end

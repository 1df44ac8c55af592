#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What can be said of the sources without running them. Each check prints
# `ok NAME` or `FAIL NAME: reason` and, before it, what it found.
set -u
cd "$(dirname "$0")/.." || exit 1
STATUS=0

# verdict NAME FOUND: nothing found is good.
verdict() {
	if [ -z "$2" ]; then
		echo "ok lint: $1"
	else
		head -n 20 <<<"$2"
		echo "FAIL lint: $1: $(wc -l <<<"$2") places"
		STATUS=1
	fi
}

# Sources in the work tree, tracked or about to be.
sources() {
	git ls-files --cached --others --exclude-standard -- "$@" |
		while read -r f; do [ -f "$f" ] && echo "$f"; done
}

format() {
	sources '*.c' '*.h' | xargs clang-format --dry-run 2>&1 |
		grep 'warning:' | cut -d: -f1 | sort -u
}

# includes DIR ALLOWED...: what files of DIR include of ours beyond these
# prefixes. A name without a folder is a neighbour's.
includes() {
	local dir=$1 f inc allowed
	shift
	sources "$dir/*.c" "$dir/*.h" | while read -r f; do
		sed -n 's/^#include "\(.*\)"/\1/p' "$f" | while read -r inc; do
			case $inc in
			*/*) ;;
			*) continue ;;
			esac
			for allowed; do
				case $inc in "$allowed"*) continue 2 ;; esac
			done
			echo "$f includes $inc"
		done
	done
}

layers() {
	local nf
	includes dataplane dataplane/
	for nf in nf/*/; do
		includes "${nf%/}" dataplane/ "$nf"
	done
	includes ctrl ctrl/ dataplane/addr.h dataplane/steer.h \
		dataplane/steer_rows.h dataplane/steer_rules.h dataplane/clock.h \
		dataplane/softnic/tables.h dataplane/softnic/counters.h \
		dataplane/softnic/capture.h \
		dataplane/steer_packet.h dataplane/access.h dataplane/grant.h dataplane/stats.h \
		dataplane/nf.h dataplane/log/format.h dataplane/log/read.h
	includes appliance appliance/ ctrl/ dataplane/
}

top_level() {
	local entry
	sources | cut -d/ -f1 | sort -u | while read -r entry; do
		case $entry in
		.* | README.md | Makefile | LICENSE) ;;
		appliance | dataplane | ctrl | nf | conf | tests | perf) ;;
		*) echo "$entry does not belong at the top" ;;
		esac
	done
}

too_long() {
	sources '*.c' '*.h' '*.sh' | xargs wc -l |
		awk '$2 != "total" && $1 > 800 { print $2, $1 " lines" }'
}

# The words are cut in two here, so that this file does not hold them.
unfinished() {
	sources '*.c' '*.h' '*.sh' Makefile | xargs grep -nE \
		'\<(TO''DO|FIX''ME|XX''X)\>'
}

licensed() {
	sources '*.c' '*.h' '*.sh' | xargs grep -L 'SPDX-License-Identifier'
}

shells() {
	sources | while read -r f; do
		head -n 1 "$f" | grep -q '^#!.*bash' && echo "$f"
	done | xargs shellcheck -x -f gcc 2>&1
}

# BPF programs are for clang.
static_analysis() {
	sources appliance/'*.c' dataplane/'*.c' ctrl/'*.c' nf/'*.c' \
		perf/'*.c' | grep -v '\.bpf\.c$' |
		xargs cppcheck -q -j2 --enable=warning,portability,performance \
			--inline-suppr --std=c11 --max-configs=1 -I. \
			-D_GNU_SOURCE -DCARRYALL_VERSION='""' \
			--include=tests/cppcheck.h \
			--suppress=missingInclude \
			--suppress=missingIncludeSystem \
			--template='{file}:{line}: {severity}: {message} [{id}]' \
			2>&1
}

manuals() {
	sources 'appliance/*.[0-9]' | xargs -r mandoc -Tlint -Wwarning 2>&1
	[ ! -f build/carryall.conf.5 ] ||
		mandoc -Tlint -Wwarning build/carryall.conf.5 2>&1
}

# Without its tools or the list of files, every check would find nothing.
for tool in git clang-format shellcheck cppcheck mandoc; do
	command -v $tool >/dev/null || { echo "FAIL lint: no $tool here"; exit 1; }
done
[ -n "$(sources Makefile)" ] || {
	echo "FAIL lint: git lists no files here (git status tells why)"
	exit 1
}

verdict "clang-format agrees" "$(format)"
verdict "no include across layers" "$(layers)"
verdict "only what belongs at the top" "$(top_level)"
verdict "no file above 800 lines" "$(too_long)"
verdict "nothing unfinished" "$(unfinished)"
verdict "every file has its licence" "$(licensed)"
verdict "shellcheck" "$(shells)"
verdict "cppcheck" "$(static_analysis)"
verdict "manual pages" "$(manuals)"
exit $STATUS

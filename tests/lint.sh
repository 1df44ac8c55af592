#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What can be said about the tree without running it. One line for each rule:
# `ok lint: RULE` or `FAIL lint: RULE: reason`, the findings before it.
set -u
cd "$(dirname "$0")/.." || exit 1
status=0
tmp=$(mktemp)
trap 'rm -f "$tmp"' EXIT

# Tracked, or about to be.
files() {
	git ls-files --cached --others --exclude-standard -- "$@" |
		while read -r f; do
			[ ! -f "$f" ] || echo "$f"
		done
}

# rule NAME CMD...: CMD prints findings; it passes if it prints nothing and
# succeeds.
rule() {
	local name=$1 code
	shift
	"$@" > "$tmp" 2>&1
	code=$?
	if [ $code = 0 ] && [ ! -s "$tmp" ]; then
		echo "ok lint: $name"
		return
	fi
	head -n 60 "$tmp" | sed 's/^/    /'
	echo "FAIL lint: $name: $(wc -l < "$tmp") lines of findings"
	status=1
}

format() {
	files '*.c' '*.h' | xargs clang-format --dry-run -Werror
}

layers() {
	files '*.c' '*.h' | /usr/bin/python3 tests/lint_layers.py
}

top_level() {
	files | cut -d/ -f1 | sort -u | grep -vxE '\..*|README\.md|LICENSE|Makefile|appliance|dataplane|ctrl|nf|conf|tests|perf'
	return 0
}

sizes() {
	files '*.c' '*.h' '*.sh' '*.py' | xargs wc -l |
		awk '$1 > 800 && $2 != "total" { print $2 ": " $1 " lines" }'
}

words() {
	files | grep -v '^tests/lint\.sh$' |
		xargs grep -nIwE 'TODO|FIXME|XXX'
	return 0
}

licences() {
	files '*.c' '*.h' '*.sh' '*.py' Makefile tests/run perf/run |
		xargs grep -L 'SPDX-License-Identifier: .*BSD-3-Clause'
	return 0
}

scripts() {
	local list
	list=$(files | xargs grep -lIE '^#!/usr/bin/env bash|^# shellcheck shell=bash')
	# shellcheck disable=SC2086
	shellcheck -x $list
}

check() {
	files '*.c' | grep -vE '\.bpf\.c$' | xargs cppcheck --quiet \
		--std=c11 --library=posix -j "$(nproc)" --inline-suppr \
		--enable=warning,performance,portability \
		--suppressions-list=tests/lint.cppcheck --error-exitcode=1 \
		-DCARRYALL_VERSION='""' -D__BYTE_ORDER__=1 \
		-D__ORDER_LITTLE_ENDIAN__=1 -I.
}

# A mandoc older than the year it runs in has no objection worth a fault.
pages() {
	local page
	for page in $(files 'appliance/*.[1-9]') build/carryall.conf.5; do
		[ ! -f "$page" ] || mandoc -T lint -W warning "$page"
	done
}

python() {
	local f
	for f in $(files '*.py'); do
		/usr/bin/python3 -c 'import ast, sys
ast.parse(open(sys.argv[1]).read(), sys.argv[1])' "$f" || return 1
	done
}

rule "clang-format has nothing to change" format
rule "includes stay within their layer" layers
rule "the top level holds what it should" top_level
rule "no file is over 800 lines" sizes
rule "no left-over work words" words
rule "each source names its licence" licences
rule "shellcheck" scripts
rule "python parses" python
rule "man pages" pages
rule "cppcheck" check
exit $status

#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# charts.sh REPORT CHARTS OUT: an SVG of each chart that REPORT has lines for,
# OUT/NAME.svg; the names that were drawn, one a line, on standard output.
set -euo pipefail
report=$1 charts=$2 out=$3

# Rows: name, median, lowest, highest; a figure that is not the system's own
# is not drawn.
rows() {
	jq -r --arg re "$1" '.results[]
		| select((.name | test($re)) and .median != null
			and .limited_by == null)
		| [.name, .median, .min // .median, .max // .median] | @tsv' \
		"$report"
}

unit() {
	jq -r --arg re "$1" '[.results[] | select(.name | test($re)) | .unit]
		| unique | join(", ")' "$report"
}

draw() { # NAME TITLE UNIT ROWS
	gnuplot <<-END
	set terminal svg size 760,420 font "sans,12" background "white"
	set output "$out/$1.svg"
	set datafile separator "\t"
	set title "$2" noenhanced
	set ylabel "$3" noenhanced
	set yrange [0:*]
	set offsets graph 0, 0, graph 0.12, 0
	set style fill solid 0.6
	set boxwidth 0.6
	set grid ytics
	set xtics rotate by -30 noenhanced
	unset key
	\$rows << EOD
	$4
	EOD
	plot \$rows using 0:2:xticlabels(1) with boxes lc rgb "#4878a8", \
		\$rows using 0:2:3:4 with yerrorbars lc rgb "#303030" pt 0, \
		\$rows using 0:4:(sprintf("%.4g", \$2)) with labels offset 0,0.7
	END
}

while IFS=$'\t' read -r name title re; do
	case $name in '#'* | '') continue ;; esac
	found=$(rows "$re")
	[ -n "$found" ] || continue
	draw "$name" "$title" "$(unit "$re")" "$found"
	echo "$name"
done <"$charts"

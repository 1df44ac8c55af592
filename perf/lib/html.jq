# SPDX-License-Identifier: BSD-3-Clause
# A list of SVG texts, and $report: a page by itself.

def short: if . == null then "" elif . >= 1000 then round
	else . * 1000 | round / 1000 end | tostring;
def cell: "<td>\(. // "" | tostring | @html)</td>";
def row: "<tr>" + (map(cell) | join("")) + "</tr>";
def head: "<tr>" + (map("<th>\(.)</th>") | join("")) + "</tr>";
def aim: if .met == null then "<td class=unknown>not told</td>"
	elif .met then "<td class=yes>yes</td>" else "<td class=no>no</td>" end;

. as $charts | $report[0] |
"<!doctype html>
<html lang=en><meta charset=utf-8><title>Carryall: measured</title>
<style>
body { font: 15px/1.45 sans-serif; max-width: 76em; margin: 2em auto;
	padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: 1em 0; font-size: 13px }
td, th { border-bottom: 1px solid #ddd; padding: 3px 9px; text-align: left;
	vertical-align: top }
.yes { background: #dff0d8 } .no { background: #f2dede }
.unknown { color: #777 }
</style>
<h1>Carryall: measured</h1>
<p>\(.machine.cpu | @html), \(.machine.cores) cores, kernel \(.machine.kernel
| @html); \(.machine.date); \(.machine.version | @html); load at the end
\(.machine.load_at_end | @html).\(if .machine.quick then
" A quick run: fewer lines, fewer repeats." else "" end)</p>
" + (if .failed == [] then "" else "<p class=no>Did not run to its end: \(
.failed | map("\(.name) (status \(.status))") | join(", ") | @html)</p>" end) +
"<h2>What was asked</h2><table>" +
(["", "what", "measured", "aim", "met", ""] | head) +
(.asked | map("<tr>" + ([.name, .what, (.value | short), "\(.op) \(.aim)"]
	| map(cell) | join("")) + aim + (.why | cell) + "</tr>") | join("\n")) +
"</table>
<h2>Charts</h2>
<p>Bars: medians; lines: lowest and highest of the repeats.</p>
" + ($charts | join("\n")) + "
<h2>All figures</h2><table>" +
(["", "median", "unit", "lowest", "highest", "repeats", "limited by", "cores",
	"conditions"] | head) +
(.results | map([.name, (.median | short), .unit, (.min | short),
	(.max | short), .repeats, .limited_by, .cores, .conditions] | row)
	| join("\n")) + "</table></html>"

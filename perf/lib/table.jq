# SPDX-License-Identifier: BSD-3-Clause
# The report as rows for column(1): first the figures, then what was asked.
# Large numbers as they are: a newcomer reads ns and connections/s.

def short: if . == null then "-" elif . >= 1000 then round
	else . * 1000 | round / 1000 end;

(["benchmark", "median", "unit", "spread", "p99", "ratio", "of", "limited by"],
(.results[] | [.name, (.median | short), .unit, (.spread | short),
	((.p99 // null) | short), (.ratio | short), .baseline // .best_of // "-",
	.limited_by // "-"]),
["", "", "", "", "", "", "", ""],
["asked", "measured", "", "aim", "met", "", "", ""],
(.asked[] | [.name, (.value | short), "", "\(.op) \(.aim)",
	(if .met == null then "not told" elif .met then "yes" else "NO" end),
	"", "", .why // ""])) | @tsv

# SPDX-License-Identifier: BSD-3-Clause
# Of lines (one object a benchmark's figure), the table of what is asked
# (rows of columns) and the machine: the report. All ratios are made here.

def cheaper: .unit | test("^(ns|us|ms|s)(/|$)");

# A line may stand for the system only if the system was its limit.
def usable: . != null and .median != null and .limited_by == null;

def best($by):
	[.of[] | $by[.] | select(usable)] as $have
	| .name as $name
	| if $have == [] then empty
	  else ($have | if .[0] | cheaper then min_by(.median)
		else max_by(.median) end)
	  | .best_of = .name | .name = $name end;

def meets($op; $aim):
	if $op == ">=" then . >= $aim elif $op == ">" then . > $aim
	elif $op == "<=" then . <= $aim else error("no such test: " + $op) end;

def why_not($name; $by):
	if $by[$name] == null then "\($name) was not measured"
	elif $by[$name].limited_by != null
	then "\($name) was limited by \($by[$name].limited_by)"
	else "\($name) has no figure" end;

# What was asked, as measured; `met` is null where it cannot be told.
def asked($by):
	. as $a
	| [.of[] | select($by[.] | usable | not)] as $lack
	| if $lack != []
	  then .value = null | .met = null
		| .why = ($lack | map(why_not(.; $by)) | join("; "))
	  elif (.of | length) == 2
		and $by[.of[0]].unit != $by[.of[1]].unit
	  then error("\(.name): units differ")
	  elif (.of | length) == 2 and $by[.of[1]].median == 0
	  then .value = null | .met = null | .why = "\(.of[1]) is 0"
	  else .value = (if (.of | length) == 2
			then $by[.of[0]].median / $by[.of[1]].median
			else $by[.of[0]].median end)
		| .met = (.value | meets($a.op; $a.aim))
	  end;

def rows: split("\n") | map(select(test("^[^#]")) | split("\t"));

($table | rows) as $rows
| (map({key: .name, value: .}) | from_entries) as $measured
| [$rows[] | select(.[0] == "best") | {name: .[1], of: (.[2] | split(" "))}
	| best($measured)] as $bests
| (. + $bests) as $results
| ($results | map({key: .name, value: .}) | from_entries) as $by
| [$rows[] | select(.[0] != "best")
	| {name: .[0], of: ([.[1], .[2]] | map(select(. != "-"))),
		op: .[3], aim: (.[4] | tonumber), what: .[5]}
	| asked($by)] as $asked
| ($by["limit.swap"]) as $limit
| {machine: $machine, failed: $failed,
	results: ($results | map(
		if (.name | startswith("lb.table")) and ($limit | usable)
		then .baseline = "limit.swap" | .ratio = .median / $limit.median
		else . end)),
	asked: $asked}

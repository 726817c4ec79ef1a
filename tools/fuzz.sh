#!/bin/bash
# Runs every fuzz target of the given packages, one after the other, for a
# bounded time each. What a target found stays in its package's testdata/fuzz,
# and is tried again by every ordinary test run.
set -euo pipefail
go=$1 time=$2
shift 2
failed=0
while read -r package; do
	for target in $("$go" test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
		echo "== $package $target"
		"$go" test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package" || failed=1
	done
done < <("$go" list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' "$@")
exit $failed

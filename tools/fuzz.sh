#!/bin/bash
# Runs every fuzz target of the given packages, one after the other, for a
# bounded time each. What a target found stays in its package's testdata/fuzz,
# and is tried again by every ordinary test run. Then checks the packages'
# properties with thousands of inputs of a new seed each time; what fails
# there names the seed, and becomes a test.
set -euo pipefail
go=$1 time=$2
shift 2
failed=0
while read -r package; do
	for target in $("$go" test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
		echo "== $package $target"
		"$go" test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 5s "$package" || failed=1
	done
	if "$go" list -f '{{join .TestImports " "}} {{join .XTestImports " "}}' "$package" | grep -qE "test(kit)?/property"; then
		seed=$((RANDOM * 32768 + RANDOM + 1))
		echo "== $package properties, seed $seed"
		"$go" test -count=1 -rapid.seed "$seed" -rapid.checks 2000 "$package" || failed=1
	fi
done < <("$go" list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' "$@")
exit $failed

#!/bin/bash
# Tries a bounded number of inputs, other ones each time, on the fuzz targets
# that read what strangers send: a part of every test run, where tools/fuzz.sh
# takes as long as one likes. The fuzzer's instrumentation is left out, which
# would compile every dependency once more. What fails is printed with its
# input, and is kept in the package's testdata/fuzz.
set -euo pipefail
go=$1
root=$PWD
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
failed=0

# try PACKAGE-FOLDER TEST-BINARY TARGET INPUTS
try() {
	local log=$out/log
	touch "$out/begun"
	if (cd "$1" && timeout 300 "$2" -test.run '^$' -test.fuzz "^$3\$" -test.fuzztime "$4x" -test.parallel 2 \
		-test.fuzzminimizetime 5s -test.fuzzcachedir "$out/cache") >"$log" 2>&1; then
		echo "ok	$1 $3, $4 inputs"
		return
	fi
	failed=1
	echo "FAIL	$1 $3"
	cat "$log"
	find "$1/testdata/fuzz/$3" -newer "$out/begun" -type f -print -exec cat {} \; 2>/dev/null || true
}

while read -r module package inputs targets; do
	binary=$out/fuzz.test
	CGO_ENABLED=0 "$go" -C "$root/$module" test -trimpath -c -o "$binary" "./$package"
	for target in $targets; do
		try "$root/$module/$package" "$binary" "$target" "$inputs"
	done
done <<'TARGETS'
. internal/apiserver 3000 FuzzRequest
. internal/apiserver/codec 20000 FuzzDecode
. internal/apiserver/crd 2000 FuzzDefinition
. internal/apiserver/listing 20000 FuzzToken FuzzSelectors
. internal/apiserver/patch 20000 FuzzApply
. internal/edge/dns 20000 FuzzAnswer
runtime image/snapshots 2000 FuzzUnpack
TARGETS
exit $failed

// Package property checks that something holds for any input, by rapid. An
// ordinary test run tries the same inputs every time, so that its outcome is
// the commit's and not the day's; `make fuzz` tries others for as long as one
// likes, and what it finds becomes a test of its own.
package property

import (
	"flag"
	"strconv"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// settle gives rapid's flags other defaults: a seed that stays, and no file
// left in testdata, where tests look for their scenarios.
var settle = sync.OnceFunc(func() {
	set := func(name, unset, value string) {
		if f := flag.Lookup(name); f.Value.String() == unset {
			_ = f.Value.Set(value) // both are well-formed
		}
	}
	set("rapid.seed", "0", "1")
	set("rapid.nofailfile", "false", "true")
})

// Check is rapid.Check with inputs that do not change from run to run, unless
// -rapid.seed says otherwise.
func Check(t *testing.T, holds func(*rapid.T)) {
	t.Helper()
	settle()
	rapid.Check(t, holds)
}

// Few is Check for inputs that are costly to try: n of a hundred.
func Few(t *testing.T, n int, holds func(*rapid.T)) {
	t.Helper()
	checks := flag.Lookup("rapid.checks")
	usual := checks.Value.String()
	if hundred, err := strconv.Atoi(usual); err == nil {
		_ = checks.Value.Set(strconv.Itoa(max(1, hundred*n/100))) // well-formed
		defer func() { _ = checks.Value.Set(usual) }()
	}
	Check(t, holds)
}

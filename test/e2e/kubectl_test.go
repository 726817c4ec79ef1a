package e2e

import (
	"strings"
	"testing"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// eachKubectl runs a test with every kubectl there is, each in a namespace of
// its own.
func eachKubectl(t *testing.T, test func(t *testing.T, s *harness.Space, k harness.Kubectl)) {
	t.Helper()
	for _, k := range cluster.Kubectls(t) {
		t.Run(k.Name, func(t *testing.T) {
			s := cluster.Space(t)
			test(t, s, k.In(s.Name))
		})
	}
}

// hasWords fails the test where the output lacks one of the words.
func hasWords(t *testing.T, output string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(output, w) {
			t.Errorf("the output does not say %q:\n%s", w, output)
		}
	}
}

// is fails the test where the output, but for space around it, is not this.
func is(t *testing.T, output, want string) {
	t.Helper()
	if got := strings.TrimSpace(output); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

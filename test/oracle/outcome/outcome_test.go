package outcome

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func cause(field, message string) metav1.StatusCause {
	return metav1.StatusCause{Type: metav1.CauseTypeFieldValueInvalid, Field: field, Message: message}
}

func TestCompare(t *testing.T) {
	object := func(replicas int64) Outcome { return Outcome{Object: map[string]any{"replicas": replicas}} }
	refused := func(causes ...metav1.StatusCause) Outcome { return Outcome{Causes: causes} }
	cases := map[string]struct {
		ours, theirs Outcome
		what         []string
	}{
		"the same object":      {object(1), object(1), nil},
		"another object":       {object(1), object(2), []string{"object"}},
		"errors in any order":  {refused(cause("a", "x"), cause("b", "y")), refused(cause("b", "y"), cause("a", "x")), nil},
		"an error too many":    {refused(cause("a", "x")), object(1), []string{"error"}},
		"another message":      {refused(cause("a", "x")), refused(cause("a", "y")), []string{"message"}},
		"an error twice":       {refused(cause("a", "x"), cause("a", "x")), refused(cause("a", "x")), []string{"times"}},
		"addresses":            {refused(cause("a", "0xc000123456")), refused(cause("a", "0xc000654321")), nil},
		"a list in any order":  {refused(cause("a", "supported values: b, c")), refused(cause("a", "supported values: c, b")), nil},
		"a warning is missing": {object(1), Outcome{Object: map[string]any{"replicas": int64(1)}, Warnings: []string{"a: b"}}, []string{"warning"}},
		"failures":             {Outcome{Broken: "no number"}, Outcome{Broken: "not a number"}, nil},
		"a panic":              {Outcome{Broken: "panic: x"}, Outcome{Broken: "not a number"}, []string{"broken"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := Compare(c.ours, c.theirs)
			if len(got) != len(c.what) {
				t.Fatalf("%+v, want %v", got, c.what)
			}
			for i, d := range got {
				if d.What != c.what[i] {
					t.Errorf("%+v, want %s", d, c.what[i])
				}
			}
		})
	}
}

func TestGuardMakesPanicsOutcomes(t *testing.T) {
	got := Guard(func() Outcome { panic("x") })
	if got.Broken != "panic: x" {
		t.Errorf("%+v", got)
	}
}

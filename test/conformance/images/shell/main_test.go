package main

import "testing"

func TestIsIdentifier(t *testing.T) {
	for name, want := range map[string]bool{
		"PATH": true, "_a1": true, "data_1": true,
		"": false, "1a": false, "data-1": false, "a.b": false, "p.data_1": false, "é": false,
	} {
		if got := isIdentifier(name); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}

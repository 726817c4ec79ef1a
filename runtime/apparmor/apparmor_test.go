package apparmor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// kernel is one whose files are the test's.
func kernel(t *testing.T, enabled, profiles string) (Kernel, string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"enabled": enabled, "profiles": profiles} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return discover(filepath.Join(dir, "enabled"), filepath.Join(dir, "profiles")), dir
}

func TestLoaded(t *testing.T) {
	k, _ := kernel(t, "Y\n", "/usr/bin/man (enforce)\nlsb_release (complain)\nwith a space (kill)\n")
	for name, want := range map[string]bool{"/usr/bin/man": true, "lsb_release": true, "with a space": true, "with": false, "man": false, "": false} {
		if got, err := k.Loaded(name); got != want || err != nil {
			t.Errorf("%q: %v, %v", name, got, err)
		}
	}
	if off, _ := kernel(t, "N\n", "a (enforce)\n"); off.Enabled() {
		t.Error("a kernel that has it switched off is taken for one that enforces it")
	}
	if got, err := (Kernel{}).Loaded("a"); got || err != nil {
		t.Errorf("without AppArmor: %v, %v", got, err)
	}
}

// parser is a program in place of the system's, which writes down what it is given.
func parser(t *testing.T, dir, script string) string {
	t.Helper()
	path := filepath.Join(dir, "parser")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaultIsLoadedOnce(t *testing.T) {
	k, dir := kernel(t, "Y\n", "")
	given := filepath.Join(dir, "given")
	if err := k.ensure(t.Context(), parser(t, dir, "echo \"$@\" >"+given+"; cat >>"+given)); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(given)
	if err != nil || !strings.HasPrefix(string(text), "-K -r\n") || !strings.Contains(string(text), "profile "+Default+" ") {
		t.Errorf("the parser was given %q, %v", text, err)
	}
	k, dir = kernel(t, "Y\n", Default+" (enforce)\n")
	if err := k.ensure(t.Context(), parser(t, dir, "exit 1")); err != nil {
		t.Errorf("one that is there is loaded again: %v", err)
	}
	k, dir = kernel(t, "Y\n", "")
	if err := k.ensure(t.Context(), parser(t, dir, "echo syntax error; exit 1")); err == nil || !strings.Contains(err.Error(), "syntax error") {
		t.Errorf("a refusal: %v", err)
	}
	if err := k.ensure(t.Context(), "no-such-parser"); err == nil || !strings.Contains(err.Error(), "package apparmor") {
		t.Errorf("without a parser: %v", err)
	}
	if err := (Kernel{}).ensure(t.Context(), "no-such-parser"); err != nil {
		t.Errorf("without AppArmor: %v", err)
	}
}

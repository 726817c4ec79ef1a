package proc

import (
	"os"
	"testing"
)

func TestParseStatSurvivesHostileNames(t *testing.T) {
	tail := " S 7 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1"
	for _, name := range []string{"sh", "a b", ") S 1 (", "x)", "\n"} {
		st, err := parseStat([]byte("12 (" + name + ")" + tail))
		if err != nil || st.PPID != 7 || st.StartTime != 4242 || st.State != 'S' {
			t.Errorf("%q: %+v, %v", name, st, err)
		}
	}
}

func TestParseStatRefusesShortInput(t *testing.T) {
	for _, in := range []string{"", "1 (x", "1 (x) S 1", "1 (x) S a 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 1 1"} {
		if _, err := parseStat([]byte(in)); err == nil {
			t.Errorf("%q was accepted", in)
		}
	}
}

func TestIdentitySelf(t *testing.T) {
	id, err := Identify(os.Getpid())
	if err != nil || !id.Alive() {
		t.Fatalf("own process: %+v, %v", id, err)
	}
	id.StartTime++
	if id.Alive() || id.Exists() {
		t.Fatal("a later process with this pid passed for the same")
	}
}

package main

import (
	"strings"
	"testing"
	"time"
)

func TestThePageTellsWhatWasSeen(t *testing.T) {
	two := []step{{name: "up"}, {name: "down"}}
	all := []scenario{{name: "plain", about: "Debian", steps: two}, {name: "ufw", about: "ufw on", steps: two}, {name: "docker", about: "Docker", steps: two}}
	cache := t.TempDir()
	err := saveResults(cache, map[string]result{
		"plain": {Program: "v1", Took: 61 * time.Second, Load: 1.5, Seen: []seen{{"up", "ready"}, {"down", "gone"}}},
		"ufw":   {Program: "v2", Took: time.Minute, Seen: []seen{{"up", "ready"}}, Failed: "down: it\nhangs"},
	})
	if err != nil {
		t.Fatal(err)
	}
	kept, err := loadResults(cache)
	if err != nil {
		t.Fatal(err)
	}
	page := string(render(all, kept))
	for _, want := range []string{
		"| plain | Debian | 2 held | 61 (1.5) | v1 |", "| ufw | ufw on | FAILED after 1 of 2 | 60 (0.0) | v2 |", "| docker | Docker | not played yet | | |",
		"- up: ready\n- down: gone\n", "- **failed**: hangs", "**SELinux enforcing**",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	if strings.Contains(page, "Together") {
		t.Error("the whole was not played")
	}
	if page := string(render(all[:1], kept)); !strings.Contains(page, "\nTogether: 1 minutes.\n") {
		t.Errorf("the whole was played:\n%s", page)
	}
	if none, err := loadResults(t.TempDir()); err != nil || len(none) != 0 {
		t.Errorf("nothing was played: got %v, %v", none, err)
	}
}

func TestWhatIsLeftBehindIsNamed(t *testing.T) {
	before := []string{"link lo", "rule 0: local"}
	if d := differences(before, []string{"rule 0: local", "link lo"}); len(d) != 0 {
		t.Errorf("nothing differs, got %q", d)
	}
	d := differences(before, []string{"link lo", "link kn1", "unit knarr.scope"}, "unit knarr.scope")
	if got := strings.Join(d, "; "); got != "+ link kn1; - rule 0: local" {
		t.Errorf("got %q", got)
	}
}

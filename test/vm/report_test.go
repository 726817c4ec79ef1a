package main

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestThePageTellsWhatWasSeen(t *testing.T) {
	two := []step{{name: "up"}, {name: "down"}}
	page := string(render([]result{
		{scenario: scenario{name: "plain", about: "Debian", steps: two}, took: 61 * time.Second, seen: []string{"ready", "gone"}},
		{scenario: scenario{name: "ufw", about: "ufw on", steps: two}, took: time.Minute, seen: []string{"ready"}, failed: errors.New("down: it\nhangs")},
	}, 2*time.Minute))
	for _, want := range []string{
		"| plain | Debian | 2 held | 61 |", "| ufw | ufw on | FAILED after 1 | 60 |",
		"- up: ready\n- down: gone\n", "- **failed**: hangs", "**SELinux enforcing**",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
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

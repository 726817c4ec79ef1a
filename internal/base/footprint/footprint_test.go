package footprint

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOnlyUntouchedMappingsOfTheFileCount(t *testing.T) {
	const maps = `00400000-00500000 r-xp 00000000 fe:00 1 /bin/knarr
Size:               1024 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
00500000-00600000 r--p 00100000 fe:00 1 /bin/knarr
Anonymous:             0 kB
00600000-00700000 rw-p 00200000 fe:00 1 /bin/knarr
Anonymous:             0 kB
00700000-00800000 r--p 00300000 fe:00 1 /bin/knarr
Anonymous:             8 kB
7f0000000000-7f0000001000 r-xp 00000000 fe:00 2 /lib/other
Anonymous:             0 kB
c000000000-c000400000 rw-p 00000000 00:00 0
Anonymous:          4096 kB
`
	got, err := untouched(strings.NewReader(maps), "/bin/knarr")
	if err != nil {
		t.Fatal(err)
	}
	want := []region{{0x400000, 0x500000}, {0x500000, 0x600000}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(region{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// resident is how much of files the process has mapped in, in kB.
func resident(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "RssFile:"); ok {
			n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("no RssFile in /proc/self/status")
	return 0
}

func TestReleaseShrinksTheProcessAndItGoesOn(t *testing.T) {
	before := resident(t)
	if err := Release(); err != nil {
		t.Fatal(err)
	}
	if after := resident(t); after >= before {
		t.Errorf("%d kB of files were resident before, %d after", before, after)
	}
}

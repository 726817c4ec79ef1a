package footprint

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOnlyReadOnlyMappingsOfTheFileCount(t *testing.T) {
	const maps = `00400000-00500000 r-xp 00000000 fe:00 1 /bin/knarr
00500000-00600000 r--p 00100000 fe:00 1 /bin/knarr
00600000-00700000 rw-p 00200000 fe:00 1 /bin/knarr
7f0000000000-7f0000001000 r-xp 00000000 fe:00 2 /lib/other
7ffc00000000-7ffc00001000 r-xp 00000000 00:00 0 [vdso]
c000000000-c000400000 rw-p 00000000 00:00 0
`
	got, err := readOnly(strings.NewReader(maps), "/bin/knarr")
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

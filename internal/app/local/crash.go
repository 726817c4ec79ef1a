package local

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/knarr-io/knarr/internal/app/keep"
	"github.com/knarr-io/knarr/internal/base/remedy"
)

// crashes is how often a service may end while the cluster comes up: keep
// starts it at longer and longer intervals, so that these are some seconds in
// which what it wants may come about.
const crashes = 8

// untilCrash returns an error as soon as one of the nodes' services has ended
// too often, with its last words, and nil when ctx ends.
func untilCrash(ctx context.Context, nodes []Settings) error {
	before := map[string]int{}
	for {
		for _, n := range nodes {
			services, err := keep.Client{Socket: n.keepSocket()}.List(ctx)
			if err != nil {
				continue // keep is started anew, or ctx has ended
			}
			for _, s := range services {
				id := n.NodeName + "/" + s.Name
				first, seen := before[id]
				if !seen {
					first, before[id] = s.Restarts, s.Restarts
				}
				if s.Restarts >= first+crashes {
					return crash(s.Name, filepath.Join(n.logs(), s.Name+".log"))
				}
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second): // keep tells only who asks
		}
	}
}

// crash tells of a service that does not live.
func crash(name, log string) error {
	words, err := lastWords(log)
	if err != nil || words == "" {
		words = "it says nothing"
	}
	what, do, known := strings.Cut(words, remedy.Mark)
	if !known {
		do = "look into " + log
	}
	return remedy.New(fmt.Sprintf("the %s ends again and again: %s", name, what), do)
}

// lastWords are those with which a program of ours has ended, as it prints them:
// a line that begins with its name, and what belongs to it indented.
func lastWords(log string) (string, error) {
	const most = 16 << 10
	f, err := os.Open(log)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if _, err := f.Seek(-most, io.SeekEnd); err != nil { // it is shorter than that
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return "", err
		}
	}
	words, speaking := "", false
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if who, said, ok := strings.Cut(lines.Text(), ": "); ok && (who == "knarr" || who == "knarr-runtime") {
			words, speaking = said, true
		} else if speaking = speaking && strings.HasPrefix(lines.Text(), "    "); speaking {
			words += "\n" + lines.Text()
		}
	}
	return words, lines.Err()
}

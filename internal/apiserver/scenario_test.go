package apiserver_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/knarr-io/knarr/internal/testkit/apitest"
)

var rewrite = flag.Bool("rewrite", false, "write the scenarios' answers anew")

// Each file of testdata is a conversation with one fresh server: a request's
// line (method, path, headers as "Name: value" after semicolons), its body, a
// line of dashes, and the answer (status, warnings, JSON with what changes
// from run to run replaced). -rewrite writes what the server answers.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(text))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(strings.Split(string(text), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

const separator = "----"

func play(t *testing.T, text string) string {
	server := apitest.Start(t, nil)
	saved := &namer{}
	var out strings.Builder
	for _, step := range strings.Split(strings.TrimSpace(text), "\n\n\n") {
		ask, _, _ := strings.Cut(step, "\n"+separator)
		line, body, _ := strings.Cut(ask, "\n")
		parts := strings.Split(line, "; ")
		method, path, _ := strings.Cut(parts[0], " ")
		var headers []string
		for _, h := range parts[1:] {
			name, value, _ := strings.Cut(h, ": ")
			headers = append(headers, name, value)
		}
		status, header, answer := server.Do(t, method, path, body, headers...)
		fmt.Fprintf(&out, "%s\n%s\n%d\n", ask, separator, status)
		for _, w := range header.Values("Warning") {
			fmt.Fprintf(&out, "warning: %s\n", w)
		}
		fmt.Fprintf(&out, "%s\n\n\n", strings.TrimRight(saved.steady(answer), "\n"))
	}
	return strings.TrimRight(out.String(), "\n") + "\n"
}

// namer replaces what differs from run to run.
type namer struct{ uids []string }

var (
	uidPattern  = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	timePattern = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)
	randPattern = regexp.MustCompile(`(kube-api-access|gen)-[bcdfghjklmnpqrstvwxz2456789]{5}`)
	agePattern  = regexp.MustCompile(`"\d+m?s"`)
	addrPattern = regexp.MustCompile(`10\.96\.\d+\.\d+`)
)

func (n *namer) steady(answer []byte) string {
	text := string(answer)
	var buf bytes.Buffer
	if json.Indent(&buf, bytes.TrimSpace(answer), "", " ") == nil {
		text = buf.String()
	}
	text = uidPattern.ReplaceAllStringFunc(text, func(uid string) string {
		for i, have := range n.uids {
			if have == uid {
				return fmt.Sprintf("UID%d", i+1)
			}
		}
		n.uids = append(n.uids, uid)
		return fmt.Sprintf("UID%d", len(n.uids))
	})
	text = timePattern.ReplaceAllString(text, "TIME")
	text = randPattern.ReplaceAllString(text, "$1-RANDOM")
	text = agePattern.ReplaceAllString(text, `"AGE"`)
	return addrPattern.ReplaceAllString(text, "10.96.ADDR")
}

package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// result is how one case went.
type result struct {
	Name, SIG string
	Passed    bool
	// Skipped cases have found that they cannot run here.
	Skipped bool
	Took    time.Duration
	// Cause is the first of what a failed case said.
	Cause string
}

// report is a run of the suite.
type report struct {
	results []result
	// sha256 is the hash of the JUnit file, in hex.
	sha256 string
	took   time.Duration
}

// junit is what is read of the format that ginkgo writes.
type junit struct {
	Suites []struct {
		Time  float64 `xml:"time,attr"`
		Cases []struct {
			Name    string  `xml:"name,attr"`
			Status  string  `xml:"status,attr"`
			Time    float64 `xml:"time,attr"`
			Failure *fault  `xml:"failure"`
			Error   *fault  `xml:"error"`
			Skipped *fault  `xml:"skipped"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

type fault struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Body    string `xml:",chardata"`
}

func readReport(file string) (report, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return report{}, fmt.Errorf("the suite wrote no report: %w", err)
	}
	return parseReport(data)
}

func parseReport(data []byte) (report, error) {
	var parsed junit
	if err := xml.Unmarshal(data, &parsed); err != nil {
		return report{}, fmt.Errorf("read the JUnit report: %w", err)
	}
	sum := sha256.Sum256(data)
	r := report{sha256: hex.EncodeToString(sum[:])}
	for _, suite := range parsed.Suites {
		r.took += seconds(suite.Time)
		for _, c := range suite.Cases {
			name, isCase := strings.CutPrefix(c.Name, "[It] ")
			failed := cmp.Or(c.Failure, c.Error)
			// The steps around the cases count where they break the run; cases
			// that were not chosen are in the report, too, and never started.
			if !isCase && failed == nil || c.Status == "skipped" && c.Time == 0 || c.Status == "pending" {
				continue
			}
			name = labels.ReplaceAllString(name, "")
			res := result{Name: name, SIG: sigOf(name), Passed: c.Status == "passed", Skipped: c.Status == "skipped", Took: seconds(c.Time)}
			if said := cmp.Or(failed, c.Skipped); said != nil {
				res.Cause = causeOf(*said)
			}
			r.results = append(r.results, res)
		}
	}
	slices.SortFunc(r.results, func(a, b result) int { return cmp.Or(cmp.Compare(a.SIG, b.SIG), cmp.Compare(a.Name, b.Name)) })
	return r, nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// labels are what ginkgo writes behind a case's name.
var labels = regexp.MustCompile(` \[[^\[\]]*, [^\[\]]*\]$`)

var sig = regexp.MustCompile(`\[sig-([a-z-]+)\]`)

// sigOf is the group of upstream that owns a case.
func sigOf(name string) string {
	if m := sig.FindStringSubmatch(name); m != nil {
		return m[1]
	}
	return "none"
}

// maxCause bounds the cause, in bytes: what follows is data.
const maxCause = 400

var spaces = regexp.MustCompile(`\s+`)

func causeOf(f fault) string {
	text := f.Message
	if text == "" {
		text = f.Body
	}
	text = strings.TrimSpace(spaces.ReplaceAllString(text, " "))
	if len(text) > maxCause {
		text = strings.ToValidUTF8(text[:maxCause], "") + " ..."
	}
	return text
}

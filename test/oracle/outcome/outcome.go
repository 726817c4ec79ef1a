// Package outcome is what a write comes to, in a form in which Knarr's answer
// and upstream's can be held against each other.
package outcome

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Outcome is one side's answer to a write.
type Outcome struct {
	// Object is what would be stored, as JSON.
	Object map[string]any
	// Causes are the field errors; with any of them Object is not compared.
	Causes   []metav1.StatusCause
	Warnings []string
	// Broken is a panic, or a failure that is no field error.
	Broken string
}

// Difference is one thing in which two outcomes differ.
type Difference struct {
	// What is object, error, message, times (an error that one side gives more
	// often), warning or broken.
	What string
	// Field is the path with its indices and keys left out, so that
	// differences of one cause fall together; Type is the error's.
	Field, Type string
	// Ours and Theirs show the two sides; empty where a side has nothing.
	Ours, Theirs string
}

// Refused makes the outcome of a refused write.
func Refused(err error) Outcome {
	status, isStatus := err.(errors.APIStatus)
	if !isStatus || status.Status().Details == nil || status.Status().Reason != metav1.StatusReasonInvalid {
		return Outcome{Broken: err.Error()}
	}
	return Outcome{Causes: status.Status().Details.Causes}
}

// Accepted makes the outcome of a write that goes through. Managed fields are
// the server's and left out.
func Accepted(obj metav1.Object, warnings []string) Outcome {
	obj.SetManagedFields(nil)
	text, err := json.Marshal(obj)
	if err != nil {
		return Outcome{Broken: err.Error()}
	}
	out := Outcome{Warnings: warnings}
	if err := json.Unmarshal(text, &out.Object); err != nil {
		return Outcome{Broken: err.Error()}
	}
	delete(out.Object, "apiVersion")
	delete(out.Object, "kind")
	return out
}

// Guard runs one side and makes a panic its outcome.
func Guard(side func() Outcome) (out Outcome) {
	defer func() {
		if p := recover(); p != nil {
			out = Outcome{Broken: fmt.Sprintf("panic: %v", p)}
		}
	}()
	return side()
}

// Compare lists the differences; none means that a client could not tell.
func Compare(ours, theirs Outcome) []Difference {
	switch {
	case ours.Broken != "" || theirs.Broken != "":
		if kind(ours.Broken) == kind(theirs.Broken) {
			return nil
		}
		return []Difference{{What: "broken", Ours: ours.Broken, Theirs: theirs.Broken}}
	case len(ours.Causes) > 0 || len(theirs.Causes) > 0:
		return causes(ours.Causes, theirs.Causes)
	}
	out := objects("", ours.Object, theirs.Object)
	return append(out, texts("warning", ours.Warnings, theirs.Warnings)...)
}

// kind lets failures to decode agree whatever they say, but no panics with
// anything else.
func kind(broken string) string {
	if broken == "" || strings.HasPrefix(broken, "panic") {
		return broken
	}
	return "failure"
}

func causes(ours, theirs []metav1.StatusCause) []Difference {
	var out []Difference
	ourTimes, theirTimes := times(ours), times(theirs)
	var left []metav1.StatusCause // theirs that we do not have
	for _, c := range unique(theirs) {
		if ourTimes[c] == 0 {
			left = append(left, c)
		}
	}
	for _, c := range unique(ours) {
		if n := theirTimes[c]; n > 0 {
			if n != ourTimes[c] {
				out = append(out, Difference{What: "times", Field: Plain(c.Field), Type: string(c.Type),
					Ours: fmt.Sprint(ourTimes[c]), Theirs: fmt.Sprintf("%d of %s", n, c.Message)})
			}
			continue
		}
		i := slices.IndexFunc(left, func(o metav1.StatusCause) bool { return o.Type == c.Type && o.Field == c.Field })
		if i < 0 {
			out = append(out, Difference{What: "error", Field: Plain(c.Field), Type: string(c.Type), Ours: c.Field + ": " + c.Message})
			continue
		}
		if stable(c.Message) != stable(left[i].Message) {
			out = append(out, Difference{What: "message", Field: Plain(c.Field), Type: string(c.Type), Ours: c.Message, Theirs: left[i].Message})
		}
		left = slices.Delete(left, i, i+1)
	}
	for _, c := range left {
		out = append(out, Difference{What: "error", Field: Plain(c.Field), Type: string(c.Type), Theirs: c.Field + ": " + c.Message})
	}
	return out
}

func times(causes []metav1.StatusCause) map[metav1.StatusCause]int {
	out := make(map[metav1.StatusCause]int, len(causes))
	for _, c := range causes {
		out[c]++
	}
	return out
}

func unique(causes []metav1.StatusCause) []metav1.StatusCause {
	var out []metav1.StatusCause
	for _, c := range causes {
		if !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	return out
}

// clock matches times: upstream's clock stands at now.
var clock = regexp.MustCompile(`20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ`)

var pointer = regexp.MustCompile(`0x[0-9a-f]{6,}`)

// stable leaves out what differs between two runs of one program: addresses, and
// the order in which maps are listed.
func stable(message string) string {
	message = clock.ReplaceAllString(pointer.ReplaceAllString(message, "0x"), "T")
	_, listed, found := strings.Cut(message, "supported values: ")
	if !found {
		return message
	}
	names := strings.Split(listed, ", ")
	slices.Sort(names)
	return strings.TrimSuffix(message, listed) + strings.Join(names, ", ")
}

var index = regexp.MustCompile(`\[[^\]]*\]`)

// Plain is a field path without indices and keys.
func Plain(path string) string { return index.ReplaceAllString(path, "[]") }

func texts(what string, ours, theirs []string) []Difference {
	var out []Difference
	left := slices.Clone(theirs)
	for _, t := range ours {
		if i := slices.Index(left, t); i >= 0 {
			left = slices.Delete(left, i, i+1)
			continue
		}
		out = append(out, Difference{What: what, Field: head(t), Ours: t})
	}
	for _, t := range left {
		out = append(out, Difference{What: what, Field: head(t), Theirs: t})
	}
	return out
}

// head is the path that a warning begins with.
func head(text string) string {
	path, _, _ := strings.Cut(text, ":")
	return Plain(path)
}

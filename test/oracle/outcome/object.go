package outcome

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"
)

// objects lists the paths at which two JSON values differ, the shortest ones.
func objects(path string, ours, theirs any) []Difference {
	if reflect.DeepEqual(ours, theirs) {
		return nil
	}
	if a, b, both := two[map[string]any](ours, theirs); both {
		return fields(path, a, b)
	}
	if a, b, both := two[[]any](ours, theirs); both && len(a) == len(b) {
		var out []Difference
		for i := range a {
			out = append(out, objects(fmt.Sprintf("%s[%d]", path, i), a[i], b[i])...)
		}
		return out
	}
	if stamped(theirs) {
		return nil
	}
	return []Difference{{What: "object", Field: Plain(path), Ours: show(ours), Theirs: show(theirs)}}
}

// stamped tells whether upstream took a value from its clock, which stands
// at now and not where the cases put it. Ours leaves some such times to the
// server.
func stamped(v any) bool {
	text, isText := v.(string)
	if !isText {
		return false
	}
	at, err := time.Parse(time.RFC3339, text)
	return err == nil && time.Since(at).Abs() < time.Hour
}

func fields(path string, ours, theirs map[string]any) []Difference {
	names := make([]string, 0, len(ours))
	for name := range ours {
		names = append(names, name)
	}
	for name := range theirs {
		if _, have := ours[name]; !have {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var out []Difference
	for _, name := range names {
		at := name
		if path != "" {
			at = path + "." + name
		}
		out = append(out, objects(at, ours[name], theirs[name])...)
	}
	return out
}

func two[T any](a, b any) (x, y T, both bool) {
	x, first := a.(T)
	y, second := b.(T)
	return x, y, first && second
}

func show(v any) string {
	if v == nil {
		return ""
	}
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

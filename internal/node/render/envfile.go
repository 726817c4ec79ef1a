package render

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// fileKey resolves a reference to a variable of a file in a volume. One that is
// empty counts as one that is not there, as upstream's do.
func fileKey(in EnvInput, ref *corev1.FileKeySelector) (string, bool, error) {
	text, err := in.Refs.File(ref.VolumeName, ref.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, missing(ref.Optional, "file %q not found in volume %q", ref.Path, ref.VolumeName)
	}
	value := ""
	if err == nil {
		value, err = fileVariable(text, ref.Key)
	}
	if err != nil {
		return "", false, fmt.Errorf("couldn't parse env file %q of volume %q: %w", ref.Path, ref.VolumeName, err)
	}
	if value == "" {
		return "", false, missing(ref.Optional, "environment variable key %q not found in file %q of volume %q", ref.Key, ref.Path, ref.VolumeName)
	}
	return value, true, nil
}

// fileVariable is the value that a text of assignments first gives to a
// variable (KEP-3721): NAME='value', with anything but a quote between the
// quotes, line ends too. Blank lines, comments from a # on, and blanks before
// a name mean nothing; a blank behind the equals sign makes the value empty.
func fileVariable(text, name string) (string, error) {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	for at := 1; text != ""; {
		line, rest, _ := strings.Cut(text, "\n")
		line = strings.TrimLeft(line, blanks)
		if line == "" || line[0] == '#' {
			text, at = rest, at+1
			continue
		}
		assigned, value, err := splitAssignment(line)
		if err != nil {
			return "", fmt.Errorf("line %d: %w", at, err)
		}
		after := ""
		if value != "" { // a quote, and what may be more lines
			begins := len(text) - len(strings.TrimLeft(text, blanks)) + len(assigned) + len("='")
			var closed bool
			if value, after, closed = strings.Cut(text[begins:], "'"); !closed {
				return "", fmt.Errorf("line %d: the quote is not closed", at)
			}
			at += strings.Count(value, "\n")
			after, rest, _ = strings.Cut(after, "\n")
		}
		if after = strings.TrimLeft(after, blanks); after != "" && after[0] != '#' {
			return "", fmt.Errorf("line %d: there is more after the closing quote", at)
		}
		if assigned == name {
			return value, nil
		}
		text, at = rest, at+1
	}
	return "", nil
}

const blanks = " \t"

// splitAssignment takes a line apart; the value begins with its quote, or is empty.
func splitAssignment(line string) (name, value string, err error) {
	name, value, assigns := strings.Cut(line, "=")
	switch {
	case !assigns:
		return "", "", errors.New("there is no =")
	case name == "":
		return "", "", errors.New("there is no name before the =")
	case strings.TrimRight(name, blanks) != name:
		return "", "", errors.New("there is a blank before the =")
	case value != "" && strings.ContainsAny(value[:1], blanks):
		return name, "", nil
	case !strings.HasPrefix(value, "'"):
		return "", "", errors.New("the value is not in single quotes")
	}
	return name, value, nil
}

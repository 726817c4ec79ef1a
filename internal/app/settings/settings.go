// Package settings reads what a person wants of Knarr from flags, environment
// variables and a YAML file. The three name the same settings: the flag
// --data-dir is KNARR_DATA_DIR in the environment and data-dir in the file. A
// flag counts over the environment, and that over the file. What nobody knows
// is refused with its place and the nearest name that is known.
package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// envPrefix begins the name of every environment variable that is a setting.
const envPrefix = "KNARR_"

// maxFile bounds the settings file, in bytes.
const maxFile = 1 << 20

// Apply fills the flags that the command line left unset from the environment
// and then from the file, which may be empty for none. What others alone know is
// passed over: one file and one environment do for commands that take less.
func Apply(flags, others *pflag.FlagSet, file string, environ []string) error {
	fromFlags := map[string]bool{}
	flags.Visit(func(f *pflag.Flag) { fromFlags[f.Name] = true })
	fromEnv, err := applyEnvironment(flags, others, fromFlags, environ)
	if err != nil || file == "" {
		return err
	}
	return applyFile(flags, others, file, func(name string) bool { return fromFlags[name] || fromEnv[name] })
}

func applyEnvironment(flags, others *pflag.FlagSet, taken map[string]bool, environ []string) (set map[string]bool, err error) {
	set = map[string]bool{}
	for _, entry := range environ {
		key, value, _ := strings.Cut(entry, "=")
		rest, ours := strings.CutPrefix(key, envPrefix)
		if !ours {
			continue
		}
		name := strings.ReplaceAll(strings.ToLower(rest), "_", "-")
		if flags.Lookup(name) == nil {
			if others.Lookup(name) != nil {
				continue
			}
			return nil, fmt.Errorf("environment variable %s: there is no setting %q%s", key, name, hint(flags, name))
		}
		if taken[name] {
			continue
		}
		if err := flags.Set(name, value); err != nil {
			return nil, fmt.Errorf("environment variable %s: %w", key, err)
		}
		set[name] = true
	}
	return set, nil
}

func applyFile(flags, others *pflag.FlagSet, path string, taken func(string) bool) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read the settings file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return fmt.Errorf("read the settings file %s: %w", path, err)
	}
	if len(text) > maxFile {
		return fmt.Errorf("settings file %s: it is over %d bytes", path, maxFile)
	}
	var doc yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(text)).Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil
		}
		return fmt.Errorf("settings file %s: %w", path, err)
	}
	return applyNode(flags, others, path, &doc, taken)
}

func applyNode(flags, others *pflag.FlagSet, path string, doc *yaml.Node, taken func(string) bool) error {
	root := doc
	if doc.Kind == yaml.DocumentNode && len(doc.Content) == 1 {
		root = doc.Content[0]
	}
	if root.Kind != yaml.MappingNode {
		return fmt.Errorf("settings file %s, line %d: want settings as `name: value`", path, root.Line)
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		at := fmt.Sprintf("settings file %s, line %d", path, key.Line)
		if flags.Lookup(key.Value) == nil {
			if others.Lookup(key.Value) != nil {
				continue
			}
			return fmt.Errorf("%s: there is no setting %q%s", at, key.Value, hint(flags, key.Value))
		}
		if before, twice := seen[key.Value]; twice {
			return fmt.Errorf("%s: %q was set on line %d already", at, key.Value, before)
		}
		seen[key.Value] = key.Line
		text, err := scalar(value)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", at, key.Value, err)
		}
		if taken(key.Value) {
			continue
		}
		if err := flags.Set(key.Value, text); err != nil {
			return fmt.Errorf("%s: %s: %w", at, key.Value, err)
		}
	}
	return nil
}

// scalar is a value as a flag takes it; a list of values is joined by commas.
func scalar(n *yaml.Node) (string, error) {
	switch n.Kind {
	case yaml.ScalarNode:
		return n.Value, nil
	case yaml.SequenceNode:
		parts := make([]string, len(n.Content))
		for i, item := range n.Content {
			if item.Kind != yaml.ScalarNode {
				return "", errors.New("want a list of plain values")
			}
			parts[i] = item.Value
		}
		return strings.Join(parts, ","), nil
	}
	return "", errors.New("want a plain value")
}

// hint names the nearest setting, and where none is near all of them.
func hint(flags *pflag.FlagSet, name string) string {
	var known []string
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" {
			known = append(known, f.Name)
		}
	})
	if near := Nearest(name, known); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	slices.Sort(known)
	return "; the settings are " + strings.Join(known, ", ")
}

// Nearest is the known name that differs least from the given one, or empty
// where all differ in more than a third of it.
func Nearest(name string, known []string) string {
	best, distance := "", max(2, len(name)/3)+1
	for _, k := range known {
		if d := editDistance(name, k); d < distance {
			best, distance = k, d
		}
	}
	return best
}

// editDistance counts the letters to add, drop or replace.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diagonal, row[j] = row[j], min(row[j]+1, row[j-1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

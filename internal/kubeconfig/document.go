package kubeconfig

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// document is a kubeconfig as a YAML tree.
type document struct {
	file yaml.Node
	root *yaml.Node
}

// note is what Merge leaves in its context for Remove.
type note struct {
	// Before is the context that was current; Created tells that there was no
	// file.
	Before  string `yaml:"current-context"`
	Created bool   `yaml:"created"`
}

const noteName = "knarr.io/before"

// check finds the root and makes sure that the lists are lists.
func (d *document) check() error {
	if d.file.Kind == 0 || len(d.file.Content) == 0 || isNull(d.file.Content[0]) {
		d.file = yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{{Kind: yaml.MappingNode}}}
		d.root = d.file.Content[0]
		set(d.root, "apiVersion", scalar("v1"))
		set(d.root, "kind", scalar("Config"))
		return nil
	}
	d.root = d.file.Content[0]
	if d.root.Kind != yaml.MappingNode {
		return errors.New("the file is not a kubeconfig: it is no mapping")
	}
	if hasAlias(d.root) {
		return errors.New("the file uses YAML aliases, which cannot be edited safely: write them out")
	}
	for _, name := range []string{"clusters", "users", "contexts"} {
		if list := get(d.root, name); list != nil && list.Kind != yaml.SequenceNode && !isNull(list) {
			return fmt.Errorf("the file is not a kubeconfig: %s is no list", name)
		}
	}
	return nil
}

func (d *document) encode() ([]byte, error) {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(&d.file); err != nil {
		return nil, fmt.Errorf("encode kubeconfig: %w", err)
	}
	if err := encoder.Close(); err != nil {
		return nil, fmt.Errorf("encode kubeconfig: %w", err)
	}
	// Nothing is ever written that could not be read again.
	if _, err := parse(out.Bytes()); err != nil {
		return nil, fmt.Errorf("edit kubeconfig: %w", err)
	}
	return out.Bytes(), nil
}

func (d *document) merge(e Entry, exists bool) error {
	before, ours := d.note(e.Name)
	if !ours {
		for _, list := range []string{"clusters", "users", "contexts"} {
			if d.find(list, e.Name) != nil {
				return fmt.Errorf("%s %q: %w", list, e.Name, errTaken)
			}
		}
		before.Created = !exists
	}
	if current := d.current(); current != e.Name {
		before.Before = current
	}
	d.putCredentials(e)
	d.putContext(e.Name, before)
	set(d.root, "current-context", scalar(e.Name))
	return nil
}

// putCredentials writes the cluster and the user.
func (d *document) putCredentials(e Entry) {
	d.put("clusters", e.Name, "cluster", mapping(
		"certificate-authority-data", base64.StdEncoding.EncodeToString(e.CA), "server", e.Server))
	d.put("users", e.Name, "user", mapping(
		"client-certificate-data", base64.StdEncoding.EncodeToString(e.Certificate),
		"client-key-data", base64.StdEncoding.EncodeToString(e.Key)))
}

// putContext keeps what a person set in our context (a namespace).
func (d *document) putContext(name string, n note) {
	contents := &yaml.Node{Kind: yaml.MappingNode}
	if old := d.find("contexts", name); old != nil {
		if c := get(old, "context"); c != nil && c.Kind == yaml.MappingNode {
			contents = c
		}
	}
	set(contents, "cluster", scalar(name))
	set(contents, "user", scalar(name))
	details := mapping("current-context", n.Before)
	if n.Created {
		set(details, "created", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true"})
	}
	extension := mapping("name", noteName)
	set(extension, "extension", details)
	others := &yaml.Node{Kind: yaml.SequenceNode}
	if list := get(contents, "extensions"); list != nil && list.Kind == yaml.SequenceNode {
		for _, item := range list.Content {
			if named(item) != noteName {
				others.Content = append(others.Content, item)
			}
		}
	}
	others.Content = append(others.Content, extension)
	set(contents, "extensions", others)
	d.put("contexts", name, "context", contents)
}

// note reads what Merge left; ok is false where the context is not ours.
func (d *document) note(name string) (n note, ok bool) {
	entry := d.find("contexts", name)
	if entry == nil {
		return note{}, false
	}
	contents := get(entry, "context")
	if contents == nil {
		return note{}, false
	}
	list := get(contents, "extensions")
	if list == nil || list.Kind != yaml.SequenceNode {
		return note{}, false
	}
	for _, item := range list.Content {
		if named(item) != noteName {
			continue
		}
		if details := get(item, "extension"); details != nil && details.Decode(&n) == nil {
			return n, true
		}
	}
	return note{}, false
}

func (d *document) remove(name string, n note) {
	for _, list := range []string{"clusters", "users", "contexts"} {
		d.drop(list, name)
	}
	if d.current() == name {
		set(d.root, "current-context", scalar(n.Before))
	}
}

// isBare tells whether nothing is left that somebody could miss.
func (d *document) isBare() bool {
	for i := 0; i+1 < len(d.root.Content); i += 2 {
		value := d.root.Content[i+1]
		switch d.root.Content[i].Value {
		case "apiVersion", "kind":
		case "current-context":
			if value.Value != "" {
				return false
			}
		default:
			if len(value.Content) > 0 || value.Kind == yaml.ScalarNode && !isNull(value) {
				return false
			}
		}
	}
	return true
}

func (d *document) current() string {
	if node := get(d.root, "current-context"); node != nil && !isNull(node) {
		return node.Value
	}
	return ""
}

// find gives a list's entry of a name; nil where there is none.
func (d *document) find(list, name string) *yaml.Node {
	entries := get(d.root, list)
	if entries == nil {
		return nil
	}
	for _, entry := range entries.Content {
		if named(entry) == name {
			return entry
		}
	}
	return nil
}

func (d *document) put(list, name, field string, contents *yaml.Node) {
	if entry := d.find(list, name); entry != nil {
		set(entry, field, contents)
		return
	}
	entries := get(d.root, list)
	if entries == nil || isNull(entries) {
		entries = &yaml.Node{Kind: yaml.SequenceNode}
		set(d.root, list, entries)
	}
	entries.Style = 0 // an empty list is often written as []
	entry := mapping("name", name)
	set(entry, field, contents)
	entries.Content = append(entries.Content, entry)
}

func (d *document) drop(list, name string) {
	entries := get(d.root, list)
	if entries == nil {
		return
	}
	left := entries.Content[:0]
	for _, entry := range entries.Content {
		if named(entry) != name {
			left = append(left, entry)
		}
	}
	entries.Content = left
	if len(left) == 0 {
		entries.Kind, entries.Tag, entries.Style = yaml.SequenceNode, "", yaml.FlowStyle
	}
}

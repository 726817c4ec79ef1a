package kubeconfig

import (
	"slices"

	"go.yaml.in/yaml/v3"
)

// get is a mapping's value; nil where there is none.
func get(m *yaml.Node, key string) *yaml.Node {
	if m == nil || m.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return m.Content[i+1]
		}
	}
	return nil
}

// hasAlias looks for references to other parts of the file.
func hasAlias(n *yaml.Node) bool {
	return n.Kind == yaml.AliasNode || slices.ContainsFunc(n.Content, hasAlias)
}

// set replaces a mapping's value or appends it.
func set(m *yaml.Node, key string, value *yaml.Node) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			m.Content[i+1] = value
			return
		}
	}
	m.Content = append(m.Content, scalar(key), value)
}

func mapping(pairs ...string) *yaml.Node {
	out := &yaml.Node{Kind: yaml.MappingNode}
	for i := 0; i+1 < len(pairs); i += 2 {
		set(out, pairs[i], scalar(pairs[i+1]))
	}
	return out
}

// scalar is a string: the encoder quotes what would read as something else.
func scalar(value string) *yaml.Node {
	node := &yaml.Node{}
	node.SetString(value)
	return node
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func named(entry *yaml.Node) string {
	if node := get(entry, "name"); node != nil {
		return node.Value
	}
	return ""
}

package bootstrap

import (
	"bufio"
	"bytes"
	_ "embed"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api"
)

//go:embed policy.txt
var policyText []byte

//go:embed controllers.txt
var controllersText []byte

//go:embed knarr.txt
var knarrText []byte

const (
	bootstrapLabel  = "kubernetes.io/bootstrapping"
	autoUpdate      = "rbac.authorization.kubernetes.io/autoupdate"
	aggregateTo     = "rbac.authorization.k8s.io/aggregate-to-"
	controllers     = "system:controller:"
	systemNamespace = metav1.NamespaceSystem
)

// Policy is the default policy as new objects, in the order of the texts.
func Policy() ([]api.Object, error) {
	p := &parser{}
	for _, text := range [][]byte{policyText, controllersText, knarrText} {
		lines := bufio.NewScanner(bytes.NewReader(text))
		for lines.Scan() {
			if err := p.line(lines.Text()); err != nil {
				return nil, fmt.Errorf("default policy, %q: %w", lines.Text(), err)
			}
		}
		if err := lines.Err(); err != nil {
			return nil, fmt.Errorf("default policy: %w", err)
		}
	}
	return p.out, nil
}

// parser reads the format that policy.txt describes.
type parser struct {
	out []api.Object
	// rules are those of the role that the next indented line belongs to.
	rules *[]rbacv1.PolicyRule
}

func (p *parser) line(line string) error {
	words := strings.Fields(line)
	if len(words) == 0 || words[0][0] == '#' {
		return nil
	}
	if line[0] == ' ' {
		return p.rule(words)
	}
	switch {
	case words[0] == "clusterrole" && len(words) >= 2:
		p.clusterRole(words[1], words[2:])
	case words[0] == "controller" && len(words) == 2:
		p.clusterRole(controllers+words[1], nil)
		p.out = append(p.out, clusterBinding(controllers+words[1], []string{"sa:" + words[1]}))
	case words[0] == "role" && len(words) == 3:
		role := &rbacv1.Role{ObjectMeta: defaultMeta(words[1], words[2])}
		p.out, p.rules = append(p.out, role), &role.Rules
	case words[0] == "bind" && len(words) >= 2:
		p.bind(words[1:])
	default:
		return fmt.Errorf("unknown statement")
	}
	return nil
}

func (p *parser) clusterRole(name string, options []string) {
	role := &rbacv1.ClusterRole{ObjectMeta: defaultMeta("", name)}
	for _, option := range options {
		if to, ok := strings.CutPrefix(option, "to="); ok {
			role.Labels[aggregateTo+to] = "true"
		}
		if from, ok := strings.CutPrefix(option, "from="); ok {
			role.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{
				{MatchLabels: map[string]string{aggregateTo + from: "true"}},
			}}
		}
	}
	p.out, p.rules = append(p.out, role), &role.Rules
}

// bind takes a cluster role's name and subjects, or namespace/name, a role's
// name and subjects.
func (p *parser) bind(words []string) {
	namespace, name, namespaced := strings.Cut(words[0], "/")
	if !namespaced {
		p.out = append(p.out, clusterBinding(words[0], words[1:]))
		return
	}
	role := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: words[1]}
	if wide, ok := strings.CutPrefix(words[1], "clusterrole:"); ok {
		role.Kind, role.Name = "ClusterRole", wide
	}
	p.out = append(p.out, &rbacv1.RoleBinding{ObjectMeta: defaultMeta(namespace, name), Subjects: subjects(words[2:]), RoleRef: role})
}

func clusterBinding(role string, words []string) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		ObjectMeta: defaultMeta("", role), Subjects: subjects(words),
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
	}
}

func subjects(words []string) []rbacv1.Subject {
	var out []rbacv1.Subject
	for _, word := range words {
		kind, name, _ := strings.Cut(word, ":")
		switch kind {
		case "user":
			out = append(out, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name})
		case "group":
			out = append(out, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: name})
		case "sa":
			out = append(out, rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: systemNamespace, Name: name})
		}
	}
	return out
}

func (p *parser) rule(words []string) error {
	if p.rules == nil {
		return fmt.Errorf("a rule before any role")
	}
	var rule rbacv1.PolicyRule
	switch {
	case len(words) == 1 && words[0] == "events":
		rule = rbacv1.PolicyRule{
			APIGroups: []string{"", "events.k8s.io"}, Resources: []string{"events"}, Verbs: []string{"create", "patch", "update"},
		}
	case len(words) == 3 && words[1] == "url":
		rule = rbacv1.PolicyRule{NonResourceURLs: strings.Split(words[2], ","), Verbs: verbs(words[0])}
	case len(words) == 3, len(words) == 4:
		rule = rbacv1.PolicyRule{APIGroups: groups(words[1]), Resources: strings.Split(words[2], ","), Verbs: verbs(words[0])}
		if len(words) == 4 {
			rule.ResourceNames = strings.Split(words[3], ",")
		}
	default:
		return fmt.Errorf("a rule has three or four words")
	}
	*p.rules = append(*p.rules, rule)
	return nil
}

func verbs(word string) []string {
	switch word {
	case "read":
		return []string{"get", "list", "watch"}
	case "write":
		return []string{"create", "delete", "deletecollection", "patch", "update"}
	case "full":
		return slices.Sorted(slices.Values(append(verbs("read"), verbs("write")...)))
	default:
		return strings.Split(word, ",")
	}
}

func groups(word string) []string {
	if word == "core" {
		return []string{""}
	}
	return strings.Split(word, ",")
}

func defaultMeta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: namespace, Name: name,
		Labels:      map[string]string{bootstrapLabel: "rbac-defaults"},
		Annotations: map[string]string{autoUpdate: "true"},
	}
}

package flow

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strings"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
)

// Digest is what schemas look at.
type Digest struct {
	User       user.Info
	Verb       string
	IsResource bool
	Group      string
	// Resource is the resource, with a slash and the subresource if any.
	Resource  string
	Namespace string
	Path      string // of requests that are not for a resource
}

// schema is a FlowSchema that names a level which exists.
type schema struct {
	config *flowcontrolv1.FlowSchema
	level  *level
	seed   maphash.Seed
	class  Class // of its requests, without the flow
}

// compile sorts the schemas by precedence, and by name within the same.
func compile(configs []*flowcontrolv1.FlowSchema, levels map[string]*level, m *metrics, seed maphash.Seed) []*schema {
	var out []*schema
	for _, config := range configs {
		if l := levels[config.Spec.PriorityLevelConfiguration.Name]; l != nil {
			out = append(out, &schema{config: config, level: l, seed: seed, class: Class{
				Schema: config.Name, Level: l.name, SchemaUID: string(config.UID), LevelUID: l.uid,
				level: l, exempt: l.exempt, series: m.of(config.Name, l.name),
			}})
		}
	}
	slices.SortFunc(out, func(a, b *schema) int {
		return cmp.Or(cmp.Compare(a.config.Spec.MatchingPrecedence, b.config.Spec.MatchingPrecedence), strings.Compare(a.config.Name, b.config.Name))
	})
	// Requests that no rule matches are the catch-all's, whatever else has its
	// precedence.
	if at := slices.IndexFunc(out, func(s *schema) bool { return s.config.Name == flowcontrolv1.FlowSchemaNameCatchAll }); at >= 0 {
		out = append(append(out[:at:at], out[at+1:]...), out[at])
	}
	return out
}

func (s *schema) classOf(d *Digest) Class {
	out := s.class
	out.flowName = s.distinguisher(d)
	if !out.exempt {
		out.flow = s.hash(out.flowName)
	}
	return out
}

func (s *schema) distinguisher(d *Digest) string {
	m := s.config.Spec.DistinguisherMethod
	switch {
	case m == nil:
		return ""
	case m.Type == flowcontrolv1.FlowDistinguisherMethodByUserType:
		return d.User.GetName()
	}
	return d.Namespace
}

// hash spreads flows over queues: names that differ in a letter differ
// everywhere, and nobody can choose a name that shares another's queues.
func (s *schema) hash(flow string) uint64 {
	var h maphash.Hash
	h.SetSeed(s.seed)
	_, _ = h.WriteString(s.config.Name)
	_ = h.WriteByte(0)
	_, _ = h.WriteString(flow)
	return h.Sum64()
}

func (s *schema) matches(d *Digest) bool {
	for i := range s.config.Spec.Rules {
		rule := &s.config.Spec.Rules[i]
		if anySubject(d.User, rule.Subjects) && anyRule(d, rule) {
			return true
		}
	}
	return false
}

func anySubject(u user.Info, subjects []flowcontrolv1.Subject) bool {
	for i := range subjects {
		if isSubject(u, &subjects[i]) {
			return true
		}
	}
	return false
}

func isSubject(u user.Info, s *flowcontrolv1.Subject) bool {
	switch {
	case s.Kind == flowcontrolv1.SubjectKindUser && s.User != nil:
		return s.User.Name == flowcontrolv1.NameAll || s.User.Name == u.GetName()
	case s.Kind == flowcontrolv1.SubjectKindGroup && s.Group != nil:
		return s.Group.Name == flowcontrolv1.NameAll || slices.Contains(u.GetGroups(), s.Group.Name)
	case s.Kind == flowcontrolv1.SubjectKindServiceAccount && s.ServiceAccount != nil:
		if s.ServiceAccount.Name == flowcontrolv1.NameAll {
			return isAccountOf(s.ServiceAccount.Namespace, u.GetName())
		}
		return serviceaccount.MatchesUsername(s.ServiceAccount.Namespace, s.ServiceAccount.Name, u.GetName())
	}
	return false
}

func isAccountOf(namespace, name string) bool {
	ns, _, err := serviceaccount.SplitUsername(name)
	return err == nil && ns == namespace
}

func anyRule(d *Digest, r *flowcontrolv1.PolicyRulesWithSubjects) bool {
	if !d.IsResource {
		return slices.ContainsFunc(r.NonResourceRules, func(n flowcontrolv1.NonResourcePolicyRule) bool {
			return has(n.Verbs, d.Verb, flowcontrolv1.VerbAll) && slices.ContainsFunc(n.NonResourceURLs, d.below)
		})
	}
	return slices.ContainsFunc(r.ResourceRules, func(n flowcontrolv1.ResourcePolicyRule) bool {
		return has(n.Verbs, d.Verb, flowcontrolv1.VerbAll) && has(n.APIGroups, d.Group, flowcontrolv1.APIGroupAll) &&
			has(n.Resources, d.Resource, flowcontrolv1.ResourceAll) && d.inScope(&n)
	})
}

func has(list []string, one, all string) bool {
	return slices.Contains(list, one) || slices.Contains(list, all)
}

func (d *Digest) inScope(r *flowcontrolv1.ResourcePolicyRule) bool {
	if d.Namespace == "" {
		return r.ClusterScope
	}
	return has(r.Namespaces, d.Namespace, flowcontrolv1.NamespaceEvery)
}

// below tells whether the path is the rule's, or below one that ends in /*.
func (d *Digest) below(rule string) bool {
	if rule == flowcontrolv1.NonResourceAll || rule == d.Path {
		return true
	}
	prefix, open := strings.CutSuffix(rule, "/*")
	return open && strings.HasPrefix(d.Path, prefix+"/")
}

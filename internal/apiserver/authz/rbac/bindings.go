package rbac

import (
	"slices"
	"strings"
	"sync"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/knarr-io/knarr/internal/api"
)

// binding is what a RoleBinding or a ClusterRoleBinding (namespace empty)
// says, whichever it is.
type binding struct {
	namespace, name string
	role            rbacv1.RoleRef
	subjects        []rbacv1.Subject
}

// bindings finds bindings by namespace and subject.
type bindings struct {
	mu sync.RWMutex
	// byScope: namespace (empty: cluster-wide), subject key, bindings ordered
	// by name. The slices are replaced, never changed.
	byScope map[string]map[subjectKey][]grant
}

// subjectKey is a user name or a group name. A service account is the user
// that its tokens name.
type subjectKey struct {
	group bool
	name  string
}

func newBindings() *bindings { return &bindings{byScope: map[string]map[subjectKey][]grant{}} }

// of returns what is granted in exactly this scope, one list per subject that
// the user is. The lists are shared.
func (b *bindings) of(u user.Info, scope string) [][]grant {
	b.mu.RLock()
	defer b.mu.RUnlock()
	subjects := b.byScope[scope]
	if len(subjects) == 0 {
		return nil
	}
	out := make([][]grant, 0, 4)
	if list := subjects[subjectKey{name: u.GetName()}]; len(list) > 0 {
		out = append(out, list)
	}
	for _, group := range u.GetGroups() {
		if list := subjects[subjectKey{group: true, name: group}]; len(list) > 0 {
			out = append(out, list)
		}
	}
	return out
}

// once flattens lists: each binding once, by name.
func once(lists [][]grant) []grant {
	out := slices.Concat(lists...)
	slices.SortStableFunc(out, func(x, y grant) int { return strings.Compare(x.binding.name, y.binding.name) })
	return slices.CompactFunc(out, func(x, y grant) bool { return x.binding == y.binding })
}

// replace takes the old object's subjects out and puts the new one's in;
// either may be nil.
func (b *bindings) replace(old, new api.Object) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if old != nil {
		b.removeLocked(read(old))
	}
	if new != nil {
		b.addLocked(read(new))
	}
}

func (b *bindings) addLocked(one *binding) {
	scope := b.byScope[one.namespace]
	if scope == nil {
		scope = map[subjectKey][]grant{}
		b.byScope[one.namespace] = scope
	}
	for _, s := range one.subjects {
		if key, ok := keyOf(s, one.namespace); ok {
			scope[key] = append(slices.Clip(scope[key]), grant{binding: one, subject: s})
		}
	}
}

func (b *bindings) removeLocked(one *binding) {
	scope := b.byScope[one.namespace]
	for _, s := range one.subjects {
		key, ok := keyOf(s, one.namespace)
		if !ok {
			continue
		}
		left := slices.DeleteFunc(slices.Clone(scope[key]), func(g grant) bool { return g.binding.name == one.name })
		if len(left) == 0 {
			delete(scope, key)
			continue
		}
		scope[key] = left
	}
	if len(scope) == 0 {
		delete(b.byScope, one.namespace)
	}
}

// keyOf gives a subject's key. A service account without namespace is one of
// the binding's namespace; without any it names nobody.
func keyOf(s rbacv1.Subject, namespace string) (subjectKey, bool) {
	switch s.Kind {
	case rbacv1.UserKind:
		return subjectKey{name: s.Name}, true
	case rbacv1.GroupKind:
		return subjectKey{group: true, name: s.Name}, true
	case rbacv1.ServiceAccountKind:
		if s.Namespace != "" {
			namespace = s.Namespace
		}
		return subjectKey{name: serviceaccount.MakeUsername(namespace, s.Name)}, namespace != ""
	default:
		return subjectKey{}, false
	}
}

func read(obj api.Object) *binding {
	switch o := obj.(type) {
	case *rbacv1.RoleBinding:
		return &binding{namespace: o.Namespace, name: o.Name, role: o.RoleRef, subjects: o.Subjects}
	case *rbacv1.ClusterRoleBinding:
		return &binding{name: o.Name, role: o.RoleRef, subjects: o.Subjects}
	default:
		return &binding{}
	}
}

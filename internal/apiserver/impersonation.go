package apiserver

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	authnv1 "k8s.io/api/authentication/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/knarr-io/knarr/internal/apiserver/authz"
)

const (
	nodePrefix = "system:node:"
	// nodeKeys stands for all else that is known of an account that acts for
	// its own node, so that what it may do is one answer for all nodes.
	nodeKeys = "authentication.kubernetes.io/associated-node-keys"
	// many values are asked for by one question first.
	many = 4
)

// mode is a way to act for somebody. Each but the oldest asks for two
// permissions (KEP-5284): to be that user, and to do in that way what the
// request wants; the oldest, without a name, only for the first, of any
// request.
type mode struct {
	name string
	fits func(real user.Info, as *user.DefaultInfo) bool
}

// modes are tried in this order.
func modes() []mode {
	alone := func(as *user.DefaultInfo) bool { return as.UID == "" && len(as.Groups) == 0 && len(as.Extra) == 0 }
	return []mode{
		{ownNode, func(real user.Info, as *user.DefaultInfo) bool { return alone(as) && onNode(real, as.Name) }},
		{"arbitrary-node", func(_ user.Info, as *user.DefaultInfo) bool { return alone(as) && nodeOf(as.Name) != "" }},
		{"serviceaccount", func(_ user.Info, as *user.DefaultInfo) bool { return alone(as) && isAccount(as.Name) }},
		{"user-info", func(_ user.Info, as *user.DefaultInfo) bool { return nodeOf(as.Name) == "" && !isAccount(as.Name) }},
		{"", func(user.Info, *user.DefaultInfo) bool { return true }},
	}
}

// ownNode is the mode of service accounts whose token names the node.
const ownNode = "associated-node"

// actFor finds the first way in which the user of a request may act for
// another one. It gives who that one is then, and the permission to be them
// where it is a constrained one. Of refusals the first is told.
func actFor(ask func(authorizer.Attributes) error, request authorizer.AttributesRecord, as *user.DefaultInfo) (who *user.DefaultInfo, constraint string, err error) {
	for _, m := range modes() {
		if !m.fits(request.User, as) {
			continue
		}
		refusal := m.permit(ask, request, as)
		if refusal == nil {
			if m.name != "" {
				constraint = m.verb()
			}
			return m.become(as), constraint, nil
		}
		if err == nil {
			err = refusal
		}
	}
	return nil, "", err
}

func (m mode) verb() string {
	if m.name == "" {
		return "impersonate"
	}
	return "impersonate:" + m.name
}

// permit says what the user lacks.
func (m mode) permit(ask func(authorizer.Attributes) error, request authorizer.AttributesRecord, as *user.DefaultInfo) error {
	request.User = m.asker(request.User)
	if m.name != "" {
		request.Verb = "impersonate-on:" + m.name + ":" + request.Verb
		if err := ask(request); err != nil {
			return err
		}
	}
	base := authorizer.AttributesRecord{User: request.User, Verb: m.verb(), APIGroup: authnv1.GroupName, APIVersion: "v1", ResourceRequest: true}
	if err := ask(m.who(base, as.Name)); err != nil {
		return err
	}
	if as.UID != "" {
		uid := base
		uid.Resource, uid.Name = "uids", as.UID
		if err := ask(uid); err != nil {
			return err
		}
	}
	if err := m.groups(ask, base, as.Groups); err != nil {
		return err
	}
	return m.extras(ask, base, as.Extra)
}

// asker is in whose name permissions are asked for.
func (m mode) asker(real user.Info) user.Info {
	if m.name != ownNode {
		return real
	}
	return &user.DefaultInfo{Name: real.GetName(), UID: real.GetUID(), Groups: real.GetGroups(),
		Extra: map[string][]string{nodeKeys: slices.Sorted(maps.Keys(real.GetExtra()))}}
}

// who is the permission to be the user of a name.
func (m mode) who(a authorizer.AttributesRecord, name string) authorizer.AttributesRecord {
	if m.name == "" {
		a.APIGroup = ""
	}
	a.Resource, a.Name = "users", name
	node := nodeOf(name)
	switch ns, account, err := serviceaccount.SplitUsername(name); {
	case err == nil:
		a.Resource, a.Namespace, a.Name = "serviceaccounts", ns, account
	case m.name == ownNode:
		a.Resource, a.Name = "nodes", "*"
	case m.name != "" && node != "":
		a.Resource, a.Name = "nodes", node
	}
	return a
}

func (m mode) groups(ask func(authorizer.Attributes) error, a authorizer.AttributesRecord, groups []string) error {
	a.Resource = "groups"
	if m.name == "" {
		a.APIGroup = ""
		return each(ask, a, groups)
	}
	switch {
	case slices.Contains(groups, ""):
		return authz.Forbidden(a, "impersonating the empty string group is not allowed")
	case slices.Contains(groups, user.SystemPrivilegedGroup):
		a.Name = user.SystemPrivilegedGroup
		return authz.Forbidden(a, "impersonating the system:masters group is not allowed")
	}
	if all := a; len(groups) >= many {
		all.Name = "*"
		if ask(all) == nil {
			return nil
		}
	}
	return each(ask, a, groups)
}

func (m mode) extras(ask func(authorizer.Attributes) error, a authorizer.AttributesRecord, extra map[string][]string) error {
	a.Resource = "userextras"
	if m.name != "" {
		if err := validExtra(extra); err != nil {
			return authz.Forbidden(a, err.Error())
		}
		count := 0
		for _, values := range extra {
			count += len(values)
		}
		if all := a; count >= many { // no key is without a value
			all.Subresource, all.Name = "*", "*"
			if ask(all) == nil {
				return nil
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(extra)) {
		a.Subresource = key
		if err := each(ask, a, extra[key]); err != nil {
			return err
		}
	}
	return nil
}

// each asks for every name.
func each(ask func(authorizer.Attributes) error, a authorizer.AttributesRecord, names []string) error {
	for _, a.Name = range names {
		if err := ask(a); err != nil {
			return err
		}
	}
	return nil
}

// validExtra tells what cannot be asked for in a constrained way.
func validExtra(extra map[string][]string) error {
	for _, key := range slices.Sorted(maps.Keys(extra)) {
		if key == "" {
			return errors.New("impersonating the empty string key in extra is not allowed")
		}
		if err := validation.IsDomainPrefixedPath(field.NewPath("extra", "key"), key).ToAggregate(); err != nil {
			return fmt.Errorf("impersonating an invalid key in extra is not allowed: %w", err)
		}
		switch values := extra[key]; {
		case key != strings.ToLower(key):
			return fmt.Errorf("impersonating a non-lowercase key in extra is not allowed: %q", key)
		case len(values) == 0:
			return errors.New("impersonating empty values in extra is not allowed")
		case slices.Contains(values, ""):
			return errors.New("impersonating the empty string value in extra is not allowed")
		}
	}
	return nil
}

// become adds the groups that a user has by being who they are.
func (m mode) become(as *user.DefaultInfo) *user.DefaultInfo {
	who := *as
	who.Groups = slices.Clone(as.Groups)
	if ns, _, err := serviceaccount.SplitUsername(as.Name); err == nil && len(as.Groups) == 0 {
		who.Groups = serviceaccount.MakeGroupNames(ns)
	}
	if m.name != "" && nodeOf(as.Name) != "" {
		who.Groups = []string{user.NodesGroup}
	}
	implied := user.AllAuthenticated
	if as.Name == user.Anonymous {
		implied = user.AllUnauthenticated
	}
	if !slices.Contains(who.Groups, implied) && !slices.Contains(who.Groups, user.AllUnauthenticated) {
		who.Groups = append(who.Groups, implied)
	}
	return &who
}

// nodeOf is the node that a user's name is of; empty: of none.
func nodeOf(name string) string {
	node, ok := strings.CutPrefix(name, nodePrefix)
	if !ok || len(apivalidation.NameIsDNSSubdomain(node, false)) > 0 {
		return ""
	}
	return node
}

func isAccount(name string) bool {
	_, _, err := serviceaccount.SplitUsername(name)
	return err == nil
}

// onNode tells whether a user is a service account whose token is of a pod on
// the node of that user's name.
func onNode(real user.Info, name string) bool {
	on := real.GetExtra()[serviceaccount.NodeNameKey]
	return isAccount(real.GetName()) && nodeOf(name) != "" && len(on) == 1 && on[0] == nodeOf(name)
}

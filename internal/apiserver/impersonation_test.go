package apiserver

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// permission is what is asked for, in short: verb, group, resource, namespace
// and name.
func permission(a authorizer.Attributes) string {
	resource := a.GetResource()
	if sub := a.GetSubresource(); sub != "" {
		resource += "/" + sub
	}
	return fmt.Sprintf("%s %s.%s %s/%s", a.GetVerb(), resource, a.GetAPIGroup(), a.GetNamespace(), a.GetName())
}

func TestWhoMayActForWhom(t *testing.T) {
	const group = "authentication.k8s.io"
	real := &user.DefaultInfo{Name: "real"}
	agent := &user.DefaultInfo{Name: "system:serviceaccount:kube-system:agent", Extra: map[string][]string{
		"authentication.kubernetes.io/node-name": {"n1"}, "authentication.kubernetes.io/pod-name": {"p"}}}
	on := func(mode string) string { return "impersonate-on:" + mode + ":list pods. ns/" }
	for name, tt := range map[string]struct {
		real    user.Info
		as      user.DefaultInfo
		allowed []string
		groups  string // that the user has then
		by      string
		refused string
	}{
		"a user": {real, user.DefaultInfo{Name: "jane"}, []string{on("user-info"), "impersonate:user-info users." + group + " /jane"},
			"[system:authenticated]", "impersonate:user-info", ""},
		"a user, not for this request": {real, user.DefaultInfo{Name: "jane"}, []string{"impersonate:user-info users." + group + " /jane"},
			"", "", `pods is forbidden: User "real" cannot impersonate-on:user-info:list resource "pods" in API group "" in the namespace "ns"`},
		"another user": {real, user.DefaultInfo{Name: "joe"}, []string{on("user-info"), "impersonate:user-info users." + group + " /jane"},
			"", "", `users.authentication.k8s.io "joe" is forbidden: User "real" cannot impersonate:user-info resource "users"`},
		"of old": {real, user.DefaultInfo{Name: "jane", UID: "7", Groups: []string{"g"}, Extra: map[string][]string{"example.com/k": {"v"}}},
			[]string{"impersonate users. /jane", "impersonate groups. /g", "impersonate uids." + group + " /7", "impersonate userextras/example.com/k." + group + " /v"},
			"[g system:authenticated]", "", ""},
		"with all": {real, user.DefaultInfo{Name: "jane", UID: "7", Groups: []string{"g"}, Extra: map[string][]string{"example.com/k": {"v"}}},
			[]string{on("user-info"), "impersonate:user-info users." + group + " /jane", "impersonate:user-info groups." + group + " /g",
				"impersonate:user-info uids." + group + " /7", "impersonate:user-info userextras/example.com/k." + group + " /v"},
			"[g system:authenticated]", "impersonate:user-info", ""},
		"many groups": {real, user.DefaultInfo{Name: "jane", Groups: []string{"a", "b", "c", "d"}},
			[]string{on("user-info"), "impersonate:user-info users." + group + " /jane", "impersonate:user-info groups." + group + " /*"},
			"[a b c d system:authenticated]", "impersonate:user-info", ""},
		"a master": {real, user.DefaultInfo{Name: "jane", Groups: []string{"system:masters"}},
			[]string{on("user-info"), "impersonate:user-info users." + group + " /jane", "impersonate:user-info groups." + group + " /system:masters"},
			"", "", "impersonating the system:masters group is not allowed"},
		"a master, of old": {real, user.DefaultInfo{Name: "jane", Groups: []string{"system:masters"}},
			[]string{"impersonate users. /jane", "impersonate groups. /system:masters"}, "[system:masters system:authenticated]", "", ""},
		"an extra without value": {real, user.DefaultInfo{Name: "jane", Extra: map[string][]string{"example.com/k": {""}}},
			[]string{on("user-info"), "impersonate:user-info users." + group + " /jane"}, "", "", "impersonating the empty string value in extra is not allowed"},
		"an account": {real, user.DefaultInfo{Name: "system:serviceaccount:ns:a"}, []string{on("serviceaccount"), "impersonate:serviceaccount serviceaccounts." + group + " ns/a"},
			"[system:serviceaccounts system:serviceaccounts:ns system:authenticated]", "impersonate:serviceaccount", ""},
		"an account is no user": {real, user.DefaultInfo{Name: "system:serviceaccount:ns:a"}, []string{on("user-info"), "impersonate:user-info users." + group + " /system:serviceaccount:ns:a"},
			"", "", "cannot impersonate-on:serviceaccount:list"},
		"any node": {real, user.DefaultInfo{Name: "system:node:n2"}, []string{on("arbitrary-node"), "impersonate:arbitrary-node nodes." + group + " /n2"},
			"[system:nodes system:authenticated]", "impersonate:arbitrary-node", ""},
		"a node of old": {real, user.DefaultInfo{Name: "system:node:n2"}, []string{"impersonate users. /system:node:n2"}, "[system:authenticated]", "", ""},
		"the own node": {agent, user.DefaultInfo{Name: "system:node:n1"}, []string{on("associated-node"), "impersonate:associated-node nodes." + group + " /*"},
			"[system:nodes system:authenticated]", "impersonate:associated-node", ""},
		"not the own node": {agent, user.DefaultInfo{Name: "system:node:n2"}, []string{on("associated-node"), "impersonate:associated-node nodes." + group + " /*"},
			"", "", "cannot impersonate-on:arbitrary-node:list"},
		"nobody": {real, user.DefaultInfo{Name: user.Anonymous}, []string{on("user-info"), "impersonate:user-info users." + group + " /system:anonymous"},
			"[system:unauthenticated]", "impersonate:user-info", ""},
	} {
		request := authorizer.AttributesRecord{User: tt.real, Verb: "list", Resource: "pods", Namespace: "ns", ResourceRequest: true}
		ask := func(a authorizer.Attributes) error {
			if strings.Contains(a.GetVerb(), ownNode) && len(a.GetUser().GetExtra()[nodeKeys]) != 2 {
				t.Errorf("%s: asked for an account with %v", name, a.GetUser().GetExtra())
			}
			if slices.Contains(tt.allowed, permission(a)) {
				return nil
			}
			return (&Server{}).verdict(a, authorizer.DecisionNoOpinion, "no", errors.New("no"))
		}
		who, by, err := actFor(ask, request, &tt.as)
		switch {
		case tt.refused != "":
			if err == nil || !strings.Contains(err.Error(), tt.refused) {
				t.Errorf("%s: %v, want %s", name, err, tt.refused)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case fmt.Sprint(who.Groups) != tt.groups || by != tt.by || who.Name != tt.as.Name:
			t.Errorf("%s: %s of %v by %q, want %s by %q", name, who.Name, who.Groups, by, tt.groups, tt.by)
		}
	}
}

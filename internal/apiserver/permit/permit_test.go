package permit_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/knarr-io/knarr/internal/apiserver"
	"github.com/knarr-io/knarr/internal/apiserver/permit"
	"github.com/knarr-io/knarr/internal/testkit/apitest"
)

const (
	policies = "/apis/admissionregistration.k8s.io/v1/"
	claims   = "/apis/resource.k8s.io/v1/namespaces/default/resourceclaims"
	jane     = "jane,writers"
)

// start runs a server in which the group writers may write everything and
// read ConfigMaps by name, but neither read anything else nor bind claims. The
// driver's account may speak for its driver on any node.
func start(t *testing.T) *apitest.Server {
	t.Helper()
	return apitest.Start(t, func(c *apiserver.Config) {
		c.Authorizer = authorizer.AuthorizerFunc(decide)
		c.Permits = permit.Checks(permit.Config{Kinds: c.Catalog, Objects: c.Cache, Authorizer: c.Authorizer})
	})
}

func decide(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	groups := a.GetUser().GetGroups()
	writes := slices.Contains([]string{"create", "update", "patch", "delete"}, a.GetVerb())
	switch {
	case slices.Contains(groups, user.SystemPrivilegedGroup):
	case slices.Contains(groups, "binders") && a.GetSubresource() == "binding":
	case slices.Contains(groups, "drivers") && a.GetVerb() == "arbitrary-node:update" && a.GetName() == "gpu.example.com":
	case slices.Contains(groups, "writers") && writes && a.GetSubresource() != "binding" && a.GetSubresource() != "driver":
	case slices.Contains(groups, "writers") && a.GetVerb() == "get" && a.GetResource() == "configmaps" && a.GetAPIGroup() == "":
	default:
		return authorizer.DecisionNoOpinion, "", nil
	}
	return authorizer.DecisionAllow, "", nil
}

// write sends a body as a user and wants a code and, in a refusal, a text.
func write(t *testing.T, s *apitest.Server, who, method, path, body string, code int, text string) {
	t.Helper()
	media := "application/json"
	if method == http.MethodPatch {
		media = "application/merge-patch+json"
	}
	got, _, answer := s.Do(t, method, path, body, "Authorization", "Bearer "+who, "Content-Type", media)
	if got != code || !strings.Contains(string(answer), text) {
		t.Errorf("%s %s by %s: got %d, want %d with %q: %s", method, path, who, got, code, text, answer)
	}
}

const rules = `"matchConstraints":{"resourceRules":[{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE"],"resources":["pods"]}]},`

func policy(name, paramKind string) string {
	return `{"metadata":{"name":"` + name + `"},"spec":{` + rules + `"paramKind":` + paramKind + `,"validations":[{"expression":"true"}]}}`
}

func mutation(name, paramKind string) string {
	return `{"metadata":{"name":"` + name + `"},"spec":{` + rules + `"reinvocationPolicy":"Never","paramKind":` + paramKind +
		`,"mutations":[{"patchType":"JSONPatch","jsonPatch":{"expression":"[JSONPatch{op:\"add\",path:\"/metadata/labels/a\",value:\"b\"}]"}}]}}`
}

func TestOnlyWhoReadsParametersChoosesThem(t *testing.T) {
	s := start(t)
	const secrets, maps, unknown = `{"apiVersion":"v1","kind":"Secret"}`, `{"apiVersion":"v1","kind":"ConfigMap"}`, `{"apiVersion":"example.com/v1","kind":"Limit"}`
	const why = `must have \"get\" permission on all objects of the referenced paramKind (kind=Secret, apiVersion=v1)`
	for path, of := range map[string]func(name, kind string) string{"validatingadmissionpolicies": policy, "mutatingadmissionpolicies": mutation} {
		at := policies + path
		write(t, s, jane, http.MethodPost, at, of("secret", secrets), 422, why)
		write(t, s, jane, http.MethodPost, at, of("secret", secrets), 422, `"field":"spec.paramKind"`)
		write(t, s, jane, http.MethodPost, at, of("unknown", unknown), 422, "kind=Limit")
		write(t, s, jane, http.MethodPost, at, of("map", maps), 201, "")
		write(t, s, apitest.Token, http.MethodPost, at, of("secret", secrets), 201, "")
		// What was there before may stay.
		write(t, s, jane, http.MethodPatch, at+"/secret", `{"metadata":{"labels":{"a":"b"}}}`, 200, "")
		write(t, s, jane, http.MethodPatch, at+"/map", `{"spec":{"paramKind":`+secrets+`}}`, 422, why)
	}
}

func TestOnlyWhoReadsParametersBindsThem(t *testing.T) {
	s := start(t)
	for name, kind := range map[string]string{"maps": "ConfigMap", "secrets": "Secret"} {
		write(t, s, apitest.Token, http.MethodPost, policies+"validatingadmissionpolicies", policy(name, `{"apiVersion":"v1","kind":"`+kind+`"}`), 201, "")
		write(t, s, apitest.Token, http.MethodPost, policies+"mutatingadmissionpolicies", mutation(name, `{"apiVersion":"v1","kind":"`+kind+`"}`), 201, "")
	}
	const named, selected = `{"name":"x","parameterNotFoundAction":"Allow"}`, `{"selector":{},"parameterNotFoundAction":"Allow"}`
	for path, more := range map[string]string{"validatingadmissionpolicybindings": `,"validationActions":["Deny"]`, "mutatingadmissionpolicybindings": ""} {
		bind := func(name, policy, ref string) string {
			return `{"metadata":{"name":"` + name + `"},"spec":{"policyName":"` + policy + `","paramRef":` + ref + more + `}}`
		}
		at := policies + path
		write(t, s, jane, http.MethodPost, at, bind("a", "maps", named), 201, "")
		write(t, s, jane, http.MethodPost, at, bind("b", "maps", selected), 422, `does not have \"list\" permission on the object referenced by paramRef`)
		write(t, s, jane, http.MethodPost, at, bind("c", "secrets", named), 422, `"field":"spec.paramRef"`)
		write(t, s, jane, http.MethodPost, at, bind("d", "none", named), 422, "unable to get policy none to determine minimum required permissions")
		write(t, s, apitest.Token, http.MethodPost, at, bind("d", "none", selected), 201, "")
	}
}

const admin = `{"metadata":{"name":"NAME"},"spec":{"devices":{"requests":[{"name":"r","exactly":{"deviceClassName":"c","adminAccess":true}}]}}}`

func TestAdministratorsAccessNeedsTheNamespacesLeave(t *testing.T) {
	s := start(t)
	body := strings.Replace(admin, "NAME", "a", 1)
	tpl := `{"metadata":{"name":"a"},"spec":{"spec":{"devices":{"requests":[{"name":"r","exactly":{"deviceClassName":"c","adminAccess":true}}]}}}}`
	const why = "admin access to devices requires the `resource.kubernetes.io/admin-access: true` label on the containing namespace"
	write(t, s, apitest.Token, http.MethodPost, claims, body, 422, why)
	write(t, s, apitest.Token, http.MethodPost, claims+"?dryRun=All", body, 422, `"field":"spec.devices.requests[0].adminAccess"`)
	write(t, s, apitest.Token, http.MethodPost, strings.Replace(claims, "claims", "claimtemplates", 1), tpl, 422, why)
	write(t, s, apitest.Token, http.MethodPatch, "/api/v1/namespaces/default", `{"metadata":{"labels":{"resource.kubernetes.io/admin-access":"true"}}}`, 200, "")
	write(t, s, apitest.Token, http.MethodPost, claims, body, 201, "")
	write(t, s, apitest.Token, http.MethodPost, strings.Replace(claims, "claims", "claimtemplates", 1), tpl, 201, "")
}

func TestStatusOfClaimsIsForBindersAndDrivers(t *testing.T) {
	s := start(t)
	write(t, s, apitest.Token, http.MethodPost, claims, `{"metadata":{"name":"a"},"spec":{"devices":{"requests":[{"name":"r","exactly":{"deviceClassName":"c"}}]}}}`, 201, "")
	status := func(admin, devices string) string {
		return `{"metadata":{"name":"a"},"spec":{"devices":{"requests":[{"name":"r","exactly":{"deviceClassName":"c"}}]}},"status":{` + devices +
			`"allocation":{"devices":{"results":[{"request":"r","driver":"gpu.example.com","pool":"p","device":"d"` + admin + `}]}}}}`
	}
	at := claims + "/a/status"
	const device = `"devices":[{"driver":"gpu.example.com","pool":"p","device":"d"}],`
	write(t, s, jane, http.MethodPut, at, status("", ""), 422, `requires resource=\"resourceclaims/binding\", verb=\"update\" permission`)
	write(t, s, jane+",binders", http.MethodPut, at, status(`,"adminAccess":true`, ""), 422, `"field":"status.allocation.devices.results[0].adminAccess"`)
	write(t, s, jane+",binders", http.MethodPut, at, status("", ""), 200, "")
	write(t, s, jane, http.MethodPut, at, status("", device), 422,
		`requires resource=\"resourceclaims/driver\", verb=\"[arbitrary-node:update]\" permission: resourceclaims.resource.k8s.io \"gpu.example.com\" is forbidden: `+
			`User \"jane\" cannot arbitrary-node:update resource \"resourceclaims/driver\" in API group \"resource.k8s.io\" in the namespace \"default\"`)
	write(t, s, jane+",drivers", http.MethodPut, at, status("", device), 200, "")
}

package policy_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/knarr-io/knarr/internal/testkit/apitest"
)

const (
	group      = "/apis/admissionregistration.k8s.io/v1/"
	configMaps = "/api/v1/namespaces/default/configmaps"
	matchAll   = `"matchConstraints":{"resourceRules":[{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE","UPDATE","DELETE"],"resources":["configmaps"]}]}`
)

type world struct{ *apitest.Server }

func newWorld(t *testing.T) world { t.Helper(); return world{apitest.Start(t, nil)} }

func (w world) refused(t *testing.T, name string, code int) string {
	t.Helper()
	out := w.Must(t, http.MethodPost, configMaps, configMap(name), code)
	text, _, _ := unstructured.NestedString(out.Object, "message")
	return text
}

// validating makes a policy and its binding.
func (w world) validating(t *testing.T, name, spec, binding string) {
	t.Helper()
	w.Must(t, http.MethodPost, group+"validatingadmissionpolicies", fmt.Sprintf(`{"metadata":{"name":%q},"spec":{%s,%s}}`, name, matchAll, spec), http.StatusCreated)
	w.Must(t, http.MethodPost, group+"validatingadmissionpolicybindings",
		fmt.Sprintf(`{"metadata":{"name":%q},"spec":{"policyName":%q,%s}}`, name+"-b", name, binding), http.StatusCreated)
}

// mutating makes a policy and its binding.
func (w world) mutating(t *testing.T, name, spec, binding string) {
	t.Helper()
	w.Must(t, http.MethodPost, group+"mutatingadmissionpolicies",
		fmt.Sprintf(`{"metadata":{"name":%q},"spec":{%s,"reinvocationPolicy":"IfNeeded",%s}}`, name, strings.Replace(matchAll, `,"DELETE"`, "", 1), spec), http.StatusCreated)
	w.Must(t, http.MethodPost, group+"mutatingadmissionpolicybindings",
		fmt.Sprintf(`{"metadata":{"name":%q},"spec":{"policyName":%q%s}}`, name+"-b", name, binding), http.StatusCreated)
}

func configMap(name string) string {
	return fmt.Sprintf(`{"metadata":{"name":%q},"data":{"a":"1"}}`, name)
}

const deny = `"validationActions":["Deny"]`

func TestDenies(t *testing.T) {
	w := newWorld(t)
	w.validating(t, "p", `"variables":[{"name":"n","expression":"object.metadata.name"}],
		"matchConditions":[{"name":"c","expression":"!object.metadata.name.startsWith('skip')"}],
		"validations":[
			{"expression":"variables.n != 'forbidden'","message":"not this one","reason":"Forbidden"},
			{"expression":"variables.n != 'said'","messageExpression":"'told ' + variables.n"},
			{"expression":"variables.n != 'plain'"},
			{"expression":"variables.n != 'broken' || object.nothing == 1"}]`, deny)
	const by = `ValidatingAdmissionPolicy 'p' with binding 'p-b' denied request: `
	for name, c := range map[string]struct {
		code int
		want string
	}{
		"forbidden": {403, `configmaps "forbidden" is forbidden: ` + by + "not this one"},
		"said":      {422, `configmaps "said" is forbidden: ` + by + "told said"},
		"plain":     {422, `configmaps "plain" is forbidden: ` + by + "failed expression: variables.n != 'plain'"},
		"broken":    {422, `configmaps "broken" is forbidden: ` + by + "expression 'variables.n != 'broken' || object.nothing == 1' resulted in error: no such key: nothing"},
	} {
		if got := w.refused(t, name, c.code); got != c.want {
			t.Errorf("refusal of %s is %q, want %q", name, got, c.want)
		}
	}
	w.Must(t, http.MethodPost, configMaps, configMap("fine"), http.StatusCreated)
	w.Must(t, http.MethodPost, configMaps, configMap("skip-this"), http.StatusCreated)
	w.Must(t, http.MethodDelete, group+"validatingadmissionpolicybindings/p-b", "", http.StatusOK)
	w.Must(t, http.MethodPost, configMaps, configMap("forbidden"), http.StatusCreated)
}

func TestFailurePolicyIgnoreLetsErrorsThrough(t *testing.T) {
	w := newWorld(t)
	w.validating(t, "p", `"failurePolicy":"Ignore","validations":[{"expression":"object.nothing == 1"}]`, deny)
	w.Must(t, http.MethodPost, configMaps, configMap("one"), http.StatusCreated)
}

func TestWarns(t *testing.T) {
	w := newWorld(t)
	w.validating(t, "p", `"validations":[{"expression":"false","message":"hm"}]`, `"validationActions":["Warn","Audit"]`)
	code, header, _ := w.Do(t, http.MethodPost, configMaps, configMap("one"), "Content-Type", "application/json")
	if want := `299 - "Validation failed for ValidatingAdmissionPolicy 'p' with binding 'p-b': hm"`; code != http.StatusCreated || header.Get("Warning") != want {
		t.Errorf("answer is %d with warning %q", code, header.Get("Warning"))
	}
}

func TestParameters(t *testing.T) {
	w := newWorld(t)
	const secrets = "/api/v1/namespaces/default/secrets"
	spec := `"paramKind":{"apiVersion":"v1","kind":"Secret"},"validations":[{"expression":"object.metadata.name != params.stringData.name && params.kind == 'Secret'","messageExpression":"'not ' + params.metadata.name"}]`
	spec = strings.Replace(spec, "params.stringData.name", "params.metadata.labels.name", 1)
	w.validating(t, "named", spec, deny+`,"paramRef":{"name":"limits","parameterNotFoundAction":"Deny"}`)
	w.validating(t, "selected", spec, deny+`,"paramRef":{"selector":{"matchLabels":{"use":"yes"}},"parameterNotFoundAction":"Allow"}`)
	if got := w.refused(t, "x", 422); !strings.Contains(got, "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction") {
		t.Errorf("refusal is %q", got)
	}
	w.Must(t, http.MethodPost, secrets, `{"metadata":{"name":"limits","labels":{"name":"x"}}}`, http.StatusCreated)
	if got := w.refused(t, "x", 422); !strings.HasSuffix(got, "not limits") {
		t.Errorf("refusal is %q", got)
	}
	w.Must(t, http.MethodPost, configMaps, configMap("y"), http.StatusCreated)
	w.Must(t, http.MethodPost, secrets, `{"metadata":{"name":"one","labels":{"use":"yes","name":"z"}}}`, http.StatusCreated)
	w.Must(t, http.MethodPost, secrets, `{"metadata":{"name":"two","labels":{"use":"yes","name":"q"}}}`, http.StatusCreated)
	if got := w.refused(t, "z", 422); !strings.HasSuffix(got, "not one") {
		t.Errorf("refusal is %q", got)
	}
	if got := w.refused(t, "q", 422); !strings.HasSuffix(got, "not two") {
		t.Errorf("refusal is %q", got)
	}
}

func TestUnknownParamKind(t *testing.T) {
	w := newWorld(t)
	w.validating(t, "p", `"paramKind":{"apiVersion":"x.example.com/v1","kind":"Limit"},"validations":[{"expression":"true"}]`, deny+`,"paramRef":{"name":"limits","parameterNotFoundAction":"Deny"}`)
	if got := w.refused(t, "x", 422); !strings.Contains(got, "failed to configure policy: failed to find resource referenced by paramKind: 'x.example.com/v1, Kind=Limit'") {
		t.Errorf("refusal is %q", got)
	}
}

func TestWhatExpressionsSee(t *testing.T) {
	w := newWorld(t)
	w.validating(t, "p", `"validations":[
		{"expression":"request.operation != 'CREATE' || (oldObject == null && object.kind == 'ConfigMap')"},
		{"expression":"request.operation != 'DELETE' || (object == null && oldObject.data.a == '2')"},
		{"expression":"request.operation != 'UPDATE' || oldObject.data.a == '1'"},
		{"expression":"namespaceObject.metadata.name == 'default' && request.namespace == 'default'"},
		{"expression":"request.userInfo.username == 'admin' && request.resource.resource == 'configmaps'"},
		{"expression":"authorizer.group('').resource('pods').namespace('default').check('create').allowed()"},
		{"expression":"authorizer.requestResource.check('delete').allowed()"}]`, deny)
	w.Must(t, http.MethodPost, configMaps, configMap("one"), http.StatusCreated)
	w.Must(t, http.MethodPatch, configMaps+"/one", `{"data":{"a":"2"}}`, http.StatusOK, "Content-Type", "application/merge-patch+json")
	w.Must(t, http.MethodDelete, configMaps+"/one", "", http.StatusOK)
}

func TestCostIsBounded(t *testing.T) {
	w := newWorld(t)
	list := "[" + strings.Repeat("1,", 99) + "1]"
	loop := "true"
	for i := range 5 {
		loop = fmt.Sprintf("%s.all(v%d, %s)", list, i, loop)
	}
	w.validating(t, "p", fmt.Sprintf(`"validations":[{"expression":%q}]`, loop), deny)
	if got := w.refused(t, "one", 422); !strings.Contains(got, "cost") {
		t.Errorf("refusal is %q", got)
	}
}

func data(t *testing.T, obj *unstructured.Unstructured) map[string]string {
	t.Helper()
	out, _, err := unstructured.NestedStringMap(obj.Object, "data")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestMutates(t *testing.T) {
	w := newWorld(t)
	w.mutating(t, "applied", `"mutations":[{"patchType":"ApplyConfiguration","applyConfiguration":{"expression":"Object{data: {\"b\": object.metadata.name}}"}}]`, "")
	w.mutating(t, "patched", `"mutations":[{"patchType":"JSONPatch","jsonPatch":{"expression":"[JSONPatch{op: 'add', path: '/data/' + jsonpatch.escapeKey('c/d').replace('~1', '.'), value: string(size(object.data))}]"}}]`, "")
	got := w.Must(t, http.MethodPost, configMaps, configMap("one"), http.StatusCreated)
	// The second pass sees what the first has added.
	if diff := cmp.Diff(map[string]string{"a": "1", "b": "one", "c.d": "3"}, data(t, got)); diff != "" {
		t.Error(diff)
	}
}

func TestMutationsThatFail(t *testing.T) {
	for name, c := range map[string]struct {
		mutation string
		code     int
		want     string
	}{
		"unknown field": {`{"patchType":"JSONPatch","jsonPatch":{"expression":"[JSONPatch{op: 'add', path: '/dat', value: 'x'}]"}}`, 500, "unknown field"},
		"missing path":  {`{"patchType":"JSONPatch","jsonPatch":{"expression":"[JSONPatch{op: 'remove', path: '/data/no'}]"}}`, 403, "policy 'p' with binding 'p-b' denied request: JSON Patch: "},
		"wrong type":    {`{"patchType":"ApplyConfiguration","applyConfiguration":{"expression":"Object{data: 7}"}}`, 403, "policy 'p' with binding 'p-b' denied request: error applying patch: "},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.mutating(t, "p", `"mutations":[`+c.mutation+`]`, "")
			if got := w.refused(t, "one", c.code); !strings.Contains(got, c.want) {
				t.Errorf("refusal is %q", got)
			}
		})
	}
}

func TestPoliciesDoNotJudgeAdmissionItself(t *testing.T) {
	w := newWorld(t)
	w.Must(t, http.MethodPost, group+"validatingadmissionpolicies", `{"metadata":{"name":"p"},"spec":{"validations":[{"expression":"false"}],
		"matchConstraints":{"resourceRules":[{"apiGroups":["*"],"apiVersions":["*"],"operations":["*"],"resources":["*"]}]}}}`, http.StatusCreated)
	w.Must(t, http.MethodPost, group+"validatingadmissionpolicybindings", `{"metadata":{"name":"b"},"spec":{"policyName":"p",`+deny+`}}`, http.StatusCreated)
	w.refused(t, "one", 422)
	w.Must(t, http.MethodDelete, group+"validatingadmissionpolicybindings/b", "", http.StatusOK)
	w.Must(t, http.MethodPost, configMaps, configMap("one"), http.StatusCreated)
}

// Who validates a Service sees the address that it gets.
func TestPoliciesSeeWhatIsHandedOut(t *testing.T) {
	w := newWorld(t)
	rules := `"matchConstraints":{"resourceRules":[{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE"],"resources":["services"]}]}`
	w.Must(t, http.MethodPost, group+"validatingadmissionpolicies", `{"metadata":{"name":"p"},"spec":{`+rules+
		`,"validations":[{"expression":"object.spec.clusterIP.startsWith('10.96.') && (object.spec.type == 'ClusterIP' || object.spec.ports[0].nodePort < 30100)","message":"no address"}]}}`, http.StatusCreated)
	w.Must(t, http.MethodPost, group+"validatingadmissionpolicybindings", `{"metadata":{"name":"b"},"spec":{"policyName":"p","validationActions":["Deny"]}}`, http.StatusCreated)
	const services = "/api/v1/namespaces/default/services"
	w.Must(t, http.MethodPost, services, `{"metadata":{"name":"a"},"spec":{"ports":[{"port":80}]}}`, http.StatusCreated)
	// A refused Service gives back what it was given.
	fixed := `{"metadata":{"name":"c"},"spec":{"type":"NodePort","clusterIP":"10.96.7.7","ports":[{"port":80,"nodePort":30200}]}}`
	w.Must(t, http.MethodPost, services, fixed, http.StatusUnprocessableEntity)
	w.Must(t, http.MethodDelete, group+"validatingadmissionpolicybindings/b", "", http.StatusOK)
	w.Must(t, http.MethodPost, services, fixed, http.StatusCreated)
}

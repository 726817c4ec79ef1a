package audit_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What a policy and its binding want noted of a write stands in its event:
// values of its own, and what it would have refused.
func TestPoliciesAnnotate(t *testing.T) {
	l := start(t, head+"omitStages: [RequestReceived]\nrules: [{level: Metadata, verbs: [create], resources: [{group: \"\", resources: [configmaps]}]}]\n", nil)
	const group = "/apis/admissionregistration.k8s.io/v1/"
	create := func(path, body string) {
		t.Helper()
		if code, _, answer := l.Do(t, http.MethodPost, path, body, "Content-Type", "application/json"); code != http.StatusCreated {
			t.Fatalf("POST %s: %d %s", path, code, answer)
		}
	}
	create(group+"validatingadmissionpolicies", `{"metadata":{"name":"p"},"spec":{"variables":[{"name":"n","expression":"object.metadata.name"}],
"matchConstraints":{"resourceRules":[{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE"],"resources":["configmaps"]}]},
"validations":[{"expression":"variables.n == 'good'","messageExpression":"variables.n + ' is not good'"}],
"auditAnnotations":[{"key":"name","valueExpression":"' ' + variables.n + ' '"},{"key":"none","valueExpression":"null"},{"key":"who","valueExpression":"request.userInfo.username"}]}}`)
	create(group+"validatingadmissionpolicybindings", `{"metadata":{"name":"b"},"spec":{"policyName":"p","validationActions":["Audit"]}}`)
	create(configMaps, `{"metadata":{"name":"good"}}`)
	create(configMaps, `{"metadata":{"name":"bad"}}`)
	failure, err := json.Marshal([]map[string]any{{"message": "bad is not good", "policy": "p", "binding": "b", "expressionIndex": 0, "validationActions": []string{"Audit"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range l.waitFor(2) {
		want := map[string]string{"p/name": e.ObjectRef.Name, "p/who": "admin"}
		if e.ObjectRef.Name == "bad" {
			want["validation.policy.admission.k8s.io/validation_failure"] = string(failure)
		}
		got := map[string]string{}
		for key, value := range e.Annotations {
			if key != "authorization.k8s.io/decision" && key != "authorization.k8s.io/reason" {
				got[key] = value
			}
		}
		if diff := cmp.Diff(normal(t, want), normal(t, got)); diff != "" {
			t.Errorf("%s: %s", e.ObjectRef.Name, diff)
		}
	}
}

// normal gives values that are JSON without regard to the order of fields.
func normal(t *testing.T, annotations map[string]string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for key, value := range annotations {
		var parsed any
		if json.Unmarshal([]byte(value), &parsed) == nil {
			value = fmt.Sprint(parsed)
		}
		out[key] = value
	}
	return out
}

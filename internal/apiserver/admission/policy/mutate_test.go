package policy_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// set is a mutation that sets an entry of a ConfigMap to an expression.
func set(key, expression string) string {
	return fmt.Sprintf(`"mutations":[{"patchType":"ApplyConfiguration","applyConfiguration":{"expression":%q}}]`,
		fmt.Sprintf("Object{data: {%q: %s}}", key, expression))
}

// A mutating policy has variables, parameters and conditions as a validating
// one has, and is applied once for each parameter.
func TestMutatesByParameters(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"one", "two"} {
		w.Must(t, http.MethodPost, "/api/v1/namespaces/default/secrets", fmt.Sprintf(`{"metadata":{"name":%q,"labels":{"use":"yes"}}}`, name), http.StatusCreated)
	}
	const param = `"paramKind":{"apiVersion":"v1","kind":"Secret"},"variables":[{"name":"by","expression":"params.metadata.name"},{"name":"text","expression":"variables.by + ' of ' + object.metadata.name"}],`
	w.mutating(t, "each", param+strings.Replace(set("KEY", "variables.text"), `\"KEY\"`, `variables.by`, 1), `,"paramRef":{"selector":{"matchLabels":{"use":"yes"}},"parameterNotFoundAction":"Deny"}`)
	w.mutating(t, "some", `"matchConditions":[{"name":"c","expression":"object.metadata.name != 'skip'"}],`+set("some", "'yes'"), "")
	got := w.Must(t, http.MethodPost, configMaps, configMap("a"), http.StatusCreated)
	if diff := cmp.Diff(map[string]string{"a": "1", "one": "one of a", "two": "two of a", "some": "yes"}, data(t, got)); diff != "" {
		t.Error(diff)
	}
	got = w.Must(t, http.MethodPost, configMaps, configMap("skip"), http.StatusCreated)
	if _, has := data(t, got)["some"]; has {
		t.Error("a condition that does not hold is passed over")
	}
	for _, name := range []string{"one", "two"} {
		w.Must(t, http.MethodDelete, "/api/v1/namespaces/default/secrets/"+name, "", http.StatusOK)
	}
	if text := w.refused(t, "without", http.StatusForbidden); !strings.Contains(text, "no params found") {
		t.Errorf("without parameters it is refused with %q", text)
	}
}

// A policy that asks for it sees what later ones changed, once; the others do
// not.
func TestMutatesAgain(t *testing.T) {
	for policy, want := range map[string]map[string]string{
		"IfNeeded": {"a": "1", "n": "3", "later": "yes"},
		"Never":    {"a": "1", "n": "1", "later": "yes"},
	} {
		t.Run(policy, func(t *testing.T) {
			w := newWorld(t)
			w.mutating(t, "count", set("n", "string(size(object.data))"), "")
			w.mutating(t, "later", set("later", "'yes'"), "")
			w.Must(t, http.MethodPatch, group+"mutatingadmissionpolicies/count", `{"spec":{"reinvocationPolicy":"`+policy+`"}}`, http.StatusOK, "Content-Type", "application/merge-patch+json")
			if diff := cmp.Diff(want, data(t, w.Must(t, http.MethodPost, configMaps, configMap("a"), http.StatusCreated))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A policy that asks for it is called again also where no other follows it.
func TestMutatesAgainAlone(t *testing.T) {
	w := newWorld(t)
	w.mutating(t, "count", set("n", "string(size(object.data))"), "")
	want := map[string]string{"a": "1", "n": "2"}
	if diff := cmp.Diff(want, data(t, w.Must(t, http.MethodPost, configMaps, configMap("a"), http.StatusCreated))); diff != "" {
		t.Error(diff)
	}
}

// What a policy with failurePolicy Ignore cannot change stays as it is.
func TestMutationsThatMayFail(t *testing.T) {
	w := newWorld(t)
	w.mutating(t, "p", `"failurePolicy":"Ignore",`+set("b", "object.nothing"), "")
	if diff := cmp.Diff(map[string]string{"a": "1"}, data(t, w.Must(t, http.MethodPost, configMaps, configMap("a"), http.StatusCreated))); diff != "" {
		t.Error(diff)
	}
}

// A mutation may not spend more than a policy is given.
func TestCostOfMutationsIsBounded(t *testing.T) {
	w := newWorld(t)
	list := "[" + strings.Repeat("1,", 99) + "1]"
	loop := "true"
	for i := range 5 {
		loop = fmt.Sprintf("%s.all(v%d, %s)", list, i, loop)
	}
	w.mutating(t, "p", set("b", loop+" ? 'x' : 'y'"), "")
	if text := w.refused(t, "a", http.StatusForbidden); !strings.Contains(text, "cost") {
		t.Errorf("refused with %q", text)
	}
}

package crd_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/knarr-io/knarr/internal/testkit/apitest"
)

// refusal is the message with which a request is refused.
func refusal(t *testing.T, s *apitest.Server, method, path, body string, headers ...string) string {
	t.Helper()
	text, _ := want(t, s, 422, method, path, body, headers...)["message"].(string)
	return text
}

// Rules see an object and, where they name it, what it was before; what they
// refuse is told in their own words.
func TestRules(t *testing.T) {
	s := start(t)
	define(t, s, `"min":{"type":"integer"},"label":{"type":"string","maxLength":10},"max":{"type":"integer"},"name":{"type":"string","x-kubernetes-validations":[{"rule":"self == oldSelf","message":"a name stays"}]},
"once":{"type":"string","x-kubernetes-validations":[{"rule":"!oldSelf.hasValue() || oldSelf.value() == self","optionalOldSelf":true,"message":"set once"},{"rule":"oldSelf.hasValue() || self != 'bad'","optionalOldSelf":true,"message":"never bad at first"}]},
"addresses":{"type":"array","maxItems":10,"items":{"type":"string","maxLength":50,"x-kubernetes-validations":[{"rule":"isIP(self)","reason":"FieldValueInvalid"}]}}`,
		`,"x-kubernetes-validations":[
{"rule":"!has(self.min) || !has(self.max) || self.min <= self.max","messageExpression":"'min is above max of ' + self.label","fieldPath":".min","reason":"FieldValueForbidden"},
{"rule":"!has(self.max) || self.max < 100","messageExpression":"self.max < 200 ? '' : self.label","message":"the plain message"}]`, "")
	for spec, text := range map[string]string{
		`{"min":5,"max":3,"label":"me"}`: `spec.min: Forbidden: min is above max of me`,
		`{"addresses":["1.2.3.4","x"]}`:  `spec.addresses[1]: Invalid value: "x": failed rule: isIP(self)`,
		`{"max":150}`:                    `spec: Invalid value: the plain message`, // the expression gives nothing
		`{"max":250}`:                    `spec: Invalid value: the plain message`, // and here it fails
		`{"once":"bad"}`:                 `spec.once: Invalid value: "bad": never bad at first`,
	} {
		if got := refusal(t, s, "POST", widgets, widget("v1", "bad", spec)); !strings.Contains(got, text) {
			t.Errorf("%s is refused with %q, want %q", spec, got, text)
		}
	}
	want(t, s, 201, "POST", widgets, widget("v1", "w", `{"name":"first","once":"a"}`))
	for patch, text := range map[string]string{
		`{"spec":{"name":"second"}}`: `spec.name: Invalid value: "second": a name stays`,
		`{"spec":{"once":"b"}}`:      `spec.once: Invalid value: "b": set once`,
	} {
		if got := refusal(t, s, "PATCH", widgets+"/w", patch, "Content-Type", merge); !strings.Contains(got, text) {
			t.Errorf("%s is refused with %q, want %q", patch, got, text)
		}
	}
	want(t, s, 200, "PATCH", widgets+"/w", `{"spec":{"max":1}}`, "Content-Type", merge)
}

// What was stored before a rule came may stay as it is while other fields
// change, and may not be changed to another wrong value.
func TestRulesAreRatcheted(t *testing.T) {
	s := start(t)
	define(t, s, `"size":{"type":"integer"},"color":{"type":"string"},"list":{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["k"],"items":{"type":"object","required":["k"],"properties":{"k":{"type":"string"},"v":{"type":"integer"}}}}`, "", "")
	want(t, s, 201, "POST", widgets, widget("v1", "w", `{"size":50,"color":"red","list":[{"k":"a","v":50},{"k":"b","v":1}]}`))
	const properties = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/"
	want(t, s, 200, "PATCH", definitions+"/widgets.example.com", `[{"op":"add","path":"`+properties+`size/maximum","value":10},
{"op":"add","path":"`+properties+`list/items/properties/v/x-kubernetes-validations","value":[{"rule":"self < 10","message":"small ones only"}]}]`, "Content-Type", "application/json-patch+json")
	eventuallyRefused(t, s, widget("v1", "other", `{"size":11}`))
	want(t, s, 200, "PATCH", widgets+"/w", `{"spec":{"color":"blue"}}`, "Content-Type", merge)
	want(t, s, 200, "PATCH", widgets+"/w", `{"spec":{"list":[{"k":"b","v":2},{"k":"a","v":50}]}}`, "Content-Type", merge)
	for patch, text := range map[string]string{
		`{"spec":{"size":51}}`:                                  `should be less than or equal to 10`,
		`{"spec":{"list":[{"k":"a","v":51}]}}`:                  `small ones only`,
		`{"spec":{"list":[{"k":"a","v":50},{"k":"c","v":50}]}}`: `spec.list[1].v`,
	} {
		if got := refusal(t, s, "PATCH", widgets+"/w", patch, "Content-Type", merge); !strings.Contains(got, text) {
			t.Errorf("%s is refused with %q, want %q", patch, got, text)
		}
	}
}

// A rule may not spend more on an object than it is given, whatever it was
// estimated at.
func TestRulesRunWithinABudget(t *testing.T) {
	s := start(t)
	define(t, s, `"names":{"type":"array","maxItems":800,"items":{"type":"string","maxLength":20}}`,
		`,"x-kubernetes-validations":[{"rule":"!has(self.names) || self.names.all(a, self.names.exists(b, a == b))"}]`, "")
	var many []string
	for i := range 800 {
		many = append(many, fmt.Sprintf("%q", fmt.Sprintf("name-%04d", i)))
	}
	got := refusal(t, s, "POST", widgets, widget("v1", "w", `{"names":[`+strings.Join(many, ",")+`]}`))
	if !strings.Contains(got, "no further validation rules will be run due to call cost exceeds limit for rule") {
		t.Errorf("refused with %.300q", got[max(0, len(got)-300):])
	}
	want(t, s, 201, "POST", widgets, widget("v1", "small", `{"names":["a"]}`))
	restAnswers(t, s, "other")
}

package crd_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/knarr-io/knarr/internal/testkit/apitest"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

// condition is a definition's condition as "status reason".
func condition(t *testing.T, s *apitest.Server, name, kind string) string {
	t.Helper()
	all, _ := at(want(t, s, 200, "GET", definitions+"/"+name, ""), "status", "conditions").([]any)
	for _, c := range all {
		if at(c.(map[string]any), "type") == kind {
			return fmt.Sprint(at(c.(map[string]any), "status"), " ", at(c.(map[string]any), "reason"))
		}
	}
	return ""
}

// eventuallyHas waits until a condition stands so.
func eventuallyHas(t *testing.T, s *apitest.Server, name, kind, wanted string) {
	t.Helper()
	await.Success(t, time.Minute, kind+" of "+name+" is "+wanted, func() error {
		if got := condition(t, s, name, kind); got != wanted {
			return errors.New(got)
		}
		return nil
	})
}

// A definition tells whether its names are its own and whether it is served;
// one whose names are taken is served when they are free.
func TestConditionsOfDefinitions(t *testing.T) {
	s := start(t)
	named := func(plural, kind string) string {
		return fmt.Sprintf(`{"metadata":{"name":"%[1]s.example.com"},"spec":{"group":"example.com","scope":"Namespaced","names":{"plural":%[1]q,"kind":%[2]q,"shortNames":["wi"]},
"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object"}}}]}}`, plural, kind)
	}
	want(t, s, 201, "POST", definitions, named("widgets", "Widget"))
	eventuallyHas(t, s, "widgets.example.com", "NamesAccepted", "True NoConflicts")
	eventuallyHas(t, s, "widgets.example.com", "Established", "True InitialNamesAccepted")
	first := want(t, s, 200, "GET", definitions+"/widgets.example.com", "")
	if got := fmt.Sprint(at(first, "status", "storedVersions"), at(first, "status", "acceptedNames", "kind")); got != "[v1]Widget" {
		t.Errorf("the status tells %s", got)
	}
	want(t, s, 201, "POST", definitions, named("gadgets", "Widget"))
	eventuallyHas(t, s, "gadgets.example.com", "NamesAccepted", "False ListKindConflict")
	eventuallyHas(t, s, "gadgets.example.com", "Established", "False NotAccepted")
	want(t, s, 404, "GET", strings.Replace(widgets, "widgets", "gadgets", 1), "")

	// An object with a finalizer holds up the definition, which says so.
	want(t, s, 201, "POST", widgets, `{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"held","finalizers":["example.com/hold"]}}`)
	want(t, s, 200, "DELETE", definitions+"/widgets.example.com", "")
	eventuallyHas(t, s, "widgets.example.com", "Terminating", "True InstanceDeletionInProgress")
	want(t, s, 403, "POST", widgets, `{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"late"}}`)
	want(t, s, 200, "PATCH", widgets+"/held", `{"metadata":{"finalizers":null}}`, "Content-Type", "application/merge-patch+json")
	eventually(t, s, 404, definitions+"/widgets.example.com")
	eventuallyHas(t, s, "gadgets.example.com", "Established", "True InitialNamesAccepted")
	eventually(t, s, 200, strings.Replace(widgets, "widgets", "gadgets", 1))
}

// Names become free also when the definition that has them changes its own, and
// when it goes without ever having been served.
func TestNamesThatAreGivenUp(t *testing.T) {
	s := start(t)
	named := func(plural, kind, short string) string {
		return fmt.Sprintf(`{"metadata":{"name":"%[1]s.example.com"},"spec":{"group":"example.com","scope":"Namespaced","names":{"plural":%[1]q,"kind":%[2]q,"shortNames":[%[3]q]},
"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object"}}}]}}`, plural, kind, short)
	}
	want(t, s, 201, "POST", definitions, named("widgets", "Widget", "wi"))
	eventuallyHas(t, s, "widgets.example.com", "NamesAccepted", "True NoConflicts")
	want(t, s, 201, "POST", definitions, named("gadgets", "Gadget", "wi"))
	eventuallyHas(t, s, "gadgets.example.com", "NamesAccepted", "False ShortNamesConflict")
	want(t, s, 200, "PATCH", definitions+"/widgets.example.com", `{"spec":{"names":{"shortNames":["wid"]}}}`, "Content-Type", merge)
	eventuallyHas(t, s, "gadgets.example.com", "NamesAccepted", "True NoConflicts")

	want(t, s, 201, "POST", definitions, named("bolts", "Widget", "bo"))
	eventuallyHas(t, s, "bolts.example.com", "NamesAccepted", "False ListKindConflict")
	want(t, s, 201, "POST", definitions, named("boats", "Boat", "bo"))
	eventuallyHas(t, s, "boats.example.com", "NamesAccepted", "False ShortNamesConflict")
	want(t, s, 200, "DELETE", definitions+"/bolts.example.com", "")
	eventuallyHas(t, s, "boats.example.com", "Established", "True InitialNamesAccepted")
}

// A definition may begin with one name in two places, and cannot take a name
// that it has as another one later.
func TestADefinitionMeetsItsOwnNames(t *testing.T) {
	s := start(t)
	want(t, s, 201, "POST", definitions, `{"metadata":{"name":"widgets.example.com"},"spec":{"group":"example.com","scope":"Namespaced",
"names":{"plural":"widgets","singular":"widget","kind":"Widget","shortNames":["widget"]},
"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object"}}}]}}`)
	eventuallyHas(t, s, "widgets.example.com", "NamesAccepted", "True NoConflicts")
	eventuallyHas(t, s, "widgets.example.com", "Established", "True InitialNamesAccepted")
	want(t, s, 200, "PATCH", definitions+"/widgets.example.com", `{"spec":{"names":{"shortNames":["wi","widgets"]}}}`, "Content-Type", merge)
	eventuallyHas(t, s, "widgets.example.com", "NamesAccepted", "False ShortNamesConflict")
	got := want(t, s, 200, "GET", definitions+"/widgets.example.com", "")
	if names := fmt.Sprint(at(got, "status", "acceptedNames", "shortNames")); names != "[widget]" {
		t.Errorf("the short names are %s", names)
	}
	if got := condition(t, s, "widgets.example.com", "Established"); got != "True InitialNamesAccepted" {
		t.Errorf("it is established: %s", got)
	}
}

// A definition may come before the authority that its webhook is trusted by,
// and is served from then on.
func TestADefinitionWaitsForTheAuthorityOfItsWebhook(t *testing.T) {
	s := start(t)
	good := hook(t, convert(func(map[string]any) {}))
	from, to := strings.Index(good, `"caBundle":`)+len(`"caBundle":`), strings.Index(good, `}}}`)
	want(t, s, 201, "POST", definitions, definition(good[:from]+`"Cg=="`+good[to:], ""))
	eventuallyHas(t, s, "widgets.example.com", "Established", "False InvalidCABundle")
	eventuallyHas(t, s, "widgets.example.com", "NamesAccepted", "True NoConflicts")
	want(t, s, 404, "GET", widgets, "")
	patchDefinition(t, s, `[{"op":"replace","path":"/spec/conversion/webhook/clientConfig/caBundle","value":`+good[from:to]+`}]`)
	eventuallyHas(t, s, "widgets.example.com", "Established", "True InitialNamesAccepted")
	eventually(t, s, 200, widgets)
	want(t, s, 422, "PATCH", definitions+"/widgets.example.com",
		`[{"op":"replace","path":"/spec/conversion/webhook/clientConfig/caBundle","value":"Cg=="}]`, "Content-Type", "application/json-patch+json")
}

package apiserver_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"

	"github.com/knarr-io/knarr/internal/testkit/apitest"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

// A FlowSchema tells whether its level is missing, as levels come and go.
func TestFlowSchemasTellOfTheirLevel(t *testing.T) {
	s := apitest.Start(t, nil)
	const group = "/apis/flowcontrol.apiserver.k8s.io/v1/"
	must := func(method, path, body string, want int) {
		t.Helper()
		if code, _, answer := s.Do(t, method, group+path, body, "Content-Type", "application/json"); code != want {
			t.Fatalf("%s %s: %d %s", method, path, code, answer)
		}
	}
	dangles := func(want flowcontrolv1.ConditionStatus) {
		t.Helper()
		await.Until(t, time.Minute, "Dangling is "+string(want), func() bool {
			var schema flowcontrolv1.FlowSchema
			_, _, body := s.Do(t, http.MethodGet, group+"flowschemas/deck", "")
			if err := json.Unmarshal(body, &schema); err != nil {
				t.Fatal(err)
			}
			return len(schema.Status.Conditions) == 1 && schema.Status.Conditions[0].Status == want
		})
	}
	must(http.MethodPost, "flowschemas", `{"metadata":{"name":"deck"},"spec":{"matchingPrecedence":900,"priorityLevelConfiguration":{"name":"deck"}}}`, http.StatusCreated)
	dangles(flowcontrolv1.ConditionTrue)
	must(http.MethodPost, "prioritylevelconfigurations", `{"metadata":{"name":"deck"},"spec":{"type":"Limited","limited":{"limitResponse":{"type":"Reject"}}}}`, http.StatusCreated)
	dangles(flowcontrolv1.ConditionFalse)
	must(http.MethodDelete, "prioritylevelconfigurations/deck", "", http.StatusOK)
	dangles(flowcontrolv1.ConditionTrue)
}

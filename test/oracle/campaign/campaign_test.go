package campaign

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/test/oracle/mutate"
	"github.com/knarr-io/knarr/test/oracle/upstream"
)

// prepared is a campaign for a kind that starts from a manifest; none: from
// nothing.
func prepared(t *testing.T, apiVersion, kind, manifest string, change func(*api.Kind)) *Campaign {
	t.Helper()
	scheme, err := upstream.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	gvk := schema.FromAPIVersionAndKind(apiVersion, kind)
	ours := *catalog.New().Kind(gvk)
	if change != nil {
		change(&ours)
	}
	theirs := upstream.Kinds()
	c := &Campaign{Kind: &ours, Theirs: theirs[slices.IndexFunc(theirs, func(k upstream.Kind) bool { return k.GVK == gvk })],
		Server: &upstream.Server{Scheme: scheme, User: Asker()}, Words: mutate.NewWords(nil)}
	var bases []api.Object
	if manifest != "" {
		obj := ours.New()
		if err := yaml.Unmarshal([]byte(manifest), obj); err != nil {
			t.Fatal(err)
		}
		c.Words.Learn(obj)
		bases = append(bases, obj)
	}
	if err := c.Prepare(bases); err != nil {
		t.Fatal(err)
	}
	return c
}

func play(t *testing.T, c *Campaign, number uint64) *Case {
	t.Helper()
	out, err := c.Play(number)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

const budget = `
metadata: {name: a, namespace: default, uid: not-this-one, resourceVersion: "7"}
spec: {minAvailable: 1, selector: {matchLabels: {a: b}}}
`

func TestACaseFollowsFromItsNumber(t *testing.T) {
	one := prepared(t, "policy/v1", "PodDisruptionBudget", budget, nil)
	other := prepared(t, "policy/v1", "PodDisruptionBudget", budget, nil)
	shifted := prepared(t, "policy/v1", "PodDisruptionBudget", budget, nil)
	shifted.Seed = 5
	for number := range uint64(50) {
		want := play(t, one, number+5)
		if diff := cmp.Diff(want, play(t, other, number+5)); diff != "" {
			t.Fatalf("case %d is another the second time (-want +got):\n%s", number+5, diff)
		}
		want.Number = number
		if diff := cmp.Diff(want, play(t, shifted, number)); diff != "" {
			t.Fatalf("case %d of seed 5 is not case %d (-want +got):\n%s", number, number+5, diff)
		}
	}
}

func TestCasesGoToEveryEndpoint(t *testing.T) {
	c := prepared(t, "policy/v1", "PodDisruptionBudget", budget, nil)
	endpoints := map[string]int{}
	for number := range uint64(100) {
		endpoints[play(t, c, number).Endpoint()]++
	}
	for _, name := range []string{"create", "update", "status"} {
		if endpoints[name] < 10 {
			t.Errorf("of 100 cases go to %s: %d", name, endpoints[name])
		}
	}
}

func TestBothSidesGetWhatTheServerSets(t *testing.T) {
	c := prepared(t, "policy/v1", "PodDisruptionBudget", budget, nil)
	for number := range uint64(50) {
		played := play(t, c, number)
		if played.Old != nil {
			continue
		}
		var made struct {
			Metadata struct{ UID, ResourceVersion string }
		}
		if err := json.Unmarshal(played.New, &made); err != nil {
			t.Fatal(err)
		}
		if made.Metadata.UID == "" || made.Metadata.UID == "not-this-one" || made.Metadata.ResourceVersion != "" {
			t.Fatalf("case %d writes %s", number, played.New)
		}
	}
}

// A rule that is missing shows, and where it is not missing nothing does.
func TestAMissingRuleIsADifference(t *testing.T) {
	differing := func(change func(*api.Kind)) (out int) {
		c := prepared(t, "policy/v1", "PodDisruptionBudget", budget, change)
		for number := range uint64(200) {
			if len(play(t, c, number).Differences()) > 0 {
				out++
			}
		}
		return out
	}
	if n := differing(nil); n > 0 {
		t.Errorf("%d of 200 cases differ", n)
	}
	if n := differing(func(k *api.Kind) { k.Main.Validate, k.Main.ValidateUpdate = nil, nil }); n < 5 {
		t.Errorf("without validation %d of 200 cases differ", n)
	}
}

// Without a manifest that upstream accepts there is nothing to update.
func TestNothingAcceptedNothingUpdated(t *testing.T) {
	for _, manifest := range []string{"", "metadata: {name: A_}\n"} {
		c := prepared(t, "networking.k8s.io/v1", "Ingress", manifest, nil)
		for number := range uint64(20) {
			if got := play(t, c, number).Endpoint(); got != "create" {
				t.Fatalf("case %d of %q goes to %s", number, manifest, got)
			}
		}
	}
}

func TestServicesGetTheirHealthPort(t *testing.T) {
	c := prepared(t, "v1", "Service", `
metadata: {name: a, namespace: default}
spec: {type: LoadBalancer, externalTrafficPolicy: Local, clusterIP: 10.0.0.1, ports: [{port: 80, nodePort: 30001}]}
`, nil)
	if len(c.stored) != 1 {
		t.Fatal("upstream does not take the service")
	}
	var stored struct {
		Spec struct{ HealthCheckNodePort int }
	}
	if err := json.Unmarshal(c.stored[0], &stored); err != nil {
		t.Fatal(err)
	}
	if stored.Spec.HealthCheckNodePort == 0 {
		t.Errorf("%s", c.stored[0])
	}
}

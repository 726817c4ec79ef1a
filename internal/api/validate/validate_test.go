package validate

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
)

var at = field.NewPath("f")

// text joins errors into the message that a client reads.
func text(errs field.ErrorList) string {
	if len(errs) == 0 {
		return ""
	}
	return errs.ToAggregate().Error()
}

func TestChecks(t *testing.T) {
	tests := []struct {
		name string
		errs field.ErrorList
		want string
	}{
		{"not negative", NonNegative(int32(0), at), ``},
		{"negative", NonNegative(int32(-1), at), `f: Invalid value: -1: must be greater than or equal to 0`},
		{"positive", Positive(1, at), ``},
		{"zero", Positive(int64(0), at), `f: Invalid value: 0: must be greater than zero`},
		{"in range", InRange(255, 0, 255, at), ``},
		{"out of range", InRange(int32(256), 0, 255, at), `f: Invalid value: 256: must be between 0 and 255, inclusive`},
		{"port", Port(0, at), `f: Invalid value: 0: must be between 1 and 65535, inclusive`},
		{"port name", PortOrName(intstr.FromString("web"), at), ``},
		{"numeric port name", PortOrName(intstr.FromString("80"), at), `f: Invalid value: "80": must contain at least one letter (a-z)`},
		{"percent", CountOrPercent(intstr.FromString("50%"), at), ``},
		{"negative count", CountOrPercent(intstr.FromInt32(-1), at), `f: Invalid value: -1: must be greater than or equal to 0`},
		{"one of", OneOf("b", at, "a", "b"), ``},
		{"none of, in order", OneOf("x", at, "b", "a"), `f: Unsupported value: "x": supported values: "a", "b"`},
		{"required", RequiredOneOf("", at, "a"), `f: Required value`},
		{"immutable", Immutable(1, 2, at), `f: Invalid value: 1: field is immutable`},
		{"immutable struct", Immutable(corev1.EnvVar{Name: "a"}, corev1.EnvVar{}, at), `f: Invalid value: {"Name":"a","Value":"","ValueFrom":null}: field is immutable`},
		{"immutable pointer", Immutable((*corev1.EnvVar)(nil), &corev1.EnvVar{}, at), `f: Invalid value: null: field is immutable`},
		{"immutable selector", Immutable(&metav1.LabelSelector{}, (*metav1.LabelSelector)(nil), at), `f: Invalid value: {}: field is immutable`},
		{"unchanged", Immutable([]string{}, []string(nil), at), ``},
		{"finalizer of ours", Finalizer("kubernetes", at), ``},
		{"finalizer with a domain", Finalizer("example.com/x", at), ``},
		{"plain finalizer", Finalizer("x", at), `f: Invalid value: "x": name is neither a standard finalizer name nor is it fully qualified`},
		{"address", IP("10.0.0.1", at), ``},
		{"leading zeros", IP("010.0.0.1", at), `f: Invalid value: "010.0.0.1": must not have leading 0s`},
		{"leading zeros that were there", IP("010.0.0.1", at, "010.0.0.1"), ``},
		{"range", CIDR("10.0.0.0/8", at), ``},
		{"host bits", CIDR("10.0.0.1/8", at), `f: Invalid value: "10.0.0.1/8": must not have bits set beyond the prefix length`},
		{"ordinary", OrdinaryIP("10.0.0.1", at), ``},
		{"multicast", OrdinaryIP("ff02::1", at), `f: Invalid value: "ff02::1": may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)`},
		{"amount", NonNegativeQuantity(resource.MustParse("0"), at), ``},
		{"no amount", PositiveQuantity(resource.MustParse("0"), at), `f: Invalid value: "0": must be greater than zero`},
		{"half a pod", ResourceQuantity(corev1.ResourcePods, resource.MustParse("500m"), at), `f: Invalid value: "500m": must be an integer`},
		{"half a CPU", ResourceQuantity(corev1.ResourceCPU, resource.MustParse("500m"), at), ``},
		{"half a GPU", ResourceQuantity("example.com/gpu", resource.MustParse("500m"), at), `f: Invalid value: "500m": must be an integer`},
		{"labels", Labels(map[string]string{"a": "b"}, at), ``},
		{"selector", LabelSelector(&metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Near"}}}, at),
			`f.matchExpressions[0].operator: Invalid value: "Near": not a valid selector operator`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := text(tt.errs); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestResourceNames(t *testing.T) {
	type rule = func(string, *field.Path) field.ErrorList
	tests := []struct {
		name string
		rule rule
		ok   []string
		bad  []string
	}{
		{"any", ResourceName, []string{"cpu", "storage", "hugepages-2Mi", "requests.hugepages-1Gi", "example.com/x", "count/pods"}, []string{"disk", "a b"}},
		{"containers", ContainerResourceName, []string{"cpu", "memory", "hugepages-2Mi", "example.com/x"}, []string{"pods", "requests.cpu", "requests.example.com/x"}},
		{"quotas", QuotaResourceName, []string{"pods", "requests.cpu", "limits.memory", "count/pods", "requests.example.com/x"}, []string{"storage", "disk"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, name := range tt.ok {
				if errs := tt.rule(name, at); len(errs) > 0 {
					t.Errorf("%s: %v", name, errs)
				}
			}
			for _, name := range tt.bad {
				if errs := tt.rule(name, at); len(errs) == 0 {
					t.Errorf("%s is accepted", name)
				}
			}
		})
	}
}

func TestCreateAndUpdate(t *testing.T) {
	refuse := func(why string) field.ErrorList { return field.ErrorList{field.Forbidden(at, why)} }
	k := api.Spec[*corev1.ConfigMap]{
		Name: "ConfigMap", Namespaced: true,
		New: func() *corev1.ConfigMap { return &corev1.ConfigMap{} },
		Main: api.RulesOf[*corev1.ConfigMap]{
			NameRule:       Label,
			Validate:       func(*corev1.ConfigMap) field.ErrorList { return refuse("create") },
			ValidateUpdate: func(_, _ *corev1.ConfigMap) field.ErrorList { return refuse("update") },
		},
	}.Kind()
	obj := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a.b", Namespace: "n", ResourceVersion: "1", Finalizers: []string{"x"}}}
	want := `[metadata.name: Invalid value: "a.b": must not contain dots, ` +
		`metadata.finalizers[0]: Invalid value: "x": name is neither a standard finalizer name nor is it fully qualified, f: Forbidden: create]`
	if got := text(Create(k, obj)); got != want {
		t.Errorf("create: %s, want %s", got, want)
	}
	old := obj.DeepCopy()
	old.Name = "other"
	want = `[metadata.name: Invalid value: "a.b": field is immutable, ` +
		`metadata.finalizers[0]: Invalid value: "x": name is neither a standard finalizer name nor is it fully qualified, f: Forbidden: update]`
	if got := text(Update(&k.Main, obj, old)); got != want {
		t.Errorf("update: %s, want %s", got, want)
	}
}

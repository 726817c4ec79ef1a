package main

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// guardTime is how long a control plane may take to heed a new guard: Knarr
// heeds it at once, upstream after a second or so.
const guardTime = 2 * time.Second

// guard is what judges or changes every ConfigMap that is written.
type guard struct {
	name    string
	objects []object
}

// object is one that stands while a guard is measured.
type object struct{ resource, body string }

// guards are without anything, and then with one of each sort.
func guards(server *httptest.Server) ([]guard, error) {
	ca, err := json.Marshal(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	if err != nil {
		return nil, err
	}
	const rules = `"resourceRules":[{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE","UPDATE"],"resources":["configmaps"]}]`
	const about = `{"apiVersion":"admissionregistration.k8s.io/v1","kind":%q,"metadata":{"name":"bench"},%s}`
	webhook := func(kind, path string) []object {
		return []object{{strings.ToLower(kind) + "webhookconfigurations", fmt.Sprintf(about, kind+"WebhookConfiguration", fmt.Sprintf(
			`"webhooks":[{"name":"bench.knarr.io","sideEffects":"None","admissionReviewVersions":["v1"],"clientConfig":{"url":%q,"caBundle":%s},`+
				`"rules":[{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE","UPDATE"],"resources":["configmaps"]}]}]`, server.URL+path, ca))}}
	}
	return []guard{
		{"nothing that judges it", nil},
		{"a validating policy of three rules and a variable", []object{
			{"validatingadmissionpolicies", fmt.Sprintf(about, "ValidatingAdmissionPolicy", `"spec":{"matchConstraints":{`+rules+`},"variables":[{"name":"n","expression":"object.metadata.name"}],`+
				`"validations":[{"expression":"variables.n != 'forbidden'"},{"expression":"object.data.all(k, size(k) < 100)"},{"expression":"!has(object.immutable) || !object.immutable"}]}`)},
			{"validatingadmissionpolicybindings", fmt.Sprintf(about, "ValidatingAdmissionPolicyBinding", `"spec":{"policyName":"bench","validationActions":["Deny"]}`)},
		}},
		{"a mutating policy", []object{
			{"mutatingadmissionpolicies", fmt.Sprintf(about, "MutatingAdmissionPolicy", `"spec":{"reinvocationPolicy":"Never","matchConstraints":{`+rules+`},`+
				`"mutations":[{"patchType":"ApplyConfiguration","applyConfiguration":{"expression":"Object{metadata: Object.metadata{labels: Object.metadata.labels{bench: 'yes'}}}"}}]}`)},
			{"mutatingadmissionpolicybindings", fmt.Sprintf(about, "MutatingAdmissionPolicyBinding", `"spec":{"policyName":"bench"}`)},
		}},
		{"a validating webhook", webhook("Validating", "/allow")},
		{"a mutating webhook", webhook("Mutating", labelPath)},
	}, nil
}

// measureAdmission tells what a policy and a webhook cost each write.
func measureAdmission(ctx context.Context, targets []*target) (results, error) {
	out := results{}
	server := judge()
	defer server.Close()
	all, err := guards(server)
	if err != nil {
		return nil, err
	}
	for _, g := range all {
		for _, t := range targets {
			f, err := t.guarded(ctx, g)
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", t.name, g.name, err)
			}
			out.add(t, f...)
		}
	}
	return out, nil
}

// guarded measures creates while a guard stands.
func (t *target) guarded(ctx context.Context, g guard) (all []figure, err error) {
	set, err := t.clientset(encodings[0])
	if err != nil {
		return nil, err
	}
	config := rest.CopyConfig(t.config)
	config.QPS = -1
	dyn, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	for _, o := range g.objects {
		obj := &unstructured.Unstructured{}
		if err := json.Unmarshal([]byte(o.body), &obj.Object); err != nil {
			return nil, err
		}
		resource := dyn.Resource(schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: o.resource})
		if _, err := resource.Create(ctx, obj, metav1.CreateOptions{}); err != nil {
			return nil, err
		}
		defer func() {
			err = errors.Join(err, ignoreNotFound(resource.Delete(context.WithoutCancel(ctx), obj.GetName(), metav1.DeleteOptions{})))
		}()
	}
	if len(g.objects) > 0 {
		if err := pause(ctx, guardTime); err != nil {
			return nil, err
		}
	}
	c := &crud{maps: set.CoreV1().ConfigMaps(namespace)}
	defer func() { err = errors.Join(err, c.clear(context.WithoutCancel(ctx))) }()
	for _, workers := range []int{1, 16} {
		f, err := t.driven(ctx, fmt.Sprintf("create a 1 KiB ConfigMap with %s, %d workers", g.name, workers), workers, c.create)
		if err != nil {
			return nil, err
		}
		all = append(all, f...)
	}
	return all, nil
}

// labelPath is where judge changes what it is asked about.
const labelPath = "/label"

// judge is a webhook that allows everything.
func judge() *httptest.Server {
	return httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil || review.Request == nil {
			http.Error(w, "no review", http.StatusBadRequest)
			return
		}
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
		if r.URL.Path == labelPath {
			kind := admissionv1.PatchTypeJSONPatch
			review.Response.PatchType, review.Response.Patch = &kind, []byte(`[{"op":"add","path":"/metadata/labels","value":{"bench":"yes"}}]`)
		}
		review.Request = nil
		_ = json.NewEncoder(w).Encode(review)
	}))
}

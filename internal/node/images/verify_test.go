package images

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func credential(uid, password string) Credential {
	return Credential{Source: Source{UID: types.UID(uid), Namespace: "ns", Name: uid, Hash: hash(&runtimeapi.AuthConfig{Username: "u", Password: password})}}
}

func TestVerificationNeeded(t *testing.T) {
	const private = "registry.example/team/app:1"
	mine, other, same := credential("mine", "a"), credential("other", "b"), credential("copy", "a")
	by := &pullRecord{Names: map[string]pull{repository(private): {Sources: []Source{mine.Source}}}}
	anyone := &pullRecord{Names: map[string]pull{repository(private): {Anyone: true}}}
	allowed := []string{"registry.example/team/*", "public.example/tool"}
	cases := []struct {
		name   string
		v      Verification
		image  string
		record *pullRecord
		have   []Credential
		want   bool
	}{
		{"never", Verification{Policy: NeverVerify}, private, by, nil, false},
		{"imported", Verification{Policy: NeverVerifyPreloaded}, private, nil, nil, false},
		{"imported, always", Verification{Policy: AlwaysVerify}, private, nil, nil, true},
		{"imported, allowed", Verification{Policy: NeverVerifyAllowlisted, Allowed: allowed}, private, nil, nil, false},
		{"imported, allowed by name", Verification{Policy: NeverVerifyAllowlisted, Allowed: allowed}, "public.example/tool:2", nil, nil, false},
		{"imported, not allowed", Verification{Policy: NeverVerifyAllowlisted, Allowed: allowed}, "public.example/tools:2", nil, nil, true},
		{"pulled without", Verification{Policy: NeverVerifyPreloaded}, private, anyone, nil, false},
		{"pulled, none", Verification{Policy: NeverVerifyPreloaded}, private, by, nil, true},
		{"pulled, mine", Verification{Policy: NeverVerifyPreloaded}, private, by, []Credential{mine}, false},
		{"pulled, another", Verification{Policy: NeverVerifyPreloaded}, private, by, []Credential{other}, true},
		{"pulled, same content", Verification{Policy: NeverVerifyPreloaded}, private, by, []Credential{other, same}, false},
		{"pulled by another name", Verification{Policy: NeverVerifyPreloaded}, "registry.example/other/app:1", by, []Credential{mine}, true},
		{"another tag", Verification{Policy: NeverVerifyPreloaded}, "registry.example/team/app:2", by, []Credential{mine}, false},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.v.needed(tc.image, tc.record, tc.have); got != tc.want {
				t.Errorf("%v", got)
			}
		})
	}
}

func TestRecords(t *testing.T) {
	r := records{dir: filepath.Join(t.TempDir(), "images")}
	if got, err := r.get("sha256:1"); got != nil || err != nil {
		t.Fatalf("%+v %v", got, err)
	}
	mine := credential("mine", "secret-word")
	for range 2 {
		if err := r.add("sha256:1", "registry.example/app", &mine); err != nil {
			t.Fatal(err)
		}
	}
	got, err := r.get("sha256:1")
	if err != nil || len(got.Names["registry.example/app"].Sources) != 1 {
		t.Fatalf("%+v %v", got, err)
	}
	data, err := os.ReadFile(r.path("sha256:1"))
	if err != nil || bytes.Contains(data, []byte("secret-word")) {
		t.Errorf("the record holds the credential: %s %v", data, err)
	}
	if err := r.add("sha256:1", "registry.example/app", nil); err != nil {
		t.Fatal(err)
	}
	if got, _ := r.get("sha256:1"); !got.Names["registry.example/app"].Anyone {
		t.Errorf("%+v", got)
	}
	if err := os.WriteFile(r.path("sha256:1"), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := r.get("sha256:1"); err != nil || got == nil || len(got.Names) != 0 {
		t.Errorf("a damaged record proves something: %+v %v", got, err)
	}
	if err := r.drop("sha256:1"); err != nil {
		t.Fatal(err)
	}
	if err := r.drop("sha256:1"); err != nil {
		t.Error(err)
	}
}

package images

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func secret(kind corev1.SecretType, key, data string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s", Namespace: "ns"}, Type: kind, Data: map[string][]byte{key: []byte(data)}}
}

func TestLookup(t *testing.T) {
	k, err := NewKeyring([]*corev1.Secret{secret(corev1.SecretTypeDockerConfigJson, corev1.DockerConfigJsonKey, `{"auths":{
		"https://index.docker.io/v1/":{"username":"hub","password":"p"},
		"registry.example":{"auth":"ZXhhbXBsZTpwOnc="},
		"registry.example/team":{"username":"team","password":"p"},
		"*.wild.example":{"username":"wild","password":"p"},
		"127.0.0.1:5000":{"username":"local","password":"p"}}}`)})
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		image string
		want  []string
	}{
		{"nginx", []string{"hub"}},
		{"docker.io/library/nginx:1", []string{"hub"}},
		{"registry.example/app", []string{"example"}},
		{"registry.example/team/app", []string{"team", "example"}},
		{"registry.example/teamwork/app", []string{"example"}},
		{"a.wild.example/x", []string{"wild"}},
		{"a.b.wild.example/x", nil},
		{"wild.example/x", nil},
		{"127.0.0.1:5000/x", []string{"local"}},
		{"127.0.0.1:5001/x", nil},
		{"quay.io/x/y", nil},
		{"UPPER CASE", nil},
	}
	for _, tc := range cases {
		var got []string
		for _, a := range k.Lookup(tc.image) {
			got = append(got, a.Auth.GetUsername())
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", tc.image, diff)
		}
	}
	if a := k.Lookup("registry.example/app")[0]; a.Auth.GetPassword() != "p:w" {
		t.Error("a password with a colon is cut")
	}
}

func TestBadSecretsAreSkipped(t *testing.T) {
	k, err := NewKeyring([]*corev1.Secret{
		secret(corev1.SecretTypeDockerConfigJson, corev1.DockerConfigJsonKey, `{"auths": hunter2`),
		secret(corev1.SecretTypeOpaque, "x", "y"),
		secret(corev1.SecretTypeDockercfg, corev1.DockerConfigKey, `{"old.example":{"username":"old","password":"p"}}`),
	})
	if err == nil {
		t.Error("bad secrets are not told")
	}
	if cmp.Diff(1, len(k.Lookup("old.example/x"))) != "" {
		t.Error("a good secret beside bad ones is not used")
	}
	for _, word := range []string{"hunter2", "auths\": "} {
		if err != nil && strings.Contains(err.Error(), word) {
			t.Errorf("the error shows the secret's content: %v", err)
		}
	}
}

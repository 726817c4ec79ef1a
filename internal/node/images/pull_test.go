package images

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/node/cri"
	"github.com/knarr-io/knarr/internal/node/nodetest"
)

const privateImage = "registry.example/team/app:1"

type pulls struct {
	t       *testing.T
	runtime *nodetest.Runtime
	puller  *Puller
	dir     string
}

func newPulls(t *testing.T) *pulls {
	t.Helper()
	p := &pulls{t: t, runtime: nodetest.NewRuntime(), dir: t.TempDir()}
	socket := filepath.Join(p.dir, "cri.sock")
	if err := p.runtime.Serve(socket); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.runtime.Stop)
	connection, err := cri.Dial(socket, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	p.puller = NewPuller(connection, 1, Verification{Policy: NeverVerifyPreloaded}, filepath.Join(p.dir, "records"), filepath.Join(p.dir, "config.json"))
	return p
}

// ensure asks for the image with the credentials of a user, or without.
func (p *pulls) ensure(user string, policy corev1.PullPolicy) error {
	p.t.Helper()
	var secrets []*corev1.Secret
	if user != "" {
		s := secret(corev1.SecretTypeDockerConfigJson, corev1.DockerConfigJsonKey, `{"auths":{"registry.example":{"username":"`+user+`","password":"p"}}}`)
		s.Name = user
		secrets = append(secrets, s)
	}
	k, err := NewKeyring(secrets)
	if err != nil {
		p.t.Fatal(err)
	}
	_, err = p.puller.Ensure(p.t.Context(), Request{Image: privateImage, Policy: policy, Keyring: k, Event: func(_, _, _ string) {}})
	return err
}

func (p *pulls) asked() []string {
	var out []string
	for _, call := range p.runtime.Calls() {
		if rest, ok := strings.CutPrefix(call, "PullImage "+privateImage+" "); ok {
			out = append(out, rest)
		}
	}
	return out
}

// An image that one pod could pull is not everybody's: who has not the same
// credentials has to ask the registry.
func TestPrivateImageIsCheckedAgain(t *testing.T) {
	p := newPulls(t)
	if err := p.ensure("ann", corev1.PullIfNotPresent); err != nil {
		t.Fatal(err)
	}
	if err := p.ensure("ann", corev1.PullIfNotPresent); err != nil {
		t.Fatal(err)
	}
	p.runtime.Fail("PullImage", errors.New("denied"))
	var failure *Failure
	if err := p.ensure("", corev1.PullIfNotPresent); !errors.As(err, &failure) || failure.Reason != ReasonPull {
		t.Errorf("without credentials: %v", err)
	}
	if err := p.ensure("", corev1.PullNever); !errors.As(err, &failure) || failure.Reason != ReasonNeverPull {
		t.Errorf("without credentials and pulls: %v", err)
	}
	if err := p.ensure("bob", corev1.PullIfNotPresent); err != nil {
		t.Fatal(err)
	}
	if err := p.ensure("bob", corev1.PullNever); err != nil {
		t.Errorf("after his own pull: %v", err)
	}
	if got := p.asked(); !slices.Equal(got, []string{"ann", "", "bob"}) {
		t.Errorf("the registry was asked as %q", got)
	}
}

func TestCredentialsOfTheNode(t *testing.T) {
	p := newPulls(t)
	path := filepath.Join(p.dir, "config.json")
	if err := os.WriteFile(path, []byte(`{"auths":{"registry.example":{"username":"node","password":"p"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	p.runtime.Fail("PullImage", errors.New("denied"))
	if err := p.ensure("ann", corev1.PullIfNotPresent); err != nil {
		t.Fatal(err)
	}
	if got := p.asked(); !slices.Equal(got, []string{"ann", "node"}) {
		t.Errorf("the registry was asked as %q, want the pod's own first", got)
	}
	if err := p.ensure("", corev1.PullNever); err != nil {
		t.Errorf("an image that the node may have is not every pod's: %v", err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.ensure("ann", corev1.PullAlways); err == nil {
		t.Error("a damaged file of credentials is not told")
	}
}

// A program of the node is asked after the files, and one that fails is told
// and done without.
func TestCredentialsOfAProvider(t *testing.T) {
	p := newPulls(t)
	script := "#!/bin/sh\n" + `cat >/dev/null; echo '{"apiVersion":"credentialprovider.kubelet.k8s.io/v1","kind":"CredentialProviderResponse","cacheKeyType":"Global","auth":{"registry.example":{"username":"vault","password":"p"}}}'`
	config := "apiVersion: kubelet.config.k8s.io/v1\nkind: CredentialProviderConfig\nproviders: [{name: vault, apiVersion: credentialprovider.kubelet.k8s.io/v1, matchImages: [registry.example], defaultCacheDuration: 1h}]\n"
	if err := os.Mkdir(filepath.Join(p.dir, "credential-providers"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"credential-providers.yaml": config, "credential-providers/vault": script} {
		if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	p.runtime.Fail("PullImage", errors.New("denied"))
	if err := p.ensure("ann", corev1.PullIfNotPresent); err != nil {
		t.Fatal(err)
	}
	if got := p.asked(); !slices.Equal(got, []string{"ann", "vault"}) {
		t.Errorf("the registry was asked as %q, want the pod's own first", got)
	}
	if err := os.WriteFile(filepath.Join(p.dir, "credential-providers.yaml"), []byte("kind: Pod"), 0o600); err != nil {
		t.Fatal(err)
	}
	var told []string
	_, err := p.puller.Ensure(t.Context(), Request{Image: privateImage, Policy: corev1.PullAlways, Event: func(_, reason, _ string) { told = append(told, reason) }})
	if err != nil || !slices.Contains(told, "CredentialProviderFailed") {
		t.Errorf("a damaged configuration: events %v, %v", told, err)
	}
}

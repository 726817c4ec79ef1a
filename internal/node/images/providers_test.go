package images

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/knarr-io/knarr/internal/testkit/await"
)

// newProviders has one provider, a script; each run of it leaves a line in a file.
func newProviders(t *testing.T, script, more string) (p *providers, runs func() int) {
	t.Helper()
	dir := t.TempDir()
	p = &providers{config: filepath.Join(dir, "providers.yaml"), programs: dir, cache: map[string]cached{}}
	config := `apiVersion: kubelet.config.k8s.io/v1
kind: CredentialProviderConfig
providers:
- name: vault
  apiVersion: credentialprovider.kubelet.k8s.io/v1
  matchImages: ["*.example.com", "registry.test:5000/team"]
  defaultCacheDuration: 10m
  args: [get]
  env: [{name: WHO, value: harald}]
` + more
	count := filepath.Join(dir, "runs")
	for name, text := range map[string]string{"providers.yaml": config, "vault": "#!/bin/sh\necho $1 >>" + count + "\n" + script} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return p, func() int {
		data, _ := os.ReadFile(count)
		return strings.Count(string(data), "get\n")
	}
}

// answer is a script that gives the same for everything.
func answer(cache string) string {
	return `grep -q '"image":"' || exit 1
echo '{"apiVersion":"credentialprovider.kubelet.k8s.io/v1","kind":"CredentialProviderResponse",` + cache + `"auth":{"*.example.com":{"username":"'$WHO'","password":"ahoy"}}}'
`
}

func TestProvidersAreAsked(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	for name, tc := range map[string]struct {
		cache string
		runs  int // of four questions: an image, it again, another of its registry, another registry
		later int // runs after five minutes, for the first image
	}{
		"by image":    {`"cacheKeyType":"Image",`, 3, 3},
		"by registry": {`"cacheKeyType":"Registry",`, 2, 2},
		"for all":     {`"cacheKeyType":"Global",`, 1, 1},
		"shortly":     {`"cacheKeyType":"Image","cacheDuration":"1m",`, 3, 4},
		"not at all":  {`"cacheKeyType":"Image","cacheDuration":"0s",`, 4, 5},
	} {
		t.Run(name, func(t *testing.T) {
			p, runs := newProviders(t, answer(tc.cache), "")
			for _, image := range []string{"a.example.com/x:1", "a.example.com/x:1", "a.example.com/y:1", "b.example.com/x:1"} {
				got, err := p.lookup(t.Context(), image, start)
				if err != nil || len(got) != 1 || got[0].Auth.Username != "harald" || got[0].Auth.Password != "ahoy" || got[0].Source.Name != "" {
					t.Fatalf("%s: %+v, %v", image, got, err)
				}
			}
			if runs() != tc.runs {
				t.Errorf("the program ran %d times, want %d", runs(), tc.runs)
			}
			if _, err := p.lookup(t.Context(), "a.example.com/x:1", start.Add(5*time.Minute)); err != nil || runs() != tc.later {
				t.Errorf("later: %d runs, %v, want %d", runs(), err, tc.later)
			}
			if got, err := p.lookup(t.Context(), "example.com/x:1", start); err != nil || len(got) != 0 || runs() != tc.later {
				t.Errorf("an image of others: %v, %v", got, err)
			}
		})
	}
}

// A program that hangs for one image holds up neither what is known already nor
// other images.
func TestProviderThatHangs(t *testing.T) {
	until := filepath.Join(t.TempDir(), "until")
	p, runs := newProviders(t, `ask=$(cat); case "$ask" in *slow*) while ! [ -e `+until+` ]; do sleep 0.01; done; esac; echo "$ask" | {
`+answer(`"cacheKeyType":"Image",`)+"}\n", "")
	now := time.Unix(1_700_000_000, 0)
	if _, err := p.lookup(t.Context(), "a.example.com/known:1", now); err != nil {
		t.Fatal(err)
	}
	var hung, others sync.WaitGroup
	hung.Go(func() {
		if got, err := p.lookup(t.Context(), "a.example.com/slow:1", now); err != nil || len(got) != 1 {
			t.Errorf("the slow one: %v, %v", got, err)
		}
	})
	await.Until(t, time.Minute, "the program runs again", func() bool { return runs() == 2 })
	for _, image := range []string{"a.example.com/known:1", "a.example.com/other:1"} {
		others.Go(func() {
			if got, err := p.lookup(t.Context(), image, now); err != nil || len(got) != 1 {
				t.Errorf("%s: %v, %v", image, got, err)
			}
		})
	}
	others.Wait()
	if err := os.WriteFile(until, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	hung.Wait()
}

func TestProvidersThatFail(t *testing.T) {
	for name, tc := range map[string]struct{ script, more, want string }{
		"it fails":            {"echo the vault is shut >&2; exit 3\n", "", "the vault is shut"},
		"no answer":           {"exit 0\n", "", "no CredentialProviderResponse"},
		"a secret in garbage": {"echo password-ahoy\n", "", "no CredentialProviderResponse"},
		"another kind":        {`echo '{"apiVersion":"credentialprovider.kubelet.k8s.io/v1","kind":"Secret"}'` + "\n", "", "no CredentialProviderResponse"},
		"an unknown cache":    {answer(`"cacheKeyType":"Never",`), "", "cacheKeyType"},
		"an unknown field":    {answer(""), "  nothing: 1\n", "unknown field"},
		"tokens":              {answer(""), "  tokenAttributes: {serviceAccountTokenAudience: a, cacheType: Token, requireServiceAccount: true}\n", "tokenAttributes"},
		"a path":              {answer(""), "- {name: ../vault, apiVersion: credentialprovider.kubelet.k8s.io/v1, matchImages: [a], defaultCacheDuration: 1s}\n", "name of a file"},
	} {
		p, _ := newProviders(t, tc.script, tc.more)
		got, err := p.lookup(t.Context(), "a.example.com/x:1", time.Now())
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "ahoy") || len(got) != 0 {
			t.Errorf("%s: %v, %v, want %s", name, got, err, tc.want)
		}
	}
	none := &providers{config: filepath.Join(t.TempDir(), "none")}
	if got, err := none.lookup(t.Context(), "a.example.com/x:1", time.Now()); err != nil || len(got) != 0 {
		t.Errorf("without a configuration: %v, %v", got, err)
	}
}

package images

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"sort"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/internal/base/filewatch"
)

// Keyring holds registry credentials, such as those of a pod's image pull secrets.
type Keyring struct {
	entries []entry
}

type entry struct {
	host, path string // host may hold * for one label; path is a prefix
	credential Credential
}

type dockerAuth struct {
	Username      string `json:"username"`
	Password      string `json:"password"`
	Auth          string `json:"auth"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

// NewKeyring reads secrets of the types kubernetes.io/dockerconfigjson and
// kubernetes.io/dockercfg. What cannot be read is skipped and told in the
// error; the keyring is usable all the same.
func NewKeyring(secrets []*corev1.Secret) (*Keyring, error) {
	k := &Keyring{}
	var errs []error
	for _, s := range secrets {
		auths, err := authsOf(s)
		if err != nil {
			errs = append(errs, fmt.Errorf("image pull secret %s/%s: %w", s.Namespace, s.Name, err))
			continue
		}
		for server, a := range auths {
			if err := k.add(server, a, Source{UID: s.UID, Namespace: s.Namespace, Name: s.Name}); err != nil {
				errs = append(errs, fmt.Errorf("image pull secret %s/%s: registry %q: %w", s.Namespace, s.Name, server, err))
			}
		}
	}
	k.sort()
	return k, errors.Join(errs...)
}

// sort has the most specific entry tried first.
func (k *Keyring) sort() {
	sort.SliceStable(k.entries, func(i, j int) bool {
		a, b := k.entries[i], k.entries[j]
		return a.host+a.path > b.host+b.path
	})
}

// nodeKeyring reads a file as `docker login` writes it, for all pods of the
// node; nil where there is none.
func nodeKeyring(path string) (*Keyring, error) {
	if path == "" {
		return nil, nil
	}
	data, err := filewatch.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the node's registry credentials: %w", err)
	}
	k, err := NewKeyring([]*corev1.Secret{{Type: corev1.SecretTypeDockerConfigJson, Data: map[string][]byte{corev1.DockerConfigJsonKey: data}}})
	if err != nil {
		return nil, fmt.Errorf("the node's registry credentials in %s: %w", path, err)
	}
	return k, nil
}

func authsOf(s *corev1.Secret) (map[string]dockerAuth, error) {
	switch s.Type {
	case corev1.SecretTypeDockerConfigJson:
		var cfg struct {
			Auths map[string]dockerAuth `json:"auths"`
		}
		// The JSON's own error may quote the secret: it is not passed on.
		if json.Unmarshal(s.Data[corev1.DockerConfigJsonKey], &cfg) != nil {
			return nil, fmt.Errorf("key %s is not valid JSON", corev1.DockerConfigJsonKey)
		}
		return cfg.Auths, nil
	case corev1.SecretTypeDockercfg:
		var auths map[string]dockerAuth
		if json.Unmarshal(s.Data[corev1.DockerConfigKey], &auths) != nil {
			return nil, fmt.Errorf("key %s is not valid JSON", corev1.DockerConfigKey)
		}
		return auths, nil
	}
	return nil, fmt.Errorf("type %q is not one of registry credentials", s.Type)
}

func (k *Keyring) add(server string, a dockerAuth, from Source) error {
	if !strings.Contains(server, "://") {
		server = "https://" + server
	}
	u, err := url.Parse(server)
	if err != nil {
		return errors.New("not a registry's address")
	}
	auth := &runtimeapi.AuthConfig{
		Username: a.Username, Password: a.Password, ServerAddress: u.Host,
		IdentityToken: a.IdentityToken, RegistryToken: a.RegistryToken,
	}
	if a.Auth != "" {
		raw, err := base64.StdEncoding.DecodeString(a.Auth)
		user, password, ok := strings.Cut(string(raw), ":")
		if err != nil || !ok {
			return errors.New("auth is not base64 of user:password")
		}
		auth.Username, auth.Password = user, strings.Trim(password, "\x00")
	}
	// Docker's default registry is known by its API's address.
	p := strings.TrimSuffix(u.Path, "/")
	if p == "/v1" || p == "/v2" {
		p = ""
	}
	from.Hash = hash(auth)
	k.entries = append(k.entries, entry{host: u.Host, path: p, credential: Credential{Auth: auth, Source: from}})
	return nil
}

// Lookup gives the credentials that fit an image, best first.
func (k *Keyring) Lookup(image string) []Credential {
	if k == nil {
		return nil
	}
	ref, err := name.ParseReference(image)
	if err != nil {
		return nil
	}
	host, repo := ref.Context().RegistryStr(), "/"+ref.Context().RepositoryStr()
	var out []Credential
	for _, e := range k.entries {
		if hostMatches(e.host, host) && strings.HasPrefix(repo+"/", strings.TrimSuffix(e.path, "/")+"/") {
			out = append(out, e.credential)
		}
	}
	return out
}

// hostMatches compares label by label, so that * stands for one label; a port
// has to be the same.
func hostMatches(pattern, host string) bool {
	if isDockerHub(pattern) && isDockerHub(host) {
		return true
	}
	pHost, pPort, _ := strings.Cut(pattern, ":")
	hHost, hPort, _ := strings.Cut(host, ":")
	if pPort != hPort {
		return false
	}
	p, h := strings.Split(pHost, "."), strings.Split(hHost, ".")
	if len(p) != len(h) {
		return false
	}
	for i := range p {
		if ok, err := path.Match(p[i], h[i]); err != nil || !ok {
			return false
		}
	}
	return true
}

func isDockerHub(host string) bool {
	return host == "docker.io" || host == "index.docker.io" || host == "registry-1.docker.io"
}

package encryption

import (
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiserverv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"
	"sigs.k8s.io/yaml"

	"github.com/knarr-io/knarr/internal/base/filewatch"
)

// Rotate puts a new key before the others wherever the file's rules encrypt
// with keys of their own, and tells its name. A server that runs takes it over
// by itself.
func Rotate(file string) (name string, err error) {
	fresh := newKey()
	err = edit(file, func(keys []apiserverv1.Key) []apiserverv1.Key {
		return append([]apiserverv1.Key{{Name: fresh.name, Secret: fresh.secret}}, keys...)
	})
	return fresh.name, err
}

// Prune leaves the first key of each list. It must not be called before
// Status.Current is true; a server that runs refuses a file that lacks a key
// which is still needed.
func Prune(file string) error {
	return edit(file, func(keys []apiserverv1.Key) []apiserverv1.Key { return keys[:1] })
}

// edit changes the keys of the provider that each rule writes with.
func edit(file string, change func([]apiserverv1.Key) []apiserverv1.Key) error {
	content, err := filewatch.Read(file)
	if err != nil {
		return fmt.Errorf("read the encryption configuration: %w", err)
	}
	var config apiserverv1.EncryptionConfiguration
	if err := yaml.UnmarshalStrict(content, &config); err != nil {
		return fmt.Errorf("encryption configuration %s: %w", file, err)
	}
	changed := false
	for i := range config.Resources {
		if keys := writingKeys(config.Resources[i].Providers); keys != nil && len(*keys) > 0 {
			*keys = change(*keys)
			changed = true
		}
	}
	if !changed {
		return errors.New("no rule of the encryption configuration writes with a key of its own: there is nothing to rotate here")
	}
	config.TypeMeta = metav1.TypeMeta{APIVersion: apiserverv1.SchemeGroupVersion.String(), Kind: "EncryptionConfiguration"}
	out, err := yaml.Marshal(config)
	if err != nil {
		return err
	}
	return replace(file, out)
}

// writingKeys are those of the first provider; nil where it has none.
func writingKeys(providers []apiserverv1.ProviderConfiguration) *[]apiserverv1.Key {
	if len(providers) == 0 {
		return nil
	}
	switch first := providers[0]; {
	case first.AESGCM != nil:
		return &first.AESGCM.Keys
	case first.AESCBC != nil:
		return &first.AESCBC.Keys
	case first.Secretbox != nil:
		return &first.Secretbox.Keys
	}
	return nil
}

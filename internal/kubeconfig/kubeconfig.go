// Package kubeconfig builds kubeconfigs and merges one entry into the file
// that a person already has.
//
// Merging edits the file's YAML tree in place, so that other entries, unknown
// fields, comments and their order stay as they were. The file is replaced
// atomically, under the same lock file that kubectl takes, through symbolic
// links, with mode 0600. What Merge changed it notes in the context that it
// adds (an extension, as clients allow for), so that Remove can put back the
// context that was current before. A file that cannot be understood is left
// untouched.
//
// The package owns nothing: state is the file.
package kubeconfig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"go.yaml.in/yaml/v3"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Entry is one cluster with the user that Knarr made for it. Cluster, user
// and context all go by Name.
type Entry struct {
	Name   string
	Server string
	// CA, Certificate and Key are PEM.
	CA, Certificate, Key []byte
}

// Build makes a kubeconfig that holds the entry alone, as its current context.
func Build(e Entry) *clientcmdapi.Config {
	out := clientcmdapi.NewConfig()
	out.Clusters[e.Name] = &clientcmdapi.Cluster{Server: e.Server, CertificateAuthorityData: e.CA}
	out.AuthInfos[e.Name] = &clientcmdapi.AuthInfo{ClientCertificateData: e.Certificate, ClientKeyData: e.Key}
	out.Contexts[e.Name] = &clientcmdapi.Context{Cluster: e.Name, AuthInfo: e.Name}
	out.CurrentContext = e.Name
	return out
}

// Encode writes a kubeconfig as YAML.
func Encode(c *clientcmdapi.Config) ([]byte, error) { return clientcmd.Write(*c) }

// errTaken: the file has a context of this name that Knarr did not write.
var errTaken = errors.New("the kubeconfig already has an entry of this name that Knarr did not write: rename it (kubectl config rename-context) and try again")

// Merge adds the entry to the target's file, or brings it up to date, and
// makes it the current context. ctx bounds the wait for the lock.
func Merge(ctx context.Context, target Target, e Entry) error {
	return edit(ctx, target, func(data []byte, exists bool) ([]byte, error) {
		doc, err := parse(data)
		if err != nil {
			return nil, err
		}
		if err := doc.merge(e, exists); err != nil {
			return nil, err
		}
		return doc.encode()
	})
}

// Refresh brings the entry up to date where Merge has put it; what is current
// stays so. No file, or none of ours in it, is no error. Where all is up to date
// the lock is not asked for.
func Refresh(ctx context.Context, target Target, e Entry) error {
	path, err := resolve(target.Path)
	if err != nil {
		return fmt.Errorf("kubeconfig: %w", err)
	}
	data, info, err := read(path)
	if err == nil && info == nil {
		return nil
	}
	if err == nil {
		if content, ours, err := refreshed(data, e); err == nil && ours && bytes.Equal(content, data) {
			return nil
		}
	}
	return edit(ctx, target, func(data []byte, _ bool) ([]byte, error) {
		content, _, err := refreshed(data, e)
		return content, err
	})
}

// refreshed is the content with the entry up to date, where it is ours.
func refreshed(data []byte, e Entry) (content []byte, ours bool, err error) {
	doc, err := parse(data)
	if err != nil {
		return nil, false, err
	}
	if _, ours := doc.note(e.Name); !ours {
		return data, false, nil
	}
	before, err := doc.encode()
	if err != nil {
		return nil, true, err
	}
	doc.putCredentials(e)
	after, err := doc.encode()
	if err == nil && bytes.Equal(before, after) {
		return data, true, nil // whatever it looks like
	}
	return after, true, err
}

// Remove takes the entry out again and makes the context current that was so
// before Merge, unless somebody chose another since. A file that Merge made
// and that holds nothing else is removed. No file, or none of ours in it, is
// no error.
func Remove(ctx context.Context, target Target, name string) error {
	if _, err := os.Stat(target.Path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return edit(ctx, target, func(data []byte, _ bool) ([]byte, error) {
		doc, err := parse(data)
		if err != nil {
			return nil, err
		}
		note, ours := doc.note(name)
		if !ours {
			return data, nil
		}
		doc.remove(name, note)
		if note.Created && doc.isBare() {
			return nil, nil
		}
		return doc.encode()
	})
}

// parse refuses what kubectl could not read.
func parse(data []byte) (*document, error) {
	if _, err := clientcmd.Load(data); err != nil {
		return nil, fmt.Errorf("the file is not a kubeconfig: %w", err)
	}
	doc := &document{}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	if err := decoder.Decode(&doc.file); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("the file is not YAML: %w", err)
	}
	if err := decoder.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, errors.New("the file holds more than one YAML document")
	}
	return doc, doc.check()
}

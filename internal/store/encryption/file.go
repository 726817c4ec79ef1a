package encryption

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// keyLength is that of AES-256, in bytes.
const keyLength = 32

// makeFile writes a configuration with a new key where there is no file yet.
// It is on disk when makeFile returns: values that the key encrypts must not
// outlive it.
func makeFile(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return replace(path, []byte(configuration(newKey())))
}

type key struct{ name, secret string }

func newKey() key {
	var raw [keyLength + 4]byte
	_, _ = rand.Read(raw[:]) // never fails
	return key{
		// The name is part of every stored value: by it an error tells which
		// key is missing.
		name:   "key-" + hex.EncodeToString(raw[keyLength:]),
		secret: base64.StdEncoding.EncodeToString(raw[:keyLength]),
	}
}

// configuration encrypts Secrets with the first key and reads what any of the
// keys, or none, encrypted.
func configuration(keys ...key) string {
	var b strings.Builder
	b.WriteString(`# Secrets are stored encrypted with the first of these keys. Without this file
# they cannot be read: keep a copy of it, apart from the data.
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - aesgcm:
      keys:
`)
	for _, k := range keys {
		fmt.Fprintf(&b, "      - {name: %s, secret: %s}\n", k.name, k.secret)
	}
	b.WriteString("  - identity: {}\n")
	return b.String()
}

// replace puts a file in the place of what is there, whole or not at all,
// with mode 0600.
func replace(path string, content []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncFolder(dir)
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

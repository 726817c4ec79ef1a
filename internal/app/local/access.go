package local

import "path/filepath"

// Access names the files by which a person says who may enter the cluster and
// what is kept of it. Empty means: not wanted.
type Access struct {
	// EncryptionConfig is an EncryptionConfiguration; empty: one of ours.
	EncryptionConfig string `json:",omitempty"`
}

// EncryptionFile is the configuration by which stored objects are encrypted.
// own tells that it is Knarr's, made at the first start.
func (s Settings) EncryptionFile() (path string, own bool) {
	if s.Access.EncryptionConfig != "" {
		return s.Access.EncryptionConfig, false
	}
	return filepath.Join(s.DataDir, "encryption.yaml"), true
}

// flags are the settings as the server's command line takes them.
func (a Access) flags() []string {
	var out []string
	for _, f := range []struct{ name, value string }{
		{"--encryption-config", a.EncryptionConfig},
	} {
		if f.value != "" {
			out = append(out, f.name, f.value)
		}
	}
	return out
}

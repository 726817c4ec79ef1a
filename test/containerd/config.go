package containerd

import (
	"fmt"
	"os"
	"path/filepath"
)

// PauseImage holds a sandbox of containerd's.
const PauseImage = "registry.k8s.io/pause:3.10.2"

// Setup says how a containerd runs that a test starts. All that it keeps is
// below Dir, and so is its socket.
type Setup struct {
	Dir string
	// Runc is the program that makes containers, Plugins the folder of CNI
	// plugins. Without them containerd only pulls images.
	Runc, Plugins string
	// Pods is the range of pods' addresses, each with a routed link.
	Pods string
}

// Socket is where it answers.
func (s Setup) Socket() string { return filepath.Join(s.Dir, "containerd.sock") }

// Write writes its files and returns the one to start it with.
func (s Setup) Write() (config string, err error) {
	config = filepath.Join(s.Dir, "config.toml")
	network := filepath.Join(s.Dir, "net")
	if err := os.MkdirAll(network, 0o755); err != nil {
		return "", err
	}
	if s.Runc == "" {
		return config, os.WriteFile(config, fmt.Appendf(nil, base, s.Dir, imagesOnly), 0o600)
	}
	text := fmt.Appendf(fmt.Appendf(nil, base, s.Dir, ""), containers, PauseImage, s.Plugins, network, s.Runc)
	if err := os.WriteFile(config, text, 0o600); err != nil {
		return "", err
	}
	pods := fmt.Sprintf(links, s.Pods, filepath.Join(s.Dir, "addresses"))
	return config, os.WriteFile(filepath.Join(network, "10-pods.conflist"), []byte(pods), 0o600)
}

const base = `version = 2
%[2]sroot = "%[1]s/root"
state = "%[1]s/state"
[grpc]
  address = "%[1]s/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "%[1]s/opt"
`

const imagesOnly = `disabled_plugins = ["io.containerd.grpc.v1.cri"]
`

// restrict_oom_score_adj lets it run where root may not raise processes above
// others.
const containers = `[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %[1]q
  disable_apparmor = true
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %[2]q
    conf_dir = %[3]q
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      BinaryName = %[4]q
`

const links = `{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "ptp", "ipam": {"type": "host-local", "ranges": [[{"subnet": %q}]], "routes": [{"dst": "0.0.0.0/0"}], "dataDir": %q}}]}
`

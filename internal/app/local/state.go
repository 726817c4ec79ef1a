package local

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/knarr-io/knarr/internal/base/remedy"
	"github.com/knarr-io/knarr/internal/kubeconfig"
)

// stateVersion is the format of the state file. A cluster of a newer one is
// refused: an older Knarr would not know what it holds.
const stateVersion = 1

// state is what a cluster keeps of its identity on this machine.
type state struct {
	Version   int
	NodeName  string
	APIPort   int
	HTTPPort  int
	HTTPSPort int
	Pods      netip.Prefix
	Services  netip.Prefix
	Domain    string

	// How it was brought up last: down undoes that, whatever it is told.
	RunDir, LogDir, CgroupParent string
	NodeAddress, DNS             netip.Addr
	Access                       Access

	NodeNetwork netip.Prefix
	Further     []Further `json:",omitempty"`
	// SchedulerConfig is a file, as Access names them.
	SchedulerConfig string      `json:",omitempty"`
	Simulate        *Simulation `json:",omitempty"`

	// Server and Overlay are those of a cluster that this machine joined.
	Server  string `json:",omitempty"`
	Overlay string `json:",omitempty"`

	NodeConfig string `json:",omitempty"`
	// Kubeconfigs are people's, which hold the cluster's administrator.
	Kubeconfigs     []kubeconfig.Target `json:",omitempty"`
	RuntimeEndpoint string              `json:",omitempty"`
	Given           given               `json:",omitzero"`
}

// given are settings that up takes as they are given each time. Commands that
// are told of none, such as node start, go by them: else they would start the
// services of the whole cluster anew with the defaults.
type given struct {
	AddressFixed                       bool
	LoadBalancer, Registries, LogLevel string
	KubeletPort                        int
	CertificateLife                    time.Duration
}

func (s Settings) given() given {
	return given{s.AddressFixed, s.LoadBalancer, s.Registries, s.LogLevel, s.KubeletPort, s.CertificateLife}
}

func (g given) into(s Settings) Settings {
	if g != (given{}) { // else an older Knarr brought the cluster up
		s.AddressFixed, s.LoadBalancer, s.Registries, s.LogLevel, s.KubeletPort, s.CertificateLife = g.AddressFixed, g.LoadBalancer, g.Registries, g.LogLevel, g.KubeletPort, g.CertificateLife
	}
	return s
}

// into puts what the cluster was brought up with into the settings.
func (st state) into(s Settings) Settings {
	s.NodeName, s.NodeAddress, s.DNS = st.NodeName, st.NodeAddress, st.DNS
	s.APIPort, s.HTTPPort, s.HTTPSPort = st.APIPort, st.HTTPPort, st.HTTPSPort
	s.Pods, s.Services, s.Domain = st.Pods, st.Services, st.Domain
	s.RunDir, s.LogDir, s.CgroupParent = st.RunDir, st.LogDir, st.CgroupParent
	if s.Access == (Access{}) {
		s.Access = st.Access
	}
	s.Further, s.Server, s.Kubeconfigs = st.Further, st.Server, st.Kubeconfigs
	if st.Overlay != "" {
		s.Overlay = st.Overlay
	}
	if s.RuntimeEndpoint == "" {
		s.RuntimeEndpoint = st.RuntimeEndpoint
	}
	if s.SchedulerConfig == "" {
		s.SchedulerConfig = st.SchedulerConfig
	}
	if s.Simulate == nil {
		s.Simulate = st.Simulate
	}
	if s.NodeConfig == "" {
		s.NodeConfig = st.NodeConfig
	}
	if st.NodeNetwork.IsValid() {
		s.NodeNetwork = st.NodeNetwork
	}
	return st.Given.into(s)
}

// Recall completes the settings by those that the cluster in DataDir was
// brought up with; without one they stay as they are.
func Recall(s Settings) (Settings, error) {
	st, known, err := loadState(s.stateFile())
	if err != nil || !known {
		return s, err
	}
	return st.into(s), nil
}

// state is that of a cluster that is brought up with the settings.
func (s Settings) state() state {
	return state{NodeName: s.NodeName, APIPort: s.APIPort, HTTPPort: s.HTTPPort, HTTPSPort: s.HTTPSPort,
		Pods: s.Pods, Services: s.Services, Domain: s.Domain,
		RunDir: s.RunDir, LogDir: s.LogDir, CgroupParent: s.CgroupParent, NodeAddress: s.NodeAddress, DNS: s.DNS,
		NodeNetwork: s.NodeNetwork, Further: s.Further, Access: s.Access, SchedulerConfig: s.SchedulerConfig, Simulate: s.Simulate, Server: s.Server, Overlay: s.Overlay, NodeConfig: s.NodeConfig,
		RuntimeEndpoint: s.RuntimeEndpoint, Kubeconfigs: s.Kubeconfigs, Given: s.given()}
}

// errNewer: the data directory was written by a newer Knarr.
var errNewer = remedy.New("the cluster was made by a newer Knarr", "use that version, or another --data-dir")

// noCluster: nothing was brought up with this data directory.
func noCluster(s Settings) error {
	return remedy.New("there is no cluster in "+s.DataDir, "bring one up with `knarr up`")
}

// loadState reads the file; known is false where there is no cluster yet.
func loadState(path string) (st state, known bool, err error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return state{}, false, nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return state{}, false, remedy.For(fmt.Errorf("read the cluster's state: %w", err), "it belongs to root, run it again with sudo")
	}
	if err != nil {
		return state{}, false, fmt.Errorf("read the cluster's state: %w", err)
	}
	if err := json.Unmarshal(data, &st); err != nil {
		return state{}, false, remedy.For(fmt.Errorf("the cluster's state in %s is damaged: %w", path, err), "restore the file, or start over with `knarr down --purge`")
	}
	if st.Version > stateVersion {
		return state{}, false, fmt.Errorf("%s has format %d: %w", path, st.Version, errNewer)
	}
	return st, true, nil
}

func saveState(path string, st state) error {
	st.Version = stateVersion
	data, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return err
	}
	data = append(data, '\n')
	if before, err := os.ReadFile(path); err == nil && bytes.Equal(before, data) {
		return nil
	}
	return writeDurably(path, data, 0o600, os.Geteuid())
}

// fileWriter is writeFile or writeDurably.
type fileWriter func(path string, data []byte, mode fs.FileMode, owner int) error

// writeFile replaces a file whole, with a user and the group of the same
// number as its owner: whoever opens it can read it from the first moment.
func writeFile(path string, data []byte, mode fs.FileMode, owner int) error {
	return replaceFile(path, data, mode, owner, func(*os.File) error { return nil })
}

// writeDurably is writeFile for what nobody could make again: a power cut
// leaves what was there before, or all of the new content.
func writeDurably(path string, data []byte, mode fs.FileMode, owner int) error {
	return replaceFile(path, data, mode, owner, (*os.File).Sync)
}

func replaceFile(path string, data []byte, mode fs.FileMode, owner int, finish func(*os.File) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode))
	if owner != os.Geteuid() {
		err = errors.Join(err, f.Chown(owner, owner))
	}
	if err == nil {
		err = finish(f)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}

// errBusy: another up or down is at work.
var errBusy = remedy.New("another `knarr up` or `knarr down` is at work on this cluster", "wait for it to end")

// lock keeps others from bringing the cluster up or down at the same time.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errBusy // a down, which has removed the folder just now
	}
	if err != nil {
		return nil, fmt.Errorf("lock the cluster: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errBusy
		}
		return nil, fmt.Errorf("lock the cluster: %w", err)
	}
	if !isAt(f, path) { // a down has removed it since: others lock another file by now
		_ = f.Close()
		return nil, errBusy
	}
	return func() { _ = f.Close() }, nil
}

// lockRunDir locks the cluster until unlock is called, which takes the folder of
// sockets away again where nothing came into it.
func (s Settings) lockRunDir() (unlock func(), err error) {
	let, err := lock(s.lockFile())
	if err != nil {
		return nil, err
	}
	return func() {
		defer let()
		if entries, err := os.ReadDir(s.RunDir); err == nil && len(entries) == 1 {
			// Whatever is left then is as good as an empty folder.
			_ = errors.Join(removeEmpty(s.lockFile()), removeEmpty(s.RunDir))
		}
	}, nil
}

// isAt tells that a path leads to an open file.
func isAt(f *os.File, path string) bool {
	own, err := f.Stat()
	there, err2 := os.Stat(path)
	return err == nil && err2 == nil && os.SameFile(own, there)
}

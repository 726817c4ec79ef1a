package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/runtime/atomicfile"
	"github.com/knarr-io/knarr/runtime/fault"
	"github.com/knarr-io/knarr/runtime/nspace"
	"github.com/knarr-io/knarr/runtime/podnet"
	"github.com/knarr-io/knarr/runtime/proc"
)

// Config is where a Manager keeps things.
type Config struct {
	// Records is a folder that outlives a reboot; State one on a tmpfs.
	Records, State string
	// Boot names this boot of the machine: namespaces do not outlive it.
	Boot string
	// PauseBinary is the program that holds a shared PID namespace.
	PauseBinary string
	Log         *slog.Logger
	// Notify is called after a sandbox became not ready by itself. It must not block.
	Notify func(*Sandbox)
}

// Manager owns the sandboxes of a node. It is safe for concurrent use.
type Manager struct {
	cfg Config
	// life ends with the runtime, not with the sandboxes.
	life context.Context
	net  *network
	// detaching are links whose removal goes on in the background.
	detaching sync.WaitGroup

	mu        sync.Mutex
	sandboxes map[string]*Sandbox
}

// Open recovers the sandboxes of earlier runs. Those whose namespaces are gone are not ready.
func Open(ctx context.Context, cfg Config) (*Manager, error) {
	for _, dir := range []string{cfg.Records, cfg.State} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return nil, err
		}
	}
	m := &Manager{cfg: cfg, life: ctx, sandboxes: map[string]*Sandbox{}}
	if err := atomicfile.Sweep(cfg.Records); err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(cfg.Records, "*.json"))
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if err := m.recover(f); err != nil {
			cfg.Log.Warn("dropping a sandbox record", "error", err)
			os.Remove(f)
		}
	}
	m.net = openNetwork(filepath.Dir(cfg.Records), m.addresses(), cfg.Log)
	return m, nil
}

func (m *Manager) recover(file string) error {
	var rec record
	if err := atomicfile.ReadJSON(file, &rec); err != nil {
		return err
	}
	config := &cri.PodSandboxConfig{}
	if err := proto.Unmarshal(rec.Config, config); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	s := &Sandbox{ID: rec.ID, Config: config, Handler: rec.Handler, Created: rec.Created,
		Dir: filepath.Join(m.cfg.State, rec.ID), ip: rec.IP, pause: rec.Pause}
	s.ready = rec.Ready && rec.Boot == m.cfg.Boot && s.whole()
	if _, err := os.Stat(s.Dir); errors.Is(err, os.ErrNotExist) {
		// Taken down to its end: what the record names may be another's by now.
		s.ip, s.pause = netip.Addr{}, proc.ID{}
	}
	m.sandboxes[s.ID] = s
	if s.ready && s.SharedPID() {
		return m.watchPause(s)
	}
	return nil
}

// whole says whether what a sandbox consists of is still there.
func (s *Sandbox) whole() bool {
	for _, k := range s.kinds() {
		if !nspace.Pinned(nspace.Path(s.NamespaceDir(), k)) {
			return false
		}
	}
	if s.SharedPID() && !s.pause.Alive() {
		return false
	}
	_, err := os.Stat(s.ResolvConf())
	return err == nil
}

// kinds are the namespaces that the sandbox has for itself.
func (s *Sandbox) kinds() []nspace.Kind {
	var kinds []nspace.Kind
	if !s.HostNetwork() {
		kinds = append(kinds, nspace.Net, nspace.UTS)
	}
	if !s.HostIPC() {
		kinds = append(kinds, nspace.IPC)
	}
	if _, others := s.UserNamespace(); others {
		kinds = append(kinds, nspace.User)
	}
	return kinds
}

// addresses are those of sandboxes that have not been taken down to their end.
func (m *Manager) addresses() []netip.Addr {
	var out []netip.Addr
	for _, s := range m.List() {
		if ip := s.IP(); ip.IsValid() {
			out = append(out, ip)
		}
	}
	return out
}

// List returns the sandboxes, oldest first.
func (m *Manager) List() []*Sandbox {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]*Sandbox, 0, len(m.sandboxes))
	for _, s := range m.sandboxes {
		out = append(out, s)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Created.Before(out[j].Created) })
	return out
}

// Get returns the sandbox with that ID or the only one whose ID begins with it.
func (m *Manager) Get(id string) (*Sandbox, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.sandboxes[id]; s != nil {
		return s, nil
	}
	var found *Sandbox
	for full, s := range m.sandboxes {
		if id != "" && strings.HasPrefix(full, id) {
			if found != nil {
				return nil, fault.New(fault.Invalid, "sandbox %q: more than one begins so", id)
			}
			found = s
		}
	}
	if found == nil {
		return nil, fault.New(fault.NotFound, "sandbox %q: not found", id)
	}
	return found, nil
}

// SetRange sets the range of pod addresses.
func (m *Manager) SetRange(cidr netip.Prefix) error { return m.net.setRange(cidr, m.addresses()) }

// NetworkReady says whether pods can have addresses.
func (m *Manager) NetworkReady() bool { return m.net.ready() }

func (m *Manager) file(id string) string { return filepath.Join(m.cfg.Records, id+".json") }

func (m *Manager) save(s *Sandbox) error {
	rec, err := s.record(m.cfg.Boot)
	if err != nil {
		return err
	}
	return atomicfile.WriteJSON(m.file(s.ID), rec, false)
}

// Run makes a sandbox. On an error nothing of it stays.
func (m *Manager) Run(config *cri.PodSandboxConfig, handler string) (*Sandbox, error) {
	s := &Sandbox{ID: NewID(), Config: config, Handler: handler, Created: time.Now()}
	s.Dir = filepath.Join(m.cfg.State, s.ID)
	if err := errors.Join(checkSysctls(s), checkUserNamespace(s)); err != nil {
		return nil, err
	}
	if err := m.save(s); err != nil {
		return nil, fmt.Errorf("record sandbox: %w", err)
	}
	s.op.Lock()
	defer s.op.Unlock()
	if err := m.build(s); err != nil {
		if cerr := m.tearDown(s); cerr != nil {
			m.cfg.Log.Error("cannot remove a failed sandbox", "sandbox", s.ID, "error", cerr)
			err = errors.Join(err, cerr)
		}
		os.Remove(m.file(s.ID))
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sandboxes[s.ID] = s
	return s, nil
}

func (m *Manager) build(s *Sandbox) error {
	if err := os.MkdirAll(s.Dir, 0o711); err != nil {
		return err
	}
	if err := m.makeNamespaces(s); err != nil {
		return err
	}
	if !s.HostNetwork() {
		addr, err := m.net.allocate()
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.ip = addr
		s.mu.Unlock()
		if err := m.net.attach(s); err != nil {
			return fmt.Errorf("pod network: %w", err)
		}
	}
	if err := s.writeFiles(); err != nil {
		return fmt.Errorf("sandbox files: %w", err)
	}
	if s.SharedPID() {
		if err := m.startPause(s); err != nil {
			return err
		}
	}
	if err := s.giveFiles(); err != nil {
		return fmt.Errorf("sandbox files: %w", err)
	}
	s.setReady(true)
	return m.save(s)
}

func (m *Manager) makeNamespaces(s *Sandbox) error {
	kinds := s.kinds()
	if len(kinds) == 0 {
		return nil
	}
	host, err := s.hostname()
	if err != nil {
		return err
	}
	if ids, others := s.UserNamespace(); others {
		if err := m.makeOwned(s, kinds, ids); err != nil {
			return err
		}
		return setUpOwned(s, host)
	}
	return nspace.Create(s.NamespaceDir(), kinds, func() error {
		if !s.HostNetwork() {
			if err := podnet.LoopbackUp(); err != nil {
				return err
			}
			if err := setHostname(host); err != nil {
				return err
			}
		}
		return writeSysctls(s.Config.GetLinux().GetSysctls())
	})
}

// Stop takes the sandbox's network and namespaces away. Its containers must
// have ended. It may be repeated.
func (m *Manager) Stop(s *Sandbox) error {
	s.op.Lock()
	defer s.op.Unlock()
	s.setReady(false)
	if err := m.save(s); err != nil {
		// A full disk must not keep the pod that filled it. What is taken down is not ready without a record.
		m.cfg.Log.Warn("cannot write down that a sandbox is stopped", "sandbox", s.ID, "error", err)
	}
	return m.tearDown(s)
}

func (m *Manager) tearDown(s *Sandbox) error {
	err := m.stopPause(s)
	if !s.HostNetwork() && s.IP().IsValid() {
		err = errors.Join(err, podnet.Unroute(s.IP()))
		m.detach(s.ID)
	}
	err = errors.Join(err, nspace.Remove(s.NamespaceDir()), s.removeFiles())
	if err == nil {
		m.net.release(s.IP())
		s.mu.Lock()
		s.ip, s.pause = netip.Addr{}, proc.ID{}
		s.mu.Unlock()
	}
	return err
}

// detach removes the pod's link in the background. Without its namespace the
// kernel would remove it as well: this is for one that somebody else holds.
func (m *Manager) detach(id string) {
	m.detaching.Go(func() {
		if err := podnet.Detach(id); err != nil {
			m.cfg.Log.Warn("cannot remove a pod's link", "sandbox", id, "error", err)
		}
	})
}

// Wait returns when no removal goes on in the background.
func (m *Manager) Wait() { m.detaching.Wait() }

// Remove forgets a sandbox, after it was stopped.
func (m *Manager) Remove(s *Sandbox) error {
	if err := m.Stop(s); err != nil {
		return err
	}
	if err := os.Remove(m.file(s.ID)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.sandboxes, s.ID)
	return nil
}

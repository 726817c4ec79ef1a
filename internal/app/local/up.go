package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/knarr-io/knarr/internal/app/keep"
	"github.com/knarr-io/knarr/internal/app/machine"
	"github.com/knarr-io/knarr/internal/app/netspace"
	"github.com/knarr-io/knarr/internal/app/payload"
	"github.com/knarr-io/knarr/internal/app/preflight"
	"github.com/knarr-io/knarr/internal/app/progress"
	"github.com/knarr-io/knarr/internal/base/pki"
	"github.com/knarr-io/knarr/internal/base/remedy"
	"github.com/knarr-io/knarr/internal/kubeconfig"
	"github.com/knarr-io/knarr/internal/network/podnet"
)

// Result is what Up brought about.
type Result struct {
	// Settings are those in force: ports and names that were found out.
	Settings Settings
	// Moved tells of each wished port that was taken.
	Moved []string
	// Notes tell what the machine lacks that Knarr does without, and what to do.
	Notes []string
	// Already is set where everything ran before.
	Already    bool
	Kubeconfig string
}

// upper is one run of Up.
type upper struct {
	Settings
	board    *progress.Board
	logger   *slog.Logger
	target   kubeconfig.Target
	programs programs
	keep     keep.Client
	moved    []string
	notes    []string
	// started is when services of a node were started, where they had to be.
	started map[string]time.Time
}

// Up brings the cluster up and returns when its node is ready for pods. A
// machine that joined a cluster comes back as its node.
func Up(ctx context.Context, s Settings, target kubeconfig.Target, board *progress.Board, logger *slog.Logger) (Result, error) {
	if st, known, err := loadState(s.stateFile()); err == nil && known && st.Server != "" {
		s.Server = st.Server
		return Join(ctx, s, "", board, logger)
	}
	if err := errors.Join(s.whereItRuns(), s.alone(ctx)); err != nil {
		return Result{}, err
	}
	u := &upper{Settings: s, board: board, logger: logger, target: target, keep: keep.Client{Socket: s.keepSocket()}}
	unlock, err := u.begin(ctx)
	if err != nil {
		return Result{}, err
	}
	defer unlock()
	running := u.runningServices(ctx)
	if err := u.decide(running); err != nil {
		return Result{}, err
	}
	for _, n := range u.live()[1:] {
		if err := u.folders(n); err != nil {
			return Result{}, err
		}
	}
	already, err := u.start(ctx)
	if err != nil {
		return Result{}, err
	}
	return Result{Settings: u.Settings, Moved: u.moved, Notes: u.notes, Already: already, Kubeconfig: target.Path}, nil
}

// begin checks the machine, makes the node's folders, and keeps others from
// starting or stopping anything until unlock is called.
func (u *upper) begin(ctx context.Context) (unlock func(), err error) {
	if err := u.preflight(ctx); err != nil {
		return nil, err
	}
	if err := u.folders(u.Settings); err != nil {
		return nil, err
	}
	return u.lockRunDir()
}

func (u *upper) preflight(ctx context.Context) error {
	step := u.board.Step("check the machine")
	findings := preflight.Run(ctx, preflight.Config{DataDir: u.DataDir})
	if err := preflight.Err(findings); err != nil {
		_ = step.End(errors.New("something is missing"))
		return err
	}
	var lacking []string
	for _, f := range findings {
		if f.Problem != "" {
			lacking = append(lacking, f.Name)
			u.notes = append(u.notes, f.Problem+remedy.Mark+f.Remedy)
		}
	}
	step.Done(strings.Join(lacking, ", "))
	return nil
}

// folders makes what must be there before a node runs. The data folder can be
// passed through, not listed: the edge's user runs a program in it.
func (u *upper) folders(n Settings) error {
	for _, f := range []struct {
		path string
		mode fs.FileMode
	}{
		{n.DataDir, 0o711}, {n.programs(), 0o755}, {n.RunDir, 0o711}, {n.logs(), 0o700}, {n.keepState(), 0o700}, {n.edgeState(), 0o700},
	} {
		if err := os.MkdirAll(f.path, f.mode); err != nil {
			return fmt.Errorf("make a folder: %w", err)
		}
		if err := os.Chmod(f.path, f.mode); err != nil {
			return fmt.Errorf("set the mode of a folder: %w", err)
		}
	}
	if err := os.Chown(n.edgeState(), edgeUser, edgeUser); err != nil {
		return fmt.Errorf("give the edge its folder: %w", err)
	}
	return passable(n.DataDir)
}

// passable refuses a folder that the edge's unprivileged user cannot reach.
func passable(dir string) error {
	for dir != "/" {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o001 == 0 {
			return remedy.New("the data cannot lie below "+dir+": only its owner can enter that, and the edge runs as an unprivileged user", "choose another --data-dir, or chmod o+x "+dir)
		}
		dir = filepath.Dir(dir)
	}
	return nil
}

// runningServices are those of a keep that runs already; nil without one.
func (u *upper) runningServices(ctx context.Context) []keep.Status {
	services, err := u.keep.List(ctx)
	if err != nil {
		return nil
	}
	return services
}

// decide finds out what the settings left open: what the cluster was before
// counts, then what was asked for, then what the machine has.
func (u *upper) decide(running []keep.Status) error {
	before, known, err := loadState(u.stateFile())
	if err != nil {
		return err
	}
	u.Overlay = overlay(u.Overlay, before.Overlay)
	if known {
		u.notes = append(u.notes, u.passedOver(before)...)
		u.NodeName = before.NodeName
		u.APIPort, u.HTTPPort, u.HTTPSPort = before.APIPort, before.HTTPPort, before.HTTPSPort
		u.Further = before.Further
		if u.Simulate == nil {
			u.Simulate = before.Simulate
		}
		if len(u.Further) > 0 {
			u.NodeNetwork = before.NodeNetwork
		}
		if u.Pods != before.Pods || u.Services != before.Services || u.Domain != before.Domain {
			return remedy.New(fmt.Sprintf("the cluster was made with pod network %s, service network %s and domain %s, which cannot change", before.Pods, before.Services, before.Domain),
				"leave these flags out, or start over with `knarr down --purge`")
		}
	}
	if u.NodeName == "" {
		if u.NodeName, err = machine.NodeName(); err != nil {
			return err
		}
	}
	if !u.NodeAddress.IsValid() {
		if u.NodeAddress, err = u.FindAddress(); err != nil {
			return err
		}
	}
	if err := u.ports(running); err != nil {
		return err
	}
	if err := u.grow(); err != nil {
		return err
	}
	if u.Kubeconfigs, err = withTarget(before.Kubeconfigs, u.target); err != nil {
		return err
	}
	return saveState(u.stateFile(), u.state())
}

// ports takes the next free port for each one that another process has. A
// running service has its own already, also one that a killed keep left.
func (u *upper) ports(running []keep.Status) error {
	left := u.leftovers()
	isRunning := func(name string) bool {
		_, isLeft := left[name]
		return isLeft || slices.ContainsFunc(running, func(s keep.Status) bool { return s.Name == name })
	}
	var taken []int
	for _, p := range []struct {
		what, service, flag string
		port                *int
	}{
		{"the API", serviceServer, "api-port", &u.APIPort}, {"HTTP", serviceEdge, "http-port", &u.HTTPPort}, {"HTTPS", serviceEdge, "https-port", &u.HTTPSPort},
	} {
		if u.isAgent() && p.service == serviceServer {
			continue
		}
		if !isRunning(p.service) {
			free, err := machine.FreePort(*p.port, func(n int) bool { return slices.Contains(taken, n) })
			if err != nil {
				return remedy.For(fmt.Errorf("a port for %s: %w", p.what, err), "choose another one with --%s", p.flag)
			}
			if free != *p.port {
				u.moved = append(u.moved, fmt.Sprintf("port %d is taken by %s: %s is on %d", *p.port, machine.ListenerOf(*p.port), p.what, free))
				*p.port = free
			}
		}
		taken = append(taken, *p.port)
	}
	return nil
}

// start prepares the node, starts the services and waits for the node.
func (u *upper) start(ctx context.Context) (already bool, err error) {
	step := u.board.Step("prepare the node")
	credentials, err := u.prepare()
	if step.End(err) != nil {
		return false, err
	}
	step = u.board.Step("start the services")
	already, err = u.services(ctx)
	if step.End(err) != nil {
		return false, err
	}
	if err := u.await(ctx, credentials); err != nil {
		return false, remedy.For(err, "look into %s", filepath.Join(u.logs(), "*.log"))
	}
	u.forgetPrograms()
	step = u.board.Step("write the kubeconfig")
	return already, step.End(kubeconfig.Merge(ctx, u.target, credentials.entry(u.server())))
}

// prepare does what needs no running service, each part at its own pace.
func (u *upper) prepare() (Credentials, error) {
	var credentials Credentials
	unpacked := make(chan error, 1)
	go func() { unpacked <- u.unpack() }()
	networked := make(chan error, 1)
	go func() { networked <- u.network() }()
	credentials, err := u.certificates()
	return credentials, errors.Join(err, <-unpacked, <-networked)
}

// network prepares the network of every node of this machine.
func (u *upper) network() error {
	if len(u.live()) > 1 {
		for _, n := range u.live()[1:] {
			if err := netspace.Ensure(n.Namespace); err != nil {
				return err
			}
		}
		if err := netspace.Mesh(u.members(false), machine.MTU()); err != nil {
			return err
		}
	}
	for _, n := range u.live() {
		if err := n.inside(func() error { return podnet.Setup(n.Network(u.logger)) }); err != nil {
			return fmt.Errorf("node %s: %w", n.NodeName, err)
		}
	}
	return nil
}

// Network is the node's part of the cluster's networks.
func (s Settings) Network(logger *slog.Logger) podnet.Config {
	c := podnet.Config{Node: s.NodeAddress, Pods: s.Pods, Services: s.Services, Local: []netip.Addr{s.DNS},
		StateDir: s.networkState(), Logger: logger}
	if !s.isAgent() && s.NodeNetwork.IsValid() {
		c.Forwarded, c.Lone = []netip.Prefix{s.NodeNetwork}, s.meshAddress(1)
	}
	return c
}

func (u *upper) unpack() error {
	folder, err := payload.Unpack(u.Settings.programs())
	if err != nil {
		return err
	}
	self, err := payload.Install(u.Settings.programs())
	if err != nil {
		return err
	}
	u.programs = programs{knarr: self, folder: folder}
	return nil
}

// forgetPrograms removes the programs of builds before, which nothing that runs
// by now is started from. Nothing depends on it.
func (u *upper) forgetPrograms() {
	if err := payload.Forget(u.Settings.programs(), u.programs.knarr, u.programs.folder); err != nil {
		u.logger.Warn("programs of former versions were left", "error", err)
	}
}

// certificates makes the cluster's keys and the credentials that are needed
// before the server runs.
func (u *upper) certificates() (Credentials, error) {
	authority, err := pki.Open(pki.Options{Dir: u.PKI(), LeafLife: u.CertificateLife, Orders: clientOrders(), Logger: u.logger})
	if err != nil {
		return Credentials{}, err
	}
	return u.WriteCredentials(authority)
}

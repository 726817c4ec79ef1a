package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/knarr-io/knarr/internal/app/join"
	"github.com/knarr-io/knarr/internal/app/keep"
	"github.com/knarr-io/knarr/internal/app/machine"
	"github.com/knarr-io/knarr/internal/app/progress"
	"github.com/knarr-io/knarr/internal/base/pki"
	"github.com/knarr-io/knarr/internal/base/remedy"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/network/peers"
)

// errNoToken: a machine that was not in the cluster yet needs one.
var errNoToken = remedy.New("this machine has not joined yet: --token is needed", "make one on the server with `knarr token create`")

// Join makes this machine a node of the cluster at s.Server, by a token the
// first time, and returns when the node is ready for pods. Afterwards Up, Down
// and Status know it as what this machine runs.
func Join(ctx context.Context, s Settings, token string, board *progress.Board, logger *slog.Logger) (Result, error) {
	if err := errors.Join(s.whereItRuns(), s.alone(ctx)); err != nil {
		return Result{}, err
	}
	j := &joiner{upper: upper{Settings: s, board: board, logger: logger, keep: keep.Client{Socket: s.keepSocket()}}, token: token}
	unlock, err := j.begin(ctx)
	if err != nil {
		return Result{}, err
	}
	defer unlock()
	running := j.runningServices(ctx)
	if err := j.decide(); err != nil {
		return Result{}, err
	}
	if err := j.ports(running); err != nil {
		return Result{}, err
	}
	already, err := j.start(ctx)
	if err != nil {
		return Result{}, err
	}
	return Result{Settings: j.Settings, Moved: j.moved, Notes: j.notes, Already: already}, nil
}

// joiner is one run of Join.
type joiner struct {
	upper
	token string
}

// decide finds out what the settings left open, without the cluster's part.
func (j *joiner) decide() error {
	before, known, err := loadState(j.stateFile())
	if err != nil {
		return err
	}
	switch {
	case known && before.Server == "":
		return remedy.New("this machine runs a cluster of its own in "+j.DataDir, "take it away with `knarr down --purge`, or choose another --data-dir")
	case known && before.Server != j.Server:
		return remedy.New("this machine has joined "+before.Server, "leave that first with `knarr down --purge`")
	case known:
		asked := j.Settings
		j.Settings = asked.given().into(before.into(j.Settings))
		j.NodeAddress = asked.NodeAddress
		j.RunDir, j.LogDir, j.CgroupParent = asked.RunDir, asked.LogDir, asked.CgroupParent
	}
	if j.NodeName == "" {
		if j.NodeName, err = machine.NodeName(); err != nil {
			return err
		}
	}
	if !j.NodeAddress.IsValid() {
		j.NodeAddress, err = j.FindAddress()
	}
	return err
}

// start enrolls the machine where it is new, and starts the node.
func (j *joiner) start(ctx context.Context) (already bool, err error) {
	step := j.board.Step("join the cluster")
	if err := step.End(j.enroll(ctx)); err != nil {
		return false, err
	}
	step = j.board.Step("prepare the node")
	unpacked := make(chan error, 1)
	go func() { unpacked <- j.unpack() }()
	if err := step.End(errors.Join(j.network(), <-unpacked)); err != nil {
		return false, err
	}
	step = j.board.Step("start the services")
	already, err = j.services(ctx)
	if step.End(err) != nil {
		return false, err
	}
	if err := j.await(ctx); err != nil {
		return false, remedy.For(err, "look into %s", filepath.Join(j.logs(), "*.log"))
	}
	j.forgetPrograms()
	return already, nil
}

// enroll gets the node's papers and the cluster's settings, unless this
// machine has them.
func (j *joiner) enroll(ctx context.Context) error {
	ends, err := j.papersEnd()
	switch {
	case err != nil:
		return err
	case time.Now().Before(ends):
		return saveState(j.stateFile(), j.state())
	case j.token == "" && ends.IsZero():
		return errNoToken
	case j.token == "":
		return remedy.New(fmt.Sprintf("the certificates of this machine ended %s: the server does not know it any more", ends.Format(time.DateTime)),
			fmt.Sprintf("on the server, run `kubectl delete node %s` and `knarr token create`, and join again with its token", j.NodeName))
	}
	token, err := join.ParseToken(j.token)
	if err != nil {
		return fmt.Errorf("--token: %w", err)
	}
	ca, err := join.Discover(ctx, j.Server, token)
	if err != nil {
		return err
	}
	node := join.Node{Name: j.NodeName, Address: j.NodeAddress, Server: j.Server, CA: ca}
	about, err := node.Cluster(ctx, token)
	if err != nil {
		return err
	}
	if err := j.adopt(about); err != nil {
		return fmt.Errorf("what the cluster says of itself: %w", err)
	}
	papers, err := node.Enroll(ctx, token)
	if err != nil {
		return err
	}
	if err := saveState(j.stateFile(), j.state()); err != nil {
		return err
	}
	return j.writePapers(ca, papers) // what tells that the machine has joined comes last
}

// papersEnd is when the papers of this machine end; the zero time where it has
// none.
func (s Settings) papersEnd() (time.Time, error) {
	all, err := pki.Inspect(s.identity())
	if err != nil {
		return time.Time{}, err
	}
	for _, c := range all {
		if c.Path == s.ServingCertificate() {
			return c.Expires, nil
		}
	}
	return time.Time{}, nil
}

// About is what a server tells those who join: settings by the names of their
// flags. adopt is its counterpart.
func (s Settings) About() map[string]string {
	return map[string]string{
		"pod-network": s.Pods.String(), "service-network": s.Services.String(),
		"cluster-dns": s.DNS.String(), "cluster-domain": s.Domain, "overlay": s.Overlay,
	}
}

func (s *Settings) adopt(about map[string]string) (err error) {
	if s.Pods, err = netip.ParsePrefix(about["pod-network"]); err != nil {
		return fmt.Errorf("pod-network: %w", err)
	}
	if s.Services, err = netip.ParsePrefix(about["service-network"]); err != nil {
		return fmt.Errorf("service-network: %w", err)
	}
	if s.DNS, err = netip.ParseAddr(about["cluster-dns"]); err != nil {
		return fmt.Errorf("cluster-dns: %w", err)
	}
	s.Domain, s.Overlay = about["cluster-domain"], about["overlay"]
	return nil
}

// writePapers writes the identity of a node that joined.
func (s Settings) writePapers(ca []byte, p join.Papers) error {
	of := func(pair join.Pair) Credentials {
		return Credentials{CA: ca, Certificate: pair.Certificate, Key: pair.Key}
	}
	return s.writeIdentity(Identity{Server: s.Server, Node: of(p.Node), Proxy: of(p.Proxy), Edge: of(p.Edge), Serving: of(p.Serving)}, writeDurably)
}

// await waits for the node, as itself: it may read its own Node.
func (j *joiner) await(ctx context.Context) error {
	c, err := clientOf(j.NodeKubeconfig())
	if err != nil {
		return err
	}
	w := j.watchStart(ctx)
	w.step("node "+j.NodeName, func(ctx context.Context) error { return awaitNode(ctx, c, j.NodeName, j.started[j.NodeName], w.news) })
	w.step("cluster DNS", func(ctx context.Context) error { return awaitDNS(ctx, j.DNS.String()+":53", j.Domain) })
	return w.wait()
}

// retryPapers is the pause after certificates could not be renewed: a third of
// their life is left when that is tried first.
const retryPapers = time.Minute

// lookAtPapers is the longest sleep, so that a machine that was suspended, or
// whose clock was set, catches up.
const lookAtPapers = time.Hour

// KeepPapers renews the certificates of a node that joined, long before they
// end, until ctx does. c acts as the node.
func (s Settings) KeepPapers(ctx context.Context, c *client.Client, logger *slog.Logger) error {
	ca, err := os.ReadFile(s.ClusterCA())
	if err != nil {
		return fmt.Errorf("read the cluster's authority: %w", err)
	}
	node := join.Node{Name: s.NodeName, Address: s.NodeAddress, Server: s.Server, CA: ca}
	for {
		due, err := node.RenewAt(s.ServingCertificate())
		if err != nil {
			return err
		}
		if wait := time.Until(due); wait > 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(min(wait, lookAtPapers)):
			}
			continue
		}
		papers, err := node.Renew(ctx, c)
		if err == nil {
			err = s.writePapers(ca, papers)
		}
		if err == nil {
			logger.Info("the node's certificates were renewed")
			continue
		}
		logger.Error("the node's certificates could not be renewed", "error", err, "again_in", retryPapers)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retryPapers):
		}
	}
}

// overlay is what is asked for, else what it was, else what a new cluster has.
func overlay(asked, before string) string { return cmp.Or(asked, before, string(peers.Auto)) }

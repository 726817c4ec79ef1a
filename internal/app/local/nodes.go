package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/app/progress"
	"github.com/knarr-io/knarr/internal/base/remedy"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/kubeconfig"
)

// NodeStop ends a further node as if its machine were switched off: agent,
// pods and runtime, in this order, so that the API learns nothing of it. now
// leaves the containers no time. The data stays; NodeStart brings the node
// back.
func NodeStop(ctx context.Context, s Settings, name string, now bool, board *progress.Board, logger *slog.Logger) error {
	return change(s, name, func(s Settings, f Further) error {
		f.Stopped = true
		if err := s.noteFurther(f); err != nil {
			return err
		}
		return board.Step("stop node " + name).End(s.stopNode(ctx, f, now, logger))
	})
}

// NodeStart brings a stopped node back, and the rest of the cluster where it
// is down.
func NodeStart(ctx context.Context, s Settings, name string, target kubeconfig.Target, board *progress.Board, logger *slog.Logger) (Result, error) {
	err := change(s, name, func(s Settings, f Further) error {
		f.Stopped = false
		return s.noteFurther(f)
	})
	if err != nil {
		return Result{}, err
	}
	if s, err = Recall(s); err != nil {
		return Result{}, err
	}
	return Up(ctx, s, target, board, logger)
}

// NodeRemove stops a further node and takes it out of the cluster, with its
// data.
func NodeRemove(ctx context.Context, s Settings, name string, board *progress.Board, logger *slog.Logger) error {
	return change(s, name, func(s Settings, f Further) error {
		if err := board.Step("stop node " + name).End(s.stopNode(ctx, f, false, logger)); err != nil {
			return err
		}
		return board.Step("remove node " + name).End(s.forget(ctx, f))
	})
}

// change finds the node and holds the cluster's lock while f works.
func change(s Settings, name string, f func(Settings, Further) error) error {
	if os.Geteuid() != 0 {
		return remedy.New("a cluster's containers belong to root", "run it again with sudo")
	}
	st, known, err := loadState(s.stateFile())
	if err != nil {
		return err
	}
	if !known {
		return noCluster(s)
	}
	s = st.into(s)
	if err := os.MkdirAll(s.RunDir, 0o711); err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	unlock, err := lock(s.lockFile())
	if err != nil {
		return err
	}
	defer unlock()
	if st, _, err = loadState(s.stateFile()); err != nil { // nobody changes it from here on
		return err
	}
	s = st.into(s)
	for _, further := range s.Further {
		if further.Name == name {
			return f(s, further)
		}
	}
	if name == s.NodeName {
		return remedy.New("it runs the server", "stop the whole cluster with `knarr down`")
	}
	return remedy.New("no node of that name lives on this machine", "see the names with `knarr status`")
}

// noteFurther writes a changed node into the state file.
func (s Settings) noteFurther(f Further) error {
	for i := range s.Further {
		if s.Further[i].Number == f.Number {
			s.Further[i] = f
		}
	}
	return saveState(s.stateFile(), s.state())
}

func (s Settings) stopNode(ctx context.Context, f Further, now bool, logger *slog.Logger) error {
	d := newDowner(s.node(f), false, logger)
	d.now = now
	var failed []error
	for _, step := range []func(context.Context) error{d.drain, d.services, d.pods, d.runtime} {
		failed = append(failed, step(ctx))
	}
	failed = append(failed, d.volumes(), s.removeNetworks([]Settings{d.Settings}, logger))
	if d.up(context.WithoutCancel(ctx)) {
		return errors.Join(append(failed, errStillUp)...)
	}
	return errors.Join(append(failed, os.RemoveAll(d.RunDir))...)
}

// forget takes a stopped node's Node object, certificates and data away.
func (s Settings) forget(ctx context.Context, f Further) error {
	if err := s.deleteNode(ctx, f.Name); err != nil {
		return err
	}
	s.Further = slices.DeleteFunc(slices.Clone(s.Further), func(g Further) bool { return g.Number == f.Number })
	if err := saveState(s.stateFile(), s.state()); err != nil {
		return err
	}
	n := s.node(f)
	failed := []error{os.RemoveAll(n.DataDir)}
	for _, order := range n.furtherOrders() {
		failed = append(failed, os.RemoveAll(filepath.Join(s.PKI(), order.Name+".pem")))
	}
	return errors.Join(failed...)
}

func (s Settings) deleteNode(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	c, err := clientOf(s.AdminKubeconfig())
	if err != nil {
		return err
	}
	err = client.For[*corev1.Node](c).Delete(ctx, "", name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return remedy.For(fmt.Errorf("delete the Node %s: %w", name, err), "bring the cluster up, and run it again")
	}
	return nil
}

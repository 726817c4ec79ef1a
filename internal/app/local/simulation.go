package local

import (
	"context"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/knarr-io/knarr/internal/api/simulated"
	"github.com/knarr-io/knarr/internal/client"
)

// Simulation says which nodes the server plays beside the real ones.
type Simulation struct {
	Nodes int
	// Delay is how long their pods take to start.
	Delay time.Duration `json:",omitempty"`
}

func (s *Simulation) count() int {
	if s == nil {
		return 0
	}
	return s.Nodes
}

// flags are the settings as the server's command line takes them.
func (s *Simulation) flags() []string {
	if s.count() == 0 {
		return nil
	}
	return []string{"--simulate", strconv.Itoa(s.Nodes), "--simulate-delay", s.Delay.String()}
}

// awaitSimulated waits until so many simulated nodes are ready.
func awaitSimulated(ctx context.Context, c *client.Client, want int, news func(string)) error {
	ready := map[string]bool{}
	for len(ready) < want {
		err := countSimulated(ctx, c, want, ready, news)
		if ctx.Err() != nil {
			return fmt.Errorf("%d of %d simulated nodes are ready: %w", len(ready), want, unanswered(ctx, err))
		}
	}
	return nil
}

// countSimulated notes the nodes that are ready until there are enough, or the
// watch ends.
func countSimulated(ctx context.Context, c *client.Client, want int, ready map[string]bool, news func(string)) error {
	stream, err := client.For[*corev1.Node](c).Watch(ctx, "", metav1.ListOptions{LabelSelector: "type=" + simulated.Type})
	if err != nil {
		select { // the server restarts
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
		return err
	}
	defer stream.Stop()
	for len(ready) < want {
		events, err := stream.Next(ctx)
		if err != nil {
			return err
		}
		for _, e := range events {
			if n, ok := e.Object.(*corev1.Node); ok && simulated.Is(n) {
				if delete(ready, n.Name); e.Type != watch.Deleted && unready(n, time.Time{}) == "" {
					ready[n.Name] = true
				}
			}
		}
		news(fmt.Sprintf("%d simulated nodes", len(ready)))
	}
	return nil
}

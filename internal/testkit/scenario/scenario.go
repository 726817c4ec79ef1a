// Package scenario plays texts against a whole control plane (testkit) in
// virtual time: what users do on the left, what kubectl would show them
// afterwards on the right. A text is a file of testdata; -rewrite takes the
// present output over, to be read before it is committed.
//
// Every command that changes something is followed by a second in which the
// cluster comes to rest. What differs from run to run is shown by what it
// stands for: UID, and -* for the random end of a name. KIND is any word that
// kubectl takes. The namespace is default, n=NAMESPACE names another one.
//
//	cluster [nodes=N] [unscheduled]
//	    begins a file: a control plane with simulated nodes node-0, node-1, ...;
//	    unscheduled: no scheduler runs
//	apply
//	    the manifests below, separated by "---"; a status is written, too
//	patch KIND/NAME [sub=SUBRESOURCE]
//	    the merge patch below
//	delete KIND/NAME [cascade=background|foreground|orphan] [now]
//	evict POD
//	usage QUANTITY
//	    the CPU that metrics.k8s.io says every pod uses; without one it is not served
//	silence NODE, wake NODE
//	    a simulated node fails, and comes back
//	wait DURATION
//	get KIND[/NAME] [l=SELECTOR] [.PATH ...]
//	    kubectl's table, or fields of each object
//	events [NAME]
//	    what events tell, of one object or of all
package scenario

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/knarr-io/knarr/internal/testkit"
)

// Walk plays every file below dir as a test of its own.
func Walk(t *testing.T, dir string) {
	datadriven.Walk(t, dir, func(t *testing.T, path string) {
		synctest.Test(t, func(t *testing.T) {
			w := &world{}
			datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
				out, err := w.play(t, read(d))
				if err != nil {
					d.Fatalf(t, "%v", err)
				}
				return out
			})
		})
	})
}

// rest is what the cluster gets after a command to come to rest.
const rest = time.Second

type world struct {
	cluster *testkit.Cluster
	usage   usage
}

// play obeys one command.
func (w *world) play(t *testing.T, c command) (string, error) {
	if c.name == "cluster" {
		return w.begin(t, c)
	}
	if w.cluster == nil {
		return "", fmt.Errorf("no cluster yet")
	}
	var out string
	var err error
	switch c.name {
	case "get":
		return w.get(c)
	case "events":
		return w.events(c)
	case "apply":
		out, err = w.apply(c.input)
	case "patch":
		out, err = w.patch(c)
	case "delete":
		out, err = w.remove(c)
	case "evict":
		out, err = w.evict(c)
	case "usage":
		w.usage.set(c.first())
	case "silence", "wake":
		w.cluster.Fleet.Silence(c.first(), c.name == "silence")
	case "wait":
		var d time.Duration
		if d, err = time.ParseDuration(c.first()); err == nil {
			time.Sleep(d - rest) // virtual
		}
	default:
		return "", fmt.Errorf("no such command")
	}
	time.Sleep(rest)
	synctest.Wait()
	return out, err
}

func (w *world) begin(t *testing.T, c command) (string, error) {
	options := testkit.Options{CheckMutation: true, NoScheduler: c.has("unscheduled"), Aggregated: w.usage.route}
	if n := c.options["nodes"]; n != "" {
		if _, err := fmt.Sscan(n, &options.Nodes); err != nil {
			return "", err
		}
	}
	w.cluster = testkit.Start(t, options)
	w.usage.cluster.Store(w.cluster)
	time.Sleep(rest)
	synctest.Wait()
	return "", nil
}

// command is a line of a text with what stands below it.
type command struct {
	name    string
	args    []string // those without a value
	options map[string]string
	input   string
}

func read(d *datadriven.TestData) command {
	c := command{name: d.Cmd, options: map[string]string{}, input: d.Input}
	for _, a := range d.CmdArgs {
		if len(a.Vals) == 0 {
			c.args = append(c.args, a.Key)
		} else {
			c.options[a.Key] = strings.Join(a.Vals, ",")
		}
	}
	return c
}

func (c command) first() string {
	if len(c.args) == 0 {
		return ""
	}
	return c.args[0]
}

func (c command) has(word string) bool {
	for _, a := range c.args {
		if a == word {
			return true
		}
	}
	return false
}

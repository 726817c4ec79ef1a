package local

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/api/simulated"
	"github.com/knarr-io/knarr/internal/app/keep"
	"github.com/knarr-io/knarr/internal/base/remedy"
	"github.com/knarr-io/knarr/internal/client"
)

// askTime bounds each question that Status asks. A machine that is busy takes
// seconds for an answer, and is not down.
const askTime = 10 * time.Second

// Status writes what runs, what is unhealthy and why, and until when the
// certificates are good. healthy is false where something needs care.
func Status(ctx context.Context, s Settings, out io.Writer) (healthy bool, err error) {
	if os.Geteuid() != 0 {
		return false, remedy.New("the cluster's keys belong to root", "run it again with sudo")
	}
	st, known, err := loadState(s.stateFile())
	if err != nil {
		return false, err
	}
	if !known {
		fmt.Fprintf(out, "No cluster in %s. Bring one up with: knarr up\n", s.DataDir)
		return false, nil
	}
	s = st.into(s)
	r := reporter{Settings: s, out: out, healthy: true, now: time.Now()}
	if r.services(ctx) {
		if err := r.cluster(ctx); err != nil {
			r.bad("the API does not answer: %v", err)
		}
	}
	r.disk()
	r.certificates()
	return r.healthy, nil
}

type reporter struct {
	Settings
	out     io.Writer
	healthy bool
	now     time.Time
}

func (r *reporter) bad(format string, args ...any) {
	r.healthy = false
	fmt.Fprintf(r.out, "✗ "+format+"\n", args...)
}

func (r *reporter) table(header string, rows [][]string) {
	w := tabwriter.NewWriter(r.out, 0, 4, 3, ' ', 0)
	fmt.Fprintln(w, header)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush()
	fmt.Fprintln(r.out)
}

// services tells how the processes stand; false where none of the first node
// runs.
func (r *reporter) services(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	var rows [][]string
	for i, n := range r.Settings.nodes() {
		all, err := keep.Client{Socket: n.keepSocket()}.List(ctx)
		switch {
		case err == nil:
			rows = append(rows, r.serviceRows(n, all)...)
		case i == 0:
			r.bad("the cluster is down. Bring it up with: knarr up")
			return false
		default:
			r.bad("node %s is stopped. Start it with: knarr node start %s", n.NodeName, n.NodeName)
		}
	}
	r.table("NODE\tSERVICE\tSTATE\tPID\tRESTARTS\tSINCE", rows)
	return true
}

func (r *reporter) serviceRows(n Settings, all []keep.Status) (rows [][]string) {
	for _, s := range all {
		rows = append(rows, []string{n.NodeName, s.Name, s.State, fmt.Sprint(s.PID), fmt.Sprint(s.Restarts), duration.HumanDuration(r.now.Sub(s.Since))})
		if !s.Running() {
			r.bad("%s of node %s is %s (see %s/%s.log)", s.Name, n.NodeName, s.State, n.logs(), s.Name)
		}
	}
	return rows
}

func (r *reporter) cluster(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	if r.Server != "" {
		return r.member(ctx)
	}
	c, err := clientOf(r.AdminKubeconfig())
	if err != nil {
		return err
	}
	nodes, _, err := client.For[*corev1.Node](c).List(ctx, "", metav1.ListOptions{})
	if err != nil {
		return err
	}
	pods, _, err := client.For[*corev1.Pod](c).List(ctx, "", metav1.ListOptions{})
	if err != nil {
		return err
	}
	namespaces, _, err := client.For[*corev1.Namespace](c).List(ctx, "", metav1.ListOptions{})
	if err != nil {
		return err
	}
	r.nodeTable(nodes)
	r.pods(pods)
	r.namespaces(namespaces)
	return nil
}

// member tells of this machine's node alone: more a node may not see.
func (r *reporter) member(ctx context.Context) error {
	c, err := clientOf(r.NodeKubeconfig())
	if err != nil {
		return err
	}
	n, err := client.For[*corev1.Node](c).Get(ctx, "", r.NodeName)
	if err != nil {
		return err
	}
	fmt.Fprintf(r.out, "a node of the cluster at %s\n\n", r.Server)
	r.nodeTable([]*corev1.Node{n})
	return nil
}

// clientOf reaches the API as the user of a kubeconfig.
func clientOf(path string) (*client.Client, error) {
	config, err := configOf(path)
	if err != nil {
		return nil, err
	}
	transport, err := client.NewHTTPS(config, catalog.New())
	if err != nil {
		return nil, err
	}
	return client.New(transport, catalog.New()), nil
}

// adminConfig is the administrator's client configuration.
func adminConfig(s Settings) (*rest.Config, error) {
	if s.Server != "" {
		return nil, remedy.New("this machine is a node of the cluster at "+s.Server, "run it on the machine of that server")
	}
	if !exists(s.AdminKubeconfig()) {
		return nil, noCluster(s)
	}
	return configOf(s.AdminKubeconfig())
}

func configOf(path string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	config.Proxy = client.Direct
	return config, nil
}

func (r *reporter) nodeTable(nodes []*corev1.Node) {
	var rows [][]string
	var problems []string
	played, up := 0, 0
	for _, n := range nodes {
		if simulated.Is(n) {
			played++
			if unready(n, time.Time{}) == "" {
				up++
			}
			continue
		}
		ready := "Unknown"
		for _, c := range n.Status.Conditions {
			switch {
			case c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue:
				ready = "Ready"
			case c.Type == corev1.NodeReady:
				ready = "NotReady"
				problems = append(problems, fmt.Sprintf("node %s is not ready: %s", n.Name, c.Message))
			case c.Status == corev1.ConditionTrue:
				problems = append(problems, pressure(n.Name, c))
			}
		}
		if n.Spec.Unschedulable {
			ready += ",SchedulingDisabled"
		}
		rows = append(rows, []string{n.Name, ready, address(n), n.Status.NodeInfo.KubeletVersion, duration.HumanDuration(r.now.Sub(n.CreationTimestamp.Time))})
	}
	if played > 0 {
		rows = append(rows, []string{fmt.Sprintf("%d simulated nodes", played), fmt.Sprintf("%d Ready", up), "", "", ""})
	}
	r.table("NODE\tSTATE\tADDRESS\tVERSION\tAGE", rows)
	for _, p := range problems {
		r.bad("%s", p)
	}
}

func address(n *corev1.Node) string {
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			return a.Address
		}
	}
	return ""
}

// pods counts phases and names the pods that do not get on.
func (r *reporter) pods(pods []*corev1.Pod) {
	phases := map[corev1.PodPhase]int{}
	for _, p := range pods {
		phases[p.Status.Phase]++
		if why := stuck(p); why != "" {
			r.bad("pod %s/%s: %s", p.Namespace, p.Name, why)
		}
	}
	var parts []string
	for phase, n := range phases {
		parts = append(parts, fmt.Sprintf("%d %s", n, phase))
	}
	slices.Sort(parts)
	if len(parts) == 0 {
		parts = []string{"none"}
	}
	fmt.Fprintf(r.out, "pods: %s\n\n", strings.Join(parts, ", "))
}

// stuck tells why a pod does not get on; empty where it does.
func stuck(p *corev1.Pod) string {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return c.Message
		}
	}
	if p.Status.Phase == corev1.PodFailed { // whatever its containers waited for before
		return strings.TrimSpace(p.Status.Reason + " " + p.Status.Message)
	}
	for _, cs := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		if w := cs.State.Waiting; w != nil && w.Reason != "ContainerCreating" && w.Reason != "PodInitializing" {
			return fmt.Sprintf("container %s: %s: %s", cs.Name, w.Reason, w.Message)
		}
	}
	return ""
}

func (r *reporter) certificates() {
	all, err := Certificates(r.Settings)
	if err != nil {
		r.bad("the certificates cannot be read: %v", err)
		return
	}
	first := time.Time{}
	for _, c := range all {
		if first.IsZero() || c.Expires.Before(first) {
			first = c.Expires
		}
		if problem := overdue(c, r.now); problem != "" {
			r.bad("%s", problem)
		}
	}
	fmt.Fprintf(r.out, "certificates: %d, the first expires %s; they renew themselves (`knarr cert` shows them)\n", len(all), first.Format(time.DateOnly))
}

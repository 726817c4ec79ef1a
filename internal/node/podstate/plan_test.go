package podstate

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/internal/node/render"
)

var epoch = time.Unix(1_700_000_000, 0)

// view builds a view from words: "vol" (volumes are ready), "sandbox",
// "lost" (a sandbox that is not ready), "image:a", "run:a", "exit:a:1" (and
// again for earlier instances), "unknown:a" (the runtime lost track of it), "busy:start-container:a", "unhealthy:a",
// "stop" (thirty seconds of grace), "left" (BeforeStop is done), "released",
// "judged" (sandboxes are to be admitted), "admitted".
func view(t *testing.T, pod *corev1.Pod, words string) *View {
	t.Helper()
	v := NewView(pod)
	v.FirstSeen = epoch.Add(-time.Hour)
	v.RuntimeName = "rt"
	for _, word := range strings.Fields(words) {
		part := append(strings.Split(word, ":"), "", "")
		switch part[0] {
		case "vol":
			v.VolumesReady = true
		case "sandbox", "lost":
			s := &runtimeapi.PodSandboxStatus{Id: "s" + fmt.Sprint(len(v.Sandboxes)), Metadata: &runtimeapi.PodSandboxMetadata{Attempt: uint32(len(v.Sandboxes))},
				Network: &runtimeapi.PodSandboxNetworkStatus{Ip: "10.0.0.1"}}
			if part[0] == "lost" {
				s.State = runtimeapi.PodSandboxState_SANDBOX_NOTREADY
			}
			v.Sandboxes = append([]*runtimeapi.PodSandboxStatus{s}, v.Sandboxes...)
		case "image":
			v.Images[part[1]] = "sha256:x"
		case "run", "exit", "made", "unknown":
			addInstance(t, v, pod, part)
		case "busy":
			v.Ops[Op{Kind: OpKind(part[1]), Target: part[2]}] = epoch
		case "unhealthy":
			v.Probes[v.Newest(part[1]).ID()] = Probe{Failed: "liveness"}
		case "stop":
			v.Stop = &Stop{Since: epoch, Deadline: epoch.Add(30 * time.Second)}
		case "judged":
			v.NeedsAdmission = true
		case "admitted":
			v.Admitted = v.Sandboxes[0].GetId()
		case "left":
			v.BeforeStopDone = true
		case "released":
			v.Released = true
		default:
			t.Fatalf("word %q", word)
		}
	}
	return v
}

func addInstance(t *testing.T, v *View, pod *corev1.Pod, part []string) {
	t.Helper()
	name := part[1]
	n := len(v.Instances[name])
	st := &runtimeapi.ContainerStatus{
		Id: fmt.Sprintf("%s%d", name, n), State: runtimeapi.ContainerState_CONTAINER_RUNNING,
		Metadata: &runtimeapi.ContainerMetadata{Name: name, Attempt: uint32(n)}, StartedAt: epoch.Add(-time.Minute).UnixNano(),
		Annotations: map[string]string{render.AnnotationRestartCount: fmt.Sprint(n)},
	}
	if c := render.Find(pod, name); c != nil {
		st.Annotations[render.AnnotationHash] = render.ContainerHash(c)
	}
	if part[0] == "made" {
		st.State = runtimeapi.ContainerState_CONTAINER_CREATED
	}
	if part[0] == "unknown" {
		st.State = runtimeapi.ContainerState_CONTAINER_UNKNOWN
	}
	if part[0] == "exit" {
		st.State, st.FinishedAt = runtimeapi.ContainerState_CONTAINER_EXITED, epoch.Add(-time.Second).UnixNano()
		if _, err := fmt.Sscan(part[2], &st.ExitCode); err != nil {
			t.Fatal(err)
		}
	}
	sandbox := ""
	if len(v.Sandboxes) > 0 {
		sandbox = v.Sandboxes[0].Id
	}
	v.Instances[name] = append([]*Instance{{Status: st, SandboxID: sandbox}}, v.Instances[name]...)
}

// testPod has containers a and b, init container i and sidecar p as asked.
func testPod(names string, policy corev1.RestartPolicy) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "pod", Namespace: "ns", UID: "u"}, Spec: corev1.PodSpec{RestartPolicy: policy}}
	always := corev1.ContainerRestartPolicyAlways
	for _, name := range strings.Fields(names) {
		switch name {
		case "i", "j":
			pod.Spec.InitContainers = append(pod.Spec.InitContainers, corev1.Container{Name: name, Image: "x"})
		case "p", "q":
			pod.Spec.InitContainers = append(pod.Spec.InitContainers, corev1.Container{Name: name, Image: "x", RestartPolicy: &always})
		default:
			pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: name, Image: "x"})
		}
	}
	return pod
}

func words(p Plan) []string {
	var out []string
	for _, a := range p.Actions {
		w := string(a.Kind)
		if a.Target != "" {
			w += ":" + a.Target
		}
		if a.Kind == StartContainer || a.Kind == RunSandbox {
			w += fmt.Sprintf("#%d", a.Attempt)
		}
		out = append(out, w)
	}
	slices.Sort(out)
	if p.Done {
		out = append(out, "done")
	}
	return out
}

func TestNext(t *testing.T) {
	cases := []struct {
		name, pod string
		policy    corev1.RestartPolicy
		view      string
		want      string
	}{
		{"volumes come first", "a", "Always", "", "mount-volumes"},
		{"what the runtime lost track of is stopped before it runs again", "a", "Always", "vol sandbox image:a unknown:a", "stop-container:a0"},
		{"and nothing takes its place meanwhile", "a", "Never", "vol sandbox image:a unknown:a busy:stop-container:a0", ""},
		{"it is stopped with its pod", "a", "Always", "vol sandbox unknown:a stop left", "stop-container:a0"},
		{"and before a new sandbox", "a", "Always", "vol lost unknown:a", "stop-container:a0"},
		{"volumes under way", "a", "Always", "busy:mount-volumes", ""},
		{"then the sandbox", "a", "Always", "vol", "run-sandbox#0"},
		{"then images, together", "a b", "Always", "vol sandbox", "pull-image:a pull-image:b"},
		{"starts keep the order of the spec", "a b", "Always", "vol sandbox image:a image:b", "start-container:a#0"},
		{"b waits for a's image", "a b", "Always", "vol sandbox image:b busy:pull-image:a", ""},
		{"b starts after a", "a b", "Always", "vol sandbox run:a image:b", "start-container:b#0"},
		{"nothing starts beside a start", "a b", "Always", "vol sandbox image:a image:b busy:start-container:a", ""},
		{"all is well", "a b", "Always", "vol sandbox run:a run:b", ""},
		{"images before admission", "a b", "Always", "vol judged sandbox image:b", "admit-sandbox:s0 pull-image:a"},
		{"no start before admission", "a", "Always", "vol judged sandbox image:a busy:admit-sandbox:s0", ""},
		{"start after admission", "a", "Always", "vol judged sandbox admitted image:a", "start-container:a#0"},
		{"a new sandbox is admitted anew", "a", "Always", "vol judged lost admitted exit:a:255 sandbox image:a", "admit-sandbox:s1"},
		{"what runs is kept before admission", "a", "Always", "vol judged sandbox run:a", "admit-sandbox:s0"},
		{"an admission under way is awaited", "a", "Always", "vol judged sandbox busy:admit-sandbox:s0 stop", ""},
		{"init first", "i a", "Always", "vol sandbox", "pull-image:i"},
		{"init runs", "i a", "Always", "vol sandbox run:i", ""},
		{"init is over", "i a", "Always", "vol sandbox exit:i:0", "pull-image:a"},
		{"init failed and is run again", "i a", "Always", "vol sandbox exit:i:1 image:i", "start-container:i#1"},
		{"init failed for good", "i a", "Never", "vol sandbox exit:i:1", "stop-sandbox:s0"},
		{"second init after sidecar", "p i a", "Always", "vol sandbox run:p", "pull-image:i"},
		{"a sidecar that ended holds up no init after the next", "p i j a", "Always", "vol sandbox exit:p:1 exit:i:0", "pull-image:j pull-image:p"},
		{"nor the containers", "p i a", "Always", "vol sandbox exit:p:1 exit:i:0", "pull-image:a pull-image:p"},
		{"but what comes right after it", "i p a", "Always", "vol sandbox exit:i:0 exit:p:1", "pull-image:p"},
		{"an init that runs is not begun anew", "p i a", "Always", "vol sandbox exit:p:1 run:i", "pull-image:p"},
		{"sidecar is kept", "p a", "Always", "vol sandbox exit:p:0 run:a image:p", "start-container:p#1"},
		{"crashed and run again", "a", "Always", "vol sandbox exit:a:1 image:a", "start-container:a#1"},
		{"success is not run again", "a b", "OnFailure", "vol sandbox exit:a:0 run:b", ""},
		{"ended for good", "a", "Never", "vol sandbox exit:a:0", "stop-sandbox:s0"},
		{"ended and freed", "a", "Never", "vol lost exit:a:0", "release"},
		{"ended and all is freed", "a", "Never", "vol lost exit:a:0 released", ""},
		{"sidecar ends after the job", "p a", "Never", "vol sandbox run:p exit:a:0", "stop-container:p0"},
		{"a new sandbox after a lost one", "a", "Always", "vol lost exit:a:255", "run-sandbox#1"},
		{"what runs in a lost sandbox is stopped", "a", "Always", "vol lost run:a", "stop-container:a0"},
		{"init again in a new sandbox", "i a", "Always", "vol lost exit:i:0 exit:a:255 sandbox", "pull-image:i"},
		{"liveness failed", "a", "Always", "vol sandbox run:a unhealthy:a", "stop-container:a0"},
		{"older ends are removed", "a", "Always", "vol sandbox exit:a:1 exit:a:1 exit:a:1 run:a", "remove-container:a0 remove-container:a1"},
		{"made and never started", "a", "Always", "vol sandbox made:a image:a", "start-container:a#1"},
		{"and removed", "a", "Always", "vol sandbox made:a run:a", "remove-container:a0"},
		{"leave the rules before the stop", "a", "Always", "vol sandbox run:a stop", "before-stop"},
		{"leaving the rules", "a", "Always", "vol sandbox run:a stop busy:before-stop", ""},
		{"stop together", "a b", "Always", "vol sandbox run:a run:b stop left", "stop-container:a0 stop-container:b0"},
		{"sidecars after", "p q a", "Always", "vol sandbox run:p run:q run:a stop left", "stop-container:a0"},
		{"the last sidecar first", "p q a", "Always", "vol sandbox run:p run:q exit:a:0 stop left", "stop-container:q0"},
		{"a stopping pod starts nothing", "a", "Always", "vol sandbox exit:a:1 image:a stop", "stop-sandbox:s0"},
		{"a start under way is awaited", "a", "Always", "vol sandbox busy:start-container:a stop", ""},
		{"a volume that hangs holds up no stop", "a", "Always", "vol sandbox run:a busy:mount-volumes stop", "before-stop"},
		{"nor the sandbox's", "a", "Always", "vol sandbox exit:a:0 busy:mount-volumes stop", "stop-sandbox:s0"},
		{"but the release", "a", "Always", "vol lost exit:a:0 busy:mount-volumes stop", ""},
		{"nor does a pull", "a b", "Always", "vol sandbox run:a busy:pull-image:b stop left", "stop-container:a0"},
		{"nor either a pod's own end", "p a", "Never", "vol sandbox run:p exit:a:0 busy:mount-volumes", "stop-container:p0"},
		{"volumes after the sandbox", "a", "Always", "vol lost exit:a:0 stop", "release"},
		{"all gone", "a", "Always", "vol lost exit:a:0 stop released", "done"},
		{"never began", "a", "Always", "stop", "release"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			pod := testPod(tc.pod, tc.policy)
			got := words(Next(view(t, pod, tc.view), epoch))
			if diff := cmp.Diff(strings.Fields(tc.want), got, equateEmpty()); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func equateEmpty() cmp.Option {
	return cmp.Transformer("empty", func(s []string) []string {
		if len(s) == 0 {
			return nil
		}
		return s
	})
}

func TestEphemeralContainers(t *testing.T) {
	pod := testPod("a", "Always")
	pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "x"}}}
	for _, tc := range []struct{ view, want string }{
		{"vol sandbox run:a", "pull-image:debug"},
		{"vol sandbox run:a image:debug", "start-container:debug#0"},
		{"vol sandbox run:a exit:debug:1", ""},
	} {
		if diff := cmp.Diff(strings.Fields(tc.want), words(Next(view(t, pod, tc.view), epoch)), equateEmpty()); diff != "" {
			t.Errorf("%s: -want +got\n%s", tc.view, diff)
		}
	}
}

func TestBackoff(t *testing.T) {
	var b Backoff
	var delays []time.Duration
	at := epoch
	for range 8 {
		delays = append(delays, b.Until(at).Sub(at))
		b = b.Next(at, at)
		at = at.Add(time.Minute)
	}
	want := []time.Duration{0, 10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second, 5 * time.Minute, 5 * time.Minute}
	if diff := cmp.Diff(want, delays); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if later := at.Add(11 * time.Minute); !b.Until(later).Equal(later) {
		t.Error("a container that ran long enough does not start afresh")
	}
}

func TestCrashBackOffIsAwaited(t *testing.T) {
	v := view(t, testPod("a", "Always"), "vol sandbox exit:a:1 image:a")
	v.Crash["a"] = Backoff{Delay: 20 * time.Second, Updated: epoch.Add(-time.Minute)}
	p := Next(v, epoch)
	if len(p.Actions) != 0 || !p.Wake.Equal(epoch.Add(19*time.Second)) {
		t.Errorf("actions %v, wake %v", words(p), p.Wake)
	}
	if got := words(Next(v, p.Wake)); !slices.Equal(got, []string{"start-container:a#1"}) {
		t.Errorf("after the wait: %v", got)
	}
}

func TestStopUnderWayIsCutShort(t *testing.T) {
	v := view(t, testPod("a", "Always"), "vol sandbox run:a stop left")
	v.Ops[Op{Kind: StopContainer, Target: "a0"}] = epoch.Add(time.Hour)
	p := Next(v, epoch)
	if len(p.Actions) != 1 || p.Actions[0].Grace != 30*time.Second {
		t.Errorf("actions %+v", p.Actions)
	}
}

func TestActiveDeadline(t *testing.T) {
	pod := testPod("a", "Always")
	seconds := int64(3600 + 60)
	pod.Spec.ActiveDeadlineSeconds = &seconds
	v := view(t, pod, "vol sandbox run:a")
	p := Next(v, epoch)
	if len(p.Actions) != 0 || !p.Wake.Equal(epoch.Add(time.Minute)) {
		t.Errorf("before: %v, wake %v", words(p), p.Wake)
	}
	if got := words(Next(v, p.Wake)); !slices.Equal(got, []string{"stop-container:a0"}) {
		t.Errorf("after: %v", got)
	}
	if s := Status(v, p.Wake); s.Phase == corev1.PodFailed {
		t.Error("failed although its container still runs")
	}
	after := view(t, pod, "vol sandbox exit:a:137")
	if s := Status(after, p.Wake); s.Phase != corev1.PodFailed || s.Reason != "DeadlineExceeded" {
		t.Errorf("status %s %s", s.Phase, s.Reason)
	}
}

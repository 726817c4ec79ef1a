package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// The two registries of the tests: one for everybody, one behind a password.
// On dead nobody listens.
const (
	openRegistry   = "127.0.0.1:5601"
	closedRegistry = "127.0.0.1:5602"
	deadRegistry   = "127.0.0.1:5603"
	registryUser   = "harald"
	registryWord   = "ahoy"
	// bcrypt of registryWord
	registryHash = "$2a$04$ZVY7/0AMAgZFSOruZKu/xefumMCptWpx/9htwZiXHBTyNPtOPDod2"
	archive      = "docker.io_library_busybox_1.35.tar"
)

// registries runs Debian's docker-registry twice on the machine's loopback.
const registries = `
apiVersion: v1
kind: ConfigMap
metadata: {name: registry}
data:
  htpasswd: "` + registryUser + `:` + registryHash + `"
  open.yml: |
    version: 0.1
    log: {level: warn}
    storage: {filesystem: {rootdirectory: /images/open}}
    http: {addr: "` + openRegistry + `"}
  closed.yml: |
    version: 0.1
    log: {level: warn}
    storage: {filesystem: {rootdirectory: /images/closed}}
    http: {addr: "` + closedRegistry + `"}
    auth: {htpasswd: {realm: knarr, path: /config/htpasswd}}
---
`

func registryContainer(name, port string) string {
	return fmt.Sprintf(`
- name: %[1]s
  image: registry:2.8
  imagePullPolicy: IfNotPresent
  command: [docker-registry, serve, /config/%[1]s.yml]
  readinessProbe: {tcpSocket: {host: 127.0.0.1, port: %[2]s}, periodSeconds: 1}
  volumeMounts: [{name: config, mountPath: /config}, {name: images, mountPath: /images}]`, name, port)
}

// Images come from real registries, with and without credentials, and what a
// registry says when it does not give one is told to people.
func TestImages(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	s.Apply(t, registries+harness.Pod("registry", `
hostNetwork: true
terminationGracePeriodSeconds: 1
volumes: [{name: config, configMap: {name: registry}}, {name: images, emptyDir: {}}]
containers:`+registryContainer("open", "5601")+registryContainer("closed", "5602")))
	s.Ready(t, "registry")
	for name, test := range map[string]func(*testing.T){
		"pull": pullsOnce, "by digest": pullsByDigest, "always": alwaysPullsTheNewest, "always without a registry": alwaysFallsBack,
		"credentials": pullsWithCredentials, "wrong credentials": tellsWrongCredentials,
		"missing": tellsWhatIsMissing, "never": neverPulls, "bad name": refusesBadNames, "commands": imageCommands,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

// shows is a pod that tells the version of its image.
func shows(name, image, more string) string {
	return harness.Pod(name, fmt.Sprintf("restartPolicy: Never\n%s\ncontainers: [{name: main, image: %q, command: [sh, -c, \"echo $VERSION\"]}]", more, image))
}

func showsWith(name, image, policy string) string {
	return harness.Pod(name, fmt.Sprintf("restartPolicy: Never\ncontainers: [{name: main, image: %q, imagePullPolicy: %s, command: [sh, -c, \"echo $VERSION\"]}]", image, policy))
}

// own names an image that no other run of the test names.
func own(s *harness.Space, registry, name string) string {
	return registry + "/" + s.Name + "/" + name + ":1"
}

// shown waits for such a pod's end and compares what it tells.
func shown(t *testing.T, s *harness.Space, name, want string) *corev1.Pod {
	t.Helper()
	pod := s.Ended(t, name)
	if got := s.Logs(t, name); got != want+"\n" {
		t.Errorf("pod %s tells %q, want %q", name, got, want)
	}
	return pod
}

// waits waits until a pod waits for a reason, and returns the message.
func waits(t *testing.T, s *harness.Space, name, reason string) string {
	t.Helper()
	pod := s.Pod(t, name, "waiting for "+reason, func(p *corev1.Pod) bool {
		w := harness.ContainerStatus(p, "main").State.Waiting
		return w != nil && w.Reason == reason
	})
	return harness.ContainerStatus(pod, "main").State.Waiting.Message
}

func says(t *testing.T, what, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%s does not say %q: %s", what, w, text)
		}
	}
}

func pullsOnce(t *testing.T) {
	s := cluster.Space(t)
	image := own(s, openRegistry, "once")
	digest := cluster.Push(t, cluster.Image(t, archive, s.Name), image, "", "")
	s.Apply(t, shows("first", image, ""))
	pod := shown(t, s, "first", s.Name)
	if got := pod.Status.ContainerStatuses[0]; got.Image != image || got.ImageID != strings.TrimSuffix(image, ":1")+"@"+digest {
		t.Errorf("the status names image %s, %s; want %s by its digest %s", got.Image, got.ImageID, image, digest)
	}
	s.Event(t, "first", "Pulling", fmt.Sprintf("Pulling image %q", image))
	s.Event(t, "first", "Pulled", fmt.Sprintf("Successfully pulled image %q in ", image), " including waiting). Image size: ", " bytes.")
	s.Apply(t, shows("second", image, ""))
	shown(t, s, "second", s.Name)
	s.Event(t, "second", "Pulled", fmt.Sprintf("Container image %q already present on machine", image))
}

func pullsByDigest(t *testing.T) {
	s := cluster.Space(t)
	repository := openRegistry + "/" + s.Name + "/digest"
	digest := cluster.Push(t, cluster.Image(t, archive, "one"), repository+":latest", "", "")
	cluster.Push(t, cluster.Image(t, archive, "two"), repository+":latest", "", "")
	s.Apply(t, shows("exact", repository+"@"+digest, "")+shows("newest", repository, ""))
	shown(t, s, "exact", "one")
	if pod := shown(t, s, "newest", "two"); pod.Spec.Containers[0].ImagePullPolicy != corev1.PullAlways {
		t.Errorf("an image without a tag is pulled %s, want Always", pod.Spec.Containers[0].ImagePullPolicy)
	}
}

func alwaysPullsTheNewest(t *testing.T) {
	s := cluster.Space(t)
	image := own(s, openRegistry, "moving")
	cluster.Push(t, cluster.Image(t, archive, "old"), image, "", "")
	s.Apply(t, showsWith("first", image, "Always"))
	shown(t, s, "first", "old")
	cluster.Push(t, cluster.Image(t, archive, "new"), image, "", "")
	s.Apply(t, showsWith("kept", image, "IfNotPresent"))
	shown(t, s, "kept", "old")
	s.Apply(t, showsWith("second", image, "Always"))
	shown(t, s, "second", "new")
}

func alwaysFallsBack(t *testing.T) {
	s := cluster.Space(t)
	image := own(s, deadRegistry, "imported")
	cluster.Run(t, harness.Input{Argv: []string{cluster.Knarr, "image", "import", "--name", image, cluster.Images + "/" + archive}})
	s.Apply(t, showsWith("main", image, "Always"))
	shown(t, s, "main", "")
	s.Event(t, "main", "Pulled", fmt.Sprintf("No registry answers for image %q", image), "connection refused", "using the copy already present on machine")
	// So does a machine that no name server answers.
	s.Apply(t, showsWith("offline", busybox, "Always"))
	shown(t, s, "offline", "")
	s.Event(t, "offline", "Pulled", fmt.Sprintf("No registry answers for image %q", busybox), "lookup ", "using the copy already present on machine")
	// A registry that answers, and has no such image, is believed.
	image = own(s, openRegistry, "not-there")
	cluster.Run(t, harness.Input{Argv: []string{cluster.Knarr, "image", "import", "--name", image, cluster.Images + "/" + archive}})
	s.Apply(t, showsWith("other", image, "Always"))
	waits(t, s, "other", "ImagePullBackOff")
}

func pullsWithCredentials(t *testing.T) {
	s := cluster.Space(t)
	image := own(s, closedRegistry, "secret")
	cluster.Push(t, cluster.Image(t, archive, "secret"), image, registryUser, registryWord)
	s.Apply(t, showsWith("anonymous", image, "Always"))
	says(t, "the state", waits(t, s, "anonymous", "ImagePullBackOff"), fmt.Sprintf("Back-off pulling image %q: ErrImagePull: ", image), "UNAUTHORIZED", "authentication required")
	s.Event(t, "anonymous", "Failed", fmt.Sprintf("Failed to pull image %q: ", image), "UNAUTHORIZED", "authentication required")
	s.Kubectl.Run(t, "create", "secret", "docker-registry", "crew", "--docker-server="+closedRegistry, "--docker-username="+registryUser, "--docker-password="+registryWord)
	s.Apply(t, shows("named", image, "imagePullSecrets: [{name: crew}]"))
	shown(t, s, "named", "secret")
	s.Kubectl.Run(t, "patch", "serviceaccount", "default", "-p", `{"imagePullSecrets":[{"name":"crew"}]}`)
	s.Apply(t, showsWith("by-account", image, "Always"))
	if pod := shown(t, s, "by-account", "secret"); len(pod.Spec.ImagePullSecrets) != 1 {
		t.Errorf("the service account's pull secrets: %v", pod.Spec.ImagePullSecrets)
	}
}

func tellsWrongCredentials(t *testing.T) {
	s := cluster.Space(t)
	image := own(s, closedRegistry, "wrong")
	cluster.Push(t, cluster.Image(t, archive, "wrong"), image, registryUser, registryWord)
	s.Kubectl.Run(t, "create", "secret", "docker-registry", "crew", "--docker-server="+closedRegistry, "--docker-username="+registryUser, "--docker-password=overboard")
	s.Apply(t, shows("wrong", image, "imagePullSecrets: [{name: crew}]")+shows("missing", image, "imagePullSecrets: [{name: nobody}]"))
	e := s.Event(t, "wrong", "Failed", fmt.Sprintf("Failed to pull image %q: ", image), "UNAUTHORIZED")
	if strings.Contains(e.Message, "overboard") {
		t.Errorf("the event tells the password: %s", e.Message)
	}
	s.Event(t, "missing", "FailedToRetrieveImagePullSecret", "Unable to retrieve some image pull secrets (nobody); attempting to pull the image may not succeed.")
}

func tellsWhatIsMissing(t *testing.T) {
	s := cluster.Space(t)
	image := own(s, openRegistry, "late")
	s.Apply(t, shows("early", image, "")+shows("nobody", own(s, deadRegistry, "nobody"), ""))
	says(t, "the state", waits(t, s, "early", "ImagePullBackOff"), fmt.Sprintf("Back-off pulling image %q: ErrImagePull: ", image), "manifest unknown")
	s.Event(t, "early", "Failed", fmt.Sprintf("Failed to pull image %q: ", image), "manifest unknown")
	s.Event(t, "early", "Failed", "Error: ErrImagePull")
	s.Event(t, "early", "BackOff", fmt.Sprintf("Back-off pulling image %q", image))
	s.Event(t, "early", "Failed", "Error: ImagePullBackOff")
	if table := s.Kubectl.Run(t, "get", "pod", "early"); !strings.Contains(table, "ImagePullBackOff") && !strings.Contains(table, "ErrImagePull") {
		t.Errorf("kubectl get shows\n%s", table)
	}
	s.Event(t, "nobody", "Failed", "Failed to pull image", "connection refused")
	cluster.Push(t, cluster.Image(t, archive, "late"), image, "", "")
	shown(t, s, "early", "late")
}

func neverPulls(t *testing.T) {
	s := cluster.Space(t)
	image := own(s, openRegistry, "never")
	cluster.Push(t, cluster.Image(t, archive, "never"), image, "", "")
	s.Apply(t, showsWith("absent", image, "Never")+showsWith("present", busybox, "Never"))
	shown(t, s, "present", "")
	words := fmt.Sprintf("Container image %q is not present with pull policy of Never", image)
	if got := waits(t, s, "absent", "ErrImageNeverPull"); got != words {
		t.Errorf("the state says %q, want %q", got, words)
	}
	s.Event(t, "absent", "ErrImageNeverPull", words)
}

func refusesBadNames(t *testing.T) {
	s := cluster.Space(t)
	s.Apply(t, shows("bad", "Not/A:good:name", ""))
	says(t, "the state", waits(t, s, "bad", "InvalidImageName"), `Failed to apply default image tag "Not/A:good:name"`, "couldn't parse image name")
	s.Event(t, "bad", "InspectFailed", `Failed to apply default image tag "Not/A:good:name"`)
}

func imageCommands(t *testing.T) {
	s := cluster.Space(t)
	image := own(s, openRegistry, "command")
	cluster.Push(t, cluster.Image(t, archive, "command"), image, "", "")
	knarr := func(args ...string) harness.Input {
		return harness.Input{Argv: append([]string{cluster.Knarr, "image"}, args...)}
	}
	says(t, "pull", cluster.Run(t, knarr("pull", image)), "pulled "+image)
	says(t, "ls", cluster.Run(t, knarr("ls")), image, "MiB")
	s.Apply(t, showsWith("main", image, "Never"))
	shown(t, s, "main", "command")
	exported := filepath.Join(t.TempDir(), "image.tar")
	cluster.Run(t, knarr("export", image, "-o", exported))
	cluster.Run(t, knarr("rm", image))
	says(t, "import", cluster.Run(t, knarr("import", exported)), "imported "+image)
	cluster.Run(t, knarr("rm", image))
	unpacked := t.TempDir()
	if out, err := exec.Command("tar", "-xf", exported, "-C", unpacked).CombinedOutput(); err != nil {
		t.Fatalf("unpack the export: %v\n%s", err, out)
	}
	says(t, "import of a folder", cluster.Run(t, knarr("import", unpacked)), "imported "+image)
	cluster.Run(t, knarr("rm", image))
	if list := cluster.Run(t, knarr("ls")); strings.Contains(list, image) {
		t.Errorf("after rm, ls lists\n%s", list)
	}
	out := cluster.Try(t.Context(), knarr("pull", own(s, openRegistry, "nothing")))
	if out.Code != 1 {
		t.Errorf("%s", out)
	}
	says(t, "the failed pull", out.Stderr, "unknown")
}

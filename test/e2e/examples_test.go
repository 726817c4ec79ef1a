package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

func TestFlaskExample(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	s.Kubectl.Run(t, "apply", "-f", example("flask/flask.yaml"))
	s.Rollout(t, "flask-api")
	const words = "Hello from Flask on Kubernetes!"
	harness.AwaitPage(t, cluster.Machine.DialOutside, nodeURL(30081), "", words)
	s.Apply(t, sleeper("box"))
	s.Ready(t, "box")
	s.ExecUntil(t, words, "box", "wget", "-q", "-O-", "http://flask-service")
}

// The Service shows one version, and after the patch the other, without a
// request that fails or is answered by neither.
func TestBlueGreenExample(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	s.Kubectl.Run(t, "apply", "-f", example("blue-green/blue-green.yaml"))
	s.Rollout(t, "frontend-blue")
	s.Rollout(t, "frontend-green")
	address := s.Kubectl.Run(t, "get", "service", "frontend-svc", "-o", "jsonpath={.spec.clusterIP}")
	url := "http://" + address + "/"
	harness.AwaitPage(t, cluster.Machine.Dial, url, "", "The blue shop, version 1.0")
	load := harness.NewLoad(t, cluster.Machine.Dial, url, "", harness.NewConnections)
	s.Kubectl.Run(t, "patch", "service", "frontend-svc", "-p", `{"spec":{"selector":{"app":"frontend","version":"green"}}}`)
	harness.Await(t, harness.Patience, "green shop alone", func(ctx context.Context) error {
		for range 20 {
			page, err := harness.Fetch(ctx, harness.Browser(cluster.Machine.Dial, false), url, "")
			if err != nil || page != "The green shop, version 2.0\n" {
				return fmt.Errorf("%q %w", page, err)
			}
		}
		return nil
	})
	load.None(t)
	s.Kubectl.Run(t, "delete", "deployment", "frontend-blue")
	load.None(t)
	load.Stop()
}

func TestConfigExample(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	s.Kubectl.Run(t, "apply", "-f", example("config/config.yaml"))
	pod := s.Ready(t, "config-demo")
	environment := s.LogsUntil(t, "config-demo", "\nLOG_LEVEL=debug\n", "\nAPI_ENDPOINT=https://api.example.com\n", "\nDB_username=myuser\n", "\nDB_password=secret\n",
		"\nDB_USER=myuser\n", "\nGREETING=user myuser\n", "\nPLAIN=level debug, user $(DB_USER), $(KEPT)\n", "\nPOD_NAME=config-demo\n",
		"\nPOD_IP="+pod.Status.PodIP+"\n", "\nNODE_NAME="+harness.NodeName+"\n", "\nCPU_LIMIT=500\n", "\nKUBERNETES_SERVICE_HOST=10.96.0.1\n")
	if strings.Contains(environment, "OPTIONAL=") {
		t.Error("a variable from an optional key that is not there is set")
	}
	for file, want := range map[string]string{
		"/etc/config/LOG_LEVEL": "debug", "/etc/secret/password": "secret", "/etc/chosen/nested/settings": "colour=blue\nsize=3",
		"/opt/app/app.properties": "colour=blue\nsize=3", "/etc/together/level": "debug", "/etc/together/password": "secret",
		"/etc/together/labels": `app="config-demo"`, "/etc/together/note": "carries everything", "/etc/together/memory": "32",
	} {
		if got := strings.TrimSpace(s.Exec(t, "config-demo", "cat", file)); got != want {
			t.Errorf("%s holds %q, want %q", file, got, want)
		}
	}
	hasWords(t, s.Exec(t, "config-demo", "ls", "-lL", "/etc/secret", "/etc/chosen/nested"), "-r--------", "-r--r-----")
	hasWords(t, s.Exec(t, "config-demo", "mount"), "tmpfs on /fast type tmpfs", "size=8192k")
	if parts := strings.Split(s.Exec(t, "config-demo", "cat", "/etc/together/token"), "."); len(parts) != 3 {
		t.Errorf("the token has %d parts", len(parts))
	}
	followsItsObject(t, s)
}

// followsItsObject changes the ConfigMap and the Secret and waits for the files.
func followsItsObject(t *testing.T, s *harness.Space) {
	s.Kubectl.Run(t, "patch", "configmap", "app-config", "-p", `{"data":{"app.properties":"colour=red\n"}}`)
	s.Kubectl.Run(t, "patch", "secret", "db-secret", "-p", `{"stringData":{"password":"changed"}}`)
	for file, want := range map[string]string{"/etc/config/app.properties": "colour=red", "/etc/chosen/nested/settings": "colour=red", "/etc/secret/password": "changed", "/etc/together/password": "changed"} {
		harness.Await(t, harness.Patience, file+" with its new content", func(context.Context) error {
			if got := strings.TrimSpace(s.Exec(t, "config-demo", "cat", file)); got != want {
				return fmt.Errorf("it holds %q", got)
			}
			return nil
		})
	}
	is(t, s.Exec(t, "config-demo", "cat", "/opt/app/app.properties"), "colour=blue\nsize=3")
}

func TestNginxExample(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	s.Kubectl.Run(t, "apply", "-f", example("nginx/nginx.yaml"))
	pod := s.Ready(t, "nginx-demo")
	harness.AwaitPage(t, cluster.Machine.Dial, "http://"+pod.Status.PodIP+"/", "", "Welcome to nginx!")
	s.Rollout(t, "nginx")
	harness.AwaitPage(t, cluster.Machine.DialOutside, nodeURL(cluster.Ports.HTTP), "nginx.example", "<h1>nginx on Knarr</h1>\nserved by nginx-")
	s.ExecUntil(t, "nginx on Knarr", "nginx-demo", "curl", "-sS", "http://nginx."+s.Name+".svc.cluster.local")
	hasWords(t, s.Exec(t, "nginx-demo", "cat", "/etc/resolv.conf"), "nameserver 10.96.0.10", s.Name+".svc.cluster.local svc.cluster.local cluster.local", "ndots:5")
	hasWords(t, s.Exec(t, "nginx-demo", "cat", "/etc/hosts"), pod.Status.PodIP+"\tnginx-demo", "127.0.0.1\tlocalhost")
}

func TestPostgresExample(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	s.Kubectl.Run(t, "apply", "-f", example("postgres/postgres.yaml"))
	s.Rollout(t, "postgres")
	query := func(sql string) string {
		return s.Kubectl.Run(t, "exec", "deployment/postgres", "--", "sh", "-c",
			`PGPASSWORD=$POSTGRES_PASSWORD exec psql -h postgres -U postgres -At -c "$0"`, sql)
	}
	reached := func() {
		s.ExecUntil(t, "ahoy", "deployment/postgres", "sh", "-c", `PGPASSWORD=$POSTGRES_PASSWORD exec psql -h postgres -U postgres -At -c "select 'ahoy'"`)
	}
	reached()
	query("create table cargo (what text, tons int)")
	query("insert into cargo select 'stone', n from generate_series(1, 1000) n")
	is(t, query("select count(*), sum(tons) from cargo"), "1000|500500")
	// The container is started again on the same data.
	s.Kubectl.Try(t, "exec", "deployment/postgres", "--", "sh", "-c", "kill -INT 1")
	s.Kubectl.Run(t, "wait", "pod", "-l", "app=postgres", "--for=jsonpath={.status.containerStatuses[0].restartCount}=1", "--timeout=4m")
	s.Kubectl.Run(t, "wait", "pod", "-l", "app=postgres", "--for=condition=Ready", "--timeout=4m")
	reached()
	is(t, query("select count(*), sum(tons) from cargo"), "1000|500500")
}

func TestRedisExampleWithSidecar(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	s.Kubectl.Run(t, "apply", "-f", example("redis/redis.yaml"))
	pod := s.Ready(t, "redis")
	s.ExecUntil(t, "OK", "redis", "redis-cli", "-h", "redis", "set", "ship", "knarr")
	is(t, s.Exec(t, "redis", "cat", "/shared/banner"), "prepared")
	harness.Await(t, harness.Patience, "the sidecar's count", func(context.Context) error {
		if got := strings.TrimSpace(s.Exec(t, "redis", "cat", "/shared/keys")); got != "1" {
			return fmt.Errorf("it is %q", got)
		}
		return nil
	})
	sidecar, banner := pod.Status.InitContainerStatuses[0], pod.Status.InitContainerStatuses[1]
	if sidecar.State.Running == nil || !sidecar.Ready || banner.State.Terminated == nil {
		t.Errorf("the init containers: %+v", pod.Status.InitContainerStatuses)
	}
	tableShows(t, s, "redis", "2/2")
	// Both containers end on SIGTERM: nobody waits for the end of this grace.
	s.Kubectl.Run(t, "delete", "pod", "redis", "--grace-period=3600", "--timeout=4m")
	if _, err := s.API.CoreV1().Pods(s.Name).Get(t.Context(), "redis", metav1.GetOptions{}); err == nil {
		t.Error("the pod is still there")
	}
}

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// The steps that every cluster goes through. Scripts find the program in the
// path, as people have it, and the last up's outcome in /root/up.json.

func install() step {
	return script("install the program", "ln -s /opt/vm/knarr /usr/local/bin/knarr && knarr version | head -n 1")
}

// upWith brings the cluster up by a command.
func upWith(command string) step {
	if !strings.Contains(command, "-o json") {
		command += " -o json"
	}
	return script("up", command+` >/root/up.json
		tail -n 1 /root/up.json`)
}

func up() step { return upWith("knarr up") }

// readUp gives scripts the ports and the address of the last up.
const readUp = `
field() { tail -n 1 /root/up.json | sed -nE "s/.*\"$1\":\"?([^,\"}]*)\"?.*/\1/p"; }
address=$(ip -4 -o addr show dev eth0 | awk '{sub("/.*", "", $4); print $4; exit}')
http=$(field httpPort) https=$(field httpsPort) api=$(field apiPort)
fetch() { curl --silent --show-error --fail --max-time 10 --retry 15 --retry-delay 1 --retry-all-errors "$@"; }
outside() { nsenter --net=/run/netns/outside "$@"; }
inpod() { for i in 1 2 3 4 5; do knarr kubectl -n hello exec deployment/hello -- /hello fetch "$1" && return; sleep 1; done; return 1; }
`

// hello shows the example. Its probes get more time than a second, for
// emulated processors.
func hello() step {
	return script("the hello example", `knarr image import /opt/vm/hello.tar >/dev/null
		sed -E 's/^( *)(startup|readiness|liveness)Probe:$/&\n\1  timeoutSeconds: 30/' /opt/vm/hello.yaml | knarr kubectl apply -f -
		knarr kubectl -n hello rollout status deployment/hello --timeout=180s`)
}

// reached looks whether the example answers in each way that there is, and
// whether its pods reach the world.
func reached() step {
	return script("reached from a pod, the machine and outside; the world from a pod", readUp+`
		inpod http://hello.hello.svc.cluster.local | grep -q Hello
		fetch "http://$address:30080" | grep -q Hello
		fetch -H 'Host: hello.example' "http://$address:$http/" | grep -q Hello
		inpod http://somewhere.example/ | grep -q greets
		outside curl -sSf --max-time 10 --retry 15 --retry-delay 1 --retry-all-errors "http://$address:30080" | grep -q Hello
		outside curl -sSf --max-time 10 --retry 15 --retry-delay 1 --retry-all-errors -H 'Host: hello.example' "http://$address:$http/" | grep -q Hello
		echo "Service, NodePort and Ingress answer, and the world does"`)
}

func healthy() step { return script("status", "knarr status | tail -n 1") }

// ready waits until the example is whole again and the API answers.
func ready(name string) step {
	return script(name, `for i in $(seq 30); do knarr kubectl get --raw /readyz >/dev/null 2>&1 && break; sleep 4; done
		knarr kubectl wait --for=condition=Ready node --all --timeout=120s
		knarr kubectl -n hello rollout status deployment/hello --timeout=180s`)
}

// killed kills a process of ours without warning and looks whether the pods
// went on.
func killed(what, pattern, then string) step {
	return script("kill -9 of the "+what, readUp+`
		pods() { knarr kubectl -n hello get pods -o jsonpath='{range .items[*]}{.metadata.name} {.status.containerStatuses[0].restartCount} {.status.containerStatuses[0].containerID}{"\n"}{end}' | sort; }
		before=$(pods)
		pid=$(pgrep -f '`+pattern+`' | head -n 1)
		kill -9 $pid
		`+then+`
		fetch "http://$address:30080" >/dev/null
		for i in $(seq 20); do sleep 5; knarr status >/root/status 2>&1 && break; done
		knarr status
		test "$before" = "$(pods)"
		echo "the pods went on, and everything is healthy"`)
}

// footprintScript prints what a cluster could leave behind, a line each.
const footprintScript = `
ip -o link | sed -E 's/^[0-9]+: ([^:]+):.*/link \1/'
ip -o addr | awk '{print "address", $2, $4}'
ip route show table all | sed -E 's/ (metric|expires) [0-9a-z]+//g; s/^/route /'
ip rule | sed 's/^/rule /'
nft -s list ruleset | sed 's/^/nft /'
for f in net/ipv4/ip_forward net/ipv6/conf/all/forwarding fs/inotify/max_user_instances fs/inotify/max_user_watches fs/file-max net/netfilter/nf_conntrack_max vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops; do
	[ ! -e /proc/sys/$f ] || echo "sysctl $f $(cat /proc/sys/$f)"; done
awk '{print "mount", $2, $3}' /proc/mounts | grep -v /run/user/
find /sys/fs/cgroup -maxdepth 1 -type d | sed 's/^/cgroup /'
pgrep -a knarr | sed 's/^[0-9]* /process /'
systemctl list-units --all --plain --no-legend 'knarr*' | awk '{print "unit", $1}'
for p in /var/lib/knarr /run/knarr /var/log/pods /etc/systemd/system/knarr* /run/systemd/system/knarr* /run/netns/*; do [ ! -e $p ] || echo "file $p"; done
`

// footprint notes how the machine is; gone holds it against that.
func footprint() step {
	return step{name: "look at the machine", do: func(ctx context.Context, m *machine) (string, error) {
		// A module that was loaded is nothing left behind, but what it shows would be.
		if _, err := m.run(ctx, "modprobe -a nf_conntrack nf_tables"); err != nil {
			return "", err
		}
		lines, err := m.footprint(ctx)
		m.before = lines
		return fmt.Sprintf("%d lines", len(lines)), err
	}}
}

func (m *machine) footprint(ctx context.Context) ([]string, error) {
	out, err := m.run(ctx, "set +e +o pipefail\n{ "+footprintScript+"\n} | sort; true")
	return strings.Split(strings.TrimSpace(out), "\n"), err
}

// gone takes the cluster down for good and looks whether the machine is as it
// was. Lines that begin with one of the allowed words may differ.
func gone(allowed ...string) step {
	return step{name: "down --purge leaves nothing", do: func(ctx context.Context, m *machine) (string, error) {
		if _, err := m.run(ctx, "knarr down --purge"); err != nil {
			return "", err
		}
		return m.unchanged(ctx, allowed...)
	}}
}

// unchanged holds the machine against what footprint noted.
func (m *machine) unchanged(ctx context.Context, allowed ...string) (string, error) {
	now, err := m.footprint(ctx)
	if err != nil {
		return "", err
	}
	if left := differences(m.before, now, allowed...); len(left) > 0 {
		return "", fmt.Errorf("the machine is not as it was:\n%s", strings.Join(left, "\n"))
	}
	return "the machine is as it was", nil
}

// differences are lines that came, with a plus, or went. Those that begin with
// one of the allowed words are left out.
func differences(before, now []string, allowed ...string) []string {
	var out []string
	for _, d := range []struct {
		sign     string
		in, lack []string
	}{{"+ ", now, before}, {"- ", before, now}} {
		for _, l := range d.in {
			mine := slices.ContainsFunc(allowed, func(a string) bool { return strings.HasPrefix(l, a) })
			if !slices.Contains(d.lack, l) && !mine {
				out = append(out, d.sign+l)
			}
		}
	}
	return out
}

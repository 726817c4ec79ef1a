package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// The steps that every cluster goes through. Scripts find the program in the
// path, as people have it, and the last up's outcome in /root/up.json.

// settled waits until the machine has started what it starts.
func settled() step {
	return script("booted", `systemctl is-system-running --wait >/dev/null || { systemctl --failed --no-legend; exit 1; }
		. /etc/os-release; echo "$PRETTY_NAME, kernel $(uname -r), clock $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"`)
}

func install() step {
	return script("install the program", "ln -s /opt/vm/knarr /usr/local/bin/knarr && knarr version | head -n 1")
}

// upWith brings the cluster up by a command.
func upWith(command string) step {
	if !strings.Contains(command, "-o json") {
		command += " -o json"
	}
	return script("up", command+` >/root/up.json || { cat /root/up.json; exit 1; }
		echo "node $(told node) at $(told nodeAddress), ready in $(told milliseconds) ms"`)
}

func up() step { return upWith("knarr up") }

// hello shows the example. Its probes get more time than a second, for
// emulated processors.
func hello() step {
	return script("the hello example", `knarr image import /opt/vm/hello.tar
		sed -E 's/^( *)(startup|readiness|liveness)Probe:$/&\n\1  timeoutSeconds: 30/' /opt/vm/hello.yaml | knarr kubectl apply -f -
		knarr kubectl -n hello rollout status deployment/hello --timeout=900s`)
}

// reached looks whether the example answers in each way that there is, and
// whether its pods reach the world.
func reached() step {
	return script("reached from a pod, the machine and outside; the world from a pod", `
		await 300 says Hello inpod http://hello.hello.svc.cluster.local
		await 300 says Hello fetch "http://$(address):30080"
		await 300 says Hello fetch -H 'Host: hello.example' "http://$(address):$(told httpPort)/"
		await 300 says greets inpod http://somewhere.example/
		await 300 says Hello outside "http://$(address):30080"
		await 300 says Hello outside -H 'Host: hello.example' "http://$(address):$(told httpPort)/"
		echo "Service, NodePort and Ingress answer, and the world does"`)
}

// sized looks whether the size of a volume is a limit where its class says so,
// and whether it grows while a pod uses it. The machine writes for the pod,
// whose image has no program that does.
func sized() step {
	return script("a volume's size is a limit, and grows in use", `
		knarr kubectl apply -f - <<-'end'
		{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: sized}, provisioner: knarr.io/local, parameters: {limit: file}, volumeBindingMode: WaitForFirstConsumer, allowVolumeExpansion: true}
		---
		{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: sized}, spec: {storageClassName: sized, accessModes: [ReadWriteOnce], resources: {requests: {storage: 64Mi}}}}
		---
		{apiVersion: v1, kind: Pod, metadata: {name: sized}, spec: {containers: [{name: hello, image: "knarr.io/hello:1", volumeMounts: [{name: data, mountPath: /data}]}], volumes: [{name: data, persistentVolumeClaim: {claimName: sized}}]}}
		end
		knarr kubectl wait --for=condition=Ready pod/sized --timeout=600s
		dir=$(knarr kubectl get pv $(knarr kubectl get pvc sized -o jsonpath='{.spec.volumeName}') -o jsonpath='{.spec.local.path}')
		mib() { echo $(($(stat -c %s $dir/$1) >> 20)); }
		! dd if=/dev/zero of=$dir/much bs=1M count=128 status=none
		first=$(mib much); ((first >= 48 && first <= 64))
		knarr kubectl patch pvc sized -p '{"spec":{"resources":{"requests":{"storage":"128Mi"}}}}'
		await 300 says 128Mi knarr kubectl get pvc sized -o jsonpath='{.status.capacity.storage}'
		! dd if=/dev/zero of=$dir/more bs=1M count=128 status=none
		second=$(mib more); ((first + second > 96 && first + second <= 128))
		knarr kubectl delete pod/sized pvc/sized sc/sized --timeout=300s
		over() { test ! -e $dir && ! grep $dir /proc/mounts; }
		await 300 over
		echo "64 MiB took $first MiB, grown to 128 MiB $second more; its files went with the claim"`)
}

func healthy() step { return script("status", "await 300 knarr status | tail -n 1") }

// ready waits until the example is whole again and the API answers.
func ready(name string) step {
	return script(name, `await 600 knarr kubectl get --raw /readyz
		knarr kubectl wait --for=condition=Ready node --all --timeout=600s
		knarr kubectl -n hello rollout status deployment/hello --timeout=600s`)
}

// killed kills a process of ours without warning and looks whether the pods
// went on, and whether people's requests were taken. then is what a person does
// about it, if anything.
func killed(what, pid, then string) step {
	return script("kill -9 of the "+what, `
		pods() { knarr kubectl -n hello get pods -o jsonpath='{range .items[*]}{.metadata.name} {.status.containerStatuses[0].restartCount} {.status.containerStatuses[0].containerID}{"\n"}{end}' | sort; }
		service() { knarr status | awk -v name=$1 '$2 == name {print $4}'; }
		before=$(pods) pid=$(`+pid+`)
		kill -9 $pid
		fetch "http://$(address):30080" | grep Hello
		fetch -H 'Host: hello.example' "http://$(address):$(told httpPort)/" | grep Hello
		await 60 test ! -e /proc/$pid
		`+then+`
		await 600 knarr status
		after=$(pods)
		test "$before" = "$after" || { printf 'before:\n%s\nafter:\n%s\n' "$before" "$after"; exit 1; }
		echo "the pods went on and answered, and everything is healthy"`)
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
		// A module that was loaded is nothing left behind, but what it shows would
		// be; and an address that is being checked gets its routes later.
		if _, err := m.run(ctx, prelude+`modprobe -a nf_conntrack nf_tables
			checked() { test -z "$(ip -6 addr show tentative)"; }
			await 300 checked`); err != nil {
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

package main

// scenarios are all machines, the plain one first. What can stand on one
// machine together does.
func scenarios() []scenario {
	return []scenario{plain(), service(), docker(), ufw(), firewalld(), crowded(), moving()}
}

func plain() scenario {
	return scenario{
		name: "plain", about: "Debian with systemd, cgroup v2, AppArmor; each process killed; a power cut",
		steps: []step{
			script("the machine", `test "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs
				test "$(cat /sys/module/apparmor/parameters/enabled)" = Y
				. /etc/os-release; echo "$PRETTY_NAME, kernel $(uname -r), $(systemctl --version | head -n 1), cgroup v2, AppArmor"`),
			footprint(), up(), hello(), reached(), limited(), sized(), healthy(),
			script("knarr cert", `knarr cert | grep -E '^apiserver .* in 24[0-9] days$'`),
			killed("server", "service server", ""),
			killed("edge", "service edge", ""),
			killed("runtime", "service runtime", ""),
			killed("knarr-keep", "pidof knarr-keep", "knarr up -o json >/root/up.json"),
			reboot("power cut", "echo b >/proc/sysrq-trigger"),
			up(), ready("the example is back"), reached(),
			gone(),
		},
	}
}

// limited looks whether the pods' limits and profiles hold.
func limited() step {
	return script("limits and profiles", `
		pid=$(pgrep -x hello | head -n 1); group=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/$pid/cgroup)
		[[ $group == /sys/fs/cgroup/system.slice/knarr.scope/pods/* ]]
		test "$(cat $group/memory.max)" = 67108864
		cat /proc/$pid/attr/current | grep enforce
		grep -x 'Seccomp:	2' /proc/$pid/status
		echo "memory.max below system.slice/knarr.scope/pods, AppArmor and seccomp"`)
}

func service() scenario {
	return scenario{
		name: "service", about: "a user with sudo whose processes end with the session; knarr install; a reboot",
		steps: []step{
			refused("a user without root", "su - passenger -c 'knarr up'", "need root", "sudo knarr up"),
			script("sessions end their processes", `mkdir -p /etc/systemd/logind.conf.d
				printf '[Login]\nKillUserProcesses=yes\n' >/etc/systemd/logind.conf.d/vm.conf
				systemctl restart systemd-logind && echo "KillUserProcesses=yes"`),
			footprint(),
			upWith("su - captain -c 'sudo knarr up -o json'"),
			script("the session ends, the cluster does not", `loginctl terminate-user captain || true
				over() { ! loginctl list-sessions --no-legend | grep captain; }
				await 300 over
				grep /system.slice/knarr.scope /proc/$(pidof knarr-keep)/cgroup
				systemctl show -p ManagedOOMPreference knarr.scope | grep -x ManagedOOMPreference=omit
				mkdir -p /root/.kube && ln -s /home/captain/.kube/config /root/.kube/config
				su - captain -c 'knarr kubectl get --raw /readyz' && echo ", in knarr.scope, which systemd-oomd omits"`),
			script("install", `su - captain -c 'sudo knarr install'
				systemctl is-enabled knarr.service && systemctl is-active knarr.service`),
			hello(),
			reboot("reboot", "systemctl reboot"),
			ready("the example is back by itself"),
			script("its ports", `su - captain -c 'sudo knarr up -o json' >/root/up.json && told httpPort`),
			reached(),
			script("the unit", `systemctl is-active knarr.service
				systemctl show -p Delegate -p KillMode knarr.service | tr '\n' ' '
				grep /system.slice/knarr.scope/services /proc/$(pidof knarr-keep)/cgroup
				journalctl -u knarr.service | grep 'Ready in'`),
			script("kill -9 of the service's own process", `before=$(pgrep -x hello | sort)
				systemctl kill --signal=KILL --kill-who=main knarr.service
				again() { test "$(systemctl show -P NRestarts knarr.service)" -ge 1 && systemctl is-active knarr.service; }
				await 600 again && test "$before" = "$(pgrep -x hello | sort)" && echo "systemd started it again, and the pods went on"`),
			script("uninstall", `su - captain -c 'sudo knarr uninstall'
				test ! -e /etc/systemd/system/knarr.service
				over() { ! pidof knarr-keep knarr-runtime; }
				await 60 over && echo "the unit and the processes are gone"`),
			gone(),
		},
	}
}

func docker() scenario {
	return scenario{
		name: "docker", about: "Docker running, which drops what is forwarded",
		steps: []step{
			script("Docker", `systemctl start docker.service
				docker load -q -i /opt/vm/hello.tar && docker run -d --name ship -p 8081:8080 knarr.io/hello:1
				iptables -S FORWARD | grep -e '-P FORWARD DROP'`),
			footprint(), up(), hello(), reached(),
			script("Docker's own container goes on", `await 300 fetch http://127.0.0.1:8081/healthz`),
			gone(),
		},
	}
}

func ufw() scenario {
	return scenario{
		name: "ufw", about: "ufw on, which denies what comes in and what is forwarded",
		steps: []step{
			script("ufw", `ufw allow 80/tcp && ufw --force enable && ufw status | head -n 1`),
			footprint(), up(), hello(), reached(),
			script("after a reload", `ufw reload`), reached(),
			gone(),
		},
	}
}

func firewalld() scenario {
	return scenario{
		name: "firewalld", about: "firewalld on, in its zone public; names from systemd-resolved (127.0.0.53)",
		steps: []step{
			script("systemd-resolved", `mkdir -p /etc/systemd/resolved.conf.d
				printf '[Resolve]\nDNS=192.0.2.1\n' >/etc/systemd/resolved.conf.d/vm.conf
				systemctl restart systemd-resolved && ln -sf /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
				await 300 getent hosts somewhere.example && grep nameserver /etc/resolv.conf`),
			script("firewalld", `systemctl start firewalld && firewall-cmd --add-service=http && firewall-cmd --permanent --add-service=http && firewall-cmd --state`),
			footprint(), up(), hello(), reached(),
			script("after a reload", `firewall-cmd --reload`), reached(),
			gone(),
		},
	}
}

func crowded() scenario {
	const proxy = "http://192.0.2.9:3128"
	return scenario{
		name: "crowded", about: "IPv6 off, ports 6443, 80 and 443 taken, inotify limits of 128, MTU 1400, HTTP_PROXY set, data on an overlay refused",
		steps: []step{
			script("the machine", `sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
				modprobe nf_conntrack
				sysctl -qw fs.inotify.max_user_instances=128 fs.inotify.max_user_watches=128 fs.file-max=65536 net.netfilter.nf_conntrack_max=16384
				ip link set eth0 mtu 1400; ip -n outside link set eth0 mtu 1400
				for port in 6443 80 443; do systemd-run --quiet /opt/vm/guest take $port; done
				taken() { test "$(ss -ltnH | grep -c -E ':(6443|80|443) ')" = 3; }
				await 120 taken && echo "three ports taken"`),
			refused("data on an overlay", `mkdir -p /tmp/o/{l,u,w,m} && mount -t overlay overlay -o lowerdir=/tmp/o/l,upperdir=/tmp/o/u,workdir=/tmp/o/w /tmp/o/m
				trap 'umount /tmp/o/m' EXIT; knarr up --data-dir /tmp/o/m/knarr`, "overlay", "--data-dir"),
			footprint(),
			upWith("HTTP_PROXY=" + proxy + " HTTPS_PROXY=" + proxy + " http_proxy=" + proxy + " https_proxy=" + proxy + " knarr up"),
			script("ports were moved, limits raised", `test "$(told apiPort)" != 6443 && test "$(told httpPort)" != 80 && test "$(told httpsPort)" != 443
				above() { test "$(sysctl -n $1)" -gt $2; }
				above fs.inotify.max_user_instances 128; above fs.inotify.max_user_watches 128
				above fs.file-max 65536; above net.netfilter.nf_conntrack_max 16384
				echo "API $(told apiPort), HTTP $(told httpPort), HTTPS $(told httpsPort)"`),
			refused("an image by way of the proxy, which is not there", "knarr image pull registry.example/ship:1", "HTTP_PROXY", "NO_PROXY"),
			hello(), reached(),
			script("a large answer through the small MTU", `large() { test "$(inpod http://somewhere.example/large | wc -c)" = 1048576; }
				await 300 large && echo "1 MiB"`),
			gone(),
		},
	}
}

func moving() scenario {
	return scenario{
		name: "moving", about: "a clock that jumps; another address and resolver, with and without a reboot",
		steps: []step{
			footprint(), up(), hello(), reached(),
			jump("a day ahead", "+1 day"), ready("the example goes on"), reached(),
			jump("back", "-1 day"), ready("the example goes on"), reached(),
			script("another network: its address, its resolver", `ip -4 addr flush dev eth0; ip addr add 192.0.2.77/24 dev eth0; ip route replace default via 192.0.2.1
				echo address=192.0.2.77 >/etc/vm/network; sync
				systemctl stop vm-world; ip -n outside addr add 192.0.2.53/24 dev eth0
				systemd-run --quiet ip netns exec outside /opt/vm/guest outside 192.0.2.53
				echo 'nameserver 192.0.2.53' >/etc/resolv.conf
				await 600 says 192.0.2.77 knarr status | grep Ready`),
			ready("the example goes on"), reached(),
			script("the API by the new address, whose name its certificate has", `knarr kubectl --server="https://192.0.2.77:$(told apiPort)" get --raw /readyz`),
			reboot("reboot", "echo 'nameserver 192.0.2.1' >/etc/resolv.conf; systemctl reboot"),
			up(), ready("the example is back"), reached(),
			gone("address eth0", "route "),
		},
	}
}

// jump sets the clock and waits until the node reports by the new one.
func jump(name, by string) step {
	return script("the clock jumps "+name, `date -s '`+by+`'
		reported() {
			local at; at=$(knarr kubectl -n kube-node-lease get lease knarrvm -o jsonpath='{.spec.renewTime}')
			local age=$(($(date +%s) - $(date -d "$at" +%s))); ((age > -60 && age < 60))
		}
		await 600 reported && echo "the node reports by the new clock"`)
}

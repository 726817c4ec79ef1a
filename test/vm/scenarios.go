package main

// scenarios are all machines, the plain one first. What can stand on one
// machine together does, since an emulated processor takes its time to boot.
func scenarios() []scenario {
	return []scenario{plain(), service(), docker(), ufw(), firewalld(), crowded(), moving()}
}

func plain() scenario {
	return scenario{
		name: "plain", about: "Debian with systemd, cgroup v2, AppArmor",
		steps: []step{
			script("the machine", `test "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs
				test "$(cat /sys/module/apparmor/parameters/enabled)" = Y
				. /etc/os-release; echo "$PRETTY_NAME, kernel $(uname -r), $(systemctl --version | head -n 1), cgroup v2, AppArmor"`),
			install(), footprint(), up(), hello(), reached(), healthy(),
			killed("server", "knarr-[0-9a-f-]* server", ""),
			killed("edge", "knarr-[0-9a-f-]* edge", ""),
			killed("runtime", "[k]narr-runtime serve", ""),
			killed("knarr-keep", "[k]narr-keep --socket", "knarr up -o json >/root/up.json"),
			reboot("power cut", "sync; echo b >/proc/sysrq-trigger"),
			up(), ready("the example is back"), reached(),
			gone(),
		},
	}
}

func service() scenario {
	return scenario{
		name: "service", about: "a user with sudo whose processes end with the session; knarr install; a reboot",
		steps: []step{
			install(),
			refused("a user without root", "su - passenger -c 'knarr up'", "need root", "sudo knarr up"),
			script("sessions end their processes", `mkdir -p /etc/systemd/logind.conf.d
				printf '[Login]\nKillUserProcesses=yes\n' >/etc/systemd/logind.conf.d/vm.conf
				systemctl restart systemd-logind && echo "KillUserProcesses=yes"`),
			footprint(),
			upWith("su - captain -c 'sudo knarr up -o json'"),
			script("the session ends, the cluster does not", `loginctl terminate-user captain || true
				for i in $(seq 30); do loginctl list-sessions --no-legend | grep -q captain || break; sleep 1; done
				grep -q /system.slice/knarr.scope /proc/$(pidof knarr-keep)/cgroup
				mkdir -p /root/.kube && ln -s /home/captain/.kube/config /root/.kube/config
				su - captain -c 'knarr kubectl get --raw /readyz' && echo ", in knarr.scope"`),
			script("install", `su - captain -c 'sudo knarr install'
				systemctl is-enabled knarr.service && systemctl is-active knarr.service`),
			hello(),
			reboot("reboot", "systemctl reboot"),
			ready("the example is back by itself"),
			script("the unit", `systemctl is-active knarr.service
				systemctl show -p Delegate -p KillMode knarr.service | tr '\n' ' '
				grep -q /system.slice/knarr.service /proc/$(pidof knarr-keep)/cgroup
				journalctl -u knarr.service | grep -q 'Ready in' && echo "and its journal tells"`),
			script("uninstall", `su - captain -c 'sudo knarr uninstall'
				test ! -e /etc/systemd/system/knarr.service && ! pgrep -a knarr`),
			gone(),
		},
	}
}

func docker() scenario {
	return scenario{
		name: "docker", about: "Docker running, which drops what is forwarded",
		steps: []step{
			install(),
			script("Docker", `systemctl start docker.service
				docker load -q -i /opt/vm/hello.tar && docker run -d --name ship -p 8081:8080 knarr.io/hello:1
				iptables -S FORWARD | grep -e '-P FORWARD DROP'`),
			footprint(), up(), hello(), reached(),
			script("Docker's own container goes on", `curl -sSf --max-time 30 http://127.0.0.1:8081/healthz`),
			gone(),
		},
	}
}

func ufw() scenario {
	return scenario{
		name: "ufw", about: "ufw on, which denies what comes in and what is forwarded",
		steps: []step{
			install(),
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
			install(),
			script("systemd-resolved", `mkdir -p /etc/systemd/resolved.conf.d
				printf '[Resolve]\nDNS=192.0.2.1\n' >/etc/systemd/resolved.conf.d/vm.conf
				systemctl restart systemd-resolved && ln -sf /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
				getent hosts somewhere.example && grep nameserver /etc/resolv.conf`),
			script("firewalld", `systemctl start firewalld && firewall-cmd --add-service=http && firewall-cmd --permanent --add-service=http && firewall-cmd --state`),
			footprint(), up(), hello(), reached(),
			script("after a reload", `firewall-cmd --reload`), reached(),
			gone(),
		},
	}
}

func crowded() scenario {
	return scenario{
		name: "crowded", about: "IPv6 off, ports 6443, 80 and 443 taken, inotify limits of 128, MTU 1400, HTTP_PROXY set, data on an overlay refused",
		steps: []step{
			install(),
			script("the machine", `sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
				sysctl -qw fs.inotify.max_user_instances=128 fs.inotify.max_user_watches=128
				ip link set eth0 mtu 1400; ip -n outside link set eth0 mtu 1400
				for port in 6443 80 443; do systemd-run --quiet /opt/vm/guest take $port; done; sleep 2; ss -ltn | grep -c -E ':(6443|80|443) '`),
			refused("data on an overlay", `mkdir -p /tmp/o/{l,u,w,m} && mount -t overlay overlay -o lowerdir=/tmp/o/l,upperdir=/tmp/o/u,workdir=/tmp/o/w /tmp/o/m
				trap 'umount /tmp/o/m' EXIT; knarr up --data-dir /tmp/o/m/knarr`, "overlay", "--data-dir"),
			footprint(),
			upWith("HTTP_PROXY=http://192.0.2.9:3128 HTTPS_PROXY=http://192.0.2.9:3128 http_proxy=http://192.0.2.9:3128 https_proxy=http://192.0.2.9:3128 knarr up"),
			script("ports were moved", readUp+`test "$api" != 6443 && test "$http" != 80 && test "$https" != 443 && echo "API $api, HTTP $http, HTTPS $https"`),
			hello(), reached(),
			script("a large answer through the small MTU", readUp+`inpod http://somewhere.example/large | wc -c | tee /dev/stderr | grep -q 1048576 && echo "1 MiB"`),
			gone(),
		},
	}
}

func moving() scenario {
	return scenario{
		name: "moving", about: "another address, with and without a reboot; a clock that jumps",
		steps: []step{
			install(), footprint(), up(), hello(), reached(),
			script("the clock jumps a day ahead", `date -s '+1 day'; sleep 5`),
			ready("the example goes on"), reached(),
			script("the clock jumps back", `date -s '-1 day'; sleep 5`),
			ready("the example goes on"), reached(),
			script("another address", `ip addr add 192.0.2.77/24 dev eth0; ip addr del 192.0.2.2/24 dev eth0; ip route replace default via 192.0.2.1; echo address=192.0.2.77 >/etc/vm/network; sync`),
			ready("the example goes on"), reached(),
			reboot("reboot", "systemctl reboot"),
			up(), ready("the example is back"), reached(),
			script("down", "knarr down --purge"),
		},
	}
}

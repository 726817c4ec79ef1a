package main

// scenarios are all machines, the plain one first.
func scenarios() []scenario {
	return []scenario{
		{
			name: "plain", about: "Debian with systemd, cgroup v2, AppArmor",
			steps: []step{
				script("the machine", `test "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs
					test "$(cat /sys/module/apparmor/parameters/enabled)" = Y
					. /etc/os-release; echo "$PRETTY_NAME, kernel $(uname -r), $(systemctl --version | head -n 1), cgroup v2, AppArmor"`),
				install(), footprint(), up(), hello(), reached(), healthy(),
				killed("server", "knarr server|knarr-[0-9a-f-]* server", ""),
				killed("edge", "knarr-[0-9a-f-]* edge", ""),
				killed("runtime", "knarr-runtime serve", ""),
				killed("knarr-keep", "knarr-keep --socket", "knarr up -o json >/root/up.json"),
				reboot("reboot", "systemctl reboot"),
				up(), ready("the example is back"), reached(),
				reboot("power cut", "sync; echo b >/proc/sysrq-trigger"),
				up(), ready("the example is back"), reached(),
				gone(),
			},
		},
	}
}

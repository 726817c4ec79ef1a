# Confines containers of Knarr that choose no profile of their own: they may
# use files, networks and capabilities as far as the rest of their confinement
# lets them, but not mount, nor change the kernel through /proc and /sys.
profile knarr-default flags=(attach_disconnected, mediate_deleted) {
  file,
  network,
  capability,
  umount,
  deny mount,

  # The runtime and the agent stop containers; containers of one pod, and of
  # others, see each other only as far as they share processes.
  signal (receive) peer=unconfined,
  signal (receive) peer=knarr-runtime,
  signal (send, receive) peer=knarr-default,
  ptrace (read, trace, readby, tracedby) peer=knarr-default,

  # Of /proc: one's own processes, and what sysctls of a pod may set.
  deny /proc/sysrq-trigger rwklx,
  deny /proc/kcore rwklx,
  deny /proc/mem rwklx,
  deny /proc/kmem rwklx,
  deny /proc/sys/[^kn]** w,
  deny /proc/sys/kernel/[^ms]** w,
  deny /proc/sys/kernel/modprobe w,
  deny /proc/sys/kernel/sysrq w,

  # Of /sys: cgroups alone.
  deny /sys/[^f]** w,
  deny /sys/f[^s]** w,
  deny /sys/fs/[^c]** w,
  deny /sys/firmware/** rwklx,
  deny /sys/kernel/security/** rwklx,
}

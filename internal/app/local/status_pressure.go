package local

import (
	"fmt"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/base/remedy"
)

// pressure tells of a condition of a node that is not as it should be; of a
// shortage also what follows from it and what helps.
func pressure(node string, c corev1.NodeCondition) string {
	told := fmt.Sprintf("node %s: %s: %s", node, c.Type, c.Message)
	switch c.Type {
	case corev1.NodeDiskPressure:
		return told + "; it takes no new pods until some minutes after there is room again" + remedy.Mark +
			"free some space on its disk (`knarr image ls` lists the images), or set other limits: evictionHard in a --node-config"
	case corev1.NodeMemoryPressure:
		return told + "; it takes no new pods of class BestEffort until some minutes after there is memory again" + remedy.Mark +
			"`knarr kubectl top pods -A --sort-by=memory` shows who takes it"
	case corev1.NodePIDPressure:
		return told + "; it takes no new pods until some minutes after there are process ids again" + remedy.Mark +
			"end what makes processes; podPidsLimit in a --node-config bounds a pod's"
	}
	return told
}

// disk tells what is free below the data, which lies on one disk for all nodes
// of this machine.
func (r *reporter) disk() {
	var st unix.Statfs_t
	if err := unix.Statfs(r.DataDir, &st); err != nil {
		r.bad("the disk cannot be looked at: %v", err)
		return
	}
	size := uint64(st.Bsize)
	fmt.Fprintf(r.out, "disk: %s of %s free below %s\n", amount(st.Bavail*size), amount(st.Blocks*size), r.DataDir)
}

// amount is as many bytes as people read them: 812 MiB, 48 GiB.
func amount(bytes uint64) string {
	if bytes < 10<<30 {
		return fmt.Sprintf("%d MiB", bytes>>20)
	}
	return fmt.Sprintf("%d GiB", bytes>>30)
}

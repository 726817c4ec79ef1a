package e2e

import (
	"fmt"
	"strings"
)

// busybox is the image that most pods of the tests run.
const busybox = "busybox:1.35"

// wait is a script that ends on SIGTERM at once.
const wait = "trap 'exit 0' TERM; sleep 86400 & wait"

// sleeper is a pod of busybox that waits, and is started again when it ends.
func sleeper(name string) string {
	return strings.Replace(shellPod(name, wait), "restartPolicy: Never", "restartPolicy: Always", 1)
}

// shellPod is a pod of busybox that runs a script. Further lines go into its
// container, indented by six.
func shellPod(name, script string, container ...string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata:
  name: %s
  labels: {app: %s}
spec:
  terminationGracePeriodSeconds: 5
  restartPolicy: Never
  containers:
  - name: main
    image: %s
    command: [sh, -c, %q]
%s`, name, name, busybox, script, indent(4, container))
}

func indent(n int, lines []string) string {
	var b strings.Builder
	for _, block := range lines {
		for line := range strings.SplitSeq(block, "\n") {
			b.WriteString(strings.Repeat(" ", n) + line + "\n")
		}
	}
	return b.String()
}

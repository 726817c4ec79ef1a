package main

import (
	"bytes"
	"fmt"
	"time"
)

// render writes the page of the results.
func render(results []result, took time.Duration) []byte {
	var b bytes.Buffer
	b.WriteString(`# Platforms

What ` + "`make test-vm`" + ` saw on machines that nobody prepared: each is booted anew under QEMU from a disk made of Debian's packages, with two processors and
3 GiB, and linked to a network namespace that plays the world. This page is written by the run; nothing is ticked that it did not see.

| machine | | steps | seconds |
|---|---|---|---|
`)
	for _, r := range results {
		outcome := fmt.Sprintf("%d held", len(r.seen))
		if r.failed != nil {
			outcome = fmt.Sprintf("FAILED after %d", len(r.seen))
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %.0f |\n", r.scenario.name, r.scenario.about, outcome, r.took.Seconds())
	}
	fmt.Fprintf(&b, "\nThe whole took %.0f minutes, with %s.\n\n## Step by step\n", took.Minutes(), accelerationText())
	for _, r := range results {
		fmt.Fprintf(&b, "\n**%s**: %s\n\n", r.scenario.name, r.scenario.about)
		for i, seen := range r.seen {
			fmt.Fprintf(&b, "- %s: %s\n", r.scenario.steps[i].name, brief(seen))
		}
		if r.failed != nil {
			fmt.Fprintf(&b, "- **failed**: %s\n", brief(lastLine(r.failed.Error())))
		}
	}
	b.WriteString(notProved)
	return b.Bytes()
}

func accelerationText() string {
	if accelerator() == "kvm" {
		return "the processor's virtualization (KVM)"
	}
	return "software emulation"
}

// brief is a line that a page can show.
func brief(text string) string {
	const most = 160
	if len(text) > most {
		return text[:most] + "..."
	}
	return text
}

// notProved lists what people have and this test cannot.
const notProved = `
## Not proved

- **SELinux enforcing** (Fedora, RHEL and their kin): no machine of that kind is built here.
- **WSL2**, whose kernel is Microsoft's.
- **arm64** with pods: no such machine is at hand.
- **NetworkManager**, **netplan** and laptops' Wi-Fi: the machine's link is set up by a script.
- Kernels other than Debian's cloud kernel, and other distributions.
`

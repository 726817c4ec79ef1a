package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// loadResults reads what earlier runs saw, by the names of scenarios.
func loadResults(cache string) (map[string]result, error) {
	kept := map[string]result{}
	data, err := os.ReadFile(filepath.Join(cache, "results.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return kept, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &kept)
	}
	return kept, err
}

func saveResults(cache string, kept map[string]result) error {
	data, err := json.MarshalIndent(kept, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(cache, "results.json"), data, 0o644)
}

// render writes the page of the scenarios' last results.
func render(all []scenario, kept map[string]result) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `# Platforms

What `+"`make test-vm`"+` saw on machines that nobody prepared: a disk made of Debian's packages, booted under QEMU (%s) with two processors
and 3 GiB, and linked to a network namespace that plays the world. It boots once, and each machine below is that one, brought back to the moment after
its boot (`+"`test/vm/machine.go:fresh`"+`); reboots and power cuts are further boots. The run writes this page; nothing is ticked that it did not see.

| machine | | steps | seconds (the host's load) | version |
|---|---|---|---|---|
`, accelerationText())
	for _, s := range all {
		fmt.Fprintf(&b, "| %s | %s | ", s.name, s.about)
		r, played := kept[s.name]
		if !played {
			b.WriteString("not played yet | | |\n")
			continue
		}
		outcome := fmt.Sprintf("%d held", len(r.Seen))
		if r.Failed != "" {
			outcome = fmt.Sprintf("FAILED after %d of %d", len(r.Seen), len(s.steps))
		}
		fmt.Fprintf(&b, "%s | %.0f (%.1f) | %s |\n", outcome, r.Took.Seconds(), r.Load, r.Program)
	}
	if took, whole := together(all, kept); whole {
		fmt.Fprintf(&b, "\nTogether: %.0f minutes.\n", took.Minutes())
	}
	b.WriteString("\n## Step by step\n")
	for _, s := range all {
		r, played := kept[s.name]
		if !played {
			continue
		}
		fmt.Fprintf(&b, "\n**%s**: %s\n\n", s.name, s.about)
		for _, seen := range r.Seen {
			fmt.Fprintf(&b, "- %s: %s\n", seen.Step, brief(seen.What))
		}
		if r.Failed != "" {
			fmt.Fprintf(&b, "- **failed**: %s\n", brief(lastLine(r.Failed)))
		}
	}
	b.WriteString(notProved)
	return b.Bytes()
}

// together is how long all scenarios took, if each was played to its end.
func together(all []scenario, kept map[string]result) (took time.Duration, whole bool) {
	for _, s := range all {
		r, played := kept[s.name]
		if !played || r.Failed != "" {
			return 0, false
		}
		took += r.Took
	}
	return took, true
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

package stats

import (
	"os"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

// traffic is what went over a network interface.
type traffic struct {
	name              string
	receive, transmit counters
}

// counters of one direction.
type counters struct{ bytes, packets, errors, dropped uint64 }

// trafficOf reads the interfaces that a process sees, loopback left out.
func trafficOf(process string) []traffic {
	data, err := os.ReadFile("/proc/" + process + "/net/dev")
	if err != nil {
		return nil
	}
	return parseTraffic(string(data))
}

// parseTraffic reads the kernel's table: after the name eight figures of what
// was received and eight of what was sent.
func parseTraffic(text string) []traffic {
	var out []traffic
	for line := range strings.Lines(text) {
		name, rest, found := strings.Cut(line, ":")
		fields := strings.Fields(rest)
		if name = strings.TrimSpace(name); !found || name == "lo" || len(fields) < 16 {
			continue
		}
		at := func(i int) uint64 {
			n, _ := strconv.ParseUint(fields[i], 10, 64) // what is no number counts as none
			return n
		}
		out = append(out, traffic{name: name,
			receive:  counters{at(0), at(1), at(2), at(3)},
			transmit: counters{at(8), at(9), at(10), at(11)}})
	}
	return out
}

// network is the machine's; the pods' own links are the pods'.
func (p *Provider) network(now metav1.Time) *statsapi.NetworkStats {
	out := &statsapi.NetworkStats{Time: now}
	primary := defaultInterface()
	for _, t := range trafficOf("self") {
		if _, err := os.Stat("/sys/class/net/" + t.name + "/device"); err != nil && t.name != primary {
			continue
		}
		i := statsapi.InterfaceStats{Name: t.name, RxBytes: &t.receive.bytes, RxErrors: &t.receive.errors, TxBytes: &t.transmit.bytes, TxErrors: &t.transmit.errors}
		if t.name == primary {
			out.InterfaceStats = i
		}
		out.Interfaces = append(out.Interfaces, i)
	}
	return out
}

// defaultInterface is where the default route leads; empty: nowhere.
func defaultInterface() string {
	data, err := os.ReadFile("/proc/self/net/route")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) > 7 && fields[1] == "00000000" && fields[7] == "00000000" {
			return fields[0]
		}
	}
	return ""
}

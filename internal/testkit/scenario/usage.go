package scenario

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/testkit"
)

// usage answers for metrics.k8s.io: every pod uses as much CPU. Until it is
// set the group is not served.
type usage struct {
	cluster atomic.Pointer[testkit.Cluster]
	cpu     atomic.Pointer[string]
}

func (u *usage) set(cpu string) { u.cpu.Store(&cpu) }

func (u *usage) route(path string) http.Handler {
	if u.cpu.Load() != nil && strings.HasPrefix(path, "/apis/metrics.k8s.io/") {
		return u
	}
	return nil
}

func (u *usage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	pods, _, err := client.For[*corev1.Pod](u.cluster.Load().Admin).List(r.Context(), "default", metav1.ListOptions{LabelSelector: r.URL.Query().Get("labelSelector")})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	items := []any{}
	for _, pod := range pods {
		items = append(items, map[string]any{
			"metadata": map[string]any{"name": pod.Name, "namespace": pod.Namespace}, "window": "1s",
			"timestamp":  time.Now().UTC().Format(time.RFC3339),
			"containers": []any{map[string]any{"name": "c", "usage": map[string]any{"cpu": *u.cpu.Load()}}},
		})
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "items": items})
}

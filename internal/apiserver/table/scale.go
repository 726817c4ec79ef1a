package table

import (
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/knarr-io/knarr/internal/api"
)

// Scale says how a scale subresource is printed.
func Scale() *api.Kind {
	meta := metav1.ObjectMeta{}.SwaggerDoc()
	return &api.Kind{
		GVK: autoscalingv1.SchemeGroupVersion.WithKind("Scale"),
		Columns: []api.Column{
			{Name: "Name", Type: "string", Description: meta["name"]},
			{Name: "Desired", Type: "integer", Description: autoscalingv1.ScaleSpec{}.SwaggerDoc()["replicas"]},
			{Name: "Available", Type: "integer", Description: autoscalingv1.ScaleStatus{}.SwaggerDoc()["replicas"]},
			{Name: "Age", Type: "string", Description: meta["creationTimestamp"]},
		},
		Row: func(obj api.Object, now time.Time) []any {
			s := obj.(*autoscalingv1.Scale)
			age := "<unknown>"
			if !s.CreationTimestamp.IsZero() {
				age = duration.HumanDuration(now.Sub(s.CreationTimestamp.Time))
			}
			return []any{s.Name, int64(s.Spec.Replicas), int64(s.Status.Replicas), age}
		},
	}
}

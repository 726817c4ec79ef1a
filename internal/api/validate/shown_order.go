package validate

import (
	"reflect"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
)

// fieldOrder lists a struct's fields in the order in which upstream's internal
// type has them, where that is another one.
func fieldOrder(t reflect.Type) []int {
	order := make([]int, 0, t.NumField())
	for i := range t.NumField() {
		order = append(order, i)
	}
	for _, m := range moved(t) {
		order = move(order, fieldIndex(t, m.name), fieldIndex(t, m.behind))
	}
	return order
}

// moves says behind which field another one stands.
type moves struct{ name, behind string }

func moved(t reflect.Type) []moves {
	switch t {
	case reflect.TypeFor[corev1.VolumeSource]():
		return []moves{{"Quobyte", "RBD"}}
	case reflect.TypeFor[corev1.PersistentVolumeSource]():
		return []moves{{"Quobyte", "RBD"}, {"FlexVolume", "ISCSI"}}
	case reflect.TypeFor[batchv1.JobSpec]():
		return []moves{{"ActiveDeadlineSeconds", "SuccessPolicy"}}
	case reflect.TypeFor[storagev1.CSIDriverSpec]():
		return []moves{{"FSGroupPolicy", "AttachRequired"}}
	case reflect.TypeFor[autoscalingv2.ContainerResourceMetricSource]():
		return []moves{{"Container", "Name"}}
	}
	return nil
}

func fieldIndex(t reflect.Type, name string) int {
	f, _ := t.FieldByName(name)
	return f.Index[0]
}

func move(order []int, field, behind int) []int {
	out := make([]int, 0, len(order))
	for _, i := range order {
		if i != field {
			out = append(out, i)
		}
		if i == behind {
			out = append(out, field)
		}
	}
	return out
}

// number tells of a type whose optional numbers upstream holds as numbers, so
// that an unset one is shown as zero.
func number(t reflect.Type) bool {
	return t == reflect.TypeFor[appsv1.RollingUpdateStatefulSetStrategy]()
}

// Package table prints objects as meta.k8s.io/v1 Tables, the form in which
// kubectl shows them.
//
// Columns and cells come from the kind's declaration; a kind without one gets
// its name and age. It is pure: now is an argument.
package table

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
)

// Include tells which form of its object a row carries.
type Include = metav1.IncludeObjectPolicy

// ParseInclude reads the includeObject parameter.
func ParseInclude(text string) (Include, error) {
	switch p := Include(text); p {
	case "":
		return metav1.IncludeMetadata, nil
	case metav1.IncludeMetadata, metav1.IncludeObject, metav1.IncludeNone:
		return p, nil
	}
	err := field.Invalid(field.NewPath("includeObject"), text, "must be 'Metadata', 'Object', 'None', or empty")
	return "", errors.NewBadRequest(fmt.Sprintf("Unable to convert to Table as requested: %v", err))
}

// Of prints objects of a kind. Rows refer to the objects, which are not
// copied.
func Of(k *api.Kind, meta metav1.ListMeta, objects []api.Object, include Include, now time.Time) *metav1.Table {
	t := &metav1.Table{
		TypeMeta: metav1.TypeMeta{APIVersion: metav1.SchemeGroupVersion.String(), Kind: "Table"},
		ListMeta: meta, ColumnDefinitions: columns(k), Rows: make([]metav1.TableRow, len(objects)),
	}
	if k.Row == nil && len(objects) == 0 {
		t.Rows = nil // shows as null, as the default printer of upstream has it
	}
	for i, obj := range objects {
		t.Rows[i] = metav1.TableRow{Cells: cells(k, obj, now), Object: runtime.RawExtension{Object: included(k, obj, include)}}
	}
	return t
}

func included(k *api.Kind, obj api.Object, include Include) runtime.Object {
	switch include {
	case metav1.IncludeNone:
		return nil
	case metav1.IncludeObject:
		return obj
	}
	return Metadata(obj)
}

// Metadata is an object's metadata alone. It shares the object's maps.
func Metadata(obj api.Object) *metav1.PartialObjectMetadata {
	out := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{
		APIVersion: metav1.SchemeGroupVersion.String(), Kind: "PartialObjectMetadata",
	}}
	if holder, ok := obj.(interface{ GetObjectMeta() metav1.Object }); ok {
		if meta, ok := holder.GetObjectMeta().(*metav1.ObjectMeta); ok {
			out.ObjectMeta = *meta
			return out
		}
	}
	out.ObjectMeta = metav1.ObjectMeta{
		Name: obj.GetName(), GenerateName: obj.GetGenerateName(), Namespace: obj.GetNamespace(), UID: obj.GetUID(),
		ResourceVersion: obj.GetResourceVersion(), Generation: obj.GetGeneration(), CreationTimestamp: obj.GetCreationTimestamp(),
		DeletionTimestamp: obj.GetDeletionTimestamp(), DeletionGracePeriodSeconds: obj.GetDeletionGracePeriodSeconds(),
		Labels: obj.GetLabels(), Annotations: obj.GetAnnotations(), OwnerReferences: obj.GetOwnerReferences(),
		Finalizers: obj.GetFinalizers(), ManagedFields: obj.GetManagedFields(),
	}
	return out
}

func columns(k *api.Kind) []metav1.TableColumnDefinition {
	if k.Row == nil {
		return defaultColumns()
	}
	out := make([]metav1.TableColumnDefinition, len(k.Columns))
	for i, c := range k.Columns {
		out[i] = metav1.TableColumnDefinition{Name: c.Name, Type: c.Type, Format: c.Format, Description: c.Description, Priority: c.Priority}
	}
	return out
}

func cells(k *api.Kind, obj api.Object, now time.Time) []any {
	if k.Row == nil {
		return []any{obj.GetName(), obj.GetCreationTimestamp().UTC().Format(time.RFC3339)}
	}
	return k.Row(obj, now)
}

func defaultColumns() []metav1.TableColumnDefinition {
	docs := metav1.ObjectMeta{}.SwaggerDoc()
	return []metav1.TableColumnDefinition{
		{Name: "Name", Type: "string", Format: "name", Description: docs["name"]},
		{Name: "Created At", Type: "date", Description: docs["creationTimestamp"]},
	}
}

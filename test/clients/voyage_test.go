package clients

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
)

// voyageVersion is the group and version of the operator's own kind.
var voyageVersion = schema.GroupVersion{Group: "clients.knarr.io", Version: "v1"}

// Voyage is the operator's own kind: the reconciler writes a manifest of its
// cargo and tells in the status how many pieces are on board.
type Voyage struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              VoyageSpec   `json:"spec"`
	Status            VoyageStatus `json:"status,omitempty"`
}

// VoyageSpec is what is wanted. The webhook fills in an empty harbour.
type VoyageSpec struct {
	Harbour string   `json:"harbour,omitempty"`
	Cargo   []string `json:"cargo,omitempty"`
}

// VoyageStatus is what is.
type VoyageStatus struct {
	Loaded     int                `json:"loaded,omitempty"`
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// VoyageList is a list of voyages.
type VoyageList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Voyage `json:"items"`
}

// DeepCopyInto copies everything that is shared by an assignment.
func (v *Voyage) DeepCopyInto(out *Voyage) {
	*out = *v
	v.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	out.Spec.Cargo = append([]string(nil), v.Spec.Cargo...)
	out.Status.Conditions = append([]metav1.Condition(nil), v.Status.Conditions...)
}

// DeepCopyObject is a copy that shares nothing.
func (v *Voyage) DeepCopyObject() runtime.Object {
	out := new(Voyage)
	v.DeepCopyInto(out)
	return out
}

// DeepCopyObject is a copy that shares nothing.
func (l *VoyageList) DeepCopyObject() runtime.Object {
	out := &VoyageList{TypeMeta: l.TypeMeta, ListMeta: *l.ListMeta.DeepCopy(), Items: make([]Voyage, len(l.Items))}
	for i := range l.Items {
		l.Items[i].DeepCopyInto(&out.Items[i])
	}
	return out
}

// newScheme knows the built-in kinds and the operator's.
func newScheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(s); err != nil {
		return nil, err
	}
	s.AddKnownTypes(voyageVersion, &Voyage{}, &VoyageList{})
	metav1.AddToGroupVersion(s, voyageVersion)
	return s, nil
}

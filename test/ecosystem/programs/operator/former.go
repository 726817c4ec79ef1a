package main

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/conversion"
)

// FormerConvoy is a convoy as v1beta1 had it: its ships were called vessels.
type FormerConvoy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              FormerSpec   `json:"spec"`
	Status            ConvoyStatus `json:"status,omitempty"`
}

// FormerSpec is what was wanted.
type FormerSpec struct {
	Vessels int32  `json:"vessels"`
	Flag    string `json:"flag,omitempty"`
}

// ConvertTo writes the convoy in the version that is stored.
func (f *FormerConvoy) ConvertTo(hub conversion.Hub) error {
	to, ok := hub.(*Convoy)
	if !ok {
		return fmt.Errorf("%T is no convoy", hub)
	}
	to.ObjectMeta, to.Status = f.ObjectMeta, f.Status
	to.Spec = ConvoySpec{Ships: f.Spec.Vessels, Flag: f.Spec.Flag}
	return nil
}

// ConvertFrom reads the convoy from the version that is stored.
func (f *FormerConvoy) ConvertFrom(hub conversion.Hub) error {
	from, ok := hub.(*Convoy)
	if !ok {
		return fmt.Errorf("%T is no convoy", hub)
	}
	f.ObjectMeta, f.Status = from.ObjectMeta, from.Status
	f.Spec = FormerSpec{Vessels: from.Spec.Ships, Flag: from.Spec.Flag}
	return nil
}

// DeepCopyObject is a copy that shares nothing.
func (f *FormerConvoy) DeepCopyObject() runtime.Object {
	out := new(FormerConvoy)
	*out = *f
	f.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	return out
}

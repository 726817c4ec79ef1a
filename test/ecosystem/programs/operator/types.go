package main

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// v1 is the version in which convoys are stored, v1beta1 the one before.
var (
	v1      = schema.GroupVersion{Group: "ecosystem.knarr.io", Version: "v1"}
	v1beta1 = schema.GroupVersion{Group: "ecosystem.knarr.io", Version: "v1beta1"}
)

// Convoy is a number of ships that sail under one flag: a Deployment each.
type Convoy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              ConvoySpec   `json:"spec"`
	Status            ConvoyStatus `json:"status,omitempty"`
}

// ConvoySpec is what is wanted. The webhook gives a flag to who has none.
type ConvoySpec struct {
	Ships int32  `json:"ships"`
	Flag  string `json:"flag,omitempty"`
}

// ConvoyStatus is what is.
type ConvoyStatus struct {
	Afloat int32 `json:"afloat,omitempty"`
}

// Hub marks the version that others are converted to and from.
func (*Convoy) Hub() {}

// ConvoyList is a list of convoys.
type ConvoyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Convoy `json:"items"`
}

// DeepCopyInto copies everything that an assignment would share.
func (c *Convoy) DeepCopyInto(out *Convoy) {
	*out = *c
	c.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
}

// DeepCopyObject is a copy that shares nothing.
func (c *Convoy) DeepCopyObject() runtime.Object {
	out := new(Convoy)
	c.DeepCopyInto(out)
	return out
}

// DeepCopyObject is a copy that shares nothing.
func (l *ConvoyList) DeepCopyObject() runtime.Object {
	out := &ConvoyList{TypeMeta: l.TypeMeta, ListMeta: *l.ListMeta.DeepCopy(), Items: make([]Convoy, len(l.Items))}
	for i := range l.Items {
		l.Items[i].DeepCopyInto(&out.Items[i])
	}
	return out
}

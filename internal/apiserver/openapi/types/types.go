// Package types is the compact form of merge types: what structured merge
// (server-side apply, managed fields) must know of every field of every kind.
//
// The generator marshals the set once; the server unmarshals it when the first
// write needs it. A Set is immutable once it is in use.
package types

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
	smd "sigs.k8s.io/structured-merge-diff/v6/schema"
)

// Set are named types, and which of them a kind's objects have.
type Set struct {
	Schema *smd.Schema
	Roots  map[schema.GroupVersionKind]string
}

// The wire forms have one-letter names, and leave out what is unset.
type (
	wireSet struct {
		Roots []wireRoot `json:"r"`
		Types []wireType `json:"t"`
	}
	wireRoot struct {
		Group   string `json:"g,omitempty"`
		Version string `json:"v"`
		Kind    string `json:"k"`
		Type    string `json:"t"`
	}
	wireType struct {
		Name string `json:"n"`
		wireAtom
	}
	wireAtom struct {
		Scalar *smd.Scalar `json:"s,omitempty"`
		List   *wireList   `json:"l,omitempty"`
		Map    *wireMap    `json:"m,omitempty"`
	}
	wireRef struct {
		Named *string `json:"n,omitempty"`
		wireAtom
		Relationship *smd.ElementRelationship `json:"r,omitempty"`
	}
	wireList struct {
		Element      wireRef                 `json:"e"`
		Relationship smd.ElementRelationship `json:"r,omitempty"`
		Keys         []string                `json:"k,omitempty"`
	}
	wireMap struct {
		Fields       []wireField             `json:"f,omitempty"`
		Unions       []smd.Union             `json:"u,omitempty"`
		Element      wireRef                 `json:"e,omitzero"`
		Relationship smd.ElementRelationship `json:"r,omitempty"`
	}
	wireField struct {
		Name    string  `json:"n"`
		Type    wireRef `json:"t"`
		Default any     `json:"d,omitempty"`
	}
)

// Marshal encodes the set; equal sets give equal bytes, whatever the order of
// their types and fields.
func Marshal(s Set) ([]byte, error) {
	var w wireSet
	for gvk, name := range s.Roots {
		w.Roots = append(w.Roots, wireRoot{gvk.Group, gvk.Version, gvk.Kind, name})
	}
	slices.SortFunc(w.Roots, func(a, b wireRoot) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Kind, b.Kind))
	})
	for i := range s.Schema.Types {
		w.Types = append(w.Types, wireType{s.Schema.Types[i].Name, atomToWire(&s.Schema.Types[i].Atom)})
	}
	slices.SortFunc(w.Types, func(a, b wireType) int { return cmp.Compare(a.Name, b.Name) })
	return json.Marshal(w)
}

// Unmarshal is the inverse of Marshal. A root without a type is an error.
func Unmarshal(data []byte) (Set, error) {
	var w wireSet
	if err := json.Unmarshal(data, &w); err != nil {
		return Set{}, fmt.Errorf("reading merge types: %w", err)
	}
	out := Set{Schema: &smd.Schema{Types: make([]smd.TypeDef, len(w.Types))}, Roots: map[schema.GroupVersionKind]string{}}
	known := make(map[string]bool, len(w.Types))
	for i := range w.Types {
		out.Schema.Types[i] = smd.TypeDef{Name: w.Types[i].Name, Atom: atomFromWire(&w.Types[i].wireAtom)}
		known[w.Types[i].Name] = true
	}
	for _, r := range w.Roots {
		if !known[r.Type] {
			return Set{}, fmt.Errorf("merge type %q of %s is missing", r.Type, r.Kind)
		}
		out.Roots[schema.GroupVersionKind{Group: r.Group, Version: r.Version, Kind: r.Kind}] = r.Type
	}
	return out, nil
}

func atomToWire(a *smd.Atom) wireAtom {
	w := wireAtom{Scalar: a.Scalar}
	if a.List != nil {
		w.List = &wireList{refToWire(&a.List.ElementType), a.List.ElementRelationship, a.List.Keys}
	}
	if a.Map != nil {
		w.Map = &wireMap{
			Unions: a.Map.Unions, Element: refToWire(&a.Map.ElementType), Relationship: a.Map.ElementRelationship,
		}
		for i := range a.Map.Fields {
			f := &a.Map.Fields[i]
			w.Map.Fields = append(w.Map.Fields, wireField{f.Name, refToWire(&f.Type), f.Default})
		}
		slices.SortFunc(w.Map.Fields, func(a, b wireField) int { return cmp.Compare(a.Name, b.Name) })
	}
	return w
}

func refToWire(r *smd.TypeRef) wireRef {
	return wireRef{Named: r.NamedType, wireAtom: atomToWire(&r.Inlined), Relationship: r.ElementRelationship}
}

func atomFromWire(w *wireAtom) smd.Atom {
	a := smd.Atom{Scalar: w.Scalar}
	if w.List != nil {
		a.List = &smd.List{
			ElementType: refFromWire(&w.List.Element), ElementRelationship: w.List.Relationship, Keys: w.List.Keys,
		}
	}
	if w.Map != nil {
		a.Map = &smd.Map{
			Unions: w.Map.Unions, ElementType: refFromWire(&w.Map.Element), ElementRelationship: w.Map.Relationship,
		}
		for i := range w.Map.Fields {
			f := &w.Map.Fields[i]
			a.Map.Fields = append(a.Map.Fields, smd.StructField{Name: f.Name, Type: refFromWire(&f.Type), Default: f.Default})
		}
	}
	return a
}

func refFromWire(w *wireRef) smd.TypeRef {
	return smd.TypeRef{NamedType: w.Named, Inlined: atomFromWire(&w.wireAtom), ElementRelationship: w.Relationship}
}

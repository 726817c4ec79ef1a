package types

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/runtime/schema"
	smd "sigs.k8s.io/structured-merge-diff/v6/schema"
)

func TestRoundTrip(t *testing.T) {
	text, named, atomic := smd.String, "other", smd.Atomic
	in := Set{
		Schema: &smd.Schema{Types: []smd.TypeDef{
			{Name: "other", Atom: smd.Atom{Scalar: &text}},
			{Name: "root", Atom: smd.Atom{Map: &smd.Map{
				Fields: []smd.StructField{
					{Name: "items", Type: smd.TypeRef{Inlined: smd.Atom{List: &smd.List{
						ElementType: smd.TypeRef{NamedType: &named}, ElementRelationship: smd.Associative, Keys: []string{"a", "b"},
					}}}, Default: map[string]any{}},
					{Name: "one", Type: smd.TypeRef{NamedType: &named, ElementRelationship: &atomic}, Default: "x"},
				},
				ElementType: smd.TypeRef{NamedType: &named}, ElementRelationship: smd.Separable,
			}}},
		}},
		Roots: map[schema.GroupVersionKind]string{{Group: "g", Version: "v1", Kind: "K"}: "root"},
	}
	data, err := Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	out, err := Unmarshal(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(in, out, cmpopts.IgnoreUnexported(smd.Schema{}, smd.Map{})); diff != "" {
		t.Error(diff)
	}
}

// Whoever converts schemas goes over maps: types and fields come in any order.
func TestMarshalIsInOrder(t *testing.T) {
	text := smd.String
	set := func(names ...string) Set {
		out := Set{Schema: &smd.Schema{}}
		for _, name := range names {
			of := &smd.Map{}
			for _, field := range names {
				of.Fields = append(of.Fields, smd.StructField{Name: field, Type: smd.TypeRef{Inlined: smd.Atom{Scalar: &text}}})
			}
			out.Schema.Types = append(out.Schema.Types, smd.TypeDef{Name: name, Atom: smd.Atom{Map: of}})
		}
		return out
	}
	want, err := Marshal(set("a", "b", "c"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := Marshal(set("c", "a", "b"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Error(diff)
	}
}

func TestUnmarshalRefusesMissingType(t *testing.T) {
	if _, err := Unmarshal([]byte(`{"r":[{"v":"v1","k":"K","t":"gone"}],"t":[]}`)); err == nil {
		t.Error("a root without a type was taken")
	}
}

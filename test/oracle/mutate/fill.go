package mutate

import (
	"reflect"
	"sort"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// deepest is how far below the object new values are still filled: some types
// contain themselves.
const deepest = 14

// fill gives a zero value something to say.
func (m *Mutator) fill(v reflect.Value, name string, depth int) {
	if depth > deepest || m.leaf(v, name) {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(m.fresh(v.Type().Elem(), name, depth))
	case reflect.Struct:
		m.fillStruct(v, depth)
	case reflect.Slice:
		for range 1 + m.rand.IntN(2) {
			item := reflect.New(v.Type().Elem()).Elem()
			m.fill(item, name, depth+1)
			v.Set(reflect.Append(v, item))
		}
	case reflect.Map:
		m.table(v, name, depth)
	default:
		m.change(v, name, depth)
	}
}

// fillStruct fills scalars often and whole structures now and then. Of a union
// (a struct of nothing but pointers) it mostly fills one member.
func (m *Mutator) fillStruct(v reflect.Value, depth int) {
	t := v.Type()
	if union(t) && !m.one(8) {
		i := m.rand.IntN(t.NumField())
		m.fill(v.Field(i), jsonName(t.Field(i)), depth+1)
		return
	}
	for i := range t.NumField() {
		if !t.Field(i).IsExported() {
			continue
		}
		odds := 5
		switch t.Field(i).Type.Kind() {
		case reflect.String, reflect.Int32, reflect.Int64, reflect.Bool:
			odds = 2
		}
		if !m.one(odds) && !(odds == 2 && m.one(2)) {
			continue
		}
		m.fill(v.Field(i), jsonName(t.Field(i)), depth+1)
	}
}

func union(t reflect.Type) bool {
	if t.NumField() < 2 {
		return false
	}
	for i := range t.NumField() {
		f := t.Field(i).Type
		if f.Kind() != reflect.Pointer || f.Elem().Kind() != reflect.Struct {
			return false
		}
	}
	return true
}

// meta changes what of the metadata a user writes. The server's own fields
// are given to both sides alike.
func (m *Mutator) meta(v reflect.Value) {
	meta := v.Addr().Interface().(*metav1.ObjectMeta)
	switch m.rand.IntN(7) {
	case 0:
		meta.Name = pick(m, m.words.common)
	case 1, 2:
		m.table(reflect.ValueOf(&meta.Labels).Elem(), "labels", 1)
	case 3, 4:
		m.table(reflect.ValueOf(&meta.Annotations).Elem(), "annotations", 1)
	case 5:
		m.slice(reflect.ValueOf(&meta.Finalizers).Elem(), "finalizers", 1)
	case 6:
		owner := metav1.OwnerReference{APIVersion: "v1", Kind: "Pod", Name: "p", UID: types.UID("1")}
		m.change(reflect.ValueOf(&owner).Elem(), "ownerReferences", 1)
		meta.OwnerReferences = append(meta.OwnerReferences, owner)
	}
}

func sortKeys(keys []reflect.Value) {
	sort.Slice(keys, func(i, j int) bool { return keys[i].String() < keys[j].String() })
}

// deepCopy copies a value with all that it points to.
func deepCopy(v reflect.Value) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			out.Set(reflect.New(v.Type().Elem()))
			out.Elem().Set(deepCopy(v.Elem()))
		}
	case reflect.Struct:
		out.Set(v)
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				out.Field(i).Set(deepCopy(v.Field(i)))
			}
		}
	case reflect.Slice:
		if !v.IsNil() {
			out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
			for i := range v.Len() {
				out.Index(i).Set(deepCopy(v.Index(i)))
			}
		}
	case reflect.Map:
		if !v.IsNil() {
			out.Set(reflect.MakeMapWithSize(v.Type(), v.Len()))
			for _, key := range v.MapKeys() {
				out.SetMapIndex(key, deepCopy(v.MapIndex(key)))
			}
		}
	default:
		out.Set(v)
	}
	return out
}

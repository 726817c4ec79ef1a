// Package mutate changes API objects at random, guided by their Go types: it
// drops, doubles, empties and fills fields, and puts values into them that lie
// on or beyond what rules allow. The same seed makes the same changes.
package mutate

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Mutator changes objects. It is used by one goroutine.
type Mutator struct {
	rand  *rand.Rand
	words *Words
}

// New makes a mutator with its own randomness.
func New(seed uint64, words *Words) *Mutator {
	return &Mutator{rand: rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15)), words: words}
}

// Object makes one to three changes within obj, a pointer to a struct. within
// names the top-level field ("status") that all of them lie in; empty: anywhere.
func (m *Mutator) Object(obj any, within string) {
	top := reflect.ValueOf(obj).Elem()
	for range 1 + m.rand.IntN(3) {
		at := top
		if within != "" {
			if f := fieldByJSON(top, within); f.IsValid() {
				at = f
			}
		}
		m.change(at, within, 0)
	}
}

func fieldByJSON(v reflect.Value, name string) reflect.Value {
	for i := range v.NumField() {
		if jsonName(v.Type().Field(i)) == name {
			return v.Field(i)
		}
	}
	return reflect.Value{}
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// one is true once in n.
func (m *Mutator) one(n int) bool { return m.rand.IntN(n) == 0 }

// change makes one change somewhere in v, the value of the field called name.
func (m *Mutator) change(v reflect.Value, name string, depth int) {
	if m.leaf(v, name) {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		m.pointer(v, name, depth)
	case reflect.Struct:
		m.structure(v, depth)
	case reflect.Slice:
		m.slice(v, name, depth)
	case reflect.Map:
		m.table(v, name, depth)
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.String:
		v.SetString(m.text(v, name))
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Int16, reflect.Int8:
		m.number(v)
	}
}

// leaf sets values whose type is a struct but whose JSON is a scalar.
func (m *Mutator) leaf(v reflect.Value, name string) bool {
	switch v.Interface().(type) {
	case resource.Quantity:
		v.Set(reflect.ValueOf(m.quantity()))
	case intstr.IntOrString:
		v.Set(reflect.ValueOf(m.intOrString(name)))
	case metav1.Time:
		v.Set(reflect.ValueOf(metav1.Time{Time: m.time().Truncate(time.Second)}))
	case metav1.MicroTime:
		v.Set(reflect.ValueOf(metav1.MicroTime{Time: m.time()}))
	case metav1.Duration:
		v.Set(reflect.ValueOf(metav1.Duration{Duration: time.Duration(pick(m, numbers())) * time.Second}))
	case runtime.RawExtension:
		v.Set(reflect.ValueOf(runtime.RawExtension{Raw: []byte(pick(m, raws()))}))
	case []byte:
		v.Set(reflect.ValueOf([]byte(pick(m, m.words.common))))
	case metav1.ObjectMeta:
		m.meta(v)
	default:
		return false
	}
	return true
}

func (m *Mutator) pointer(v reflect.Value, name string, depth int) {
	if v.IsNil() {
		if v.Type().Elem().Kind() == reflect.Struct && depth > 12 {
			return
		}
		v.Set(m.fresh(v.Type().Elem(), name, depth))
		return
	}
	if m.one(6) {
		v.SetZero()
		return
	}
	m.change(v.Elem(), name, depth)
}

// fresh makes a pointer to a new value: empty now and then, else filled.
func (m *Mutator) fresh(t reflect.Type, name string, depth int) reflect.Value {
	p := reflect.New(t)
	if !m.one(6) {
		m.fill(p.Elem(), name, depth+1)
	}
	return p
}

// structure changes one field: mostly one that is set, or one that is not.
func (m *Mutator) structure(v reflect.Value, depth int) {
	if m.one(40) && depth > 0 {
		v.SetZero()
		return
	}
	var set, unset []int
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() || f.Type == reflect.TypeFor[metav1.TypeMeta]() {
			continue
		}
		if v.Field(i).IsZero() {
			unset = append(unset, i)
		} else {
			set = append(set, i)
		}
	}
	choice := set
	if len(set) == 0 || len(unset) > 0 && m.one(3) {
		choice = unset
	}
	if len(choice) == 0 {
		return
	}
	i := pick(m, choice)
	if v.Type().Field(i).Name == "ObjectMeta" && !m.one(4) {
		i = pick(m, choice) // metadata has the same few rules everywhere
	}
	if len(choice) > 0 && !v.Field(i).IsZero() && m.one(8) && v.Type().Field(i).Name != "ObjectMeta" {
		v.Field(i).SetZero()
		return
	}
	m.change(v.Field(i), jsonName(v.Type().Field(i)), depth+1)
}

func (m *Mutator) slice(v reflect.Value, name string, depth int) {
	n := v.Len()
	choice := m.rand.IntN(10)
	switch {
	case n == 0 || choice == 0:
		item := reflect.New(v.Type().Elem()).Elem()
		m.fill(item, name, depth+1)
		v.Set(reflect.Append(v, item))
	case choice == 1: // double one
		v.Set(reflect.Append(v, deepCopy(v.Index(m.rand.IntN(n)))))
	case choice == 2: // drop one
		i := m.rand.IntN(n)
		v.Set(reflect.AppendSlice(v.Slice(0, i), v.Slice(i+1, n)))
	case choice == 3 && n > 1: // change the order
		i, j := m.rand.IntN(n), m.rand.IntN(n)
		a, b := deepCopy(v.Index(i)), deepCopy(v.Index(j))
		v.Index(i).Set(b)
		v.Index(j).Set(a)
	case choice == 4 && m.one(8): // more than any rule allows
		for range 40 {
			v.Set(reflect.Append(v, deepCopy(v.Index(m.rand.IntN(n)))))
		}
	case choice == 5:
		v.Set(reflect.Append(v, deepCopy(v.Index(m.rand.IntN(n)))))
		m.change(v.Index(n), name, depth+1)
	default:
		m.change(v.Index(m.rand.IntN(n)), name, depth+1)
	}
}

func (m *Mutator) table(v reflect.Value, name string, depth int) {
	keys := v.MapKeys()
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	key := reflect.New(v.Type().Key()).Elem()
	switch {
	case len(keys) == 0 || m.one(3):
		m.fill(key, name+"Key", depth+1)
	default:
		sortKeys(keys)
		key = pick(m, keys)
		if m.one(4) {
			v.SetMapIndex(key, reflect.Value{})
			return
		}
	}
	value := reflect.New(v.Type().Elem()).Elem()
	m.fill(value, name, depth+1)
	v.SetMapIndex(key, value)
}

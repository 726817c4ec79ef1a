package codec

import (
	"reflect"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// times cuts the times of typed objects to what the wire can tell: seconds,
// and microseconds of a MicroTime. Without it an object that was written in
// this process would differ from itself as a client sends it back. It knows
// per type where times are; safe for concurrent use.
type times struct{ plans sync.Map } // reflect.Type to cut, nil where there is none

// cut cuts the times below an addressable value.
type cut func(reflect.Value)

var (
	timeType  = reflect.TypeFor[metav1.Time]()
	microType = reflect.TypeFor[metav1.MicroTime]()
)

// Cut changes obj, which nobody else may have yet, where it has to.
func (t *times) Cut(obj runtime.Object) {
	v := reflect.ValueOf(obj)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return
	}
	if f := t.of(v.Type().Elem()); f != nil {
		f(v.Elem())
	}
}

func (t *times) of(typ reflect.Type) cut {
	if known, ok := t.plans.Load(typ); ok {
		return known.(cut)
	}
	f := plan(typ, map[reflect.Type]bool{})
	t.plans.Store(typ, f)
	return f
}

// plan is nil where the type holds no times. Types that hold themselves, as
// schemas do, are looked into once: those of the API hold no times.
func plan(typ reflect.Type, within map[reflect.Type]bool) cut {
	switch typ {
	case timeType:
		return func(v reflect.Value) {
			at := v.Addr().Interface().(*metav1.Time)
			if short := at.Truncate(time.Second); !short.Equal(at.Time) { // parts may be shared with what is stored
				at.Time = short
			}
		}
	case microType:
		return func(v reflect.Value) {
			at := v.Addr().Interface().(*metav1.MicroTime)
			if short := at.Truncate(time.Microsecond); !short.Equal(at.Time) {
				at.Time = short
			}
		}
	}
	if within[typ] {
		return nil
	}
	within[typ] = true
	defer delete(within, typ)
	switch typ.Kind() {
	case reflect.Struct:
		return planStruct(typ, within)
	case reflect.Pointer:
		return planPointer(typ, within)
	case reflect.Slice:
		return planSlice(typ, within)
	case reflect.Map:
		return planMap(typ, within)
	default:
		return nil
	}
}

func planStruct(typ reflect.Type, within map[reflect.Type]bool) cut {
	var fields []int
	var cuts []cut
	for i := range typ.NumField() {
		if !typ.Field(i).IsExported() {
			continue
		}
		if f := plan(typ.Field(i).Type, within); f != nil {
			fields, cuts = append(fields, i), append(cuts, f)
		}
	}
	if len(cuts) == 0 {
		return nil
	}
	return func(v reflect.Value) {
		for i, f := range cuts {
			f(v.Field(fields[i]))
		}
	}
}

func planPointer(typ reflect.Type, within map[reflect.Type]bool) cut {
	f := plan(typ.Elem(), within)
	if f == nil {
		return nil
	}
	return func(v reflect.Value) {
		if !v.IsNil() {
			f(v.Elem())
		}
	}
}

func planSlice(typ reflect.Type, within map[reflect.Type]bool) cut {
	f := plan(typ.Elem(), within)
	if f == nil {
		return nil
	}
	return func(v reflect.Value) {
		for i := range v.Len() {
			f(v.Index(i))
		}
	}
}

func planMap(typ reflect.Type, within map[reflect.Type]bool) cut {
	f := plan(typ.Elem(), within)
	if f == nil {
		return nil
	}
	return func(v reflect.Value) {
		for _, key := range v.MapKeys() {
			value := reflect.New(typ.Elem()).Elem() // values of a map are not addressable
			value.Set(v.MapIndex(key))
			f(value)
			if !typ.Elem().Comparable() || !value.Equal(v.MapIndex(key)) { // else the map may be shared, too
				v.SetMapIndex(key, value)
			}
		}
	}
}

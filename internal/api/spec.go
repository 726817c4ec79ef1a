package api

import (
	"time"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Spec declares a kind whose Go type is T, with typed functions. See Kind and
// Rules for what each field means.
type Spec[T Object] struct {
	Group, Version, Name string
	Resource, Singular   string
	ShortNames           []string
	Categories           []string
	Namespaced           bool
	Verbs                []string

	New     func() T
	NewList func() runtime.Object

	Main         RulesOf[T]
	Status       *RulesOf[T]
	Subresources []Subresource

	Columns []Column
	Row     func(obj T, now time.Time) []any

	Fields     func(obj T) fields.Set
	FieldNames []string
	// IndexedFields: see Kind.
	IndexedFields []string

	View *View
	TTL  func(obj T) time.Duration

	UnconditionalUpdate bool
	CreateOnUpdate      bool
	OrphanByDefault     bool
	Graceful            func(obj T, asked *int64) GracefulDelete
	BeginDelete         func(obj T, now time.Time)
	Virtual             bool
	Deprecated          string
}

// RulesOf are Rules with the kind's own type.
type RulesOf[T Object] struct {
	Default       func(obj T)
	PrepareCreate func(obj T)
	PrepareUpdate func(obj, old T)
	// Stamp has old zero for a create.
	Stamp          func(obj, old T, s Stamp)
	Validate       func(obj T) field.ErrorList
	ValidateUpdate func(obj, old T) field.ErrorList
	// Warn has isUpdate false and old zero for a create.
	Warn       func(obj, old T, isUpdate bool) []string
	Generation func(obj, old T) bool
	Reset      [][]string
	NameRule   func(name string, prefix bool) []string
	OwnMeta    bool
	Meta       MetaRule
	MetaAgain  bool
	MetaAsNew  bool
}

// Kind makes the immutable kind of the declaration.
func (s Spec[T]) Kind() *Kind {
	k := &Kind{
		GVK:      schema.GroupVersionKind{Group: s.Group, Version: s.Version, Kind: s.Name},
		Resource: s.Resource, Singular: s.Singular, ShortNames: s.ShortNames, Categories: s.Categories,
		Namespaced: s.Namespaced, Verbs: s.Verbs,
		New:     func() Object { return s.New() },
		NewList: s.NewList,
		Main:    s.Main.erase(), Subresources: s.Subresources,
		Columns: s.Columns, FieldNames: s.FieldNames, IndexedFields: s.IndexedFields, View: s.View,
		UnconditionalUpdate: s.UnconditionalUpdate, CreateOnUpdate: s.CreateOnUpdate,
		OrphanByDefault: s.OrphanByDefault, Virtual: s.Virtual, Deprecated: s.Deprecated,
	}
	if s.Status != nil {
		status := s.Status.erase()
		k.Status = &status
	}
	if s.Row != nil {
		k.Row = func(obj Object, now time.Time) []any { return s.Row(obj.(T), now) }
	}
	if s.Fields != nil {
		k.Fields = func(obj Object) fields.Set { return s.Fields(obj.(T)) }
	}
	if s.TTL != nil {
		k.TTL = func(obj Object) time.Duration { return s.TTL(obj.(T)) }
	}
	if s.BeginDelete != nil {
		k.BeginDelete = func(obj Object, now time.Time) { s.BeginDelete(obj.(T), now) }
	}
	if s.Graceful != nil {
		k.Graceful = func(obj Object, asked *int64) GracefulDelete { return s.Graceful(obj.(T), asked) }
	}
	return k
}

// Erase gives the rules in the form that a Subresource takes.
func (r RulesOf[T]) Erase() *Rules {
	out := r.erase()
	return &out
}

func (r RulesOf[T]) erase() Rules {
	out := Rules{
		Default: one(r.Default), PrepareCreate: one(r.PrepareCreate), PrepareUpdate: two(r.PrepareUpdate),
		NameRule: r.NameRule, Reset: r.Reset, OwnMeta: r.OwnMeta, Meta: r.Meta, MetaAgain: r.MetaAgain, MetaAsNew: r.MetaAsNew,
	}
	if r.Validate != nil {
		out.Validate = func(obj Object) field.ErrorList { return r.Validate(obj.(T)) }
	}
	if r.ValidateUpdate != nil {
		out.ValidateUpdate = func(obj, old Object) field.ErrorList { return r.ValidateUpdate(obj.(T), old.(T)) }
	}
	if r.Stamp != nil {
		out.Stamp = func(obj, old Object, s Stamp) {
			var none T
			if old != nil {
				none = old.(T)
			}
			r.Stamp(obj.(T), none, s)
		}
	}
	if r.Generation != nil {
		out.Generation = func(obj, old Object) bool { return r.Generation(obj.(T), old.(T)) }
	}
	if r.Warn != nil {
		out.Warn = func(obj, old Object) []string {
			if old == nil {
				var none T
				return r.Warn(obj.(T), none, false)
			}
			return r.Warn(obj.(T), old.(T), true)
		}
	}
	return out
}

func one[T Object](f func(T)) func(Object) {
	if f == nil {
		return nil
	}
	return func(obj Object) { f(obj.(T)) }
}

func two[T Object](f func(T, T)) func(Object, Object) {
	if f == nil {
		return nil
	}
	return func(obj, old Object) { f(obj.(T), old.(T)) }
}

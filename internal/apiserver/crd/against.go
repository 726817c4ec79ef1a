package crd

import (
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// against holds values against a schema.
type against struct {
	sound *sound
	full  validation.SchemaValidator
}

// newAgainst takes a nil schema for one that allows everything.
func newAgainst(props *apiextensions.JSONSchemaProps) (*against, error) {
	full, openapi, err := validation.NewSchemaValidator(props)
	if err != nil {
		return nil, err
	}
	return &against{newSound(openapi), full}, nil
}

// create is what is wrong with a new value.
func (a *against) create(value any) field.ErrorList {
	if a.sound.knows(value) {
		return nil
	}
	return validation.ValidateCustomResource(nil, value, a.full)
}

// update is what is wrong with a value at the path that takes the place of old.
// Parts of an unchanged value that are wrong as they were before make no value
// wrong that sound knows: it knows none of schemas in which they could.
func (a *against) update(at *field.Path, value, old any, options ...validation.ValidationOption) field.ErrorList {
	if a.sound.knows(value) {
		return nil
	}
	return validation.ValidateCustomResourceUpdate(at, value, old, a.full, options...)
}

package crd

import (
	"fmt"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// schemas are what one version's schema is compiled to. Each part is made when
// it is first needed: most definitions of a cluster have few objects, or none.
type schemas struct {
	// structural is the schema for pruning and defaulting; nil without one.
	structural func() (*schema.Structural, error)
	// whole and status check objects; status is nil where the schema says
	// nothing of it.
	whole, status func() (*against, error)
	// rules evaluate the schema's CEL rules; nil where there are none.
	rules func() *cel.Validator
}

func compile(v *v1.CustomResourceDefinitionVersion, keepsUnknown bool) *schemas {
	internal := sync.OnceValues(func() (*apiextensions.JSONSchemaProps, error) { return internalSchema(v) })
	s := &schemas{}
	s.structural = sync.OnceValues(func() (*schema.Structural, error) {
		props, err := internal()
		if err != nil || props == nil {
			return nil, err
		}
		return structuralOf(props, keepsUnknown)
	})
	s.whole = sync.OnceValues(func() (*against, error) {
		props, err := internal()
		if err != nil {
			return nil, err
		}
		return newAgainst(props)
	})
	s.status = sync.OnceValues(func() (*against, error) {
		props, err := internal()
		if err != nil || props == nil {
			return nil, err
		}
		status, ok := props.Properties["status"]
		if !ok {
			return nil, nil
		}
		return newAgainst(&status)
	})
	s.rules = sync.OnceValue(func() *cel.Validator {
		structural, err := s.structural()
		if err != nil || structural == nil {
			return nil
		}
		return cel.NewValidator(structural, true, celconfig.PerCallLimit)
	})
	return s
}

func internalSchema(v *v1.CustomResourceDefinitionVersion) (*apiextensions.JSONSchemaProps, error) {
	if v.Schema == nil || v.Schema.OpenAPIV3Schema == nil {
		return nil, nil
	}
	var out apiextensions.CustomResourceValidation
	if err := v1.Convert_v1_CustomResourceValidation_To_apiextensions_CustomResourceValidation(v.Schema.DeepCopy(), &out, nil); err != nil {
		return nil, fmt.Errorf("schema of version %s: %w", v.Name, err)
	}
	return out.OpenAPIV3Schema, nil
}

func structuralOf(props *apiextensions.JSONSchemaProps, keepsUnknown bool) (*schema.Structural, error) {
	s, err := schema.NewStructural(props)
	if err != nil {
		if keepsUnknown {
			return nil, nil // definitions older than v1 may be without structure
		}
		return nil, err
	}
	s = s.DeepCopy() // it shares defaults with props
	if !keepsUnknown {
		if err := defaulting.PruneDefaults(s); err != nil {
			return nil, err
		}
	}
	return s, nil
}

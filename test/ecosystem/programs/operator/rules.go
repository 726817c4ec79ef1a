package main

import (
	"context"
	"errors"

	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// rules are the operator's webhooks.
type rules struct{}

// Default gives a convoy a flag.
func (rules) Default(_ context.Context, c *Convoy) error {
	if c.Spec.Flag == "" {
		c.Spec.Flag = "raven"
	}
	return nil
}

// ValidateCreate refuses pirates, and warns of a convoy of one.
func (rules) ValidateCreate(_ context.Context, c *Convoy) (admission.Warnings, error) {
	if c.Spec.Flag == "skull" {
		return nil, errors.New("pirates do not sail in convoys")
	}
	if c.Spec.Ships == 1 {
		return admission.Warnings{"a convoy of one ship is lonely"}, nil
	}
	return nil, nil
}

// ValidateUpdate lets no convoy change its flag.
func (rules) ValidateUpdate(_ context.Context, old, c *Convoy) (admission.Warnings, error) {
	if old.Spec.Flag != c.Spec.Flag {
		return nil, errors.New("a convoy keeps its flag")
	}
	return nil, nil
}

// ValidateDelete lets every convoy go.
func (rules) ValidateDelete(context.Context, *Convoy) (admission.Warnings, error) { return nil, nil }

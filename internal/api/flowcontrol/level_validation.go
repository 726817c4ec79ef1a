package flowcontrol

import (
	"fmt"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/util/shufflesharding"

	"github.com/knarr-io/knarr/internal/api/validate"
)

const maxQueues = 10_000_000

func validateLevel(l level) field.ErrorList {
	path := field.NewPath("spec")
	errs := validateLevelSpec(l, path)
	errs = append(errs, validateMandatoryLevel(l, path)...)
	return append(errs, validateLevelStatus(l)...)
}

func validateLevelSpec(l level, path *field.Path) field.ErrorList {
	s, kind := &l.Spec, path.Child("type")
	exempt := s.Type == flowcontrolv1.PriorityLevelEnablementExempt
	var errs field.ErrorList
	if (l.Name == flowcontrolv1.PriorityLevelConfigurationNameExempt) != exempt {
		errs = append(errs, field.Invalid(kind, s.Type, "must be 'Exempt' if and only if `name` is 'exempt'"))
	}
	switch {
	case exempt:
		if s.Limited != nil {
			errs = append(errs, field.Forbidden(path.Child("limited"), "must be nil if the type is not Limited"))
		}
		return append(errs, validateExempt(s.Exempt, path.Child("exempt"))...)
	case s.Type == flowcontrolv1.PriorityLevelEnablementLimited:
		if s.Exempt != nil {
			errs = append(errs, field.Forbidden(path.Child("exempt"), "must be nil if the type is Limited"))
		}
		return append(errs, validateLimited(s.Limited, path.Child("limited"))...)
	}
	return append(errs, validate.RequiredOneOf(s.Type, kind,
		flowcontrolv1.PriorityLevelEnablementExempt, flowcontrolv1.PriorityLevelEnablementLimited)...)
}

func validateExempt(e *flowcontrolv1.ExemptPriorityLevelConfiguration, path *field.Path) field.ErrorList {
	if e == nil {
		return nil
	}
	return append(validateShares(e.NominalConcurrencyShares, path), validateLendable(e.LendablePercent, path)...)
}

func validateShares(shares *int32, path *field.Path) field.ErrorList {
	if shares != nil && *shares < 0 {
		return field.ErrorList{field.Invalid(path.Child("nominalConcurrencyShares"), *shares, "must be a non-negative integer")}
	}
	return nil
}

func validateLendable(percent *int32, path *field.Path) field.ErrorList {
	if percent != nil {
		return validate.InRange(*percent, 0, 100, path.Child("lendablePercent"))
	}
	return nil
}

func validateLimited(l *flowcontrolv1.LimitedPriorityLevelConfiguration, path *field.Path) field.ErrorList {
	if l == nil {
		return field.ErrorList{field.Required(path, "must not be empty when type is Limited")}
	}
	errs := validateShares(l.NominalConcurrencyShares, path)
	errs = append(errs, validateResponse(&l.LimitResponse, path.Child("limitResponse"))...)
	errs = append(errs, validateLendable(l.LendablePercent, path)...)
	if p := l.BorrowingLimitPercent; p != nil && *p < 0 {
		errs = append(errs, field.Invalid(path.Child("borrowingLimitPercent"), *p, "if specified, must be a non-negative integer"))
	}
	return errs
}

func validateResponse(r *flowcontrolv1.LimitResponse, path *field.Path) field.ErrorList {
	queuing := path.Child("queuing")
	switch r.Type {
	case flowcontrolv1.LimitResponseTypeReject:
		if r.Queuing != nil {
			return field.ErrorList{field.Forbidden(queuing, "must be nil if limited.limitResponse.type is not Limited")}
		}
		return nil
	case flowcontrolv1.LimitResponseTypeQueue:
		if r.Queuing == nil {
			return field.ErrorList{field.Required(queuing, "must not be empty if limited.limitResponse.type is Limited")}
		}
		return validateQueuing(r.Queuing, queuing)
	}
	return validate.RequiredOneOf(r.Type, path.Child("type"),
		flowcontrolv1.LimitResponseTypeQueue, flowcontrolv1.LimitResponseTypeReject)
}

func validateQueuing(q *flowcontrolv1.QueuingConfiguration, path *field.Path) field.ErrorList {
	const positive = "must be positive"
	var errs field.ErrorList
	if q.QueueLengthLimit <= 0 {
		errs = append(errs, field.Invalid(path.Child("queueLengthLimit"), q.QueueLengthLimit, positive))
	}
	switch at := path.Child("queues"); {
	case q.Queues <= 0:
		errs = append(errs, field.Invalid(at, q.Queues, positive))
	case q.Queues > maxQueues:
		errs = append(errs, field.Invalid(at, q.Queues, fmt.Sprintf("must not be greater than %d", maxQueues)))
	}
	at := path.Child("handSize")
	switch {
	case q.HandSize <= 0:
		return append(errs, field.Invalid(at, q.HandSize, positive))
	case q.HandSize > q.Queues:
		return append(errs, field.Invalid(at, q.HandSize, fmt.Sprintf("should not be greater than queues (%d)", q.Queues)))
	}
	// A hand is dealt from the bits of one hash.
	if shufflesharding.RequiredEntropyBits(int(q.Queues), int(q.HandSize)) > shufflesharding.MaxHashBits {
		errs = append(errs, field.Invalid(at, q.HandSize, fmt.Sprintf(
			"required entropy bits of deckSize %d and handSize %d should not be greater than %d", q.Queues, q.HandSize, shufflesharding.MaxHashBits)))
	}
	return errs
}

func validateLevelStatus(l level) field.ErrorList {
	var types []string
	for _, c := range l.Status.Conditions {
		types = append(types, string(c.Type))
	}
	return validateTypes(types)
}

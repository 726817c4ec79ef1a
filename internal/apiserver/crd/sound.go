package crd

import (
	"math"
	"regexp"
	"slices"
	"unicode/utf8"

	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
)

// sound knows values that a schema has nothing against, so that the library's
// validator need not be asked: that makes eight validators for each field of
// each object anew. Of what sound does not know to be sound, only the library
// can tell; nil knows of nothing.
type sound struct {
	types    []string // of these; nil: of any
	nullable bool
	enum     []any // nil: any value
	allOf    []*sound
	anyOf    []*sound

	atLeast, atMost *float64 // integral
	int32           bool

	pattern  *regexp.Regexp
	format   string
	length   span // in characters
	items    *sound
	anyItems bool
	count    span // of a list

	properties map[string]*sound
	additional *sound // nil: anything
	required   []string
	size       span // of an object
}

// span is a range of sizes; nil is no bound.
type span struct{ least, most *int64 }

func (s span) holds(n int) bool {
	return (s.least == nil || int64(n) >= *s.least) && (s.most == nil || int64(n) <= *s.most)
}

// newSound reads a schema as the library's validator reads it. It is nil for one
// that says what it does not know of.
func newSound(s *spec.Schema) *sound {
	if beyondSound(s) {
		return nil
	}
	out := &sound{
		types: s.Type, nullable: s.Nullable, allOf: newSounds(s.AllOf), anyOf: newSounds(s.AnyOf),
		atLeast: s.Minimum, atMost: s.Maximum, int32: s.Format == "int32",
		length: span{s.MinLength, s.MaxLength}, count: span{s.MinItems, s.MaxItems}, size: span{s.MinProperties, s.MaxProperties},
		required: s.Required, enum: s.Enum,
	}
	if s.Pattern != "" {
		var err error
		if out.pattern, err = regexp.Compile(s.Pattern); err != nil {
			return nil
		}
	}
	if strfmt.Default.ContainsName(s.Format) {
		out.format = s.Format
	}
	if s.Items == nil {
		out.anyItems = true
	} else {
		out.items = newSound(s.Items.Schema)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		if out.additional = newSound(s.AdditionalProperties.Schema); out.additional == nil {
			return nil
		}
	}
	if n := len(s.Properties); n > 0 {
		out.properties = make(map[string]*sound, n)
	}
	for name, property := range s.Properties {
		out.properties[name] = newSound(&property)
	}
	return out
}

func newSounds(schemas []spec.Schema) []*sound {
	var out []*sound
	for i := range schemas {
		out = append(out, newSound(&schemas[i]))
	}
	return out
}

// beyondSound tells of schemas that say more than sound knows of: what few
// schemas say, and what can make a value wrong whose parts are right.
func beyondSound(s *spec.Schema) bool {
	return s.Not != nil || len(s.OneOf) > 0 || len(s.Dependencies) > 0 || len(s.PatternProperties) > 0 ||
		s.UniqueItems || s.MultipleOf != nil || s.AdditionalItems != nil ||
		s.Items != nil && s.Items.Schema == nil ||
		s.AdditionalProperties != nil && !s.AdditionalProperties.Allows ||
		s.ExclusiveMinimum || s.ExclusiveMaximum || !integral(s.Minimum) || !integral(s.Maximum) ||
		s.Format == "float" || len(s.Type) == 0 && s.Format != ""
}

// integral tells of bounds that are exact as any type of number.
func integral(bound *float64) bool {
	return bound == nil || *bound == math.Trunc(*bound) && math.Abs(*bound) <= math.MaxInt32
}

// knows tells whether a value is known to be sound.
func (s *sound) knows(value any) bool {
	if s == nil {
		return false
	}
	if value == nil {
		return (s.nullable || len(s.types) == 0) && len(s.enum) == 0
	}
	if !s.all(value) || s.anyOf != nil && !slices.ContainsFunc(s.anyOf, func(s *sound) bool { return s.knows(value) }) {
		return false
	}
	if text, isText := value.(string); isText {
		return s.takes("string") && s.knowsText(text)
	}
	if len(s.enum) > 0 {
		return false
	}
	switch value := value.(type) {
	case bool:
		return s.takes("boolean")
	case int64:
		return (s.takes("integer") || s.takes("number")) && s.knowsNumber(float64(value))
	case float64:
		return s.takes("number") && s.knowsNumber(value)
	case []any:
		return s.takes("array") && s.knowsList(value)
	case map[string]any:
		return s.takes("object") && s.knowsObject(value)
	}
	return false
}

func (s *sound) takes(kind string) bool { return len(s.types) == 0 || slices.Contains(s.types, kind) }

func (s *sound) all(value any) bool {
	for _, each := range s.allOf {
		if !each.knows(value) {
			return false
		}
	}
	return true
}

func (s *sound) knowsText(text string) bool {
	return (len(s.enum) == 0 || slices.Contains(s.enum, any(text))) && s.length.holds(utf8.RuneCountInString(text)) &&
		(s.pattern == nil || s.pattern.MatchString(text)) &&
		(s.format == "" || strfmt.Default.Validates(s.format, text))
}

// knowsNumber compares within the bounds in which every integer is exact.
func (s *sound) knowsNumber(n float64) bool {
	return (s.atLeast == nil || n >= *s.atLeast) && (s.atMost == nil || n <= *s.atMost) &&
		(!s.int32 || n >= math.MinInt32 && n <= math.MaxInt32)
}

func (s *sound) knowsList(list []any) bool {
	if !s.count.holds(len(list)) {
		return false
	}
	return s.anyItems || !slices.ContainsFunc(list, func(item any) bool { return !s.items.knows(item) })
}

func (s *sound) knowsObject(object map[string]any) bool {
	if !s.size.holds(len(object)) {
		return false
	}
	for _, name := range s.required {
		if _, has := object[name]; !has {
			return false
		}
	}
	for name, value := range object {
		property, named := s.properties[name]
		if !named {
			property = s.additional
		}
		if (named || property != nil) && !property.knows(value) {
			return false
		}
	}
	return true
}

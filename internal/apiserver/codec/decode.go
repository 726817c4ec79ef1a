package codec

import (
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"
)

// Decoded is a body that was read.
type Decoded struct {
	Object runtime.Object
	// GVK is what the body said it is, or the default where it said nothing.
	GVK schema.GroupVersionKind
	// Loose are the findings of strict decoding: unknown and duplicate fields.
	Loose []error
	// Cause is the decoder's own error where Decode failed.
	Cause error
}

// Decode reads a body of the given format as the wanted kind. Errors are API
// status errors. strict finds unknown and duplicate fields; they are returned
// beside the object, for the caller to warn of or to refuse.
func (c *Codec) Decode(body []byte, format Format, want schema.GroupVersionKind, strict bool) (Decoded, error) {
	if k := c.catalog.Kind(want); k != nil && k.Custom != nil {
		return c.decodeCustom(k, body, format, strict)
	}
	into, err := c.scheme.New(want)
	if err != nil {
		return Decoded{}, errors.NewInternalError(err)
	}
	if format == JSON && strict {
		if decodeFaultless(body, want, into) {
			return Decoded{Object: into, GVK: want}, nil
		}
		into, _ = c.scheme.New(want) // the other may be half full
	}
	if format == Protobuf {
		if err := checkDepth(body); err != nil {
			return Decoded{Cause: err}, unreadable(err, nil, want.Kind, body)
		}
	}
	decoders := c.decode
	if want.Kind == "DeleteOptions" {
		decoders = c.options
	}
	obj, got, err := decoders[decoderKey{format, strict}].Decode(body, &want, into)
	out := Decoded{Object: obj, GVK: want}
	if got != nil {
		out.GVK = *got
	}
	if loose, ok := runtime.AsStrictDecodingError(err); ok && obj != nil {
		out.Loose, err = loose.Errors(), nil
	}
	if err == nil && reflect.TypeOf(obj) != reflect.TypeOf(into) {
		err = mismatch(obj, into, want)
	}
	if err != nil {
		out.Cause = err
		return out, unreadable(err, got, want.Kind, body)
	}
	return out, nil
}

// decodeFaultless reads a body straight into the wanted type, where the
// library's decoder goes through it once more before, for its kind. It does so
// only for bodies of which there is nothing to say: false leaves it to the
// library to say it.
func decodeFaultless(body []byte, want schema.GroupVersionKind, into runtime.Object) bool {
	loose, err := kjson.UnmarshalStrict(body, into)
	if err != nil || len(loose) > 0 {
		return false
	}
	got := into.GetObjectKind().GroupVersionKind()
	return got == want || got.Empty()
}

// mismatch is the error of a body that is of another kind. It names the
// wanted type as upstream's internal package of the group has it.
func mismatch(obj, into runtime.Object, want schema.GroupVersionKind) error {
	pkg, _, _ := strings.Cut(want.Group, ".")
	if pkg == "" {
		pkg = "core"
	}
	return fmt.Errorf("converting (%v) to (%s.%s): unknown conversion", reflect.TypeOf(obj).Elem(), pkg, reflect.TypeOf(into).Elem().Name())
}

// StrictError is the refusal of a body with loose fields.
func StrictError(loose []error, got schema.GroupVersionKind, want string, body []byte) error {
	return unreadable(runtime.NewStrictDecodingError(loose), &got, want, body)
}

func unreadable(err error, got *schema.GroupVersionKind, want string, body []byte) error {
	if got != nil && got.Kind != "" {
		return errors.NewBadRequest(fmt.Sprintf("%s in version %q cannot be handled as a %s: %v", got.Kind, got.Version, want, err))
	}
	return errors.NewBadRequest(fmt.Sprintf("the object provided is unrecognized (must be of type %s): %v (%s)", want, err, excerpt(body)))
}

const excerptBytes = 30

func excerpt(body []byte) string {
	if len(body) == 0 {
		return "<empty>"
	}
	show := func(b []byte) string { return string(b) }
	if body[0] != '{' {
		show = hex.EncodeToString
	}
	if len(body) > excerptBytes {
		return show(body[:excerptBytes]) + " ..."
	}
	return show(body)
}

// StrictText is how strict findings stand in an error's message.
func StrictText(loose []error) string { return runtime.NewStrictDecodingError(loose).Error() }

// Complete does for an object of this process what decoding does for one from
// the wire: it fills unset fields, and cuts times to what the wire tells.
func (c *Codec) Complete(obj runtime.Object) {
	c.Default(obj)
	c.times.Cut(obj)
}

// Default fills the unset fields of an object of a known kind.
func (c *Codec) Default(obj runtime.Object) {
	u, isCustom := obj.(*unstructured.Unstructured)
	if !isCustom {
		c.scheme.Default(obj)
		return
	}
	if k := c.catalog.Kind(u.GroupVersionKind()); k != nil && k.Main.Default != nil {
		k.Main.Default(u)
	}
}

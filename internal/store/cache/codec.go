package cache

import (
	"bytes"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	kjson "sigs.k8s.io/json"

	"github.com/knarr-io/knarr/internal/api"
)

// protobufMagic opens stored values in Kubernetes' protobuf envelope.
var protobufMagic = []byte("k8s\x00")

type protobufMarshaler interface {
	runtime.ProtobufMarshaller
	runtime.ProtobufReverseMarshaller
}

type protobufUnmarshaler interface{ Unmarshal(data []byte) error }

// codec turns objects of one kind into stored bytes and back: Kubernetes'
// protobuf envelope where the Go type has it, JSON otherwise. It reads both.
type codec struct {
	kind   *api.Kind
	meta   runtime.TypeMeta
	sealer Sealer
}

func newCodec(k *api.Kind, sealer Sealer) *codec {
	apiVersion, kind := k.GVK.ToAPIVersionAndKind()
	return &codec{kind: k, meta: runtime.TypeMeta{APIVersion: apiVersion, Kind: kind}, sealer: sealer}
}

// encode makes the value of a store key. It does not change obj, which must
// have no resourceVersion.
func (c *codec) encode(key string, obj api.Object) ([]byte, error) {
	data, err := c.encodePlain(obj)
	if err != nil {
		return nil, err
	}
	if data, err = c.sealer.Seal(key, data); err != nil {
		return nil, fmt.Errorf("encrypting %s %s: %w", c.kind.GVK.Kind, obj.GetName(), err)
	}
	return data, nil
}

func (c *codec) encodePlain(obj api.Object) ([]byte, error) {
	if m, ok := obj.(protobufMarshaler); ok {
		return c.encodeProtobuf(m)
	}
	data, err := api.JSON(obj)
	if err != nil {
		return nil, fmt.Errorf("encoding %s %s: %w", c.kind.GVK.Kind, obj.GetName(), err)
	}
	return data, nil
}

func (c *codec) encodeProtobuf(m protobufMarshaler) ([]byte, error) {
	// Tag and length of the nested message take at most eleven bytes.
	const nesting = 11
	envelope := runtime.Unknown{TypeMeta: c.meta}
	size := m.Size()
	data := make([]byte, len(protobufMagic)+envelope.Size()+size+nesting)
	copy(data, protobufMagic)
	n, err := envelope.NestedMarshalTo(data[len(protobufMagic):], m, uint64(size))
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", c.kind.GVK.Kind, err)
	}
	return data[:len(protobufMagic)+n], nil
}

// decode makes a new object with apiVersion and kind set of a store key's
// value. It fails with errSealed where the value cannot be decrypted.
func (c *codec) decode(key string, data []byte) (api.Object, error) {
	data, _, err := c.sealer.Open(key, data)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errSealed, key, err)
	}
	obj := c.kind.New()
	if err := c.decodeInto(data, obj); err != nil {
		return nil, fmt.Errorf("decoding a stored %s: %w", c.kind.GVK.Kind, err)
	}
	if c.kind.Custom != nil {
		if err := c.kind.Custom.Restore(obj); err != nil {
			return nil, fmt.Errorf("decoding a stored %s: %w", c.kind.GVK.Kind, err)
		}
		c.kind.Custom.Compact(obj)
		return obj, nil
	}
	c.identify(obj)
	return obj, nil
}

func (c *codec) decodeInto(data []byte, obj api.Object) error {
	if !bytes.HasPrefix(data, protobufMagic) {
		return kjson.UnmarshalCaseSensitivePreserveInts(data, obj)
	}
	m, ok := obj.(protobufUnmarshaler)
	if !ok {
		return fmt.Errorf("%T has no protobuf form", obj)
	}
	var envelope runtime.Unknown
	if err := envelope.Unmarshal(data[len(protobufMagic):]); err != nil {
		return err
	}
	if envelope.TypeMeta != c.meta {
		return fmt.Errorf("the value is a %s %s", envelope.APIVersion, envelope.Kind)
	}
	return m.Unmarshal(envelope.Raw)
}

// identify sets apiVersion and kind. Custom resources carry theirs, and may be
// stored in several versions.
func (c *codec) identify(obj api.Object) {
	if c.kind.Custom != nil {
		return
	}
	obj.GetObjectKind().SetGroupVersionKind(c.kind.GVK)
}

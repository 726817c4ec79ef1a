package discovery

import (
	"bytes"
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"sigs.k8s.io/yaml"
)

// answer is an immutable object with its encodings, each made once, when it
// is first wanted. It is safe for concurrent use.
type answer struct {
	object   runtime.Object
	json     func() ([]byte, error)
	protobuf func() ([]byte, error)
	etag     func() string
}

func newAnswer(object runtime.Object) *answer {
	a := &answer{object: object}
	a.json = sync.OnceValues(func() ([]byte, error) {
		b, err := json.Marshal(object)
		return append(b, '\n'), err
	})
	a.protobuf = sync.OnceValues(func() ([]byte, error) {
		var b bytes.Buffer
		err := protobuf.NewSerializer(nil, nil).Encode(object, &b)
		return b.Bytes(), err
	})
	a.etag = sync.OnceValue(func() string {
		b, err := a.json()
		if err != nil {
			return ""
		}
		return fmt.Sprintf("%q", fmt.Sprintf("%X", sha512.Sum512(b)))
	})
	return a
}

// encode gives the bytes in a media type of mediaTypes.
func (a *answer) encode(mediaType string, pretty bool) ([]byte, error) {
	switch {
	case mediaType == protobufType:
		return a.protobuf()
	case mediaType == yamlType:
		return yaml.Marshal(a.object)
	case pretty:
		b, err := json.MarshalIndent(a.object, "", "  ")
		return append(b, '\n'), err
	}
	return a.json()
}

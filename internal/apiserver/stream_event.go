package apiserver

import (
	"encoding/binary"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/codec"
	"github.com/knarr-io/knarr/internal/apiserver/negotiate"
	"github.com/knarr-io/knarr/internal/apiserver/table"
	"github.com/knarr-io/knarr/internal/apiserver/verb"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// eventEncoder turns a watch's events into what goes over the wire: lines of
// JSON, or protobuf messages behind their length. It serves one watch.
type eventEncoder struct {
	format  codec.Format
	target  negotiate.Target
	include table.Include
	headed  bool   // the columns of a table were sent
	buf     []byte // of the last event
	raw     []byte // of its object, in protobuf

	headOf schema.GroupVersionKind
	head   []byte // of headOf
}

func (e *eventEncoder) asTable(include string) error {
	var err error
	e.include, err = table.ParseInclude(include)
	return err
}

func (e *eventEncoder) contentType(named bool) string {
	out := e.format.MediaType()
	if named || e.format == codec.Protobuf {
		out += ";stream=watch"
	}
	return out
}

// event encodes an event. The bytes are valid until the next call.
func (e *eventEncoder) event(k *api.Kind, ev *verb.Event) ([]byte, error) {
	bare, gvk, err := e.object(k, ev)
	if err != nil {
		return nil, err
	}
	return e.frame(ev.Type, bare, gvk), nil
}

// object is the event's object in its bare form, and its kind.
func (e *eventEncoder) object(k *api.Kind, ev *verb.Event) ([]byte, schema.GroupVersionKind, error) {
	if e.target == negotiate.Whole && ev.Item != nil {
		bare, err := bareItem(ev.Item, k, e.format)
		return bare, k.GVK, err
	}
	obj := eventObject(k, ev)
	var out runtime.Object = obj
	gvk := k.GVK
	switch e.target {
	case negotiate.Table:
		t := table.Of(k, metav1.ListMeta{ResourceVersion: obj.GetResourceVersion()}, []api.Object{obj}, e.include, time.Now())
		if e.headed {
			t.ColumnDefinitions = nil
		}
		e.headed, out, gvk = true, t, t.GroupVersionKind()
	case negotiate.Metadata, negotiate.MetadataList:
		m := table.Metadata(obj)
		out, gvk = m, m.GroupVersionKind()
	}
	bare, err := codec.Bare(out, e.format)
	return bare, gvk, err
}

// eventObject is the object of an event that is not encoded from its item.
func eventObject(k *api.Kind, ev *verb.Event) api.Object {
	switch {
	case ev.Item != nil:
		return verb.View(k, ev.Item)
	case ev.Object != nil:
		return ev.Object
	}
	return bookmark(k, ev)
}

// bookmark is an object that only says how far a watch is.
func bookmark(k *api.Kind, ev *verb.Event) api.Object {
	obj := k.New()
	obj.GetObjectKind().SetGroupVersionKind(k.GVK)
	obj.SetResourceVersion(cache.FormatRevision(ev.Revision))
	if ev.InitialEnd {
		obj.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
	}
	return obj
}

// failure encodes an error as the last event of a watch.
func (e *eventEncoder) failure(err error) []byte {
	status := statusOf(err)
	bare, encErr := codec.Bare(&status, e.format)
	if encErr != nil {
		return nil
	}
	return e.frame(watch.Error, bare, statusKind)
}

// frame is valid until the next call.
func (e *eventEncoder) frame(kind watch.EventType, bare []byte, gvk schema.GroupVersionKind) []byte {
	if e.format != codec.Protobuf {
		out := append(e.buf[:0], `{"type":"`...)
		out = append(out, kind...)
		out = append(out, `","object":`...)
		if e.headOf != gvk {
			e.headOf, e.head = gvk, codec.Head(gvk)
		}
		out = codec.AppendJSON(out, bare, e.head)
		e.buf = append(out, '}', '\n')
		return e.buf
	}
	e.raw = codec.AppendProtobuf(e.raw[:0], bare, gvk)
	e.buf = appendEvent(e.buf[:0], kind, e.raw)
	return e.buf
}

// appendEvent appends a metav1.WatchEvent behind its length: field 1 is the type
// and field 2 a RawExtension, whose field 1 is the object.
func appendEvent(dst []byte, kind watch.EventType, object []byte) []byte {
	extension := 1 + protowire.SizeBytes(len(object))
	dst = binary.BigEndian.AppendUint32(dst, uint32(2+protowire.SizeBytes(len(kind))+protowire.SizeBytes(extension)))
	dst = protowire.AppendString(protowire.AppendTag(dst, 1, protowire.BytesType), string(kind))
	dst = protowire.AppendVarint(protowire.AppendTag(dst, 2, protowire.BytesType), uint64(extension))
	return protowire.AppendBytes(protowire.AppendTag(dst, 1, protowire.BytesType), object)
}

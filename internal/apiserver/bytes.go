package apiserver

import (
	"bytes"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/codec"
	"github.com/knarr-io/knarr/internal/apiserver/verb"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// bareItem is an item's bare encoding, made at most once per format and kind.
// The bytes are shared.
func bareItem(item *cache.Item, k *api.Kind, f codec.Format) ([]byte, error) {
	key := "json"
	if f == codec.Protobuf {
		key = "protobuf"
	}
	if k.View != nil {
		key += " " + k.GVK.String()
	}
	return item.Encoded(key, func() ([]byte, error) { return codec.Bare(verb.View(k, item), f) })
}

// wholeList is a list's answer, made of the encodings of its items.
func wholeList(list *verb.List, k *api.Kind, f codec.Format, pretty bool) (codec.Body, error) {
	items := make([][]byte, len(list.Items))
	for i, item := range list.Items {
		bare, err := bareItem(item, k, f)
		if err != nil {
			return nil, err
		}
		items[i] = bare
	}
	body, err := joined(list, k, f, items)
	if err != nil || f == codec.Protobuf || f == codec.JSON && !pretty {
		return body, err
	}
	return inOne(codec.Wrap(bytes.TrimSuffix(body.Bytes(), []byte("\n")), f, k.ListKind(), pretty))
}

func joined(list *verb.List, k *api.Kind, f codec.Format, items [][]byte) (codec.Body, error) {
	if k.Custom != nil {
		return codec.CustomList(k.ListKind(), list.ListMeta, items)
	}
	return codec.List(k.ListKind(), list.ListMeta, items, f)
}

// inOne is a body of one piece.
func inOne(body []byte, err error) (codec.Body, error) { return codec.Body{body}, err }

package apiserver

import (
	"io"

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
	return item.Encoded(key, func(w io.Writer) error {
		bare, err := codec.Bare(verb.View(k, item), f)
		if err != nil {
			return err
		}
		_, err = w.Write(bare)
		return err
	})
}

// wholeList joins the encodings of a list's items to an answer.
func wholeList(list *verb.List, k *api.Kind, f codec.Format, pretty bool) ([]byte, error) {
	items := make([][]byte, len(list.Items))
	for i, item := range list.Items {
		bare, err := bareItem(item, k, f)
		if err != nil {
			return nil, err
		}
		items[i] = bare
	}
	if k.Custom != nil {
		return customList(list, k, f, pretty, items)
	}
	if f == codec.JSON && !pretty {
		return codec.WholeListJSON(listKind(k), list.ListMeta, items)
	}
	join := codec.ListJSON
	if f == codec.Protobuf {
		join = codec.ListProtobuf
	}
	bare, err := join(list.ListMeta, items)
	if err != nil {
		return nil, err
	}
	return codec.Wrap(bare, f, listKind(k), pretty)
}

func customList(list *verb.List, k *api.Kind, f codec.Format, pretty bool, items [][]byte) ([]byte, error) {
	whole, err := codec.CustomListJSON(listKind(k), list.ListMeta, items)
	if err != nil {
		return nil, err
	}
	if f == codec.JSON && !pretty {
		return append(whole, '\n'), nil
	}
	return codec.Wrap(whole, f, listKind(k), pretty)
}

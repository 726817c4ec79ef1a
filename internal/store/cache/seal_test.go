package cache

import (
	"bytes"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/store"
)

// markingSealer marks what it seals and reads what is not marked, too.
type markingSealer struct{}

func (markingSealer) Seal(_ string, value []byte) ([]byte, error) {
	return append(bytes.Clone(sealedPrefix), value...), nil
}

func (markingSealer) Open(_ string, stored []byte) ([]byte, bool, error) {
	value, marked := bytes.CutPrefix(stored, sealedPrefix)
	return value, !marked, nil
}

// What cannot be read cannot be written again: that is told, and does not keep
// the others from it.
func TestResealingEndsAtWhatCannotBeRead(t *testing.T) {
	f := newFixture(t, Options{})
	f.create(f.configMaps(), configMap("a", "after", ""))
	f.create(f.configMaps(), configMap("z", "before", ""))
	const broken = "/core/configmaps/m/broken"
	if _, err := f.store.Commit(f.ctx(), []store.Op{{Key: broken, Value: []byte("k8s\x00rubbish")}}); err != nil {
		t.Fatal(err)
	}
	f.cache = f.open(Options{Seals: func(schema.GroupResource) Sealer { return markingSealer{} }})
	// What could be read before, and no longer: the cache has the older state.
	item := f.create(f.configMaps(), configMap("n", "newer", ""))
	const newer = "/core/configmaps/n/newer"
	if _, err := f.store.Commit(f.ctx(), []store.Op{{Key: newer, Value: []byte("k8s\x00rubbish"), Expect: store.ModifiedAt(item.Revision)}}); err != nil {
		t.Fatal(err)
	}
	written, err := f.configMaps().Reseal(f.ctx())
	if written != 2 || err == nil || !strings.Contains(err.Error(), broken) || !strings.Contains(err.Error(), newer) {
		t.Errorf("%d were written again, error %v", written, err)
	}
}

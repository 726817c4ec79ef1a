package crd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/util/jsonpath"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
)

// split takes a simple path such as .spec.replicas apart.
func split(path string) []string { return strings.Split(strings.TrimPrefix(path, "."), ".") }

// parsed is a JSON path that was understood.
func parsed(name, path string) (*jsonpath.JSONPath, error) {
	p := jsonpath.New(name).AllowMissingKeys(true)
	return p, p.Parse("{" + path + "}")
}

// first is the first value that a path leads to; nil where it leads nowhere.
func first(p *jsonpath.JSONPath, obj api.Object) any {
	found, err := p.FindResults(content(obj))
	if err != nil || len(found) == 0 || len(found[0]) == 0 || !found[0][0].IsValid() || !found[0][0].CanInterface() {
		return nil
	}
	return found[0][0].Interface()
}

// declareFields makes the version's selectable fields known; the cache indexes
// those of the storage version.
func (v *versioned) declareFields(k *api.Kind) {
	paths := map[string]*jsonpath.JSONPath{}
	for _, f := range v.spec.SelectableFields {
		name := strings.TrimPrefix(f.JSONPath, ".")
		p, err := parsed(name, f.JSONPath)
		if err != nil {
			continue // refused by validation; what was stored before it selects nothing
		}
		k.FieldNames = append(k.FieldNames, name)
		paths[name] = p
	}
	if len(paths) == 0 {
		return
	}
	if v.spec.Storage {
		k.IndexedFields = k.FieldNames
	}
	k.Fields = func(obj api.Object) fields.Set {
		out := make(fields.Set, len(paths))
		for name, p := range paths {
			if value := first(p, obj); value != nil {
				out[name] = fmt.Sprint(value)
			}
		}
		return out
	}
}

// defaultColumns are shown where a version names none.
func defaultColumns() []v1.CustomResourceColumnDefinition {
	return []v1.CustomResourceColumnDefinition{{
		Name: "Age", Type: "date", Description: column.Doc(metav1.ObjectMeta{}, "creationTimestamp"), JSONPath: ".metadata.creationTimestamp",
	}}
}

// cell fills one column behind the name.
type cell struct {
	path *jsonpath.JSONPath
	kind string
}

// declareColumns makes the table's columns and rows. A column whose path
// cannot be parsed ends them, as upstream does.
func (v *versioned) declareColumns(k *api.Kind) {
	k.Columns = []api.Column{column.Name()}
	columns := v.spec.AdditionalPrinterColumns
	if len(columns) == 0 {
		columns = defaultColumns()
	}
	var cells []cell
	for _, c := range columns {
		p, err := parsed(c.Name, c.JSONPath)
		if err != nil {
			break
		}
		text := c.Description
		if text == "" {
			text = "Custom resource definition column (in JSONPath format): " + c.JSONPath
		}
		k.Columns = append(k.Columns, api.Column{Name: c.Name, Type: c.Type, Format: c.Format, Description: text, Priority: c.Priority})
		cells = append(cells, cell{path: p, kind: c.Type})
	}
	k.Row = func(obj api.Object, now time.Time) []any {
		row := make([]any, 1, 1+len(cells))
		row[0] = obj.GetName()
		for _, c := range cells {
			row = append(row, c.fill(obj, now))
		}
		return row
	}
}

func (c cell) fill(obj api.Object, now time.Time) any {
	value := first(c.path, obj)
	if value == nil {
		return nil
	}
	switch c.kind {
	case "string":
		var text bytes.Buffer
		if err := c.path.PrintResults(&text, []reflect.Value{reflect.ValueOf(value)}); err != nil {
			return nil
		}
		return text.String()
	case "integer":
		return integer(value)
	case "number":
		return float(value)
	case "boolean":
		if b, ok := value.(bool); ok {
			return b
		}
	case "date":
		return age(value, now)
	}
	return nil
}

func integer(value any) any {
	switch n := value.(type) {
	case int64:
		return n
	case float64:
		return int64(n)
	case json.Number:
		if i, err := n.Int64(); err == nil {
			return i
		}
	}
	return nil
}

func float(value any) any {
	switch n := value.(type) {
	case int64:
		return float64(n)
	case float64:
		return n
	case json.Number:
		if f, err := n.Float64(); err == nil {
			return f
		}
	}
	return nil
}

func age(value any, now time.Time) any {
	text, ok := value.(string)
	if !ok {
		return nil
	}
	var at metav1.Time
	if err := at.UnmarshalQueryParameter(text); err != nil {
		return "<invalid>"
	}
	return column.Since(at, now)
}

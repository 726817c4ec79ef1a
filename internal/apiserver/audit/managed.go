package audit

import (
	"bytes"
	"encoding/json"
)

// withoutManagedFields takes metadata.managedFields out of an object, of the
// items of a list and of the objects of a table. What is not JSON stays as it
// is.
func withoutManagedFields(body []byte) []byte {
	if !bytes.Contains(body, []byte(`"managedFields"`)) {
		return body
	}
	var doc map[string]any
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber() // large integers stay as they are
	if err := decoder.Decode(&doc); err != nil {
		return body
	}
	strip(doc)
	for _, item := range listOf(doc, "items") {
		strip(item)
	}
	for _, row := range listOf(doc, "rows") {
		if obj, ok := row["object"].(map[string]any); ok {
			strip(obj)
		}
	}
	out, err := json.Marshal(doc)
	if err != nil {
		return body
	}
	return out
}

func strip(obj map[string]any) {
	if meta, ok := obj["metadata"].(map[string]any); ok {
		delete(meta, "managedFields")
	}
}

func listOf(doc map[string]any, name string) []map[string]any {
	all, _ := doc[name].([]any)
	out := make([]map[string]any, 0, len(all))
	for _, one := range all {
		if m, ok := one.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

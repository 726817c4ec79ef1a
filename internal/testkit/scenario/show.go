package scenario

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const asTable = "application/json;as=Table;v=v1;g=meta.k8s.io"

// get shows kubectl's table, or fields of each object.
func (w *world) get(c command) (string, error) {
	t, err := w.target(c)
	if err != nil {
		return "", err
	}
	path := t.path()
	if selector := c.options["l"]; selector != "" {
		path += "?labelSelector=" + url.QueryEscape(selector)
	}
	if len(c.args) > 1 {
		return w.fields(path, c.args[1:])
	}
	code, data := w.send(http.MethodGet, path, asTable, nil)
	if code != http.StatusOK {
		return refusal(data)
	}
	var table metav1.Table
	if err := json.Unmarshal(data, &table); err != nil {
		return "", err
	}
	return describe(&table), nil
}

func refusal(data []byte) (string, error) {
	var status metav1.Status
	err := json.Unmarshal(data, &status)
	return status.Message + "\n", err
}

// describe prints a table's ordinary columns, aligned, its rows in order.
func describe(table *metav1.Table) string {
	if len(table.Rows) == 0 {
		return "none\n"
	}
	var head []string
	for _, column := range table.ColumnDefinitions {
		if column.Priority == 0 {
			head = append(head, strings.ToUpper(column.Name))
		}
	}
	var rows [][]string
	for _, row := range table.Rows {
		var cells []string
		for i, cell := range row.Cells {
			if i < len(table.ColumnDefinitions) && table.ColumnDefinitions[i].Priority == 0 {
				cells = append(cells, normal(fmt.Sprint(cell)))
			}
		}
		rows = append(rows, cells)
	}
	slices.SortFunc(rows, slices.Compare)
	return align(append([][]string{head}, rows...))
}

func align(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			fmt.Fprintf(&line, "%-*s", widths[i]+2, cell)
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}

// fields shows some of the objects at a path: a line for each field.
func (w *world) fields(path string, names []string) (string, error) {
	code, data := w.send(http.MethodGet, path, "application/json", nil)
	if code != http.StatusOK {
		return refusal(data)
	}
	var answer map[string]any
	if err := json.Unmarshal(data, &answer); err != nil {
		return "", err
	}
	objects := []any{answer}
	if list, ok := answer["items"].([]any); ok {
		objects = list
	}
	var blocks []string
	for _, item := range objects {
		obj, _ := item.(map[string]any)
		var b strings.Builder
		if len(objects) > 1 {
			name, _, _ := unstructured.NestedString(obj, "metadata", "name")
			b.WriteString(name + "\n")
		}
		for _, field := range names {
			b.WriteString(showField(obj, field))
		}
		blocks = append(blocks, normal(b.String()))
	}
	slices.Sort(blocks)
	if len(blocks) == 0 {
		return "none\n", nil
	}
	return strings.Join(blocks, ""), nil
}

// showField shows one value as compact JSON, conditions as sentences.
func showField(obj map[string]any, field string) string {
	value, ok, _ := unstructured.NestedFieldNoCopy(obj, strings.Split(strings.TrimPrefix(field, "."), ".")...)
	if !ok {
		return field + ": -\n"
	}
	if list, is := value.([]any); is && strings.HasSuffix(strings.ToLower(field), "conditions") {
		var b strings.Builder
		for _, item := range list {
			c, _ := item.(map[string]any)
			text := fmt.Sprintf("%v=%v %s: %s", c["type"], c["status"], orEmpty(c["reason"]), orEmpty(c["message"]))
			b.WriteString(strings.TrimRight(text, ": ") + "\n")
		}
		return b.String()
	}
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return err.Error()
	}
	return field + ": " + b.String()
}

func orEmpty(v any) string {
	s, _ := v.(string)
	return s
}

// events shows each thing that events tell once, in alphabetical order.
func (w *world) events(c command) (string, error) {
	namespace := c.options["n"]
	if namespace == "" {
		namespace = "default"
	}
	code, data := w.send(http.MethodGet, "/api/v1/namespaces/"+namespace+"/events", "application/json", nil)
	if code != http.StatusOK {
		return refusal(data)
	}
	var list struct {
		Items []struct {
			Type, Reason, Message string
			InvolvedObject        struct{ Kind, Name string }
		}
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return "", err
	}
	var lines []string
	for _, e := range list.Items {
		if about := c.first(); about == "" || about == e.InvolvedObject.Name {
			lines = append(lines, normal(fmt.Sprintf("%s %s %s/%s: %s\n", e.Type, e.Reason, e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Message)))
		}
	}
	if len(lines) == 0 {
		return "none\n", nil
	}
	slices.Sort(lines)
	return strings.Join(slices.Compact(lines), ""), nil
}

var (
	uids = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	ends = regexp.MustCompile(`-[bcdfghjklmnpqrstvwxz2456789]{5}\b`) // of the API server's generated names
)

// normal shows what is random by what it stands for.
func normal(text string) string {
	return ends.ReplaceAllString(uids.ReplaceAllString(text, "UID"), "-*")
}

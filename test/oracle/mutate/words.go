package mutate

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Words are the texts that mutation puts into fields. Learn and Constants are
// called before the first mutation; then Words does not change.
type Words struct {
	common    []string
	byField   map[string][]string
	constants map[string][]string
}

// NewWords makes the words from the constants that types declare.
func NewWords(constants map[string][]string) *Words {
	return &Words{common: common(), byField: map[string][]string{}, constants: constants}
}

// Learn notes every text in the object under its field's name.
func (w *Words) Learn(obj any) { w.learn(reflect.ValueOf(obj), "") }

func (w *Words) learn(v reflect.Value, name string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			w.learn(v.Elem(), name)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				w.learn(v.Field(i), jsonName(v.Type().Field(i)))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			w.learn(v.Index(i), name)
		}
	case reflect.Map:
		keys := v.MapKeys()
		sortKeys(keys)
		for _, key := range keys {
			w.learn(key, name+"Key")
			w.learn(v.MapIndex(key), name)
		}
	case reflect.String:
		if !slices.Contains(w.byField[name], v.String()) {
			w.byField[name] = append(w.byField[name], v.String())
		}
	}
}

// text is a new text for a field: a value of its type, one seen in a field of
// that name, or anything.
func (m *Mutator) text(v reflect.Value, name string) string {
	declared := m.words.constants[v.Type().PkgPath()+"."+v.Type().Name()]
	if len(declared) > 0 && !m.one(5) {
		return pick(m, declared)
	}
	if seen := m.words.byField[name]; len(seen) > 0 && !m.one(3) {
		return pick(m, seen)
	}
	return pick(m, m.words.common)
}

func pick[T any](m *Mutator, from []T) T { return from[m.rand.IntN(len(from))] }

// common are texts at the borders of the usual formats: names, labels, hosts,
// paths, addresses, URLs, expressions, numbers.
func common() []string {
	return []string{
		"", "", "a", "A", "a-b", "-a", "a-", "a_b", "a.b", "a..b", ".", "..", "0", "9a", "*", " ", "a b", "é", "a\nb", "%2f",
		strings.Repeat("a", 15), strings.Repeat("a", 16), strings.Repeat("a", 63), strings.Repeat("a", 64),
		strings.Repeat("a", 253), strings.Repeat("a", 254), strings.Repeat("a", 1025), strings.Repeat("a.", 126) + "a",
		"example.com", "example.com/a", "example.com/A_b.c", "example.com/", "/a", "a/b/c", "Example.com/a", "*.example.com",
		"*.*.example.com", "kubernetes.io/a", "k8s.io/a", "node.kubernetes.io/not-ready", "kubernetes.io/hostname", "foregroundDeletion", "orphan",
		"/", "/a/b", "/a/../b", "../a", "a/..", "..a", "C:\\a", "a:b", "/a:b",
		"10.0.0.1", "010.0.0.1", "0.0.0.0", "127.0.0.1", "169.254.1.1", "224.0.0.1", "256.0.0.1", "::1", "2001:db8::1", "2001:DB8::1", "fe80::1", "::ffff:10.0.0.1",
		"10.0.0.0/8", "10.0.0.1/8", "2001:db8::/64", "10.0.0.0/33", "10.0.0.0/08",
		"http://a", "https://a.example.com/b?c=d", "https://user@a", "ftp://a", "https://",
		"1", "-1", "100%", "101%", "50%", "0x10", "1Gi", "v1", "apps/v1", "a/b/v1", "true", "1 == 1", "self.a", "(((",
		"cpu", "memory", "hugepages-2Mi", "ephemeral-storage", "pods", "requests.cpu", "example.com/gpu", "storage",
		"TCP", "UDP", "SCTP", "tcp", "http", "80", "Always", "None", "Unknown", "Default",
		"@daily", "* * * * *", "*/5 * * * *", "TZ=UTC 0 0 * * *", "Europe/Berlin", "sha256:0", "aGVsbG8=",
	}
}

func numbers() []int64 {
	return []int64{-2147483649, -2147483648, -1000, -2, -1, 0, 0, 1, 1, 2, 3, 5, 10, 30, 63, 64, 80, 100, 101, 255, 256, 500, 511, 512, 600, 1000, 1001,
		3600, 10000, 30000, 32767, 32768, 65534, 65535, 65536, 86400, 100001, 1000000001, 2147483646, 2147483647, 2147483648, 4294967296, 9223372036854775807}
}

func (m *Mutator) number(v reflect.Value) {
	for {
		if n := pick(m, numbers()); !v.OverflowInt(n) {
			v.SetInt(n)
			return
		}
	}
}

func (m *Mutator) intOrString(name string) intstr.IntOrString {
	if m.one(2) {
		return intstr.FromInt32(pick(m, []int32{-1, 0, 1, 2, 80, 100, 101, 65535, 65536, 2147483647}))
	}
	if seen := m.words.byField[name]; len(seen) > 0 && m.one(3) {
		return intstr.FromString(pick(m, seen))
	}
	return intstr.FromString(pick(m, []string{"", "0%", "1%", "25%", "100%", "101%", "-1%", "50", "50.5%", "http", "HTTP", "a--b", "80", "a-name-of-16-char", "%"}))
}

func (m *Mutator) quantity() resource.Quantity {
	return resource.MustParse(pick(m, []string{
		"0", "1", "2", "-1", "1m", "500m", "-1m", "1.5", "100n", "1Ki", "1Mi", "2Mi", "3Mi", "1Gi", "1.5Gi", "1G", "1k", "0.1", "1e3", "9223372036854775807", "16Ei", "12345678901234567890",
	}))
}

func (m *Mutator) time() time.Time {
	base := time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)
	return base.Add(time.Duration(pick(m, []int64{0, -1, 1, 3600, -86400, 31536000})) * time.Second)
}

func raws() []string {
	return []string{`{}`, `{"a":1}`, `{"apiVersion":"v1","kind":"A"}`, `[]`, `"a"`, `null`, `1`}
}

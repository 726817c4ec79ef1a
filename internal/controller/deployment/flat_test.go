package deployment

import (
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// flat is an object as text, to be compared.
func flat(obj metav1.Object) string {
	out, err := json.Marshal(obj)
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(out)
}

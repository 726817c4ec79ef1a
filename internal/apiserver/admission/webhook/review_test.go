package webhook

import (
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
)

// FuzzAnswer: no answer of a webhook may panic, nor allow a write under
// another question's uid.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"u","allowed":true}}`), true)
	f.Add([]byte(`{"response":{"uid":"u","allowed":true,"patch":"W10=","patchType":"JSONPatch"}}`), false)
	f.Add([]byte(`{"response":{"allowed":true,"status":{"code":-1}}}`), true)
	f.Fuzz(func(t *testing.T, body []byte, validates bool) {
		of := mutating
		if validates {
			of = validating
		}
		question := review{uid: "u", version: admissionv1.SchemeGroupVersion}
		got, err := question.verify(body, of)
		if err == nil && got.UID != "u" {
			t.Errorf("an answer to %q was taken", got.UID)
		}
		if err == nil && !got.Allowed {
			if no := rejection("hook", got.Result); no.status.ErrStatus.Code < 400 {
				t.Errorf("a refusal has the code %d", no.status.ErrStatus.Code)
			}
		}
	})
}

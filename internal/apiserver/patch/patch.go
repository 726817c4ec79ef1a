// Package patch applies JSON patches (RFC 6902), merge patches (RFC 7386) and
// strategic merge patches to objects in JSON.
//
// It is pure. Patches come from strangers: their operations are counted before
// they are applied, and copies that would grow the object past the bound of a
// request are refused.
package patch

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/mergepatch"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	kjson "sigs.k8s.io/json"

	"github.com/knarr-io/knarr/internal/apiserver/limits"
)

// boundCopies sets the library's bound, which is a variable of its package.
var boundCopies = sync.OnceFunc(func() { jsonpatch.AccumulatedCopySizeLimit = limits.PatchCopies })

// Loose are the findings of strict reading: fields that a patch names twice.
type Loose []error

// Apply changes an object's JSON by a patch of the type. like is a value of
// the object's Go type: its struct tags say how strategic patches merge.
// Errors are API status errors.
func Apply(kind types.PatchType, doc, patch []byte, like any) ([]byte, Loose, error) {
	switch kind {
	case types.JSONPatchType:
		out, err := byOperations(doc, patch)
		return out, nil, err
	case types.MergePatchType:
		return byMerge(doc, patch)
	case types.StrategicMergePatchType:
		return byStrategy(doc, patch, like)
	}
	return nil, nil, errors.NewGenericServerResponse(http.StatusUnsupportedMediaType, "", schema.GroupResource{}, "", "", 0, false)
}

func byOperations(doc, patch []byte) ([]byte, error) {
	ops, err := decodeOperations(patch)
	if err != nil {
		return nil, err
	}
	boundCopies()
	out, err := ops.Apply(doc)
	if err != nil {
		return nil, errors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", schema.GroupResource{}, "", err.Error(), 0, false)
	}
	return out, nil
}

func decodeOperations(patch []byte) (jsonpatch.Patch, error) {
	ops, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		return nil, errors.NewBadRequest(err.Error())
	}
	if len(ops) > limits.PatchOperations {
		return nil, errors.NewRequestEntityTooLargeError(
			fmt.Sprintf("The allowed maximum operations in a JSON patch is %d, got %d", limits.PatchOperations, len(ops)))
	}
	return ops, nil
}

func byMerge(doc, patch []byte) ([]byte, Loose, error) {
	var asMap map[string]any
	loose, err := kjson.UnmarshalStrict(patch, &asMap)
	if err != nil {
		return nil, nil, errors.NewBadRequest(fmt.Sprintf("error decoding patch: %v", err))
	}
	out, err := jsonpatch.MergePatch(doc, patch)
	if err != nil {
		return nil, nil, errors.NewBadRequest(err.Error())
	}
	return out, loose, nil
}

func byStrategy(doc, patch []byte, like any) ([]byte, Loose, error) {
	original := map[string]any{}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(doc, &original); err != nil {
		return nil, nil, errors.NewInternalError(err)
	}
	asMap := map[string]any{}
	loose, err := kjson.UnmarshalStrict(patch, &asMap)
	if err != nil {
		return nil, nil, errors.NewBadRequest(err.Error())
	}
	merged, err := strategicpatch.StrategicMergeMapPatch(original, asMap, like)
	if err != nil {
		return nil, nil, interpret(err)
	}
	out, err := json.Marshal(merged)
	if err != nil {
		return nil, nil, errors.NewInternalError(err)
	}
	return out, loose, nil
}

// interpret sorts a strategic merge's failures into the client's and ours.
func interpret(err error) error {
	switch err {
	case mergepatch.ErrBadJSONDoc, mergepatch.ErrBadPatchFormatForPrimitiveList, mergepatch.ErrBadPatchFormatForRetainKeys,
		mergepatch.ErrBadPatchFormatForSetElementOrderList, mergepatch.ErrUnsupportedStrategicMergePatchFormat:
		return errors.NewBadRequest(err.Error())
	case mergepatch.ErrNoListOfLists:
		return errors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", schema.GroupResource{}, "", err.Error(), 0, false)
	}
	return err
}

package apiserver

import (
	"fmt"
	"mime"
	"net/http"
	"net/url"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/apiserver/codec"
	"github.com/knarr-io/knarr/internal/apiserver/managed"
	"github.com/knarr-io/knarr/internal/apiserver/negotiate"
	"github.com/knarr-io/knarr/internal/apiserver/verb"
)

// read makes a Request of what came from the wire.
func (s *Server) read(w http.ResponseWriter, r *http.Request, c *call, query url.Values) (*request.Request, error) {
	i := c.info
	req := &request.Request{
		Verb: request.Verb(i.Verb), Kind: c.kind, Subresource: i.Subresource, Namespace: i.Namespace, Name: i.Name,
	}
	if !c.kind.Namespaced {
		req.Namespace = ""
	}
	var err error
	switch req.Verb {
	case request.Get:
		err = badRequest(metav1.Convert_url_Values_To_v1_GetOptions(&query, &req.GetOptions, nil))
	case request.List, request.Watch:
		err = badRequest(metav1.Convert_url_Values_To_v1_ListOptions(&query, &req.ListOptions, nil))
	case request.Create:
		err = s.readCreate(w, r, c, query, req)
	case request.Update:
		err = s.readUpdate(w, r, c, query, req)
	case request.Patch:
		err = s.readPatch(w, r, query, req)
	case request.DeleteCollection:
		if err = badRequest(metav1.Convert_url_Values_To_v1_ListOptions(&query, &req.ListOptions, nil)); err == nil {
			err = s.readDelete(w, r, query, req)
		}
	case request.Delete:
		err = s.readDelete(w, r, query, req)
	}
	return req, err
}

func badRequest(err error) error {
	if err == nil {
		return nil
	}
	return errors.NewBadRequest(err.Error())
}

func (s *Server) readCreate(w http.ResponseWriter, r *http.Request, c *call, query url.Values, req *request.Request) error {
	format, body, err := readBody(w, r)
	if err != nil {
		return err
	}
	opts := &req.CreateOptions
	if err := badRequest(metav1.Convert_url_Values_To_v1_CreateOptions(&query, opts, nil)); err != nil {
		return err
	}
	if errs := metavalidation.ValidateCreateOptions(opts); len(errs) > 0 {
		return errors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: "CreateOptions"}, "", errs)
	}
	opts.FieldManager = managed.ManagerName(opts.FieldManager, r.UserAgent())
	return s.decode(c, req, format, body, opts.FieldValidation)
}

func (s *Server) readUpdate(w http.ResponseWriter, r *http.Request, c *call, query url.Values, req *request.Request) error {
	format, body, err := readBody(w, r)
	if err != nil {
		return err
	}
	opts := &req.UpdateOptions
	if err := badRequest(metav1.Convert_url_Values_To_v1_UpdateOptions(&query, opts, nil)); err != nil {
		return err
	}
	if errs := metavalidation.ValidateUpdateOptions(opts); len(errs) > 0 {
		return errors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: "UpdateOptions"}, "", errs)
	}
	opts.FieldManager = managed.ManagerName(opts.FieldManager, r.UserAgent())
	return s.decode(c, req, format, body, opts.FieldValidation)
}

// readBody reads a body in one of the object formats.
func readBody(w http.ResponseWriter, r *http.Request) (codec.Format, []byte, error) {
	format, err := negotiate.Body(r.Header.Get("Content-Type"))
	if err != nil {
		return 0, nil, err
	}
	body, err := limited(w, r)
	return format, body, err
}

// decode reads the object of a create or update, with its defaults.
func (s *Server) decode(c *call, req *request.Request, format codec.Format, body []byte, validation string) error {
	want := verb.Body(req.Kind, req.Subresource)
	d, err := s.codec.Decode(body, format, want, validation != metav1.FieldValidationIgnore)
	if err != nil && !(runtime.IsNotRegisteredError(d.Cause) && s.formerVersion(d.GVK)) {
		return err
	}
	if d.GVK.GroupVersion() != want.GroupVersion() {
		return errors.NewBadRequest(fmt.Sprintf("the API version in the data (%s) does not match the expected API version (%s)",
			d.GVK.GroupVersion(), want.GroupVersion()))
	}
	if len(d.Loose) > 0 {
		if validation == metav1.FieldValidationStrict {
			return codec.StrictError(d.Loose, d.GVK, want.Kind, body)
		}
		for _, finding := range d.Loose {
			c.warn(finding.Error())
		}
	}
	s.codec.Default(d.Object)
	req.Object = d.Object
	return nil
}

func (s *Server) readPatch(w http.ResponseWriter, r *http.Request, query url.Values, req *request.Request) error {
	var err error
	if req.PatchType, err = patchType(r); err != nil {
		return err
	}
	if req.Body, err = limited(w, r); err != nil {
		return err
	}
	opts := &req.PatchOptions
	if err := badRequest(metav1.Convert_url_Values_To_v1_PatchOptions(&query, opts, nil)); err != nil {
		return err
	}
	if errs := metavalidation.ValidatePatchOptions(opts, req.PatchType); len(errs) > 0 {
		return errors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: "PatchOptions"}, "", errs)
	}
	opts.FieldManager = managed.ManagerName(opts.FieldManager, r.UserAgent())
	return nil
}

// patchType is the kind of patch that a request's Content-Type names.
func patchType(r *http.Request) (types.PatchType, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch kind := types.PatchType(media); kind {
	case types.JSONPatchType, types.MergePatchType, types.StrategicMergePatchType, types.ApplyYAMLPatchType:
		if err == nil {
			return kind, nil
		}
	}
	return "", unsupportedPatch()
}

func unsupportedPatch() error {
	return &errors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusUnsupportedMediaType, Reason: metav1.StatusReasonUnsupportedMediaType,
		Message: "415: Unsupported Media Type", Details: &metav1.StatusDetails{},
	}}
}

// readDelete reads the options of a deletion, from the body if there is one.
func (s *Server) readDelete(w http.ResponseWriter, r *http.Request, query url.Values, req *request.Request) error {
	opts := &req.DeleteOptions
	body, err := limited(w, r)
	if err != nil {
		return err
	}
	if len(body) > 0 {
		if err := s.decodeDeleteOptions(r, body, opts); err != nil {
			return err
		}
	} else if err := badRequest(metav1.Convert_url_Values_To_v1_DeleteOptions(&query, opts, nil)); err != nil {
		return err
	}
	if errs := metavalidation.ValidateDeleteOptions(opts); len(errs) > 0 {
		return errors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: "DeleteOptions"}, "", errs)
	}
	return nil
}

func (s *Server) decodeDeleteOptions(r *http.Request, body []byte, into *metav1.DeleteOptions) error {
	format, err := negotiate.Body(r.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	d, err := s.codec.Decode(body, format, schema.GroupVersionKind{Version: "v1", Kind: "DeleteOptions"}, false)
	if runtime.IsNotRegisteredError(d.Cause) {
		return errors.NewBadRequest(d.Cause.Error())
	}
	if err != nil {
		return err
	}
	opts, isOptions := d.Object.(*metav1.DeleteOptions)
	if !isOptions {
		return errors.NewBadRequest("decoded object cannot be converted to DeleteOptions")
	}
	*into = *opts
	return nil
}

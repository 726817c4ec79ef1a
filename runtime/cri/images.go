package cri

import (
	"context"
	"slices"
	"strings"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/runtime/fault"
	"github.com/knarr-io/knarr/runtime/image"
	"github.com/knarr-io/knarr/runtime/image/registry"
	"github.com/knarr-io/knarr/runtime/spec"
)

func (s *Service) toImage(img *image.Image) *cri.Image {
	out := &cri.Image{Id: img.ID, RepoTags: img.Tags, RepoDigests: img.Digests, Size: uint64(max(img.Size, 0)),
		Spec: &cri.ImageSpec{Image: img.ID}, Pinned: s.pinned(img)}
	uid, name := spec.ImageUser(img.Config.User)
	out.Username = name
	if uid != nil {
		out.Uid = &cri.Int64Value{Value: *uid}
	}
	return out
}

// pinned says whether the image has a name that is pinned.
func (s *Service) pinned(img *image.Image) bool {
	for _, pin := range s.Pinned {
		prefix, open := strings.CutSuffix(pin, "*")
		for _, name := range append(slices.Clone(img.Tags), img.Digests...) {
			if name == pin || open && strings.HasPrefix(name, prefix) {
				return true
			}
		}
	}
	return false
}

// ListImages lists images, or the one that the filter names.
func (s *Service) ListImages(_ context.Context, r *cri.ListImagesRequest) (*cri.ListImagesResponse, error) {
	list, err := s.listImages(r.GetFilter())
	if err != nil {
		return nil, toStatus(err)
	}
	return &cri.ListImagesResponse{Images: list}, nil
}

func (s *Service) listImages(f *cri.ImageFilter) ([]*cri.Image, error) {
	if ref := f.GetImage().GetImage(); ref != "" {
		img, err := s.Images.Get(ref)
		if fault.Is(err, fault.NotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return []*cri.Image{s.toImage(img)}, nil
	}
	var out []*cri.Image
	for _, img := range s.Images.List() {
		out = append(out, s.toImage(img))
	}
	return out, nil
}

// StreamImages lists images as a stream.
func (s *Service) StreamImages(r *cri.StreamImagesRequest, out cri.ImageService_StreamImagesServer) error {
	list, err := s.listImages(r.GetFilter())
	if err != nil {
		return toStatus(err)
	}
	for _, img := range list {
		if err := out.Send(&cri.StreamImagesResponse{Images: []*cri.Image{img}}); err != nil {
			return err
		}
	}
	return nil
}

// ImageStatus describes an image; the answer is empty if there is none.
func (s *Service) ImageStatus(_ context.Context, r *cri.ImageStatusRequest) (*cri.ImageStatusResponse, error) {
	img, err := s.Images.Get(r.GetImage().GetImage())
	if fault.Is(err, fault.NotFound) {
		return &cri.ImageStatusResponse{}, nil
	}
	if err != nil {
		return nil, toStatus(err)
	}
	return &cri.ImageStatusResponse{Image: s.toImage(img)}, nil
}

// PullImage brings an image from its registry.
func (s *Service) PullImage(ctx context.Context, r *cri.PullImageRequest) (*cri.PullImageResponse, error) {
	a := r.GetAuth()
	img, err := s.Images.Pull(ctx, r.GetImage().GetImage(), registry.Auth{Username: a.GetUsername(), Password: a.GetPassword(),
		Auth: a.GetAuth(), IdentityToken: a.GetIdentityToken(), RegistryToken: a.GetRegistryToken()})
	if err != nil {
		return nil, toStatus(err)
	}
	return &cri.PullImageResponse{ImageRef: img.ID}, nil
}

// RemoveImage removes an image with all its names.
func (s *Service) RemoveImage(_ context.Context, r *cri.RemoveImageRequest) (*cri.RemoveImageResponse, error) {
	if err := s.Images.Remove(r.GetImage().GetImage()); err != nil && !fault.Is(err, fault.NotFound) {
		return nil, toStatus(err)
	}
	return &cri.RemoveImageResponse{}, nil
}

// ImageFsInfo returns what images and containers take on the disk.
func (s *Service) ImageFsInfo(context.Context, *cri.ImageFsInfoRequest) (*cri.ImageFsInfoResponse, error) {
	bytes, inodes, dir, err := s.Images.Usage()
	if err != nil {
		return nil, toStatus(err)
	}
	usage := func() *cri.FilesystemUsage {
		return &cri.FilesystemUsage{Timestamp: time.Now().UnixNano(), FsId: &cri.FilesystemIdentifier{Mountpoint: dir},
			UsedBytes: &cri.UInt64Value{Value: bytes}, InodesUsed: &cri.UInt64Value{Value: inodes}}
	}
	return &cri.ImageFsInfoResponse{ImageFilesystems: []*cri.FilesystemUsage{usage()}, ContainerFilesystems: []*cri.FilesystemUsage{usage()}}, nil
}

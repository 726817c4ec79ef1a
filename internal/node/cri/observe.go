package cri

import (
	"context"
	"strings"
	"time"
	"unicode"

	"google.golang.org/grpc"
)

// observed tells the observer of each call.
func observed(observe Observer) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		began := time.Now()
		err := invoke(ctx, method, req, reply, cc, opts...)
		if observe != nil {
			observe(operation(method), time.Since(began), err)
		}
		return err
	}
}

// operation is upstream's name for a call of CRI, such as run_podsandbox for
// /runtime.v1.RuntimeService/RunPodSandbox.
func operation(method string) string {
	name := method[strings.LastIndexByte(method, '/')+1:]
	if name == "UpdateContainerResources" {
		return "update_container"
	}
	var out strings.Builder
	for i, r := range strings.ReplaceAll(name, "PodSandbox", "Podsandbox") {
		if unicode.IsUpper(r) && i > 0 {
			out.WriteByte('_')
		}
		out.WriteRune(unicode.ToLower(r))
	}
	return out.String()
}

package cri

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// However much a command prints, and where, the answer is one that clients take.
func TestOutputsFitIntoAnAnswer(t *testing.T) {
	const half, most = maxExecOutput / 2, maxExecOutput
	for _, c := range []struct{ out, err, wantOut, wantErr int }{
		{3, 4, 3, 4},
		{20 << 20, 0, most, 0},
		{20 << 20, 100, most - 100, 100},
		{100, 20 << 20, 100, most - 100},
		{20 << 20, 20 << 20, half, half},
		{half + 5, half - 5, half + 5, half - 5},
	} {
		var out, err limited
		for _, w := range []struct {
			to *limited
			n  int
		}{{&out, c.out}, {&err, c.err}} {
			if n, werr := w.to.Write(bytes.Repeat([]byte{'x'}, w.n)); n != w.n || werr != nil {
				t.Fatal(n, werr)
			}
		}
		stdout, stderr := fit(out.bytes(), err.bytes())
		if len(stdout) != c.wantOut || len(stderr) != c.wantErr {
			t.Errorf("%d and %d: kept %d and %d, want %d and %d", c.out, c.err, len(stdout), len(stderr), c.wantOut, c.wantErr)
		}
		if size := proto.Size(&cri.ExecSyncResponse{Stdout: stdout, Stderr: stderr, ExitCode: -1}); size > 16<<20 {
			t.Errorf("%d and %d: a message of %d bytes", c.out, c.err, size)
		}
	}
}

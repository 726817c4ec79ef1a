package probe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/knarr-io/knarr/internal/node/cri"
)

// Exec succeeds when the command ends with code 0 within its time.
func Exec(runtime *cri.Client, container string, command []string, timeout time.Duration) Try {
	return func(ctx context.Context) (Outcome, string) {
		// The runtime kills the command when its time is over; the call itself
		// may take a little longer than the probe's own deadline.
		// The runtime is not told of that end: it would say, as of a command, that
		// time was over.
		call, cancel := context.WithCancel(context.WithoutCancel(ctx))
		defer cancel()
		late := time.AfterFunc(timeout+5*time.Second, cancel)
		defer late.Stop()
		stop := context.AfterFunc(ctx, func() {
			if errors.Is(ctx.Err(), context.Canceled) {
				cancel()
			}
		})
		defer stop()
		resp, err := runtime.ExecSync(call, container, command, timeout)
		switch {
		case err != nil && call.Err() != nil:
			// Not the command but the runtime took too long, or is away: that says
			// nothing of the container.
			return Unknown, cri.Message(err)
		case cri.Code(err) == codes.DeadlineExceeded:
			return Failure, fmt.Sprintf("command timed out: %q timed out after %v", strings.Join(command, " "), timeout)
		case err != nil:
			return Unknown, cri.Message(err)
		}
		out := string(resp.GetStdout()) + string(resp.GetStderr())
		if len(out) > maxBody {
			out = out[:maxBody]
		}
		if resp.GetExitCode() != 0 {
			return Failure, out
		}
		return Success, out
	}
}

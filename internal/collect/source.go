package collect

import (
	"context"
	"fmt"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
)

// otherSource says that the slave built from another file than the one that the
// upstream told us of, under the same name; or "". Somewhere between the upstream and
// the slave's pip one of two stories is wrong: neither wheel nor failure says anything
// of the release then (decision 32). A slave that does not say what it took is believed,
// since one that wants to lie can.
func (r *reported) otherSource() string {
	took, want := r.msg.Record.Sdist, r.issued.Sdist
	if took.SHA256 == "" || want.SHA256 == "" || took.Filename != want.Filename || took.SHA256 == want.SHA256 {
		return ""
	}
	return fmt.Sprintf("built from another %s: SHA-256 %.12s…, the upstream told us %.12s…", took.Filename, took.SHA256, want.SHA256)
}

// refuseSource ends the build as a failure that is tried again elsewhere. The slave's
// work is done all the same.
func (r *reported) refuseSource(ctx context.Context, why string) (bus.ReportReply, error) {
	need, err := r.needLog()
	if err != nil || len(need) > 0 {
		return bus.ReportReply{Need: need}, err
	}
	reply, err := r.fail(ctx, r.ending(farm.Failure{Cause: farm.UpstreamFault, Detail: line(why)}))
	if err == nil {
		reply.Reason = "refused: " + why
	}
	return reply, err
}

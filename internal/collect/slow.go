package collect

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"pinwheel/internal/depot"
)

// stall is how long an upload may bring nothing before it is given up. It bounds
// the pause, not the whole: a 100 MB wheel over a slow line takes its time.
const stall = 30 * time.Second

// deadlined moves the connection's read deadline on with every read.
type deadlined struct {
	body  io.Reader
	ctl   *http.ResponseController
	stall time.Duration
}

func (d *deadlined) Read(p []byte) (int, error) {
	// A connection that knows no deadline (a test's recorder) has none to move.
	if err := d.ctl.SetReadDeadline(time.Now().Add(d.stall)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return d.body.Read(p)
}

// uploadStatus says whose fault it was that a file was not taken: below 500 the
// sender's, or the line's; else ours, and somebody must look.
func uploadStatus(ctx context.Context, err error) int {
	switch {
	case errors.Is(err, depot.ErrMismatch):
		return http.StatusUnprocessableEntity
	case errors.Is(err, depot.ErrFull):
		return http.StatusInsufficientStorage
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, io.ErrUnexpectedEOF), ctx.Err() != nil:
		return http.StatusRequestTimeout
	}
	return http.StatusInternalServerError
}
